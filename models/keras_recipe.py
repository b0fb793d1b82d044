"""What the recipes with Keras share: seeds, batches, exporting.

Needs the packages of a model's `train/requirements.txt`.
"""

import os

# Before tensorflow is imported: its start-up notices would bury the progress.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

import datasets
from recipe import INPUT, OUTPUT

OPSET = 15


def reproducible(seed: int) -> None:
    """Fixes every source of randomness.

    The same machine gives the same weights again; another CPU may round
    differently and end a few test samples away.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def batches(split: datasets.Split, batch: int, augment, seed: int) -> tf.data.Dataset:
    """One epoch of shuffled, augmented, normalized NHWC batches.

    Shuffled anew each time it is read.
    """
    images = datasets.unit_range(split.pictures)[:, :, :, np.newaxis]
    data = tf.data.Dataset.from_tensor_slices((images, split.labels))
    data = data.shuffle(len(images), seed=seed).batch(batch, drop_remainder=True)
    # One map at a time: a parallel one would draw random numbers in any order.
    return data.map(lambda image, label: (augment(image, training=True), label)).prefetch(2)


def export(model: keras.Model, path: Path, layout: str) -> None:
    """Writes `model` as ONNX with a symbolic batch and an `NHWC` or `NCHW` input."""
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name=INPUT)]

    @tf.function(input_signature=signature)
    def infer(image):
        return {OUTPUT: model(image, training=False)}

    exported, _ = tf2onnx.convert.from_function(
        infer,
        signature,
        opset=OPSET,
        inputs_as_nchw=[INPUT] if layout == "NCHW" else None,
    )
    graph = exported.graph
    graph.name = path.stem
    # Doc strings hold paths of the machine that exported.
    exported.doc_string = graph.doc_string = ""
    for record in [*graph.node, *graph.initializer, *graph.input, *graph.output]:
        record.doc_string = ""
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The exporter's own names for the batch dimension differ from run to run.
    del graph.value_info[:]
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)

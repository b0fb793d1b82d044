"""What the training recipes share, whatever they train with: measuring, writing samples.

Needs the packages of a model's `train/requirements.txt`.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import datasets

INPUT = "image"
OUTPUT = "probabilities"


def float_accuracy(model: Path, arrays: dict) -> float:
    """Top-1 accuracy of an ONNX file under onnxruntime."""
    (samples,) = (array for name, array in arrays.items() if name != "labels")
    probabilities = predict(model, samples)
    return float(np.mean(probabilities.argmax(axis=1) == arrays["labels"]))


def predict(model: Path, samples: np.ndarray) -> np.ndarray:
    """The first output for every sample."""
    return next(iter(answers(model, samples).values()))


def answers(model: Path, samples: np.ndarray) -> dict:
    """Every output by name, for all samples."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    parts = []
    for begin in range(0, len(samples), 500):
        part = dict(zip(names, session.run(None, {entry.name: samples[begin : begin + 500]})))
        if "selected" in part:
            # Non-maximum suppression counts the pictures of each run from 0.
            part["selected"][:, 0] += begin
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def write_calibration(path: Path, train: datasets.Split, layout: str, n_per_class: int) -> None:
    """Writes training samples, preprocessed, the same number of each class."""
    chosen = datasets.per_class(train, n_per_class)
    np.savez_compressed(path, **{INPUT: with_channel(datasets.unit_range(chosen.pictures), layout)})


def write_samples(folder: Path, test: datasets.Split, names: dict, enlarged: str) -> None:
    """Writes test pictures as PNG: `names` maps a file stem to its label.

    `enlarged` is written once more as 140x140 RGB, so that resizing and the
    conversion to gray are used as well.
    """
    folder.mkdir(exist_ok=True)
    for stem, label in names.items():
        picture = Image.fromarray(test.pictures[np.flatnonzero(test.labels == label)[0]])
        picture.save(folder / f"{stem}.png", optimize=True)
        if stem == enlarged:
            large = picture.resize((140, 140), Image.Resampling.BILINEAR).convert("RGB")
            large.save(folder / f"{stem}-140x140-rgb.png", optimize=True)


def with_channel(images: np.ndarray, layout: str) -> np.ndarray:
    """Adds the channel dimension to `[N, H, W]`."""
    return images[:, :, :, np.newaxis] if layout == "NHWC" else images[:, np.newaxis]

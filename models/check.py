#!/usr/bin/env python3
"""Checks that a model's folder keeps what its model.toml promises.

    python3 models/check.py [MODEL...]        every model by default

Runs the float model with onnxruntime over the samples, the calibration set
and the whole test set. Exit code 1 if a promise is broken.
Needs the packages of a model's `train/requirements.txt`, tensorflow apart.
"""

import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

import datasets
import evaluation
import metrics
import recipe

FOLDER = Path(__file__).resolve().parent
FILE_LIMITS_BYTES = {".onnx": 1_000_000, ".npz": 200_000}
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
CHANNELS = {"gray": "L", "rgb": "RGB", "bgr": "RGB"}
RESIZE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}


def problems(model: str) -> list:
    """One sentence for each broken promise."""
    folder = FOLDER / model
    about = tomllib.loads((folder / "model.toml").read_text())
    file = folder / about["model"]["file"]
    found = []
    files = [about["model"]["file"], about["calibration"]["file"]]
    if "quantized" in about:
        files.append(about["quantized"]["file"])
    for path in (folder / name for name in files):
        size, limit = path.stat().st_size, FILE_LIMITS_BYTES[path.suffix]
        if size > limit:
            found.append(f"{path.name}: {size} bytes, at most {limit} are allowed")
    if doc_strings(onnx.load(file).graph):
        found.append(f"{file.name}: has doc strings")

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    if isinstance(entry.shape[0], int):
        found.append(f"{file.name}: the batch dimension is fixed to {entry.shape[0]}")
    calibration = np.load(folder / about["calibration"]["file"])[entry.name]
    if calibration.dtype != TYPES[entry.type] or list(calibration.shape[1:]) != entry.shape[1:]:
        found.append(f"calibration: {calibration.dtype} {calibration.shape} for input {entry.shape}")
    if about["model"]["task"] == "classification":
        found += wrong_samples(folder, about, session)

    test = evaluation.test_set(model)
    measured = metrics.of(model, test, recipe.answers(file, test[entry.name]))
    stated = about["accuracy"]
    print(f"{model}: {measured:.4f} on {len(test[entry.name])} samples, stated {stated['float']}")
    # Another onnxruntime sums in another order, which can move a sample or two.
    if abs(measured - stated["float"]) > 0.001 or measured < stated["float_floor"]:
        found.append(f"{measured:.4f}, stated {stated['float']} with floor {stated['float_floor']}")
    if "quantized" in about:
        quantized = about["quantized"]
        measured = metrics.of(model, test, recipe.answers(folder / quantized["file"], test[entry.name]))
        print(f"{quantized['file']}: {measured:.4f}, stated {quantized['accuracy']}")
        if abs(measured - quantized["accuracy"]) > 0.002:
            found.append(f"{quantized['file']}: {measured:.4f}, stated {quantized['accuracy']}")
    return found


def wrong_samples(folder: Path, about: dict, session: onnxruntime.InferenceSession) -> list:
    """One sentence for each sample that gets another class than stated."""
    labels = (folder / about["model"]["labels"]).read_text().split("\n")[:-1]
    (entry,), (output,) = session.get_inputs(), session.get_outputs()
    if output.shape[1:] != [len(labels)]:
        return [f"output {output.shape} for {len(labels)} labels"]
    found = []
    for sample in about["samples"]:
        path = folder / sample["file"]
        if path.suffix == ".npz":
            values = np.load(path)[entry.name]
        else:
            values = read_picture(path, about["preprocess"][entry.name], entry.shape)
        scores = session.run(None, {entry.name: values})[0][0]
        print(f"{folder.name}: {sample['file']}: {labels[scores.argmax()]} {scores.max():.4f}")
        if labels[scores.argmax()] != sample["label"]:
            found.append(f"{sample['file']}: {labels[scores.argmax()]}, expected {sample['label']}")
    return found


def doc_strings(graph: onnx.GraphProto) -> list:
    records = [graph, *graph.node, *graph.initializer, *graph.input, *graph.output]
    return [record.doc_string for record in records if record.doc_string]


def read_picture(path: Path, preprocess: dict, shape: list) -> np.ndarray:
    """A picture as the model's input: (pixel * scale - mean) / std."""
    size = (preprocess["width"], preprocess["height"])
    picture = Image.open(path).convert(CHANNELS[preprocess["channels"]])
    pixels = np.asarray(picture.resize(size, RESIZE[preprocess["resize"]]), np.float32)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if preprocess["channels"] == "bgr":
        pixels = pixels[:, :, ::-1]
    values = (pixels * preprocess["scale"] - preprocess["mean"]) / preprocess["std"]
    if shape[-1] != pixels.shape[-1]:
        values = values.transpose(2, 0, 1)
    return values[np.newaxis].astype(np.float32)


def main() -> int:
    passed = True
    for model in sys.argv[1:] or evaluation.MODELS:
        try:
            for problem in problems(model):
                passed = False
                print(f"{model}: {problem}", file=sys.stderr)
        except (datasets.DatasetError, OSError) as error:
            return evaluation.failed(str(error))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

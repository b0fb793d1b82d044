"""Trains fashion-mobilenet, quantizes it, and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import numpy as np
from torch import nn

import datasets
import evaluation
import qdq
import recipe
import torch_recipe

SEED = 13
EPOCHS = 3
BATCH = 128


def network() -> nn.Sequential:
    """MobileNetV1's depthwise separable blocks at the size of 28x28 pictures."""
    layers = convolution(1, 24, stride=2)
    for n_inputs, n_outputs, stride in ((24, 48, 1), (48, 48, 1), (48, 96, 2), (96, 96, 1), (96, 96, 1)):
        layers += convolution(n_inputs, n_inputs, stride, groups=n_inputs) + convolution(n_inputs, n_outputs, size=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))


def convolution(n_inputs: int, n_outputs: int, stride: int = 1, *, size: int = 3, groups: int = 1) -> list:
    """A convolution, its batch normalization, which replaces the bias, and ReLU6."""
    conv = nn.Conv2d(n_inputs, n_outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(n_outputs), nn.ReLU6()]


def main() -> None:
    torch_recipe.reproducible(SEED)
    data = datasets.fashion()
    model = network()
    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit_clothes(model, data.train, BATCH, EPOCHS, rate=8e-3)

    exported = FOLDER / "fashion-mobilenet.onnx"
    torch_recipe.export_classifier(model, exported)
    recipe.write_calibration(FOLDER / "calibration.npz", data.train, "NCHW", n_per_class=10)
    names = {"dress": 3, "coat": 4, "shirt": 6}
    recipe.write_samples(FOLDER / "samples", data.test, names, enlarged="dress")
    quantized = FOLDER / "fashion-mobilenet-qdq.onnx"
    qdq.quantize(exported, quantized, np.load(FOLDER / "calibration.npz"))
    test = evaluation.test_set("fashion-mobilenet")
    for path in (exported, quantized):
        accuracy = recipe.float_accuracy(path, test)
        print(f"{path.name}: test accuracy under onnxruntime: {accuracy:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()

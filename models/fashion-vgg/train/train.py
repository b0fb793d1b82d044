"""Trains fashion-vgg and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

from torch import nn

import datasets
import evaluation
import recipe
import torch_recipe

SEED = 16
EPOCHS = 4
BATCH = 128


def network() -> nn.Sequential:
    """Three stages of two 3x3 convolutions and a 2x2 max-pool, then two dense layers."""
    layers = []
    for n_inputs, n_outputs in ((1, 16), (16, 32), (32, 64)):
        layers += convolution(n_inputs, n_outputs) + convolution(n_outputs, n_outputs) + [nn.MaxPool2d(2)]
    classifier = [nn.Flatten(), nn.Linear(64 * 3 * 3, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10)]
    return nn.Sequential(*layers, *classifier)


def convolution(n_inputs: int, n_outputs: int) -> list:
    """A 3x3 convolution, its batch normalization, which replaces the bias, and ReLU."""
    return [nn.Conv2d(n_inputs, n_outputs, 3, padding=1, bias=False), nn.BatchNorm2d(n_outputs), nn.ReLU()]


def main() -> None:
    torch_recipe.reproducible(SEED)
    data = datasets.fashion()
    model = network()
    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit_clothes(model, data.train, BATCH, EPOCHS, rate=4e-3)

    exported = FOLDER / "fashion-vgg.onnx"
    torch_recipe.export_classifier(model, exported)
    recipe.write_calibration(FOLDER / "calibration.npz", data.train, "NCHW", n_per_class=10)
    names = {"pullover": 2, "sandal": 5, "bag": 8}
    recipe.write_samples(FOLDER / "samples", data.test, names, enlarged="bag")
    accuracy = recipe.float_accuracy(exported, evaluation.test_set("fashion-vgg"))
    print(f"test accuracy under onnxruntime: {accuracy:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()

"""Trains series-autoencoder and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import numpy as np
import torch
from torch import nn

import datasets
import evaluation
import metrics
import recipe
import torch_recipe

SEED = 6
EPOCHS = 60
BATCH = 64


def network() -> nn.Sequential:
    """384 readings through 16 numbers and back, as the autoencoder of MLPerf Tiny, smaller."""
    sizes = [384, 96, 48, 16, 48, 96, 384]
    layers = []
    for n_inputs, n_outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def main() -> None:
    torch_recipe.reproducible(SEED)
    train, validation, _ = datasets.exercises()
    windows = torch.from_numpy(train.windows)
    model = network()

    def loss_of(chosen):
        window = windows[chosen]
        noisy = window + 0.1 * torch.randn_like(window)
        return nn.functional.mse_loss(model(noisy), window)

    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit(model, len(windows), BATCH, EPOCHS, rate=3e-3, loss_of=loss_of, weight_decay=1e-3)

    exported = FOLDER / "series-autoencoder.onnx"
    torch_recipe.export(model, {"window": windows[:1]}, ["reconstruction"], exported)
    np.savez_compressed(FOLDER / "calibration.npz", window=train.windows[:: len(train.windows) // 60])
    normal = validation.windows[~validation.anomalous]
    errors = metrics.errors(normal, recipe.predict(exported, normal))
    print(f"threshold that 95 % of the other persons' pendulums stay below: {np.quantile(errors, 0.95):.4f}")
    test = evaluation.test_set("series-autoencoder")
    measured = metrics.of("series-autoencoder", test, recipe.answers(exported, test["window"]))
    print(f"AUC under onnxruntime: {measured:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()

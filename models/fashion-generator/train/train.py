"""Trains fashion-generator and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import numpy as np
import torch
from PIL import Image
from torch import nn

import datasets
import evaluation
import metrics
import recipe
import torch_recipe

SEED = 28
EPOCHS = 4
BATCH = 128
N_LATENT = 16


def decoder() -> nn.Sequential:
    """A dense layer to 24 pictures of 7x7, doubled twice by transposed convolutions."""
    return nn.Sequential(
        nn.Linear(N_LATENT, 24 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (24, 7, 7)),
        nn.ConvTranspose2d(24, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 1, 3, padding=1),
    )


def main() -> None:
    torch_recipe.reproducible(SEED)
    train = datasets.fashion().train
    pictures = torch.from_numpy(datasets.unit_range(train.pictures))
    # A variational autoencoder (Kingma and Welling 2013) whose encoder is one
    # dense layer: small enough to be kept for the test set.
    encoder, spread, draw = nn.Linear(784, N_LATENT), nn.Linear(784, N_LATENT), decoder()
    model = nn.ModuleList([encoder, spread, draw])

    def loss_of(chosen):
        picture = pictures[chosen]
        mean, log_variance = encoder(picture.flatten(1)), spread(picture.flatten(1)) - 3
        latent = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        drawn = draw(latent)[:, 0]
        error = nn.functional.binary_cross_entropy_with_logits(drawn, picture, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return (error + divergence) / len(chosen)

    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit(model, len(pictures), BATCH, EPOCHS, rate=3e-3, loss_of=loss_of, weight_decay=1e-4)

    exported = FOLDER / "fashion-generator.onnx"
    answer = nn.Sequential(draw, nn.Sigmoid())
    torch_recipe.export(answer, {"latent": torch.zeros(1, N_LATENT)}, ["picture"], exported)
    weight, bias = (value.detach().numpy().astype(np.float16) for value in (encoder.weight, encoder.bias))
    np.savez_compressed(FOLDER / "encoder.npz", weight=weight, bias=bias)
    calibration = evaluation.latents(datasets.per_class(train, 20).pictures)
    np.savez_compressed(FOLDER / "calibration.npz", latent=calibration)
    test = evaluation.test_set("fashion-generator")
    measured = metrics.of("fashion-generator", test, recipe.answers(exported, test["latent"]))
    write_sheet(FOLDER / "samples/drawn.png", recipe.predict(exported, test["latent"][:40]))
    print(f"explained variance under onnxruntime: {measured:.4f}  (goes into model.toml)")


def write_sheet(path: Path, drawn: np.ndarray) -> None:
    """Writes 40 drawn pictures in four rows."""
    path.parent.mkdir(exist_ok=True)
    rows = np.rint(drawn[:, 0] * 255).astype(np.uint8).reshape(4, 10, 28, 28)
    Image.fromarray(rows.transpose(0, 2, 1, 3).reshape(4 * 28, 10 * 28)).save(path, optimize=True)


if __name__ == "__main__":
    main()

"""Trains mail-bert, its vocabulary first, and writes every generated file of its folder."""

import itertools
import sys
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import numpy as np
import torch
from torch import nn

import datasets
import evaluation
import mails
import recipe
import torch_recipe
import wordpiece

SEED = 4
EPOCHS = 12
BATCH = 32
LENGTH = 64
N_PIECES = 2048
WIDTH = 64
N_HEADS = 4


class Layer(nn.Module):
    """Self-attention and a feed-forward net, each with a residual and a norm after it, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, mask):
        q, k, v = (heads(project(x)) for project in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3) * (WIDTH // N_HEADS) ** -0.5 + mask
        mixed = (self.dropout(scores.softmax(dim=3)) @ v).transpose(1, 2).reshape(-1, LENGTH, WIDTH)
        x = self.norm1(x + self.dropout(self.out(mixed)))
        return self.norm2(x + self.dropout(self.feed(x)))


def heads(x):
    """`[batch, length, width]` as `[batch, head, length, width / heads]`."""
    return x.reshape(-1, LENGTH, N_HEADS, WIDTH // N_HEADS).transpose(1, 2)


class MailBert(nn.Module):
    """Two layers of BERT over WordPiece ids; the first position answers."""

    def __init__(self) -> None:
        super().__init__()
        self.piece = nn.Embedding(N_PIECES, WIDTH)
        self.position = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.02)
        nn.init.normal_(self.piece.weight, std=0.02)
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, ids):
        # Padding is id 0; its scores fall so far that softmax makes them nothing.
        mask = (ids == 0).to(torch.float32)[:, None, None, :] * -10000.0
        x = self.dropout(self.norm(self.piece(ids) + self.position))
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(x[:, 0])


def main() -> None:
    torch_recipe.reproducible(SEED)
    train, _ = datasets.spam()
    # As much of a mail as the model sees, with room for long words.
    counts = Counter(word for mail in train for word in itertools.islice(wordpiece.words(mail.text), 2 * LENGTH))
    pieces = wordpiece.learn(Counter({word: n for word, n in counts.items() if n > 1}), N_PIECES)
    (FOLDER / "vocabulary.txt").write_text("".join(f"{piece}\n" for piece in pieces))

    ids = evaluation.mail_ids(train)
    samples, labels = torch.from_numpy(ids), torch.tensor([mail.label for mail in train])
    model = MailBert()

    def loss_of(chosen):
        return nn.functional.cross_entropy(model(samples[chosen]), labels[chosen], label_smoothing=0.05)

    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit(model, len(ids), BATCH, EPOCHS, rate=1.5e-3, loss_of=loss_of)

    exported = FOLDER / "mail-bert.onnx"
    answer = nn.Sequential(model, nn.Softmax(dim=1))
    torch_recipe.export(answer, {"ids": samples[:1]}, [recipe.OUTPUT], exported)
    np.savez_compressed(FOLDER / "calibration.npz", ids=ids[:200])
    for sample in sorted((FOLDER / "samples").glob("*.txt")):
        encoded = evaluation.mail_ids([mails.Mail(sample.read_text(), 0)])
        np.savez_compressed(sample.with_suffix(".npz"), ids=encoded)
    accuracy = recipe.float_accuracy(exported, evaluation.test_set("mail-bert"))
    print(f"test accuracy under onnxruntime: {accuracy:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()

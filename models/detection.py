"""Pictures of several digits and where they are: the data of digits-detector. Needs numpy only."""

from typing import NamedTuple

import numpy as np

SIDE = 96
MAX_DIGITS = 4


class Scenes(NamedTuple):
    """Pictures `uint8 [N, 96, 96]`, and per picture up to four digits.

    `classes` is `int64 [N, 4]`, -1 where there is no digit; `boxes` is
    `float32 [N, 4, 4]`: top, left, bottom, right of the ink, as parts of the side.
    """

    pictures: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray


def scenes(digits, n: int, random: np.random.Generator) -> Scenes:
    """`n` pictures of one to four of the `digits`, 20 to 44 pixels large, that do not cover each other."""
    found = Scenes(
        np.zeros((n, SIDE, SIDE), np.uint8),
        np.full((n, MAX_DIGITS), -1, np.int64),
        np.zeros((n, MAX_DIGITS, 4), np.float32),
    )
    for idx in range(n):
        for slot in range(random.integers(1, MAX_DIGITS + 1)):
            chosen = random.integers(len(digits.labels))
            size = random.integers(20, 45)
            top, left = random.integers(0, SIDE - size + 1, 2)
            picture = scaled(digits.pictures[chosen], size)
            place = found.pictures[idx, top : top + size, left : left + size]
            # A place where another digit is in the way is given up.
            if (place > 0).any():
                continue
            place[:] = picture
            rows, columns = (np.flatnonzero((picture > 50).any(axis=axis)) for axis in (1, 0))
            box = [top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1]
            found.classes[idx, slot] = digits.labels[chosen]
            found.boxes[idx, slot] = np.array(box) / SIDE
    return found


def scaled(picture: np.ndarray, size: int) -> np.ndarray:
    """A square picture at another size, bilinear."""
    at = np.clip((np.arange(size) + 0.5) * len(picture) / size - 0.5, 0, len(picture) - 1)
    low = np.minimum(at.astype(int), len(picture) - 2)
    part = at - low
    rows = picture[low] * (1 - part)[:, None] + picture[low + 1] * part[:, None]
    return np.rint(rows[:, low] * (1 - part) + rows[:, low + 1] * part).astype(np.uint8)

"""Trains digits-detector and writes every generated file of its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER.parent))

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

import datasets
import detection
import evaluation
import metrics
import recipe
import torch_recipe

SEED = 9
EPOCHS = 8
N_SCENES = 4000
BATCH = 32
# Cells per side; each answers for the digit whose middle lies in it.
GRID = 12


class Detector(nn.Module):
    """Convolutions down to 12x12 cells, each with a box and ten scores."""

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for n_inputs, n_outputs, stride in ((1, 16, 2), (16, 32, 2), (32, 48, 2), (48, 48, 1), (48, 64, 1)):
            conv = nn.Conv2d(n_inputs, n_outputs, 3, stride, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(n_outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.box_head = nn.Conv2d(64, 4, 1)
        self.class_head = nn.Conv2d(64, 10, 1)
        # Few cells hold a digit: they start out as unlikely.
        nn.init.constant_(self.class_head.bias, -4.0)
        cells = torch.arange(GRID) / GRID
        corner = torch.stack(torch.meshgrid(cells, cells, indexing="ij"), dim=2).reshape(1, GRID * GRID, 2)
        self.register_buffer("corner", corner)

    def forward(self, image):
        """Boxes `[batch, 144, 4]` (top, left, bottom, right) and the logits of classes `[batch, 10, 144]`."""
        x = self.body(image)
        box = self.box_head(x).flatten(2).transpose(1, 2).sigmoid()
        middle = self.corner + box[:, :, :2] * (1 / GRID)
        half = box[:, :, 2:] * 0.25
        return torch.cat([middle - half, middle + half], dim=2), self.class_head(x).flatten(2)


class Answering(nn.Module):
    """The detector with scores in place of logits."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image):
        boxes, logits = self.detector(image)
        return boxes, logits.sigmoid()


def targets(scenes: detection.Scenes):
    """Per cell: its class or -1 `[N, 144]`, its box `[N, 144, 4]`."""
    cells = np.full((len(scenes.pictures), GRID * GRID), -1, np.int64)
    boxes = np.zeros((*cells.shape, 4), np.float32)
    for picture, slot in np.argwhere(scenes.classes >= 0):
        box = scenes.boxes[picture, slot]
        row, column = ((box[:2] + box[2:]) / 2 * GRID).astype(int)
        cells[picture, row * GRID + column] = scenes.classes[picture, slot]
        boxes[picture, row * GRID + column] = box
    return torch.from_numpy(cells), torch.from_numpy(boxes)


def loss(found, wanted_class, wanted_box):
    """Focal loss of the classes (Lin et al. 2017) and the distance of the boxes."""
    boxes, logits = found
    held = wanted_class >= 0
    truth = nn.functional.one_hot(wanted_class.clamp(min=0), 10) * held[:, :, None]
    logits, truth = logits.transpose(1, 2), truth.to(torch.float32)
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    weight = (1 - torch.exp(-entropy)) ** 2
    n_held = held.sum()
    return (weight * entropy).sum() / n_held + 10 * (boxes - wanted_box)[held].abs().sum() / n_held


def with_suppression(path: Path) -> None:
    """Appends non-maximum suppression: rows of picture, class and box, at most ten per class."""
    model = onnx.load(path)
    graph = model.graph
    constants = {
        "max_per_class": np.array([10], np.int64),
        "max_overlap": np.array([0.4], np.float32),
        "min_score": np.array([0.25], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.append(helper.make_node("NonMaxSuppression", ["boxes", "scores", *constants], ["selected"], "suppress"))
    graph.output.append(helper.make_tensor_value_info("selected", TensorProto.INT64, ["found", 3]))
    onnx.save(model, path)
    torch_recipe.finish(path)


def main() -> None:
    torch_recipe.reproducible(SEED)
    digits = datasets.digits()
    scenes = detection.scenes(digits.train, N_SCENES, np.random.default_rng(SEED))
    images = torch.from_numpy(datasets.unit_range(scenes.pictures)).unsqueeze(1)
    cells, boxes = targets(scenes)
    model = Detector().to(memory_format=torch.channels_last)
    # The test set plays no part in training: the last epoch is the model.
    torch_recipe.fit(
        model,
        N_SCENES,
        BATCH,
        EPOCHS,
        rate=5e-3,
        loss_of=lambda chosen: loss(model(images[chosen]), cells[chosen], boxes[chosen]),
    )

    exported = FOLDER / "digits-detector.onnx"
    torch_recipe.export(Answering(model), {recipe.INPUT: images[:1]}, ["boxes", "scores"], exported)
    with_suppression(exported)
    np.savez_compressed(FOLDER / "calibration.npz", **{recipe.INPUT: images[:60].numpy()})
    test = evaluation.test_set("digits-detector")
    (FOLDER / "samples").mkdir(exist_ok=True)
    for idx in range(2):
        picture = np.rint(test[recipe.INPUT][idx, 0] * 255).astype(np.uint8)
        Image.fromarray(picture).save(FOLDER / f"samples/{idx + 1}.png", optimize=True)
    measured = metrics.of("digits-detector", test, recipe.answers(exported, test[recipe.INPUT]))
    print(f"mAP under onnxruntime: {measured:.4f}  (goes into model.toml)")


if __name__ == "__main__":
    main()

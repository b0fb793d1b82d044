"""What the recipes with PyTorch share: seeds, training classifiers, exporting.

Needs the packages of a model's `train/requirements.txt`.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

import datasets
from recipe import INPUT, OUTPUT

OPSET = 17


def reproducible(seed: int) -> None:
    """Fixes every source of randomness, and one thread, so that sums keep their order.

    The same machine gives the same weights again; another CPU may round
    differently and end a few test samples away.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def fit(model: nn.Module, n_samples: int, batch: int, epochs: int, rate: float, loss_of, weight_decay: float = 1e-2) -> None:
    """Trains with AdamW and a rate that rises for a tenth of the steps, then falls as a cosine.

    `loss_of` maps the indices of a batch to its loss. Batches are drawn anew
    each epoch; the samples that do not fill one are left out.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    n_steps = epochs * (n_samples // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=n_steps, pct_start=0.1)
    model.train()
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(n_samples)[: n_samples // batch * batch].reshape(-1, batch):
            loss = loss_of(chosen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.4f}", flush=True)
    model.eval()


def fit_clothes(model: nn.Module, train: datasets.Split, batch: int, epochs: int, rate: float) -> None:
    """Trains a classifier of Fashion-MNIST that answers logits.

    Pictures are mirrored left to right and shifted by up to two pixels.
    """
    images = torch.from_numpy(datasets.unit_range(train.pictures)).unsqueeze(1)
    labels = torch.from_numpy(train.labels)
    # A quarter faster on a CPU; the file that is exported has the usual order.
    model.to(memory_format=torch.channels_last)

    def loss_of(chosen):
        image = images[chosen]
        if torch.rand(()) < 0.5:
            image = image.flip(3)
        top, left = torch.randint(0, 5, (2,)).tolist()
        image = nn.functional.pad(image, (2, 2, 2, 2))[:, :, top : top + 28, left : left + 28]
        return nn.functional.cross_entropy(model(image), labels[chosen])

    fit(model, len(images), batch, epochs, rate, loss_of)


def export(model: nn.Module, example: dict, outputs: list, path: Path, opset: int = OPSET) -> None:
    """Writes `model` as ONNX with a symbolic batch.

    `example` maps the names of the inputs to samples, `outputs` lists the
    names of what the model answers.
    """
    names = [*example, *outputs]
    with torch.no_grad():
        torch.onnx.export(
            model.eval(),
            tuple(example.values()),
            path,
            input_names=list(example),
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=opset,
            dynamo=False,
        )
    finish(path)


def finish(path: Path) -> None:
    """Takes out of an exported file what differs from machine to machine, and checks it."""
    exported = onnx.load(path)
    graph = exported.graph
    graph.name = path.stem
    # Doc strings hold paths of the machine that exported.
    exported.doc_string = graph.doc_string = ""
    for record in [*graph.node, *graph.initializer, *graph.input, *graph.output]:
        record.doc_string = ""
    del graph.value_info[:]
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def export_classifier(model: nn.Module, path: Path) -> None:
    """Writes a classifier of 28x28 gray pictures, with the softmax that training leaves out."""
    export(nn.Sequential(model, nn.Softmax(dim=1)), {INPUT: torch.zeros(1, 1, 28, 28)}, [OUTPUT], path)

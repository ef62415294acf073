"""Accuracy of an exported file on the labelled pictures of a data module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from perception.export.exporting import open_engines
from perception.metrics.multitask import MultiTaskMetrics
from perception.models.base import DENSE_HEADS, PerceptionModel
from perception.runtime.exported_engine import ExportedEngine, input_batch, resized
from perception.types import Batch

COUNTED = ("semantic/miou", "drivable/iou", "lane/iou", "detection/map50")


def accuracy_of(path: Path, model: PerceptionModel, batches: Iterable[Batch]) -> dict[str, float]:
    """Measures of an exported file in percent: those of :data:`COUNTED` that the data have labels for.

    Args:
        model: that it was made from; it names heads and classes.
        batches: of one labelled picture each; masks are brought to the size of the labels.
    """
    engine = next(iter(open_engines(path).values()))
    metrics = MultiTaskMetrics(model)
    for batch in batches:
        metrics.update(_decoded(engine, batch), batch)
    values = {name: 100 * float(value) for name, value in metrics.compute().items() if name in COUNTED}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def picture_of(batch: Batch) -> np.ndarray:
    """``(H, W, 3)`` uint8 of a batch of one."""
    return (batch.image[0] * 255).round().byte().permute(1, 2, 0).numpy()


def _decoded(engine: ExportedEngine, batch: Batch) -> dict[str, torch.Tensor]:
    picture = picture_of(batch)
    size, inner = picture.shape[:2], engine.described.size
    batch_of_one = input_batch(resized(picture, inner), engine.described.input)
    found = {name: torch.from_numpy(value) for name, value in engine.decoded(batch_of_one).items()}
    for name in DENSE_HEADS:
        if name in found and tuple(found[name].shape[-2:]) != size:
            mask = torch.nn.functional.interpolate(found[name][:, None].float(), size=size, mode="nearest-exact")
            found[name] = mask[:, 0].to(torch.uint8)
    if "boxes" in found:
        found["boxes"] = found["boxes"] * torch.tensor([size[1] / inner[1], size[0] / inner[0]] * 2)
    return found

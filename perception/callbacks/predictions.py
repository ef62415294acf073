"""Predictions as files: index PNGs, overlays, and one COCO-style JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from perception.files import write_json, write_png
from perception.models.base import DENSE_HEADS, to_predictions
from perception.tasks.multitask import MultiTask
from perception.types import Batch, Prediction

WRITTEN_SCORE = 0.05
"""Boxes below this are not even in the JSON: precision is read off a curve, but nobody reads its far end."""


class PredictionWriter(BasePredictionWriter):
    """Writes what ``perception predict`` finds.

    Files, below ``folder``: ``semantic/<name>.png`` (class index with a palette), ``drivable/`` and ``lane/``
    (1 inside), ``overlay/<name>.png``, and ``detections.json`` in the layout of COCO with ``images``,
    ``categories`` and ``annotations`` (``bbox`` is x, y, width, height; with ``score``).

    Args:
        folder: where to write.
        score: boxes below it are not drawn in overlays; all above :data:`WRITTEN_SCORE` are in the JSON.
        overlays: whether overlays are written.
    """

    def __init__(self, folder: str = "predictions", score: float = 0.3, overlays: bool = True) -> None:
        super().__init__(write_interval="batch")
        self.folder = Path(folder)
        self.score = score
        self.overlays = overlays
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.images, self.annotations = [], []

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        assert isinstance(pl_module, MultiTask)
        labels = pl_module.model.label_set
        for i, (name, one) in enumerate(zip(batch.names, to_predictions(prediction, WRITTEN_SCORE), strict=True)):
            for head in DENSE_HEADS:
                mask = getattr(one, head)
                if mask is not None:
                    palette = labels.palette() if head == "semantic" else _BINARY_PALETTE
                    write_png(self.folder / head / f"{name}.png", mask, palette)
            image = (batch.image[i].cpu().numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
            if self.overlays:
                from perception.viz.overlay import draw_overlay

                shown = one
                if one.boxes is not None and one.boxes.scores is not None:
                    shown = Prediction(one.semantic, one.drivable, one.lane, one.boxes[one.boxes.scores >= self.score])
                write_png(self.folder / "overlay" / f"{name}.png", draw_overlay(image, shown, labels))
            self._collect(name, one, image.shape)

    def _collect(self, name: str, prediction: Prediction, shape: tuple[int, ...]) -> None:
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": name, "height": shape[0], "width": shape[1]})
        boxes = prediction.boxes
        if boxes is None or boxes.scores is None:
            return
        for (x1, y1, x2, y2), label, score in zip(boxes.xyxy.tolist(), boxes.labels, boxes.scores, strict=True):
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
                    "area": round((x2 - x1) * (y2 - y1), 2),
                    "score": round(float(score), 5),
                    "iscrowd": 0,
                }
            )

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTask)
        if "detection" not in pl_module.model.head_names:
            return
        names = pl_module.model.label_set.detection
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
        content = {"images": self.images, "categories": categories, "annotations": self.annotations}
        write_json(self.folder / "detections.json", content)


_BINARY_PALETTE = np.zeros((256, 3), np.uint8)
_BINARY_PALETTE[1] = (0, 200, 83)

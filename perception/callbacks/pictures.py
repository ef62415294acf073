"""Prediction pictures in the loggers and on disk while training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from perception.files import write_png
from perception.models.base import to_predictions
from perception.tasks.multitask import MultiTask
from perception.types import Batch, Boxes, Prediction


class PredictionPictures(pl.Callback):
    """After each validation, logs the same few frames with truth above prediction.

    TensorBoard and wandb get the pictures; with ``folder`` they are written there as PNG, the newest only.

    Args:
        count: how many frames, spread evenly over the validation set; of each, where there are several.
        folder: where to write PNGs; ``None`` writes none.
        score: boxes below it are not drawn.
    """

    def __init__(self, count: int = 4, folder: str | None = None, score: float = 0.3) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count = count
        self.folder = None if folder is None else Path(folder)
        self.score = score
        self.pictures: list[tuple[str, np.ndarray]] = []
        self.taken: dict[int, int] = {}

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pictures = []
        self.taken = {}

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        taken = self.taken.get(dataloader_idx, 0)
        if trainer.sanity_checking or taken >= self.count:
            return
        batches = int(trainer.num_val_batches[dataloader_idx])
        if batch_idx < taken * batches / self.count:
            return
        self.taken[dataloader_idx] = taken + 1
        assert isinstance(pl_module, MultiTask)
        with torch.inference_mode():
            decoded = pl_module.evaluate(batch)
        self.pictures.append((batch.names[0], self._draw(pl_module, batch, to_predictions(decoded, self.score)[0])))

    def _draw(self, module: MultiTask, batch: Batch, prediction: Prediction) -> np.ndarray:
        from perception.viz.overlay import draw_overlay

        image = (batch.image[0].cpu().numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
        labels = module.model.label_set
        truth = Prediction(boxes=_true_boxes(batch))
        for name in ("semantic", "drivable", "lane"):
            target = getattr(batch, name)
            if target is not None and name in module.model.head_names:
                setattr(truth, name, target[0].cpu().numpy().astype(np.uint8))
        return np.concatenate([draw_overlay(image, truth, labels), draw_overlay(image, prediction, labels)], axis=0)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        for index, (name, picture) in enumerate(self.pictures):
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(f"val/{index}", picture, trainer.global_step, dataformats="HWC")
                elif isinstance(logger, WandbLogger):
                    logger.log_image(f"val/{index}", [picture], caption=[name])
            if self.folder is not None:
                write_png(self.folder / f"val_{index}.png", picture)


def _true_boxes(batch: Batch) -> Boxes | None:
    if batch.boxes is None or batch.box_labels is None:
        return None
    valid = (batch.box_labels[0] >= 0).cpu()
    return Boxes(batch.boxes[0].cpu()[valid].numpy(), batch.box_labels[0].cpu()[valid].numpy())

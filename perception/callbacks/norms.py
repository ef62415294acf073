"""Batch-norm statistics of whole pictures before each validation."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from perception.datamodules.base import DrivingDataModule
from perception.errors import InputError
from perception.models.norm_statistics import recalibrate


class RecalibrateNorms(pl.Callback):
    """Measures the statistics of all batch norms on whole training pictures before each validation.

    What is validated and saved then has the statistics of what inference sees; see
    :mod:`perception.models.norm_statistics`. List it after :class:`perception.callbacks.EMA`, so that it is the
    averaged weights whose statistics are measured. A task that keeps its norms fixed keeps them.

    Args:
        pictures: how many, spread evenly over the training data.
    """

    def __init__(self, pictures: int = 32) -> None:
        if pictures < 1:
            raise InputError(f"pictures must be at least 1, got {pictures}")
        self.pictures = pictures

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        fitting = trainer.state.fn == TrainerFn.FITTING
        fixed = getattr(pl_module, "fixed_norms", False)
        if trainer.sanity_checking or not fitting or fixed or not isinstance(data, DrivingDataModule):
            return
        dataset = data.datasets["train"].dataset
        count = min(self.pictures, len(dataset))
        chosen = torch.linspace(0, len(dataset) - 1, count).round().int().tolist()
        images = [_float(data.eval_transform(dataset.read(index)).image).to(pl_module.device) for index in chosen]
        with trainer.precision_plugin.forward_context():
            recalibrate(pl_module.model, images)  # type: ignore[arg-type]


def _float(image: torch.Tensor) -> torch.Tensor:
    return image.float() / 255 if image.dtype == torch.uint8 else image

"""Loaders of every data module: one statement of batch sizes, workers and pinned memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from perception.errors import InputError

STAGES = {"fit": ("train", "val"), "validate": ("val",)}
"""What a stage of the trainer reads, where that is not the split of its name."""


class LoadingDataModule(pl.LightningDataModule):
    """A data module that makes its loaders here; subclasses give the loader of each split.

    Args:
        batch_size, eval_batch_size: items a step.
        num_workers: loader processes.
    """

    def __init__(self, batch_size: int, eval_batch_size: int, num_workers: int) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers

    def loader(
        self,
        dataset: Dataset[Any],
        train: bool,
        collate_fn: Callable[[Any], Any],
        sampler: Sampler[int] | None = None,
    ) -> DataLoader[Any]:
        """A loader; training is shuffled unless a sampler says the order, and drops an incomplete last batch."""
        return DataLoader(
            dataset,
            batch_size=self.batch_size if train else self.eval_batch_size,
            shuffle=train and sampler is None,
            sampler=sampler,
            drop_last=train,
            num_workers=self.num_workers,
            # workers made anew for each validation would be forked from a process that has grown by then
            persistent_workers=self.num_workers > 0,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            collate_fn=collate_fn,
        )

    @abstractmethod
    def split_loader(self, stage: str) -> Any:
        """The loader of ``train``, ``val``, ``test`` or ``predict``, or a list of them."""

    def train_dataloader(self) -> Any:
        return self.split_loader("train")

    def val_dataloader(self) -> Any:
        return self.split_loader("val")

    def test_dataloader(self) -> Any:
        return self.split_loader("test")

    def predict_dataloader(self) -> Any:
        return self.split_loader("predict")

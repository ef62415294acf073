"""The confusion matrix and a table of the classes after validation and test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from rich.table import Table

from perception.console import console
from perception.files import write_json, write_png
from perception.tasks.evaluation import StageMetrics
from perception.tasks.multitask import MultiTask
from perception.viz.confusion import draw_confusion


class ConfusionMatrix(pl.Callback):
    """Writes where the pixels of each class went, as ``confusion_<stage>.png`` and ``classes_<stage>.json``.

    TensorBoard and wandb get the picture, too. ``validate`` and ``test`` also print the table: IoU, precision, recall
    and the share of the pixels by class. With several data sets there is one of each, ``confusion_<stage>_<name>.png``.

    Args:
        folder: where to write.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking and isinstance(pl_module, MultiTask):
            self._report(trainer, pl_module, pl_module.val_metrics, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, MultiTask):
            self._report(trainer, pl_module, pl_module.test_metrics, "test")

    def _report(self, trainer: pl.Trainer, module: MultiTask, metrics: StageMetrics, stage: str) -> None:
        for name, matrix in metrics.confusions().items():  # reduced over all processes, so all of them come here
            if not trainer.is_global_zero or not matrix.sum():
                continue
            labels = module.model.label_set
            if len(matrix) != len(labels.classes):
                continue
            suffix = f"{stage}_{name}" if name else stage
            rows = class_rows(matrix, labels.classes)
            picture = draw_confusion(matrix, labels.classes, labels.colors, f"Confusion matrix, {suffix}")
            write_png(self.folder / f"confusion_{suffix}.png", picture)
            write_json(self.folder / f"classes_{suffix}.json", rows)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    step = trainer.global_step
                    logger.experiment.add_image(f"{suffix}/confusion", picture, step, dataformats="HWC")
                elif isinstance(logger, WandbLogger):
                    logger.log_image(f"{suffix}/confusion", [picture])
            if trainer.state.fn != "fit":
                console.print(class_table(rows))


def class_rows(matrix: np.ndarray, names: tuple[str, ...]) -> list[dict[str, str | float | None]]:
    """One row a class that appeared: ``class``, ``iou``, ``precision``, ``recall`` and ``share`` of the true pixels;
    ``None`` where a figure has no meaning.

    Args:
        matrix: ``(C, C)`` counts, rows truth, columns prediction.
    """
    hits, truth, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    rows: list[dict[str, str | float | None]] = []
    for i, name in enumerate(names):
        if truth[i] or predicted[i]:
            figures = {
                "iou": _share(hits[i], truth[i] + predicted[i] - hits[i]),
                "precision": _share(hits[i], predicted[i]),
                "recall": _share(hits[i], truth[i]),
                "share": _share(truth[i], matrix.sum()),
            }
            rows.append({"class": name, **figures})
    return rows


def class_table(rows: list[dict[str, str | float | None]]) -> Table:
    """The rows of :func:`class_rows` for the screen, in percent."""
    table = Table("class", "IoU", "precision", "recall", "pixels")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        values = [row[key] for key in ("iou", "precision", "recall", "share")]
        table.add_row(str(row["class"]), *("-" if value is None else f"{float(value) * 100:.1f}" for value in values))
    return table


def _share(part: float, whole: float) -> float | None:
    return round(float(part) / float(whole), 6) if whole else None

"""Pictures of LiDAR predictions in the loggers and on disk while training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from perception.errors import InputError
from perception.files import write_png
from perception.geometry.frames import apply, inverse, transform
from perception.taxonomy import get_label_set
from perception.types import IGNORE_INDEX, Batch, PointBatch
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_view import PointView, box_rgb, color_by
from perception.viz.topdown import draw_topdown

TURNS = {"x": np.eye(4), "y": transform(np.zeros(3), np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))}
"""Frame with x ahead from a sensor's frame, by the axis that looks ahead in it."""


class PointPictures(pl.Callback):
    """After validations, logs the same few clouds from above: truth, prediction and errors side by side.

    TensorBoard and wandb get the pictures, wandb also the clouds themselves (``wandb.Object3D``), coloured by
    prediction and by error. Where the validation data has nuScenes tables, boxes are drawn and ahead is up; else the
    clouds are seen in the sensor's frame, without boxes.

    Args:
        count: how many clouds, spread evenly over the validation set.
        every: draw after each so-manieth validation, from the first on.
        folder: where to write PNGs; ``None`` writes none. They are the newest only.
        label_set: ``lidarseg`` or ``semantic_kitti``.
        ahead: axis of the sensor's frame that looks ahead, for data without tables: ``y`` in nuScenes, ``x`` in KITTI.
        side_px: side of each of the three panels.
        range_m: distance from the sensor to a panel's edge.
        clouds: whether wandb gets the clouds; 35,000 points take about 2 MB.
    """

    def __init__(
        self,
        count: int = 4,
        every: int = 1,
        folder: str | None = None,
        label_set: str = "lidarseg",
        ahead: Literal["x", "y"] = "y",
        side_px: int = 600,
        range_m: float = 50.0,
        clouds: bool = True,
    ) -> None:
        if count < 1 or every < 1:
            raise InputError(f"count and every must be at least 1, got {count} and {every}")
        self.count = count
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self.label_set = get_label_set(label_set)
        self.ahead = ahead
        self.side_px = side_px
        self.range_m = range_m
        self.clouds = clouds
        self.views: list[PointView] = []
        self.validations = 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.views = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: PointBatch | Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        due = not trainer.sanity_checking and self.validations % self.every == 0
        if not due or len(self.views) >= self.count:
            return
        batches = int(trainer.num_val_batches[dataloader_idx])
        if batch_idx < len(self.views) * batches / self.count:
            return
        lidar = batch if isinstance(batch, PointBatch) else batch.lidar
        if lidar is None or lidar.clouds == 0:
            return
        with torch.inference_mode():
            guesses: Tensor = pl_module.evaluate(batch)["lidar"]  # type: ignore[operator]
        self.views.append(self._view(lidar, guesses, _tables(trainer, dataloader_idx)))

    def _view(self, lidar: PointBatch, guesses: Tensor, tables: Any) -> PointView:
        """The first cloud of a batch; earlier sweeps and points that are not finite are left out."""
        mine = (lidar.cloud == 0).cpu().numpy()
        points = lidar.points.float().cpu().numpy()[mine].astype(np.float64)
        keep = np.isfinite(points).all(axis=1) & (points[:, 4] == 0)
        labels = np.full(len(points), IGNORE_INDEX) if lidar.labels is None else lidar.labels.cpu().numpy()[mine]
        token = lidar.tokens[0] if lidar.tokens else None
        frame, middle_m = TURNS[self.ahead], 0.0
        boxes: list[Box3D] = []
        if tables is not None and token is not None:
            frame, boxes = _ego_frame(tables, token)
            middle_m = 1.0
        return PointView(
            apply(frame, points[keep, :3]),
            points[keep, 3],
            lidar.names[0] if lidar.names else "",
            self.label_set,
            labels[keep],
            guesses.cpu().numpy()[mine][keep].astype(np.int64),
            boxes,
            middle_m,
        )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.validations += 1
        if not trainer.is_global_zero:
            return
        for index, view in enumerate(self.views):
            picture = draw_topdown(view, ("class", "prediction", "error"), self.side_px, self.range_m)
            key = f"val/lidar_{index}"
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(key, picture, trainer.global_step, dataformats="HWC")
                elif isinstance(logger, WandbLogger):
                    logger.log_image(key, [picture], caption=[view.name])
                    if self.clouds:
                        _log_clouds(logger, key, view)
            if self.folder is not None:
                write_png(self.folder / f"lidar_{index}.png", picture)
        self.views = []


def wandb_scene(view: PointView, color: str) -> dict[str, Any]:
    """What ``wandb.Object3D`` takes: coloured points, to the centimetre, and boxes with names.

    Args:
        color: key of :data:`perception.viz.pointcloud_view.COLORINGS`.
    """
    points = np.concatenate([view.points.round(2), color_by(view, color).colors], axis=1)  # (N, 6)
    boxes = [
        {
            "corners": box.corners.round(2).tolist(),  # wandb counts corners as we do
            "label": box.name,
            "color": [value / 255 for value in box_rgb(box, view.label_set)],
        }
        for box in view.boxes
    ]
    return {"type": "lidar/beta", "points": points, "boxes": np.array(boxes, dtype=object)}


def _log_clouds(logger: WandbLogger, key: str, view: PointView) -> None:
    import wandb

    for color in ("prediction", "error"):
        scene = wandb.Object3D(wandb_scene(view, color), caption=view.name)
        logger.log_metrics({f"{key}_{color}": scene})  # type: ignore[dict-item]


def _tables(trainer: pl.Trainer, dataloader_idx: int) -> Any:
    """The devkit's tables under the validation data set, ``None`` where it has none."""
    loaders = trainer.val_dataloaders
    loader = loaders[dataloader_idx] if isinstance(loaders, (list, tuple)) else loaders
    inner = getattr(loader, "dataset", None)
    while inner is not None and not hasattr(inner, "tables"):
        inner = getattr(inner, "dataset", getattr(inner, "views", None))
    return None if inner is None else inner.tables


def _ego_frame(tables: Any, token: str) -> tuple[np.ndarray, list[Box3D]]:
    """``ego_from_lidar`` of a sweep, and its boxes in the ego frame."""
    from perception.datasets.nuscenes_keyframe import keyframe_box
    from perception.datasets.nuscenes_tables import global_from_ego

    sensor = tables.get("calibrated_sensor", tables.get("sample_data", token)["calibrated_sensor_token"])
    ego_from_global = inverse(global_from_ego(tables, token))
    boxes = [keyframe_box(box, ego_from_global) for box in tables.get_boxes(token)]
    return transform(sensor["translation"], sensor["rotation"]), boxes

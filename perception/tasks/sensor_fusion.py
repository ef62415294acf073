"""Training of camera heads and a LiDAR network together, on one camera backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from perception.console import console
from perception.errors import InputError
from perception.losses.lidar import PointLoss
from perception.metrics.lidar import LidarMetrics
from perception.models.checkpoint import load_matching, read_weights
from perception.models.fusion import LIDAR_PART, FusionModel, without_cameras
from perception.tasks.multitask import MultiTask
from perception.types import Batch, PointBatch

NO_CAMERA = "no_camera"
"""Stands in the keys of measures that were taken with all cameras lost: ``test/no_camera/lidar/miou``."""


class SensorFusion(MultiTask):
    """A :class:`MultiTask` whose model also labels LiDAR points, from a data module that pairs both.

    ``test`` measures the points twice: with the cameras and, under ``test/no_camera/lidar/...``, without. The camera
    heads read no LiDAR.

    Args:
        model: zoo name, see ``perception models --kind fusion``.
        camera_dropout: probability that a training sample loses all of its cameras for the points, which keeps LiDAR
            sufficient on its own; half as often it loses a random camera.
        init_lidar_from: checkpoint or saved model of a LiDAR network to start the point branch from; ``init_from``
            starts the camera part.
        lidar_class_weights: weight of each class in the cross-entropy of points.
        lidar_lovasz, lidar_aux, lidar_aux_lovasz, lidar_aux_boundary: as :class:`perception.losses.lidar.PointLoss`
            takes them.
        freeze: as in :class:`MultiTask`; ``lidar`` is the point branch. ``[backbone, neck, semantic, ...]`` trains the
            points alone on the features of a finished camera model.
        options: of :class:`MultiTask`.

    Raises:
        InputError: for options that contradict each other or the data.
    """

    def __init__(
        self,
        model: str,
        label_set: str,
        camera_dropout: float = 0.2,
        init_lidar_from: str | None = None,
        lidar_class_weights: list[float] | None = None,
        lidar_lovasz: float = 1.0,
        lidar_aux: float = 1.0,
        lidar_aux_lovasz: float = 1.5,
        lidar_aux_boundary: float = 1.0,
        **options: Any,
    ) -> None:
        if not 0 <= camera_dropout <= 1:
            raise InputError(f"camera_dropout {camera_dropout:g} is not a probability; use 0..1")
        super().__init__(model, label_set, **options)
        if not isinstance(self.model, FusionModel):
            raise InputError(f"{model} takes no points; this task trains models of kind fusion")
        self.camera_dropout = camera_dropout
        if init_lidar_from is not None:
            self._initialise_lidar(init_lidar_from)
        labels = self.fused.lidar.label_set
        self.point_loss = PointLoss(
            len(labels.classes), lidar_class_weights, lidar_lovasz, lidar_aux, lidar_aux_lovasz, lidar_aux_boundary
        )
        self.val_points, self.test_points = LidarMetrics(labels), LidarMetrics(labels)
        self.no_camera_points = LidarMetrics(labels)

    @property
    def fused(self) -> FusionModel:
        return cast(FusionModel, self.model)

    @property
    def balanced(self) -> tuple[str, ...]:
        return (*self.model.head_names, LIDAR_PART)

    def _initialise_lidar(self, init_from: str) -> None:
        weights = read_weights(init_from)[1]
        prefix = f"{LIDAR_PART}."
        if any(name.startswith(prefix) for name in weights):  # of a fusion model
            weights = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        copied, fresh = load_matching(self.fused.lidar, weights)
        if not copied:
            raise InputError(f"init_lidar_from {init_from}: no tensor fits the LiDAR network")
        console.print(f"points from {init_from}: {copied} tensors copied, {len(fresh)} start at random", markup=False)

    # Training

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and getattr(data, "lidar", None) is None:
            raise InputError("the data module reads no LiDAR; set data.lidar: {} of NuScenesDataModule")
        labels, own = getattr(data, "lidar_label_set", None), self.fused.lidar.label_set
        if labels is not None and labels.name != own.name:
            raise InputError(f"the model labels points by label set {own.name}, the data by {labels.name}")

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        if batch.lidar is not None and self.camera_dropout:
            batch = replace(batch, lidar=self._lose_cameras(batch.lidar, batch.views))
        return super().training_step(batch, batch_index)

    def _lose_cameras(self, lidar: PointBatch, views: int) -> PointBatch:
        lost = torch.rand(lidar.clouds) < self.camera_dropout
        lidar = without_cameras(lidar, lost.to(lidar.cloud.device))
        if lidar.image is None or views == 1:
            return lidar
        one = torch.randint(views, (lidar.clouds,)) + torch.arange(lidar.clouds) * views
        one[torch.rand(lidar.clouds) >= self.camera_dropout / 2] = -1
        gone = lidar.image == one.to(lidar.cloud.device)[lidar.cloud]
        return replace(lidar, image=lidar.image.masked_fill(gone, -1))

    def forward_batch(self, batch: Batch, image: Tensor) -> dict[str, Any]:
        if self.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        # with the camera part frozen its heads teach nothing, so training leaves them out
        heads = not self.training or any(
            parameter.requires_grad for name, part in self.fused.parts().items() if name != LIDAR_PART
            for parameter in part.parameters()
        )  # fmt: skip
        return self.fused(image, at_size(batch, image), heads)

    def losses(self, outputs: dict[str, Any], batch: Batch) -> dict[str, Tensor]:
        losses = super().losses(outputs, batch)
        lidar = batch.lidar
        if "lidar" in outputs and lidar is not None and lidar.labels is not None:
            grid = self.fused.lidar.grid_labels(lidar) if "lidar_aux" in outputs else None
            losses[LIDAR_PART] = self.point_loss(outputs, lidar.labels, grid)
        return losses

    # Evaluation

    def _measure_points(self, metrics: LidarMetrics, found: Tensor, batch: Batch) -> None:
        lidar = batch.lidar
        if lidar is not None and lidar.labels is not None:
            metrics.update(found, lidar.labels, lidar.points)

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        decoded = self.evaluate(batch)
        self.measure_decoded(self.val_metrics, decoded, batch, dataloader_idx)
        self._measure_points(self.val_points, decoded["lidar"], batch)

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._log_points("val", self.val_points)

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        decoded = self.evaluate(batch)
        self.measure_decoded(self.test_metrics, decoded, batch, dataloader_idx)
        self._measure_points(self.test_points, decoded["lidar"], batch)
        if batch.lidar is not None and self.fused.lidar.image_channels:
            lost = torch.ones(batch.lidar.clouds, dtype=torch.bool, device=batch.lidar.cloud.device)
            alone = self.fused.lidar(without_cameras(batch.lidar, lost))["lidar"]
            self._measure_points(self.no_camera_points, alone.argmax(dim=1), batch)

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        self._log_points("test", self.test_points)
        if self.fused.lidar.image_channels:
            self._log_points(f"test/{NO_CAMERA}", self.no_camera_points)

    def _log_points(self, prefix: str, metrics: LidarMetrics) -> None:
        self.log_dict({f"{prefix}/{name}": value for name, value in metrics.compute().items()})
        metrics.reset()


def at_size(batch: Batch, image: Tensor) -> PointBatch | None:
    """The points of a batch with their pixels in images that were resized to ``image``."""
    lidar = batch.lidar
    size, inner = batch.image.shape[-2:], image.shape[-2:]
    if lidar is None or lidar.pixel is None or size == inner:
        return lidar
    scale = torch.tensor([inner[1] / size[1], inner[0] / size[0]], device=lidar.pixel.device)
    return replace(lidar, pixel=lidar.pixel * scale)

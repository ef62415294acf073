"""Training of a network that labels LiDAR points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from perception.errors import InputError
from perception.losses.lidar import PointLoss
from perception.metrics.lidar import LidarMetrics
from perception.models.lidar.base import LidarModel
from perception.models.zoo import create_model
from perception.tasks.base import ModelTask
from perception.tasks.optim import training_progress, warmup_cosine
from perception.types import PointBatch

TTA_TURNS = (0.0, 90.0, 180.0, 270.0)


class LidarSegmentation(ModelTask):
    """Trains one LiDAR network of the zoo on labelled points.

    Args:
        model: zoo name, see ``perception models --kind lidar``.
        label_set: what the labels mean: ``lidarseg`` or ``semantic_kitti``.
        model_options: further options of ``create_model``.
        init_from: checkpoint or saved model to start from; tensors of another shape keep their random start.
        lr: peak learning rate of AdamW.
        weight_decay: of matrices and convolutions.
        warmup: share of the training that warms the rate up before the cosine.
        class_weights: weight of each class in the cross-entropy.
        lovasz: weight of the Lovasz-softmax beside the cross-entropy of points.
        aux_weight: weight of the auxiliary heads' losses; within them, ``aux_lovasz`` and ``aux_boundary`` weigh the
            Lovasz-softmax and the boundary loss, which cost as much as the network where that is small.
        tta: also measure, in ``test``, the mean over turned and mirrored clouds, under ``test/tta/lidar/...``.
        compile: compile the network with ``torch.compile``.

    Raises:
        InputError: for options that contradict each other or the data.
    """

    def __init__(
        self,
        model: str = "frnet_nano",
        label_set: str = "lidarseg",
        model_options: dict[str, Any] | None = None,
        init_from: str | None = None,
        lr: float = 1e-2,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        class_weights: list[float] | None = None,
        lovasz: float = 1.0,
        aux_weight: float = 1.0,
        aux_lovasz: float = 1.5,
        aux_boundary: float = 1.0,
        tta: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        network: Any = create_model(model, label_set, **(model_options or {}))
        if not isinstance(network, LidarModel):
            raise InputError(f"{model} takes pictures; this task trains models of kind lidar")
        self.model = network
        if init_from is not None:
            self.start_from(init_from)
        classes = len(self.model.label_set.classes)
        self.loss = PointLoss(classes, class_weights, lovasz, aux_weight, aux_lovasz, aux_boundary)
        self.lr, self.weight_decay, self.warmup = lr, weight_decay, warmup
        self.tta = tta
        self.compile_model = compile
        self.val_metrics = LidarMetrics(self.model.label_set)
        self.test_metrics = LidarMetrics(self.model.label_set)
        self.tta_metrics = LidarMetrics(self.model.label_set)

    # Training

    def training_step(self, batch: PointBatch, batch_index: int) -> Tensor:
        if batch.labels is None:
            raise InputError("the training clouds have no labels; choose a split that has")
        outputs = self.model(batch)
        loss = self.loss(outputs, batch.labels, self.model.grid_labels(batch))
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=batch.clouds)
        return loss

    def configure_optimizers(self) -> Any:
        decayed = [parameter for parameter in self.model.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in self.model.parameters() if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda _: warmup_cosine(training_progress(self.trainer), self.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # Evaluation

    def evaluate(self, batch: PointBatch) -> dict[str, Tensor]:
        """``lidar``: ``(P,)`` uint8 class of every point."""
        return {"lidar": self.model(batch)["lidar"].argmax(dim=1).to(torch.uint8)}

    def evaluate_augmented(self, batch: PointBatch) -> dict[str, Tensor]:
        """As :meth:`evaluate`, from the mean probability over turned and mirrored clouds."""
        total: Tensor | None = None
        for degrees in TTA_TURNS:
            for mirrored in (False, True):
                probability = self.model(turned(batch, degrees, mirrored))["lidar"].float().softmax(dim=1)
                total = probability if total is None else total + probability
        assert total is not None
        return {"lidar": total.argmax(dim=1).to(torch.uint8)}

    def _update(self, metrics: LidarMetrics, found: dict[str, Tensor], batch: PointBatch) -> None:
        if batch.labels is not None:
            metrics.update(found["lidar"], batch.labels, batch.points)

    def _log_metrics(self, stage: str, metrics: LidarMetrics) -> None:
        values = metrics.compute()
        metrics.reset()
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    def validation_step(self, batch: PointBatch, batch_index: int) -> None:
        self._update(self.val_metrics, self.evaluate(batch), batch)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val", self.val_metrics)

    def test_step(self, batch: PointBatch, batch_index: int) -> None:
        self._update(self.test_metrics, self.evaluate(batch), batch)
        if self.tta:
            self._update(self.tta_metrics, self.evaluate_augmented(batch), batch)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test", self.test_metrics)
        if self.tta:
            self._log_metrics("test/tta", self.tta_metrics)

    def predict_step(self, batch: PointBatch, batch_index: int) -> dict[str, Tensor]:
        return self.evaluate(batch)


def turned(batch: PointBatch, degrees: float, mirrored: bool = False) -> PointBatch:
    """The clouds turned about the vertical axis, after mirroring left and right where asked for.

    Distances stay, so neighbours do.
    """
    angle = torch.deg2rad(torch.tensor(degrees, device=batch.points.device))
    x, y = batch.points[:, 0], batch.points[:, 1] * (-1 if mirrored else 1)
    points = batch.points.clone()
    points[:, 0] = angle.cos() * x - angle.sin() * y
    points[:, 1] = angle.sin() * x + angle.cos() * y
    return replace(batch, points=points)

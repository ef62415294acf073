"""The measures of every head of a model, under the keys that loggers and checkpoints use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.detection import MeanAveragePrecision

from perception.metrics.segmentation import SemanticIoU
from perception.models.base import PerceptionModel
from perception.types import Batch


class MultiTaskMetrics(nn.Module):
    """Data-set-level metrics; a head whose target never came is left out of the result.

    Keys: ``semantic/miou`` and ``semantic/iou_<class>``, ``drivable/iou``, ``lane/iou``, ``detection/map``
    (COCO, IoU 0.50:0.95) and ``detection/map50``. Classes that never appear have no key.
    """

    def __init__(self, model: PerceptionModel) -> None:
        super().__init__()
        self.label_set = model.label_set
        self.meters = nn.ModuleDict()
        for name in model.head_names:
            if name == "semantic":
                classes = model.recipe["options"].get("num_classes") or len(self.label_set.classes)
                self.meters[name] = SemanticIoU(classes)
            elif name == "detection":
                self.meters[name] = MeanAveragePrecision(backend="pycocotools")
            else:
                self.meters[name] = SemanticIoU(2)
        self.seen: set[str] = set()
        self.labelled: Tensor | None = None
        """``(C,)`` bool, semantic classes that the data set labels; the others have no IoU. ``None``: all are."""

    def update(self, decoded: dict[str, Tensor], batch: Batch) -> None:
        """Count one batch; ``decoded`` is what the model's ``decode`` returned, or some of it."""
        for name in ("semantic", "drivable", "lane"):
            target = getattr(batch, name)
            if name in self.meters and name in decoded and target is not None:
                self.meters[name].update(decoded[name], target)  # type: ignore[operator]
                self.seen.add(name)
        if "detection" in self.meters and "boxes" in decoded and batch.boxes is not None:
            assert batch.has_boxes is not None
            for i in torch.nonzero(batch.has_boxes).flatten().tolist():
                self._update_boxes(decoded, batch, i)
            self.seen.add("detection")

    def _update_boxes(self, decoded: dict[str, Tensor], batch: Batch, i: int) -> None:
        assert batch.boxes is not None
        assert batch.box_labels is not None
        valid = batch.box_labels[i] >= 0
        predicted = {name: decoded[name][i].cpu() for name in ("boxes", "scores", "labels")}
        if batch.known_boxes is not None:  # boxes of a class that nobody labelled are neither right nor wrong
            counted = batch.known_boxes[i].cpu()[predicted["labels"].long()]
            predicted = {name: value[counted] for name, value in predicted.items()}
        truth = {"boxes": batch.boxes[i][valid].cpu(), "labels": batch.box_labels[i][valid].cpu()}
        self.meters["detection"].update([predicted], [truth])  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        if "semantic" in self.seen:
            iou = self.meters["semantic"].compute()  # type: ignore[operator]
            if self.labelled is not None:
                iou = torch.where(self.labelled.to(iou.device), iou, torch.nan)
            values["semantic/miou"] = iou.nanmean()
            names = self.label_set.classes if len(iou) == len(self.label_set.classes) else map(str, range(len(iou)))
            values |= {f"semantic/iou_{n}": v for n, v in zip(names, iou, strict=True) if not v.isnan()}
        for name in ("drivable", "lane"):
            if name in self.seen:
                values[f"{name}/iou"] = self.meters[name].compute()[1].nan_to_num(0.0)  # type: ignore[operator]
        if "detection" in self.seen:
            result = self.meters["detection"].compute()  # type: ignore[operator]
            values["detection/map"] = result["map"].clamp(min=0)
            values["detection/map50"] = result["map_50"].clamp(min=0)
        return values

    def reset(self) -> None:
        self.seen.clear()
        for meter in self.meters.values():
            meter.reset()  # type: ignore[operator]

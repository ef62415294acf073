"""What evaluation measures besides the plain single pass, and for which of several data sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.evaluation.augment import Run, augmented, decode_dense, sliding_window
from perception.metrics.boundary import BoundaryIoU
from perception.metrics.multitask import MultiTaskMetrics
from perception.metrics.panoptic import PanopticQuality
from perception.metrics.yolop import YOLOPProtocol
from perception.models.base import DENSE_HEADS, PerceptionModel
from perception.types import Batch

AUGMENTED = "tta"
"""Stands in the keys of measures of augmented passes: ``val/tta/semantic/miou``."""


@dataclass(frozen=True)
class EvaluationOptions:
    """Further measures of ``validate`` and ``test``; none of them is taken while training.

    Args:
        tta_scales: factors of the image's sides whose probabilities are averaged; empty for the image's own size.
        tta_flip: also average over the mirrored image.
        window: ``(height, width)`` of sliding windows.
        stride: ``(height, width)`` between windows; two thirds of the window by default.
        boundary: measure the boundary IoU of the semantic head.
        yolop: measure by the protocol of YOLOP, under ``.../yolop/...``.
        panoptic: measure the panoptic quality, under ``.../panoptic/...``, where the data module reads segments.
    """

    tta_scales: tuple[float, ...] = ()
    tta_flip: bool = False
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    boundary: bool = False
    yolop: bool = False
    panoptic: bool = False

    @classmethod
    def parse(cls, options: Mapping[str, Any] | None) -> EvaluationOptions:
        """Options out of plain values.

        Raises:
            InputError: for an unknown option or a value that does not fit.
        """
        values = dict(options or {})
        names = [item.name for item in fields(cls)]
        if unknown := [name for name in values if name not in names]:
            raise InputError(f"evaluation has no option {unknown[0]!r}; it has {', '.join(names)}")
        for name in ("tta_flip", "boundary", "yolop", "panoptic"):
            if not isinstance(values.get(name, False), bool):
                raise InputError(f"evaluation {name} must be true or false, got {values[name]!r}")
        scales = values.get("tta_scales") or ()
        if not isinstance(scales, list | tuple) or not all(_positive(scale) for scale in scales):
            raise InputError(f"evaluation tta_scales must be factors above 0, got {scales!r}")
        values["tta_scales"] = tuple(map(float, scales))
        for name in ("window", "stride"):
            if (size := values.get(name)) is not None:
                whole = isinstance(size, list | tuple) and len(size) == 2
                if not whole or not all(isinstance(side, int) and _positive(side) for side in size):
                    raise InputError(f"evaluation {name} must be [height, width] above 0, got {size!r}")
                values[name] = (size[0], size[1])
        window, stride = values.get("window"), values.get("stride")
        if stride is not None and (window is None or stride[0] > window[0] or stride[1] > window[1]):
            raise InputError(f"evaluation stride {stride} needs a window that is at least as large, got {window}")
        return cls(**values)

    @property
    def augments(self) -> bool:
        """Whether there is more than a single pass to measure."""
        return bool(self.tta_scales) or self.tta_flip or self.window is not None

    def run(self, model: Callable[[Tensor], dict[str, Any]], image: Tensor) -> dict[str, Tensor]:
        """Decoded dense heads of an augmented pass at the size of the image."""

        def dense(picture: Tensor) -> dict[str, Tensor]:
            outputs = model(picture)
            return {name: outputs[name] for name in DENSE_HEADS if name in outputs}

        def slide(picture: Tensor) -> dict[str, Tensor]:
            assert self.window is not None
            stride = self.stride or (max(1, self.window[0] * 2 // 3), max(1, self.window[1] * 2 // 3))
            return sliding_window(dense, picture, self.window, stride)

        run: Run = dense if self.window is None else slide
        return decode_dense(augmented(run, image, self.tta_scales or (1.0,), self.tta_flip))


class StageMetrics(nn.Module):
    """The measures of a stage, for one data set or for several with names.

    Keys are those of :class:`MultiTaskMetrics`, after ``<name>/`` where there are several data sets, after ``tta/`` for
    augmented passes and after ``yolop/`` for that protocol.
    """

    def __init__(self, model: PerceptionModel, options: EvaluationOptions) -> None:
        super().__init__()
        self.options = options
        self.detection = model.label_set.detection
        self.names: list[str] = [""]
        self.single = nn.ModuleList([MultiTaskMetrics(model)])
        self.augmented = nn.ModuleList()
        self.boundary = nn.ModuleList()
        self.yolop: list[YOLOPProtocol] = []
        self.panoptic: list[PanopticQuality] = []
        self.classes = len(model.label_set.classes)
        self.things = {i for i, name in enumerate(model.label_set.classes) if name in model.label_set.detection}

    def open(
        self,
        model: PerceptionModel,
        names: Sequence[str] | None,
        further: bool,
        labelled: Sequence[Tensor] | None = None,
    ) -> None:
        """Make room for the data sets of a run.

        Args:
            names: of the data sets; ``None`` for a single one without a name.
            further: whether the further measures of the options are taken.
            labelled: of each data set, ``(C,)`` bool, the semantic classes that it labels; by default all.
        """
        self.names = [""] if names is None else list(names)
        count = len(self.names)
        dense = any(name in DENSE_HEADS for name in model.head_names)
        while len(self.single) < count:
            self.single.append(MultiTaskMetrics(model))
        self.augmented = nn.ModuleList(
            MultiTaskMetrics(model) for _ in range(count if further and dense and self.options.augments else 0)
        )
        for meters in (self.single, self.augmented):
            for place, meter in enumerate(meters):
                meter.labelled = None if labelled is None or place >= count else labelled[place]  # type: ignore[assignment]
        boundary = further and self.options.boundary and "semantic" in model.head_names
        classes = model.recipe["options"].get("num_classes") or len(model.label_set.classes)
        self.boundary = nn.ModuleList(BoundaryIoU(classes) for _ in range(count if boundary else 0))
        panoptic = further and self.options.panoptic
        self.panoptic = [PanopticQuality(self.classes) for _ in range(count if panoptic else 0)]
        self.yolop = [YOLOPProtocol(self.detection) for _ in range(count if further and self.options.yolop else 0)]

    def update(self, decoded: dict[str, Tensor], batch: Batch, place: int = 0) -> None:
        """Count a single pass over a batch of the data set at ``place``."""
        self.single[place].update(decoded, batch)  # type: ignore[operator]
        if self.boundary and batch.semantic is not None:
            self.boundary[place].update(decoded["semantic"], batch.semantic)  # type: ignore[operator]
        if self.yolop:
            self.yolop[place].update(decoded, batch)
        if self.panoptic and batch.panoptic:
            self.panoptic[place].update_batch(decoded, batch, self.things)

    def update_augmented(self, decoded: dict[str, Tensor], batch: Batch, place: int = 0) -> None:
        """Count an augmented pass, which has no boxes."""
        self.augmented[place].update(decoded, batch)  # type: ignore[operator]

    def confusions(self) -> dict[str, np.ndarray]:
        """``(C, C)`` semantic pixel counts of the single pass, rows truth, columns prediction, by data set; only of
        those with semantic labels. It is called before :meth:`compute`, which starts afresh."""
        found = {}
        for place, name in enumerate(self.names):
            meter: Any = self.single[place]
            if "semantic" in meter.seen:
                meter.meters["semantic"].compute()
                found[name] = meter.meters["semantic"].confusion.cpu().numpy()
        return found

    def compute(self) -> dict[str, Tensor]:
        """All measures by key, and a fresh start."""
        values: dict[str, Tensor] = {}
        for place, name in enumerate(self.names):
            prefix = f"{name}/" if name else ""
            found = _take(self.single[place])
            if self.boundary:
                iou = _take(self.boundary[place])
                known: Any = self.single[place].labelled
                if known is not None:
                    iou = torch.where(known.to(iou.device), iou, torch.nan)
                if not iou.isnan().all():
                    found["semantic/boundary_miou"] = iou.nanmean()
            if self.augmented:
                found |= {f"{AUGMENTED}/{key}": value for key, value in _take(self.augmented[place]).items()}
            if self.yolop:
                measured = self.yolop[place].compute()
                self.yolop[place].reset()
                found |= {f"yolop/{key}": torch.tensor(value) for key, value in measured.items()}
            if self.panoptic:
                quality = self.panoptic[place].compute()
                self.panoptic[place] = PanopticQuality(self.classes)
                found |= {f"panoptic/{k}": torch.tensor(v) for k, v in quality.items() if not math.isnan(v)}
            values |= {prefix + key: value for key, value in found.items()}
        return values


def _take(meter: Any) -> Any:
    values = meter.compute()
    meter.reset()
    return values


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6

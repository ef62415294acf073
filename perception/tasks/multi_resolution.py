"""Training of one set of weights for a whole ladder of resolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.errors import InputError
from perception.metrics.multitask import MultiTaskMetrics
from perception.models.multitask import MultiTaskModel
from perception.models.norm_statistics import batch_norms
from perception.tasks.multitask import MultiTask
from perception.transforms.window import batch_window, batch_windows
from perception.types import Batch

Window = tuple[int, int, int, int]
PER_PICTURE = 4
"""Windows about boxes that a step takes from each picture, one where they are twice as large each way."""


class MultiResolution(MultiTask):
    """Every step trains one rung of the ladder and the largest rung, which teaches it.

    Pictures come whole. The student sees a window that has at least ``size`` pixels at its rung's scale and covers at
    least the share ``context`` of the picture each way, or the whole picture where that is smaller. The teacher is
    the same network on such a window at the largest scale, inside the student's. Both learn from the labels;
    besides, the student's class probabilities are drawn to the teacher's, averaged over the student's pixels, where
    both look. So each rung sees as much of the scene as its cost allows. Half of the students' windows are resized as
    engines of exported files do it and half as torch's does, so that one set of weights serves both.

    Papers: Resolution Switchable Networks - arXiv 2007.09558 (norms per resolution, distillation between
    resolutions); Distilling the Knowledge in a Neural Network - arXiv 1503.02531.

    Args:
        size: least ``[height, width]`` of a window in network pixels; multiples of 32 keep the network from padding.
        context: least share of the picture that a window covers each way. A rung whose windows are small against the
            picture does not learn what the whole looks like.
        fixed_norms: train with the batch-norm statistics that ``init_from`` has, as inference does: for a last stage
            on whole pictures (``context`` 1), where few pictures a step would make noisy ones.
        scales: ascending shares of the pictures' resolution, as in the plans of the runtime.
        distill: weight of the distillation; with 0 there is no teacher, and each step trains its rung alone.
        temperature: of both softmaxes in the distillation.
        fovea: weight of one more window of ``size`` that each step trains at the largest scale, as plans with a fovea
            run it, mostly about the middle of the picture. A network that has only seen whole pictures there loses
            its way in a window: pyramid pooling then pools something else.
        focus: share of the steps that train small windows about boxes instead, :data:`PER_PICTURE` of each picture at
            one rung, see :func:`focus_windows`: a step costs less, and rare classes come more often.
        focus_size: ``[height, width]`` of these windows in network pixels; twice that each way about boxes that are
            larger.
        focus_zoom: the most that these windows are enlarged beyond their rung, evenly drawn on a logarithmic scale from
            1 on: objects then come as large as nearer ones, of which pictures have few (large-scale jittering, Simple
            Copy-Paste - arXiv 2012.07177).
        options: of :class:`MultiTask`; ``eval_size`` has no meaning here, evaluation runs at every rung.

    Metrics are logged per rung, ``val/<scale>/semantic/miou``, and as their mean under the usual keys.
    """

    def __init__(
        self,
        model: str,
        label_set: str,
        size: list[int],
        scales: list[float],
        distill: float = 1.0,
        temperature: float = 1.0,
        context: float = 0.5,
        fovea: float = 0.0,
        focus: float = 0.0,
        focus_size: list[int] = [128, 256],  # noqa: B006 - read only
        focus_zoom: float = 1.0,
        fixed_norms: bool = False,
        heads: list[str] | None = None,
        model_options: dict[str, Any] | None = None,
        pretrained: bool | str = False,
        init_from: str | None = None,
        freeze: list[str] | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.02,
        stem_lr_scale: float = 1.0,
        warmup: float = 0.05,
        balance: str = "uncertainty",
        task_weights: dict[str, float] | None = None,
        class_weights: list[float] | str | None = None,
        jaccard: float = 0.5,
        lane_weight: float = 4.0,
        loss_stride: int = 1,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        if distill < 0 or temperature <= 0:
            raise InputError(f"distill {distill:g} must not be negative and temperature {temperature:g} be positive")
        if fovea < 0:
            raise InputError(f"fovea {fovea:g} must not be negative")
        if not 0 <= focus <= 1:
            raise InputError(f"focus {focus:g} is outside 0..1")
        if not 1 <= focus_zoom <= 8:
            raise InputError(f"focus_zoom {focus_zoom:g} is outside 1..8")
        if not 0 < context <= 1:
            raise InputError(f"context {context:g} must lie above 0 and up to 1")
        for name, sides in (("size", size), ("focus_size", focus_size)):
            if len(sides) != 2 or min(sides) < 32:
                raise InputError(f"{name} {sides} must be [height, width] of at least 32 pixels each")
        if fixed_norms and init_from is None:
            raise InputError("fixed_norms keeps the statistics of trained norms; name the weights with init_from")
        super().__init__(
            model, label_set, heads, {**(model_options or {}), "scales": scales}, pretrained, init_from, freeze, lr,
            weight_decay, stem_lr_scale, warmup, balance, task_weights, class_weights, jaccard,
            lane_weight=lane_weight, loss_stride=loss_stride, channels_last=channels_last, compile=compile,
        )  # fmt: skip
        if not isinstance(self.model, MultiTaskModel):
            raise InputError(f"training over a ladder needs a multitask_* model, not {model}")
        self.size = (size[0], size[1])
        self.scales = tuple(scales)
        self.distill, self.temperature, self.context, self.fovea = distill, temperature, context, fovea
        self.focus, self.focus_size, self.focus_zoom = focus, (focus_size[0], focus_size[1]), focus_zoom
        self.fixed_norms = fixed_norms
        self.rung_metrics = torch.nn.ModuleDict({_key(scale): MultiTaskMetrics(self.model) for scale in scales})

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if getattr(getattr(self.trainer, "datamodule", None), "eval_names", None) is not None:
            raise InputError("training over a ladder measures one data set; name it with data.init_args.validate")

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.fixed_norms:
            for norm in batch_norms(self.model):
                norm.eval()

    def run_at(self, scale: float, image: Tensor) -> dict[str, Any]:
        self.model.select_scale(scale)
        return self.forward(image)

    def _window_size(self, picture: tuple[int, int], scale: float) -> tuple[int, int]:
        """Network pixels of a window at a rung, in multiples of 32 beyond the least size."""
        sides = [
            max(least, 32 * round(self.context * scale * whole / 32))
            for least, whole in zip(self.size, picture, strict=True)
        ]
        return sides[0], sides[1]

    def _trained(self, scale: float, frames: Batch) -> tuple[dict[str, Any], Tensor]:
        """Outputs at a scale and their balanced loss."""
        outputs = self.run_at(scale, frames.image)
        return outputs, self.balance(self._checked(self.losses(outputs, frames)))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        picture = (batch.image.shape[-2], batch.image.shape[-1])
        whole = (0, 0, *picture)
        top_scale = self.scales[-1]
        scale = self.scales[int(torch.randint(len(self.scales), ()))]
        if self.focus and torch.rand(()) < self.focus:
            zoom = self.focus_zoom ** float(torch.rand(()))
            windows, shown = focus_windows(batch, self.focus_size, scale * zoom)
            if windows:
                about = batch_windows(batch, windows, shown, halving=bool(torch.rand(()) < 0.5))
                _, total = self._trained(scale, about)
                self.log("train/focus_loss", total.detach(), batch_size=len(batch))
                self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(batch))
                return total
        seen, shown = random_window(whole, self._window_size(picture, scale), scale)
        halving = bool(torch.rand(()) < 0.5)
        outputs, total = self._trained(scale, batch_window(batch, seen, shown, halving=halving))
        self.log(f"train/{_key(scale)}/loss", total.detach(), batch_size=len(batch))
        if scale < top_scale and self.distill:
            inner, shown = random_window(seen, self._window_size(picture, top_scale), top_scale)
            taught, loss = self._trained(top_scale, batch_window(batch, inner, shown))
            total = total + loss
            if "semantic" in outputs:
                loss = distillation(
                    outputs["semantic"], taught["semantic"].detach(), relative(inner, seen), self.temperature
                )
                self.log("train/distill_loss", loss.detach(), batch_size=len(batch))
                total = total + self.distill * loss
        if self.fovea:
            window = batch_window(batch, *random_window(whole, self.size, top_scale, central=True))
            _, loss = self._trained(top_scale, window)
            self.log("train/fovea_loss", loss.detach(), batch_size=len(batch))
            total = total + self.fovea * loss
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(batch))
        return total

    # Evaluation

    def _measure(self, batch: Batch) -> None:
        size = (batch.image.shape[-2], batch.image.shape[-1])
        for scale in self.scales:
            self.model.select_scale(scale)
            self.eval_size = rung_size(size, scale)
            self.rung_metrics[_key(scale)].update(self.evaluate(batch), batch)  # type: ignore[operator]

    def _log_rungs(self, stage: str) -> None:
        sums: dict[str, list[Tensor]] = {}
        for scale in self.scales:
            meter = self.rung_metrics[_key(scale)]
            values = meter.compute()  # type: ignore[operator]
            meter.reset()  # type: ignore[operator]
            for name, value in values.items():
                sums.setdefault(name, []).append(value)
            kept = {name: value for name, value in values.items() if "iou_" not in name}
            self.log_dict({f"{stage}/{scale:g}/{name}": value for name, value in kept.items()})
        self.log_dict({f"{stage}/{name}": torch.stack(values).mean() for name, values in sums.items()})

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        self._measure(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_rungs("val")

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        self._measure(batch)

    def on_test_epoch_end(self) -> None:
        self._log_rungs("test")

    def predict_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        self.model.select_scale(self.scales[-1])
        self.eval_size = None
        return self.evaluate(batch)


def _key(scale: float) -> str:
    return f"{scale:g}".replace(".", "_")


def rung_size(picture: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(32, round(picture[0] * scale)), max(32, round(picture[1] * scale))


def random_window(
    outer: Window, size: tuple[int, int], scale: float, central: bool = False
) -> tuple[Window, tuple[int, int]]:
    """A random window of ``size`` network pixels at a scale inside another, which bounds it, and its size there.

    Args:
        central: mostly about the middle: the place is the mean of two random ones.
    """
    start, extent, shown = [], [], []
    for begin, length, wanted in zip(outer[:2], outer[2:], size, strict=True):
        native, network = _extent(length, wanted, scale)
        start.append(begin + int(torch.randint(length - native + 1, (2 if central else 1,)).float().mean()))
        extent.append(native)
        shown.append(network)
    return (start[0], start[1], extent[0], extent[1]), (shown[0], shown[1])


def focus_windows(
    batch: Batch, size: tuple[int, int], scale: float
) -> tuple[list[tuple[int, Window]], tuple[int, int]]:
    """Windows of ``size`` network pixels about boxes that they hold, :data:`PER_PICTURE` of each picture that has any.

    Each is about a box of a class that is drawn from those in the picture, all alike, so that the one motorcycle
    comes as often as the ten cars. The box's centre lies anywhere in the middle half of the window that leaves the box
    inside, or nearer to its edge at the picture's.

    Boxes that such a window cannot hold at this scale come in windows of twice the size each way, one of each picture
    that has any; a call draws one kind of window or the other. From windows that cut them a network would learn parts.

    Returns:
        Pairs of a picture's position in the batch and a window, and the size of the windows in network pixels.
    """
    picture = (batch.image.shape[-2], batch.image.shape[-1])
    (height, rows), (width, columns) = (_extent(*sides, scale) for sides in zip(picture, size, strict=True))
    windows: list[tuple[int, Window]] = []
    if batch.boxes is None or batch.box_labels is None or not (batch.box_labels >= 0).any():
        return windows, (rows, columns)
    labels = batch.box_labels
    fits = ((batch.boxes[..., 2:] - batch.boxes[..., :2]) <= batch.boxes.new_tensor([width, height])).all(dim=-1)
    first = _one_of((labels >= 0).any(dim=1).nonzero()[:, 0])
    large = not fits[first, _box_of_a_class(labels[first])]
    count = 1 if large else PER_PICTURE
    if large:
        doubled = (2 * size[0], 2 * size[1])
        (height, rows), (width, columns) = (_extent(*sides, scale) for sides in zip(picture, doubled, strict=True))
    for index in range(len(batch)):
        drawn_from = labels[index].masked_fill(fits[index] == large, -1)
        for _ in range(count if (drawn_from >= 0).any() else 0):
            left, top, right, bottom = batch.boxes[index, _box_of_a_class(drawn_from)].tolist()
            down = _start_about(top, bottom, height, picture[0])
            across = _start_about(left, right, width, picture[1])
            windows.append((index, (down, across, height, width)))
    return windows, (rows, columns)


def _box_of_a_class(labels: Tensor) -> int:
    """A box of a class that is drawn from those with a label, all alike."""
    return _one_of((labels == _one_of(labels[labels >= 0].unique())).nonzero()[:, 0])


def _start_about(low: float, high: float, extent: int, whole: int) -> int:
    """Where a window of ``extent`` pixels begins that holds ``low`` to ``high``, their centre in its middle half."""
    least = min(max(0.25, (high - low) / (2 * extent)), 0.5)
    begin = round((low + high) / 2 - extent * (least + (1 - 2 * least) * float(torch.rand(()))))
    return min(max(0, begin), whole - extent)


def _extent(whole: int, wanted: int, scale: float) -> tuple[int, int]:
    """Pixels of the picture that make ``wanted`` network pixels along a side, at most all, and their network pixels."""
    extent = min(whole, round(wanted / scale))
    return extent, wanted if extent < whole else max(1, round(whole * scale))


def _one_of(values: Tensor) -> int:
    return int(values[int(torch.randint(len(values), ()))])


def relative(inner: Window, outer: Window) -> tuple[float, float, float, float]:
    """``(top, left, bottom, right)`` of one window as shares of another that holds it."""
    top, left = (inner[0] - outer[0]) / outer[2], (inner[1] - outer[1]) / outer[3]
    return top, left, top + inner[2] / outer[2], left + inner[3] / outer[3]


def distillation(student: Tensor, teacher: Tensor, at: Sequence[float], temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence from the teacher's class probabilities to the student's, per student pixel.

    Args:
        student: ``(B, C, h, w)`` logits of the outer window.
        teacher: ``(B, C, H, W)`` logits of the inner one; their probabilities are averaged over the student's pixels.
        at: ``(top, left, bottom, right)`` of the inner window as shares of the outer one.
    """
    height, width = student.shape[-2:]
    rows = max(1, round((at[2] - at[0]) * height))
    columns = max(1, round((at[3] - at[1]) * width))
    top = min(round(at[0] * height), height - rows)
    left = min(round(at[1] * width), width - columns)
    part = student[..., top : top + rows, left : left + columns].float() / temperature
    soft = F.adaptive_avg_pool2d((teacher.float() / temperature).softmax(dim=1), (rows, columns))
    divergence = F.kl_div(part.log_softmax(dim=1), soft, reduction="none").sum(dim=1).mean()
    return divergence * math.pow(temperature, 2)

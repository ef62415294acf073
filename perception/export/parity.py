"""Whether an exported file says what the model says, on pictures at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from perception.export.network import ExportNetwork
from perception.metrics.recall import box_iou
from perception.metrics.segmentation import SemanticIoU
from perception.runtime.exported_engine import input_batch, resized
from perception.runtime.exported_file import POINTS

MASKS = ("semantic", "drivable", "lane")
MIN_AGREEMENT = 0.999
"""Least share of pixels of a mask, and of boxes, that must be the same."""
MAX_ERROR = 1e-3
"""Largest error of raw maps, as a share of their largest value."""
BOX_IOU = 0.9
BOX_PIXELS = 0.1
"""Boxes whose edges are as near as this are the same whatever their overlap: slivers at the border have hardly any."""
TIE = 1e-5
TIE_IOU = 0.5
"""Overlapping boxes of one class in a list whose scores differ by a smaller share are neighbouring cells of a plateau:
whether the second passes for a peak too is a matter of rounding."""
SCORE = 0.05
"""Boxes with a lower score are not compared: their order is a matter of rounding."""

Runner = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Parity:
    """Agreement at one size.

    Args:
        outputs: figures by output: ``agreement`` and ``miou`` of masks, ``agreement`` of boxes, ``max_error`` and
            ``mean_error`` of numbers.
        passed: whether all of them keep to the limits.
    """

    size: tuple[int, int]
    outputs: dict[str, dict[str, float]]
    passed: bool


def compare(network: ExportNetwork, run: Runner, pictures: Sequence[np.ndarray], size: tuple[int, int]) -> Parity:
    """Compare a file with the network that it was made from.

    Args:
        run: the file: ``(1, 3, H, W)`` of the file's input type in, its outputs out, masks at full size.
        pictures: ``(H, W, 3)`` uint8 RGB, resized to ``size``.
    """
    figures: dict[str, list[dict[str, float]]] = {}
    for picture in pictures:
        batch = torch.from_numpy(input_batch(resized(picture, size), network.input))
        with torch.inference_mode():
            wanted = {name: value.numpy() for name, value in network.decoded(batch).items()}
        for name, value in agreement(wanted, run(batch.numpy())).items():
            figures.setdefault(name, []).append(value)
    outputs = {name: _worst(values) for name, values in figures.items()}
    return Parity(size, outputs, all(passes(value) for value in outputs.values()))


def agreement(wanted: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Figures of one picture, by output."""
    figures: dict[str, dict[str, float]] = {}
    for name, truth in wanted.items():
        value = got.get(name)
        if name in ("scores", "labels") and "boxes" in wanted:
            continue
        if value is None or value.shape != truth.shape or not np.isfinite(value).all():
            figures[name] = {"agreement": 0.0}
        elif name == "boxes":
            figures[name] = {"agreement": box_agreement(wanted, got)}
        elif name in (*MASKS, POINTS) and truth.dtype == np.uint8:
            figures[name] = {"agreement": float((truth == value).mean()), "miou": _miou(truth, value)}
        else:
            error = np.abs(truth.astype(np.float64) - value.astype(np.float64))
            scale = max(float(np.abs(truth).max()), 1e-12)
            figures[name] = {
                "max_error": float(error.max()),
                "mean_error": float(error.mean()),
                "relative_error": float(error.max() / scale),
            }
    return figures


def _miou(truth: np.ndarray, value: np.ndarray) -> float:
    metric = SemanticIoU(int(max(truth.max(), value.max())) + 2)
    metric.update(torch.from_numpy(value), torch.from_numpy(truth).long())
    return float(metric.compute().nanmean())


def box_agreement(wanted: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], score: float = SCORE) -> float:
    """Share of boxes from a score on with a partner of the same class on the other side, both ways.

    Not asked for are boxes that rounding may add or drop: the twin of a box that has a partner, at the next cell of a
    plateau, and of lists of one length what scores less than all of the other side, as one box more at the top of a
    full list drops its last.
    """
    matched = total = 0
    for picture in range(len(wanted["boxes"])):
        for one, other in ((wanted, got), (got, wanted)):
            full = one["scores"].shape == other["scores"].shape and one["scores"].size
            least = max(score, float(other["scores"][picture].min())) if full else score
            mine = _boxes_from(one, picture, least)
            theirs = _boxes_from(other, picture, 0.9 * score)  # a score may round to below the limit
            near = (np.abs(mine[0][:, None] - theirs[0][None]) <= BOX_PIXELS).all(axis=2)
            found = _same_place(mine, theirs, BOX_IOU, near).any(axis=1)
            tied = np.abs(mine[2][:, None] - mine[2][None]) <= TIE * mine[2][:, None]
            twins = (_same_place(mine, mine, TIE_IOU) & tied & found[None]).any(axis=1)
            matched += int(found.sum())
            total += int((found | ~twins).sum())
    return matched / total if total else 1.0


_Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]


def _same_place(mine: _Boxes, theirs: _Boxes, iou: float, near: np.ndarray | bool = False) -> np.ndarray:
    """``(N, M)``: which boxes are of one class and overlap, or are ``near``."""
    return (mine[1][:, None] == theirs[1][None]) & ((box_iou(mine[0], theirs[0]) >= iou) | near)


def _boxes_from(decoded: Mapping[str, np.ndarray], picture: int, score: float) -> _Boxes:
    """Boxes, labels and scores of one picture from a score on."""
    scores = decoded["scores"][picture]
    keep = scores >= score
    return decoded["boxes"][picture][keep].astype(np.float64), decoded["labels"][picture][keep], scores[keep]


def _worst(values: list[dict[str, float]]) -> dict[str, float]:
    return {
        name: (min if name in ("agreement", "miou") else max)(value[name] for value in values) for name in values[0]
    }


def passes(figures: dict[str, float]) -> bool:
    """Whether the figures of an output keep to the limits."""
    if "agreement" in figures:
        return figures["agreement"] >= MIN_AGREEMENT
    return figures["relative_error"] <= MAX_ERROR


def record(parity: Parity) -> dict[str, Any]:
    """For JSON."""
    height, width = parity.size
    return {"size": f"{height}x{width}", "passed": parity.passed, "outputs": parity.outputs}

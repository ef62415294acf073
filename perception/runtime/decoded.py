"""From what a network's decoding gives to the prediction of one picture; the same for all engines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perception.errors import InputError
from perception.runtime.fovea import MASKS
from perception.runtime.plan import Plan
from perception.types import Boxes, Prediction


def check_picture(image: np.ndarray, plan: Plan) -> None:
    """Refuse a picture that the plan cannot run on.

    Raises:
        InputError: for a picture that is not RGB bytes, or not of the size that the plan's fovea was made for.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"picture of shape {image.shape} and type {image.dtype} is not (H, W, 3) uint8")
    if plan.fovea is not None and image.shape[:2] != plan.fovea.native:
        raise InputError(
            f"plan {plan.name} is for pictures of {plan.fovea.native[0]}x{plan.fovea.native[1]}, "
            f"not {image.shape[0]}x{image.shape[1]}"
        )


def to_prediction(decoded: Mapping[str, np.ndarray], score: float) -> Prediction:
    """The first result of a decoded batch.

    Args:
        decoded: ``semantic``, ``drivable``, ``lane`` ``(1, H, W)`` uint8; ``boxes`` ``(1, K, 4)``, ``scores`` and
            ``labels`` ``(1, K)``; those that the model has.
        score: boxes with a lower score, and boxes that are not finite, are dropped.
    """
    masks = {name: decoded[name][0] for name in MASKS if name in decoded}
    boxes = None
    if "boxes" in decoded:
        scores = decoded["scores"][0].astype(np.float32)
        xyxy = decoded["boxes"][0].astype(np.float32)
        keep = (scores >= score) & np.isfinite(xyxy).all(axis=1)  # a NaN score fails the comparison
        boxes = Boxes(xyxy[keep], decoded["labels"][0][keep], scores[keep])
    return Prediction(**masks, boxes=boxes)

"""Runs exported files with numpy and the file's own runtime; torch is not needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.geometry.size import halvings
from perception.opencv import opencv
from perception.runtime.decoded import check_picture, to_prediction
from perception.runtime.exported_file import FUSION, POINTS, FileInfo
from perception.runtime.fovea import crop, fuse
from perception.runtime.masks import decode_masks
from perception.runtime.plan import Plan
from perception.types import Prediction


class PictureEngine(ABC):
    """Resizes pictures on the host, see :func:`resized`, and joins the views of a plan; subclasses answer one view."""

    @abstractmethod
    def predict(self, view: np.ndarray, share: float) -> Prediction:
        """Masks and boxes in pixels of an ``(H, W, 3)`` uint8 view.

        Args:
            share: of the picture's resolution that the view has, up to 1.

        Raises:
            InputError: for a size that the engine does not take.
        """

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        """Run the plan twice.

        Raises:
            InputError: for a size that the engine does not take.
        """
        for _ in range(2):
            self(np.zeros((*(picture_size or plan.output_size), 3), np.uint8), plan)

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        check_picture(image, plan)
        share = min(plan.size[0] / image.shape[0], plan.size[1] / image.shape[1], 1.0)
        whole = self.predict(resized(image, plan.size), share)
        if plan.fovea is None:
            return whole
        window = resized(crop(image, plan.fovea.window), plan.fovea.size)
        return fuse(plan, whole, self.predict(window, 1.0))


class ExportedEngine(PictureEngine):
    """An engine over one exported file, whatever the share of a view; subclasses know the runtime.

    Args:
        path: the file.
        described: what it says about itself.
        score: boxes with a lower score are dropped.
        raw: also take files that give raw maps, for :meth:`run` alone.

    Attributes:
        precision: in which the file runs; its own, unless a subclass says otherwise.

    Raises:
        InputError: for a file whose classes are not this version's, or that gives raw maps.
    """

    def __init__(self, path: Path, described: FileInfo, score: float, raw: bool = False) -> None:
        if not 0 <= score <= 1:
            raise InputError(f"score {score:g} is outside 0..1")
        if described.input == POINTS:
            raise InputError(f"{path} takes LiDAR points, not pictures; perception.runtime.point_engine runs it")
        if described.input == FUSION:
            raise InputError(f"{path} takes cameras and LiDAR; perception.runtime.fusion_engine runs it")
        if not described.postprocess and not raw:
            raise InputError(f"{path} gives raw maps; export it with --postprocess true to drive it")
        self.path = path
        self.described = described
        self.precision = described.precision
        self.labels = described.labels(path)
        self._score = score

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]: ...

    @abstractmethod
    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """The file's outputs for a ``(1, 3, H, W)`` batch of its input type."""

    def decoded(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        """What :meth:`run` gives, with masks made of coarse logits where the file has such."""
        strides = self.described.mask_strides
        return decode_masks(self.run(image), strides, (image.shape[2], image.shape[3])) if strides else self.run(image)

    def facts(self, engine: str, device: str, device_name: str, threads: int) -> dict[str, Any]:
        """The part of ``info`` that all of them share."""
        described = self.described
        return {
            "engine": engine,
            "device": device,
            "device_name": device_name,
            "precision": self.precision,
            "compiled": True,
            "threads": threads,
            "architecture": described.model,
            "digest": described.kind_digest(),
            "label_set": described.label_set,
        }

    def predict(self, view: np.ndarray, share: float) -> Prediction:
        return to_prediction(self.decoded(self._input(view)), self._score)

    def _input(self, view: np.ndarray) -> np.ndarray:
        size = (view.shape[0], view.shape[1])
        if not self.described.takes(size):
            known = " and ".join(f"{tall}x{wide}" for tall, wide in (self.described.size, *self.described.sizes))
            raise InputError(
                f"{self.path} takes pictures of {known} alone, not {size[0]}x{size[1]}; export a file for each size"
            )
        return input_batch(view, self.described.input)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``(H, W, 3)`` uint8 resampled to ``size``: halved by means of 2 x 2 pixels as often as fits, then bilinearly.

    That is ten times as fast as a bilinear filter with antialiasing, which networks are otherwise shown; training over
    a ladder shows them both, see :func:`perception.transforms.window.halved`.
    """
    cv2 = opencv()
    for _ in range(halvings((image.shape[0], image.shape[1]), size)):
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    far = height >= 2 * size[0] or width >= 2 * size[1]  # an odd side that cannot be halved
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA if far else cv2.INTER_LINEAR)


def input_batch(picture: np.ndarray, kind: str) -> np.ndarray:
    """``(1, 3, H, W)`` of an ``(H, W, 3)`` uint8 picture: uint8 for the kind ``uint8``, else float32 in 0..1."""
    batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
    return batch if kind == "uint8" else batch.astype(np.float32) / np.float32(255)

"""Geometric transforms of a whole sample: image, masks, depth, boxes, LiDAR points and camera move together.

Each is a callable ``sample -> sample`` that keeps the image's data type (uint8 or float) and leaves its input
unchanged. Randomness comes from torch's generator, so that seeded data-loader workers are reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from perception.errors import InputError
from perception.types import IGNORE_INDEX, MASK_TARGETS, Boxes, Sample

Transform = Callable[[Sample], Sample]
Size = tuple[int, int]

MEAN_RGB = (0.485, 0.456, 0.406)
"""ImageNet's mean colour: what padding is filled with, zero after the models' normalisation."""


def check_size(size: Sequence[int], what: str = "size") -> Size:
    """``(height, width)`` as a tuple of positive integers.

    Raises:
        InputError: for anything else.
    """
    values = tuple(size) if isinstance(size, Sequence) else ()
    if len(values) != 2 or not all(isinstance(value, int) and value > 0 for value in values):
        raise InputError(f"{what} must be two positive integers (height, width), got {size!r}")
    return values[0], values[1]


def image_size(sample: Sample) -> Size:
    return int(sample.image.shape[-2]), int(sample.image.shape[-1])


@dataclass(frozen=True)
class Placement:
    """A window of the source, resampled to ``scaled`` and placed into a canvas.

    Args:
        window: ``(top, left, height, width)`` inside the source image.
        scaled: size to which the window is resampled.
        canvas: size of the result.
        offset: ``(top, left)`` of the resampled window inside the canvas.
    """

    window: tuple[int, int, int, int]
    scaled: Size
    canvas: Size
    offset: Size = (0, 0)

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        top, left = self.offset
        return left, top, self.canvas[1] - left - self.scaled[1], self.canvas[0] - top - self.scaled[0]


def _crop(tensor: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    top, left, height, width = window
    return tensor[..., top : top + height, left : left + width]


def _place_image(image: Tensor, place: Placement) -> Tensor:
    image = _crop(image, place.window)
    if image.shape[-2:] != place.scaled:
        image = F.resize(image, list(place.scaled), antialias=True)
    if any(place.padding):
        mean = torch.tensor(MEAN_RGB)
        fill = mean if image.is_floating_point() else (mean * 255).round()
        canvas = fill.to(image.dtype)[:, None, None].repeat(1, *place.canvas)
        _crop(canvas, (*place.offset, *place.scaled)).copy_(image)
        return canvas
    return image.contiguous()


def _place_labels(labels: Tensor, place: Placement, fill: int) -> Tensor:
    labels = _crop(labels, place.window)
    if labels.shape != place.scaled:
        # The pixel under each centre, as torch's "nearest-exact" but without its detour through float32.
        for axis, target in enumerate(place.scaled):
            source = labels.shape[axis]
            labels = labels.index_select(axis, (2 * torch.arange(target) + 1) * source // (2 * target))
    if any(place.padding):
        return F.pad(labels[None], list(place.padding), fill=fill)[0]
    return labels.contiguous()


def clip_boxes(boxes: Boxes, size: Size, min_share: float = 0.25, min_px: float = 2.0) -> Boxes:
    """Clip boxes to the image and drop what is hardly left of them.

    Args:
        size: of the image.
        min_share: boxes of which less than this share of their area remains are dropped.
        min_px: boxes that are narrower or lower than this after clipping are dropped.

    Returns:
        The remaining boxes; ``visibility`` is multiplied by the share that remains.
    """
    xyxy = boxes.xyxy.copy()
    xyxy[:, 0::2] = xyxy[:, 0::2].clip(0, size[1])
    xyxy[:, 1::2] = xyxy[:, 1::2].clip(0, size[0])
    extent = xyxy[:, 2:] - xyxy[:, :2]
    before = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(axis=1)
    share = extent.prod(axis=1) / before.clip(min=1e-9)
    keep = (share >= min_share) & (extent >= min_px).all(axis=1) & (extent > 0).all(axis=1)
    visibility = None if boxes.visibility is None else boxes.visibility * share
    return replace(boxes, xyxy=xyxy, visibility=visibility)[keep]


def _outside_unseen(points_px: np.ndarray, size: Size) -> np.ndarray:
    """Points with NaN for those outside of an image of ``size``."""
    with np.errstate(invalid="ignore"):
        outside = (points_px < 0).any(axis=1) | (points_px >= (size[1], size[0])).any(axis=1)
    points_px[outside] = np.nan
    return points_px


def place(sample: Sample, placement: Placement, min_share: float = 0.25, min_px: float = 2.0) -> Sample:
    """Apply a placement to everything in a sample. Labels and depth are resampled by nearest neighbour;
    padding is mean grey in the image, 255 in masks and 0 (unknown) in depth. LiDAR points outside become NaN.

    Raises:
        InputError: where a mask, the depth or the camera has another size than the image.
    """
    size = image_size(sample)
    for name in (*MASK_TARGETS, "depth_m"):
        value = getattr(sample, name)
        if value is not None and tuple(value.shape) != size:
            raise InputError(f"{sample.name}: {name} has size {tuple(value.shape)} but the image {size}")
    if sample.camera is not None and tuple(sample.camera.size) != size:
        raise InputError(f"{sample.name}: the camera is for size {tuple(sample.camera.size)} but the image has {size}")

    moved: dict = {"image": _place_image(sample.image, placement)}
    for name in MASK_TARGETS:
        if (mask := getattr(sample, name)) is not None:
            moved[name] = _place_labels(mask, placement, IGNORE_INDEX)
    if sample.depth_m is not None:
        moved["depth_m"] = _place_labels(sample.depth_m, placement, 0)
    top, left, height, width = placement.window
    scale = (placement.scaled[1] / width, placement.scaled[0] / height)
    if sample.points_px is not None:
        inner = (sample.points_px - np.array([left, top], np.float32)) * np.array(scale, np.float32)
        whole = _outside_unseen(inner, placement.scaled)
        moved["points_px"] = whole + np.array(placement.offset[::-1], np.float32)
    if sample.boxes is not None:
        xyxy = sample.boxes.xyxy.copy()
        xyxy[:, 0::2] = (xyxy[:, 0::2] - left) * scale[0] + placement.offset[1]
        xyxy[:, 1::2] = (xyxy[:, 1::2] - top) * scale[1] + placement.offset[0]
        moved["boxes"] = clip_boxes(replace(sample.boxes, xyxy=xyxy), placement.canvas, min_share, min_px)
    if sample.camera is not None:
        camera = sample.camera.cropped(top, left, height, width).resized(placement.scaled)
        moved["camera"] = camera.cropped(-placement.offset[0], -placement.offset[1], *placement.canvas)
    return replace(sample, **moved)


class Compose:
    """Apply transforms in order."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, sample: Sample) -> Sample:
        for transform in self.transforms:
            sample = transform(sample)
        return sample

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"


class Resize:
    """Resample the whole picture to ``size``; the aspect ratio follows ``size``.

    Args:
        size: ``(height, width)`` of the result.
        min_box_px: boxes narrower or lower than this afterwards are dropped; 0 keeps all.
    """

    def __init__(self, size: Sequence[int], min_box_px: float = 2.0) -> None:
        self.size = check_size(size)
        self.min_box_px = min_box_px

    def __call__(self, sample: Sample) -> Sample:
        whole = Placement((0, 0, *image_size(sample)), self.size, self.size)
        return place(sample, whole, min_share=0.0, min_px=self.min_box_px)

    def __repr__(self) -> str:
        return f"Resize(size={self.size})"


class RandomScaleCrop:
    """Scale the picture by a random factor, then cut a random window of ``size`` out of it, padded where the
    picture is smaller.

    Only the window is resampled, so that the cost does not grow with the factor.

    Args:
        size: ``(height, width)`` of the result.
        scale: range of the factor, drawn uniformly.
        base: size of the whole picture at factor 1; ``size`` by default, as :class:`Resize` would make it.
        min_share: boxes of which less than this share stays in the window are dropped.
        min_box_px: boxes narrower or lower than this afterwards are dropped.
    """

    def __init__(
        self,
        size: Sequence[int],
        scale: tuple[float, float] = (0.5, 2.0),
        base: Sequence[int] | None = None,
        min_share: float = 0.25,
        min_box_px: float = 2.0,
    ) -> None:
        self.size = check_size(size)
        self.base = self.size if base is None else check_size(base, "base")
        self.scale = (float(scale[0]), float(scale[1]))
        if not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(f"scale must be a range of positive factors (low, high), got {tuple(scale)}")
        self.min_share = min_share
        self.min_box_px = min_box_px

    def __call__(self, sample: Sample) -> Sample:
        factor = float(torch.empty(()).uniform_(*self.scale))
        start, extent, scaled, offset = [], [], [], []
        for source, target, base in zip(image_size(sample), self.size, self.base, strict=True):
            whole = max(1, round(base * factor))  # size of the whole picture after scaling
            seen = min(source, max(1, round(source * target / whole)))
            shown = target if whole >= target else whole
            start.append(int(torch.randint(source - seen + 1, ())))
            offset.append(int(torch.randint(target - shown + 1, ())))
            extent.append(seen)
            scaled.append(shown)
        window = (start[0], start[1], extent[0], extent[1])
        placement = Placement(window, (scaled[0], scaled[1]), self.size, (offset[0], offset[1]))
        return place(sample, placement, self.min_share, self.min_box_px)

    def __repr__(self) -> str:
        return f"RandomScaleCrop(size={self.size}, scale={self.scale}, base={self.base})"


class RandomHorizontalFlip:
    """Mirror the sample with probability ``p``; see :meth:`perception.types.Camera.flipped` for the camera."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise InputError(f"flip probability must lie in 0..1, got {p}")
        self.p = p

    def __call__(self, sample: Sample) -> Sample:
        if float(torch.rand(())) >= self.p:
            return sample
        moved: dict = {"image": F.horizontal_flip(sample.image)}
        for name in (*MASK_TARGETS, "depth_m"):
            if (value := getattr(sample, name)) is not None:
                moved[name] = F.horizontal_flip(value)
        if sample.boxes is not None:
            width = image_size(sample)[1]
            xyxy = sample.boxes.xyxy.copy()
            xyxy[:, 0], xyxy[:, 2] = width - sample.boxes.xyxy[:, 2], width - sample.boxes.xyxy[:, 0]
            moved["boxes"] = replace(sample.boxes, xyxy=xyxy)
        if sample.points_px is not None:
            moved["points_px"] = sample.points_px.copy()
            moved["points_px"][:, 0] = image_size(sample)[1] - sample.points_px[:, 0]
        if sample.camera is not None:
            moved["camera"] = sample.camera.flipped()
        return replace(sample, **moved)

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class PadToMultiple:
    """Pad right and bottom so that ``stride`` divides height and width."""

    def __init__(self, stride: int) -> None:
        if stride < 1:
            raise InputError(f"stride must be at least 1, got {stride}")
        self.stride = stride

    def __call__(self, sample: Sample) -> Sample:
        size = image_size(sample)
        canvas = (-(-size[0] // self.stride) * self.stride, -(-size[1] // self.stride) * self.stride)
        if canvas == size:
            return sample
        return place(sample, Placement((0, 0, *size), size, canvas), min_share=0.0, min_px=0.0)

    def __repr__(self) -> str:
        return f"PadToMultiple(stride={self.stride})"

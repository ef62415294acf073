"""Windows of whole batches on the device, at any scale: for training on several resolutions in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.geometry.size import halvings
from perception.types import MASK_TARGETS, Batch

BOX_TARGETS = ("boxes", "box_labels", "has_boxes", "known_boxes")


def batch_window(
    batch: Batch,
    window: tuple[int, int, int, int],
    size: tuple[int, int],
    min_share: float = 0.25,
    min_box_px: float = 2.0,
    halving: bool = False,
) -> Batch:
    """The same window of every picture, resampled, with its labels and boxes.

    Args:
        window: ``(top, left, height, width)`` inside the pictures.
        size: ``(height, width)`` of the result.
        min_share: boxes of which less than this share lies in the window lose their label.
        min_box_px: so do boxes that are narrower or lower than this afterwards.
        halving: resample the image with :func:`halved`, as engines of exported files do, instead of bilinearly with an
            antialiasing filter, as torch's does.

    Returns:
        A batch without cameras, whose masks take the pixel under each centre.
    """
    top, left, height, width = window
    image = batch.image[..., top : top + height, left : left + width]
    if image.shape[-2:] != size:
        image = halved(image, size) if halving else F.interpolate(image, size=size, mode="bilinear", antialias=True)
    moved: dict[str, Tensor | None] = {"image": image}
    for name in MASK_TARGETS:
        mask = getattr(batch, name)
        if mask is not None:
            rows = top + (2 * torch.arange(size[0], device=mask.device) + 1) * height // (2 * size[0])
            columns = left + (2 * torch.arange(size[1], device=mask.device) + 1) * width // (2 * size[1])
            moved[name] = mask[:, rows[:, None], columns]
    if batch.boxes is not None:
        assert batch.box_labels is not None
        moved["boxes"], moved["box_labels"] = _window_boxes(
            batch.boxes, batch.box_labels, window, size, min_share, min_box_px
        )
    return replace(batch, cameras=[None] * len(batch), **moved)  # type: ignore[arg-type]


def batch_windows(
    batch: Batch,
    windows: Sequence[tuple[int, tuple[int, int, int, int]]],
    size: tuple[int, int],
    halving: bool = False,
) -> Batch:
    """Windows of single pictures as one batch, in this order; see :func:`batch_window`.

    Args:
        windows: pairs of a picture's position in the batch and its window. Must not be empty.
    """
    tensors = [name for name in ("image", *MASK_TARGETS, *BOX_TARGETS) if getattr(batch, name) is not None]
    parts = []
    for index, window in windows:
        picture: dict[str, Any] = {name: getattr(batch, name)[index : index + 1] for name in tensors}
        parts.append(batch_window(Batch(names=[batch.names[index]], **picture), window, size, halving=halving))
    joined: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in tensors}
    return Batch(names=[part.names[0] for part in parts], cameras=[None] * len(parts), **joined)


def halved(image: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, C, H, W)`` float resampled to ``size`` as :func:`perception.runtime.exported_engine.resized` does.

    Halved by means of 2 x 2 pixels as often as fits, then bilinearly; by means of areas where a side is odd.
    """
    for _ in range(halvings((image.shape[-2], image.shape[-1]), size)):
        image = F.avg_pool2d(image, 2)
    height, width = image.shape[-2:]
    if (height, width) == size:
        return image
    if height >= 2 * size[0] or width >= 2 * size[1]:
        return F.interpolate(image, size=size, mode="area")
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _window_boxes(
    boxes: Tensor,
    labels: Tensor,
    window: tuple[int, int, int, int],
    size: tuple[int, int],
    min_share: float,
    min_px: float,
) -> tuple[Tensor, Tensor]:
    top, left, height, width = window
    shift = boxes.new_tensor([left, top, left, top])
    scale = boxes.new_tensor([size[1] / width, size[0] / height] * 2)
    moved = (boxes - shift) * scale
    limit = boxes.new_tensor([size[1], size[0]] * 2)
    clipped = torch.minimum(moved.clamp(min=0), limit)
    before = (moved[..., 2:] - moved[..., :2]).prod(dim=-1)
    extent = clipped[..., 2:] - clipped[..., :2]
    share = extent.clamp(min=0).prod(dim=-1) / before.clamp(min=1e-9)
    keep = (labels >= 0) & (share >= min_share) & (extent >= min_px).all(dim=-1)
    return clipped * keep[..., None], torch.where(keep, labels, torch.full_like(labels, -1))

"""Samples to batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from perception.errors import InputError
from perception.types import IGNORE_INDEX, MASK_TARGETS, Batch, Sample


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size; targets that only some samples have are filled with 255 for the others.

    Images become float32 in 0..1.

    Raises:
        InputError: for images of different sizes.
    """
    sizes = {tuple(sample.image.shape[-2:]) for sample in samples}
    if len(sizes) > 1:
        shown = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise InputError(f"images of different sizes in a batch ({shown}); set a size, or batch_size 1")
    image = torch.stack([sample.image for sample in samples])
    if not image.is_floating_point():
        image = image.float().div_(255)
    batch = Batch(
        image=image,
        names=[sample.name for sample in samples],
        cameras=[sample.camera for sample in samples],
        speed_mps=[sample.speed_mps for sample in samples],
        tokens=[sample.token for sample in samples],
        sample_tokens=[sample.sample_token for sample in samples],
        channels=[sample.channel for sample in samples],
        timestamps_us=[sample.timestamp_us for sample in samples],
        global_from_ego=[sample.global_from_ego for sample in samples],
    )
    for name in MASK_TARGETS:
        setattr(batch, name, _stack_masks(samples, name))
    if any(sample.panoptic is not None for sample in samples):
        batch.panoptic = [sample.panoptic for sample in samples]
        batch.segments = [sample.segments for sample in samples]
    if any(sample.boxes is not None for sample in samples):
        batch.boxes, batch.box_labels = _pad_boxes(samples)
        batch.has_boxes = torch.tensor([sample.boxes is not None for sample in samples])
        batch.known_boxes = _known_boxes(samples)
    return batch


def collate_groups(groups: Sequence[Sequence[Sample]]) -> Batch:
    """Batch of the views of several samples, sample by sample; ``views`` says how many each has.

    Raises:
        InputError: for groups or images of different sizes.
    """
    counts = {len(group) for group in groups}
    if len(counts) > 1:
        raise InputError(f"samples with {sorted(counts)} views in a batch; name the cameras that all of them have")
    batch = collate([sample for group in groups for sample in group])
    batch.views = counts.pop()
    return batch


def _stack_masks(samples: Sequence[Sample], name: str) -> Tensor | None:
    masks = [getattr(sample, name) for sample in samples]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    return torch.stack([torch.full_like(known, IGNORE_INDEX) if mask is None else mask for mask in masks]).long()


def _known_boxes(samples: Sequence[Sample]) -> Tensor | None:
    known = [sample.known_boxes for sample in samples]
    some = next((row for row in known if row is not None), None)
    if some is None:
        return None
    return torch.stack(
        [torch.ones(len(some), dtype=torch.bool) if row is None else torch.from_numpy(row) for row in known]
    )


def _pad_boxes(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    most = max(len(sample.boxes) for sample in samples if sample.boxes is not None)
    boxes = torch.zeros(len(samples), most, 4)
    labels = torch.full((len(samples), most), -1, dtype=torch.int64)
    for row, sample in enumerate(samples):
        if sample.boxes is not None:
            count = len(sample.boxes)
            boxes[row, :count] = torch.from_numpy(sample.boxes.xyxy)
            labels[row, :count] = torch.from_numpy(sample.boxes.labels)
    return boxes, labels

"""A small network of cameras and LiDAR, and made-up batches of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from tiny_points import point_batch

from perception.types import PointBatch

SMALL_LIDAR = {
    "grid": [16, 48], "encoder": [8, 8, 8], "embedding": 8, "stem": [8, 8, 8], "channels": [8, 8], "blocks": [1, 1],
    "strides": [1, 2], "join": [8, 8], "join_kernels": [3, 3],
}  # fmt: skip
SMALL = {"backbone_options": {"channels": [8, 8, 8, 8]}, "channels": 8, "head_channels": 8,
         "lidar_options": SMALL_LIDAR}  # fmt: skip
NAME = "multitask_lidar_resnet18_slim"


def paired(*sizes: int, images: int, size: tuple[int, int], seed: int = 0) -> PointBatch:
    """Clouds whose points lie anywhere in the images of their sample, a third of them in none."""
    batch = point_batch(*sizes, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    total, views = len(batch.points), images // len(sizes)
    image = batch.cloud * views + torch.randint(views, (total,), generator=generator)
    image[::3] = -1
    pixel = torch.rand(total, 2, generator=generator) * torch.tensor([size[1], size[0]])
    return replace(batch, image=image, pixel=pixel)


def opened(model: Any) -> Any:
    """The model with a gate that lets cameras through, as it does after some training."""
    torch.nn.init.normal_(model.lidar.image_gate.project[1].weight)
    return model

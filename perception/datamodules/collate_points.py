"""Point clouds to batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from perception.geometry.neighbours import nearest_neighbours
from perception.types import IGNORE_INDEX, PointBatch, PointCloud


def collate_points(clouds: Sequence[PointCloud], neighbours: int = 0) -> PointBatch:
    """Put clouds one after the other; clouds without labels get 255 where others have some.

    ``image`` of the batch holds each point's ``view``, where all clouds have them.

    Args:
        neighbours: how many nearest points of each point to look up, for networks that embed neighbourhoods.
    """
    sizes = [len(cloud) for cloud in clouds]
    labels = None
    if any(cloud.labels is not None for cloud in clouds):
        labels = torch.from_numpy(
            np.concatenate(
                [np.full(len(cloud), IGNORE_INDEX) if cloud.labels is None else cloud.labels for cloud in clouds]
            ).astype(np.int64)
        )
    image, pixel = None, None
    views = [cloud.view for cloud in clouds if cloud.view is not None]
    pixels = [cloud.pixel for cloud in clouds if cloud.pixel is not None]
    if len(views) == len(pixels) == len(clouds):
        image = torch.from_numpy(np.concatenate(views).astype(np.int64))
        pixel = torch.from_numpy(np.concatenate(pixels).astype(np.float32))
    found = None
    if neighbours:
        starts = np.cumsum([0, *sizes[:-1]])
        found = torch.from_numpy(
            np.concatenate(
                [
                    nearest_neighbours(cloud.points, neighbours) + start
                    for cloud, start in zip(clouds, starts, strict=True)
                ]
            )
        )
    return PointBatch(
        points=torch.from_numpy(np.concatenate([cloud.points for cloud in clouds]).astype(np.float32)),
        cloud=torch.repeat_interleave(torch.arange(len(clouds)), torch.tensor(sizes)),
        clouds=len(clouds),
        labels=labels,
        neighbours=found,
        image=image,
        pixel=pixel,
        names=[cloud.name for cloud in clouds],
        tokens=[cloud.token for cloud in clouds],
        sample_tokens=[cloud.sample_token for cloud in clouds],
        rows=[cloud.rows for cloud in clouds],
        file_rows=[cloud.file_rows for cloud in clouds],
    )

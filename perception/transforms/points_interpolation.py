"""Points between neighbours of a LiDAR's turn where a beam did not come back.

Paper: FRNet - arXiv 2312.04484
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.types import IGNORE_INDEX, PointCloud


@dataclass(frozen=True)
class RangeInterpolation:
    """Fills each empty cell of a range image whose left and right cells are not with the mean of their points.

    Points of the file stay as they are and first. The new ones belong to no row of the file and no camera.

    Args:
        rows, columns: of the range image: beams, and cells of a turn.
        up_deg, down_deg: inclination of its upper and lower edge.
        labelled: new points take the label that both neighbours have, and 255 where they differ; otherwise all have
            255, so that figures are those of the measured points alone.
    """

    rows: int = 32
    columns: int = 1920
    up_deg: float = 10.0
    down_deg: float = -30.0
    labelled: bool = True

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 3 or not self.down_deg < self.up_deg:
            raise InputError(
                f"a range image of {self.rows} x {self.columns} cells from {self.up_deg:g} down to {self.down_deg:g} "
                "degrees is not one; it needs a row, three columns, and an upper edge above the lower one"
            )

    def __call__(self, cloud: PointCloud) -> PointCloud:
        nearest = self._range_image(cloud.points)
        empty = nearest[:, 1:-1] < 0
        left, right = nearest[:, :-2], nearest[:, 2:]
        between = empty & (left >= 0) & (right >= 0)
        left, right = left[between], right[between]
        values: dict[str, Any] = {
            "points": np.concatenate([cloud.points, (cloud.points[left] + cloud.points[right]) / 2]),
            "rows": np.concatenate([cloud.rows, np.full(len(left), -1)]),
        }
        for name, differing in (("labels", IGNORE_INDEX), ("instances", 0)):
            known = getattr(cloud, name)
            if known is not None:
                same = (known[left] == known[right]) & self.labelled
                values[name] = np.concatenate([known, np.where(same, known[left], differing)])
        if cloud.view is not None:
            values["view"] = np.concatenate([cloud.view, np.full(len(left), -1)])
        if cloud.pixel is not None:
            values["pixel"] = np.concatenate([cloud.pixel, np.zeros((len(left), 2), np.float32)])
        return replace(cloud, **values)

    def _range_image(self, points: np.ndarray) -> np.ndarray:
        """``(rows, columns)`` int64 index of the nearest point of each cell, -1 where there is none."""
        x, y, z = points[:, :3].T.astype(np.float64)
        flat_m = np.hypot(x, y)
        column = np.floor((1 - np.arctan2(y, x) / math.pi) / 2 * self.columns)
        share = (self.up_deg - np.degrees(np.arctan2(z, flat_m))) / (self.up_deg - self.down_deg)
        row = np.clip(np.floor(share * self.rows), 0, self.rows - 1).astype(np.int64)
        column = np.clip(column, 0, self.columns - 1).astype(np.int64)
        image = np.full((self.rows, self.columns), -1)
        order = np.argsort(-np.hypot(flat_m, z), kind="stable")  # of repeated cells numpy keeps the last: the nearest
        image[row[order], column[order]] = order
        return image

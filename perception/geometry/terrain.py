"""Heights of the ground that a LiDAR measured, and the depth of the ground in an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from perception.geometry.camera import rays
from perception.types import Camera


@dataclass(frozen=True)
class GroundHeights:
    """Heights of the ground above the plane under the ego, on a square grid around it.

    Shape:
        - z: ``(N, N)`` float64 metres at the cells' middles, indexed by x, then y.

    Args:
        cell_m: side of a cell.
    """

    z: np.ndarray
    cell_m: float

    def at(self, xy: np.ndarray) -> np.ndarray:
        """``(N,)`` heights under ``(N, 2)`` points of the ego frame, bilinear; the border's beyond the grid."""
        index = np.asarray(xy, dtype=np.float64) / self.cell_m + (len(self.z) - 1) / 2
        return ndimage.map_coordinates(self.z, index.T, order=1, mode="nearest")


def fit_ground(
    points_ego: np.ndarray, reach_m: float = 60.0, cell_m: float = 2.0, max_slope: float = 0.1, smooth_m: float = 4.0
) -> GroundHeights:
    """Heights of the ground from a LiDAR turn.

    The ego stands on its own plane. From there the ground is followed outwards, ring of cells by ring: a cell's height
    is the lower quartile of its returns, if that is within reach of the cells towards the ego; else, and where nothing
    came back, the ground goes on as it was there. So bushes and walls do not lift the ground behind them.

    Args:
        points_ego: ``(N, 3)`` metres in the ego frame.
        reach_m: half the side of the grid.
        max_slope: steepest change from cell to cell that counts as ground, besides 0.05 m.
        smooth_m: width of the Gaussian with which heights are smoothed.
    """
    half = int(np.ceil(reach_m / cell_m))
    side = 2 * half + 1
    points = np.asarray(points_ego, dtype=np.float64)[:, :3]
    points = points[np.hypot(points[:, 0] - 1.0, points[:, 1]) > 2.5]  # nearer returns are the vehicle's own
    cell = np.round(points[:, :2] / cell_m).astype(np.int64) + half
    held = ((cell >= 0) & (cell < side)).all(axis=1)
    points, flat = points[held], cell[held, 0] * side + cell[held, 1]
    order = np.lexsort((points[:, 2], flat))
    numbers, first, count = np.unique(flat[order], return_index=True, return_counts=True)
    measured = np.full(side * side, np.nan)
    measured[numbers] = points[order, 2][first + count // 4]  # the lowest are noise from below the ground
    measured = measured.reshape(side, side)
    z = np.zeros((side, side))
    for ring in range(1, half + 1):
        a = np.arange(-ring, ring + 1)
        ends = np.full_like(a, ring)
        x, y = np.concatenate([a, a, ends[1:-1], -ends[1:-1]]), np.concatenate([ends, -ends, a[1:-1], a[1:-1]])
        inner_x, inner_y = (np.clip(v, 1 - ring, ring - 1) + half for v in (x, y))
        before = z[inner_x, inner_y]
        found = measured[x + half, y + half]
        with np.errstate(invalid="ignore"):
            ground = np.abs(found - before) < 0.05 + max_slope * cell_m
        z[x + half, y + half] = np.where(ground, found, before)
    z = ndimage.median_filter(z, size=3, mode="nearest")
    return GroundHeights(ndimage.gaussian_filter(z, smooth_m / cell_m, mode="nearest"), cell_m)


def ground_depth(camera: Camera, heights: GroundHeights | None = None) -> np.ndarray:
    """``(H, W)`` depth along the optical axis in metres of the ground under each pixel centre; infinite at or above
    the horizon.

    Args:
        heights: of the ground; without them it is the plane z = 0. Over heights the crossing is found by fixed-point
            steps, which settle where the ground is less steep than the line of sight.
    """
    height, width = camera.size
    origin, rotation = camera.ego_from_camera[:3, 3], camera.ego_from_camera[:3, :3]
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    if camera.model == "pinhole":
        x, y, z = rotation @ np.linalg.inv(camera.intrinsics)  # each component is linear in column and row
        falling = z[0] * columns + (z[1] * rows + z[2])[:, None]  # (H, W)
    else:
        grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        directions = (rays(camera, grid) @ rotation.T).reshape(height, width, 3)
        falling = directions[..., 2]
    depth = np.full(camera.size, np.inf)
    down = falling < -1e-9
    slope = falling[down]
    found = -origin[2] / slope
    if heights is not None:
        if camera.model == "pinhole":
            row, column = np.nonzero(down)
            ahead = np.stack([v[0] * columns[column] + v[1] * rows[row] + v[2] for v in (x, y)], axis=1)
        else:
            ahead = directions[down][:, :2]
        for _ in range(4):
            reach = np.clip(found, 0.05, 1e4)[:, None]
            found = np.maximum((heights.at(origin[:2] + reach * ahead) - origin[2]) / slope, 0.05)
    depth[down] = found
    return depth

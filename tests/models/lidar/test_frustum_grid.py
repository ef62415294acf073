from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_points import point_batch

from perception.errors import InputError
from perception.models.lidar.grid import FrustumGrid

NUSCENES = FrustumGrid((32, 480), (10.0, -30.0))


def _point(azimuth_deg: float, elevation_deg: float, range_m: float = 10.0) -> list[float]:
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    flat = range_m * math.cos(elevation)
    return [flat * math.cos(azimuth), flat * math.sin(azimuth), range_m * math.sin(elevation)]


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "row", "column"),
    [
        (179.9, 9.9, 0, 0),
        (-179.9, -29.9, 31, 479),
        (0.1, 0.1, 7, 239),  # 10 degrees below the top of 40, just left of straight ahead
        (-0.1, -0.1, 8, 240),
        (90.1, -10.1, 16, 119),
        (0.1, 60.0, 0, 239),  # above the field of view
        (0.1, -80.0, 31, 239),  # below it
    ],
)
def test_places_of_known_directions(azimuth_deg: float, elevation_deg: float, row: int, column: int) -> None:
    points = torch.tensor([_point(azimuth_deg, elevation_deg, range_m) for range_m in (0.5, 10.0, 80.0)])
    cells = NUSCENES.locate(points, torch.zeros(3, dtype=torch.int64), 1)
    assert cells.row.tolist() == [row] * 3
    assert cells.column.tolist() == [column] * 3
    assert cells.index().tolist() == [row * 480 + column] * 3
    assert cells.index(8).tolist() == [(row // 8) * 60 + column // 8] * 3


def test_points_at_the_origin_and_far_away_have_a_cell() -> None:
    points = torch.tensor([[0.0, 0, 0], [-0.0, -0.0, -0.0], [1e30, 0, 0], [0, 0, -1e30], [-1.0, -0.0, 0]])
    index = NUSCENES.locate(points, torch.zeros(5, dtype=torch.int64), 1).index()
    assert ((index >= 0) & (index < 32 * 480)).all()


def test_clouds_do_not_share_cells() -> None:
    points = torch.tensor([_point(10, 0)] * 3)
    cells = NUSCENES.locate(points, torch.tensor([0, 2, 2]), 3)
    first, second, third = cells.index().tolist()
    assert second == third == first + 2 * 32 * 480
    assert cells.occupied().sum() == 2


@pytest.mark.parametrize("stride", [1, 4])
def test_pixels_are_maxima_of_points_and_points_read_their_pixel(stride: int) -> None:
    batch = point_batch(300, 0, 200)
    cells = FrustumGrid((8, 16), (10.0, -30.0)).locate(batch.points, batch.cloud, batch.clouds)
    rows = torch.randn(500, 3)
    pixels = cells.to_pixels(rows, stride)
    assert pixels.shape == (3, 3, 8 // stride, 16 // stride)
    assert (pixels[1] == 0).all()
    for cloud, row, column in [(0, 3 // stride, 5 // stride), (2, 0, 0), (2, 7 // stride, 15 // stride)]:
        members = (cells.cloud == cloud) & (cells.row // stride == row) & (cells.column // stride == column)
        expected = rows[members].amax(0) if members.any() else torch.zeros(3)
        torch.testing.assert_close(pixels[cloud, :, row, column], expected)
    taken = cells.to_points(pixels, stride)
    place = (cells.cloud, slice(None), cells.row // stride, cells.column // stride)
    torch.testing.assert_close(taken, pixels[place])
    assert (taken >= rows).all()


def test_offsets_are_from_the_mean_of_the_frustum() -> None:
    batch = point_batch(400, 100)
    cells = FrustumGrid((4, 8), (10.0, -30.0)).locate(batch.points, batch.cloud, 2)
    offset = cells.offset_from_mean(batch.points[:, :3])
    for index in cells.index().unique():
        members = cells.index() == index
        expected = batch.points[members, :3] - batch.points[members, :3].double().mean(0)
        np.testing.assert_allclose(offset[members], expected, atol=1e-4)


def test_majority_counts_labelled_points() -> None:
    batch = point_batch(500, 0, 300, classes=4)
    cells = FrustumGrid((4, 8), (10.0, -30.0)).locate(batch.points, batch.cloud, 3)
    assert batch.labels is not None
    votes = [Counter[int]() for _ in range(cells.count())]
    for index, label in zip(cells.index().tolist(), batch.labels.tolist(), strict=True):
        if label != 255:
            votes[index][label] += 1
    expected = [min(vote, key=lambda label: (-vote[label], label)) if vote else 255 for vote in votes]
    assert cells.majority(batch.labels, 4).flatten().tolist() == expected
    unlabelled = cells.majority(torch.full_like(batch.labels, 255), 4)
    assert unlabelled.shape == (3, 4, 8)
    assert (unlabelled == 255).all()


@pytest.mark.parametrize(
    ("size", "elevation_deg", "message"),
    [((0, 8), (10.0, -30.0), "at least one cell"), ((4, 8), (-30.0, 10.0), "must fall"), ((4, 8), (95.0, 0.0), "90")],
)
def test_bad_grids_are_refused(size, elevation_deg, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FrustumGrid(size, elevation_deg)

"""Interpolated points against a loop over the cells of the range image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.transforms.points_interpolation import RangeInterpolation
from perception.types import PointCloud

ROWS, COLUMNS, UP_DEG, DOWN_DEG = 4, 24, 10.0, -30.0


def at(row: float, column: float, range_m: float) -> list[float]:
    """The point at a place of the range image; its upper left corner is row 0, column 0."""
    up = math.radians(UP_DEG - row / ROWS * (UP_DEG - DOWN_DEG))
    around = math.pi - 2 * math.pi * column / COLUMNS
    flat_m = range_m * math.cos(up)
    return [flat_m * math.cos(around), flat_m * math.sin(around), range_m * math.sin(up), 0.5, 0.0]


def cloud_of(points: list[list[float]], labels: list[int]) -> PointCloud:
    count = len(points)
    return PointCloud(
        points=np.array(points, np.float32).reshape(-1, 5),
        name="sweep",
        rows=np.arange(count),
        file_rows=count,
        labels=np.array(labels, np.int64),
        instances=np.array(labels, np.int64) % 3,
        view=np.zeros(count, np.int64),
        pixel=np.ones((count, 2), np.float32),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1), st.integers(2, 60), st.integers(0, 2)),
        max_size=60,
        unique_by=lambda item: (item[0], item[1], item[2]),
    ),
    st.booleans(),
)
def test_as_a_loop_over_cells_does_it(cells, labelled):
    points = [at(row + 0.5, column + 0.5, range_m) for row, column, range_m, _ in cells]
    cloud = cloud_of(points, [label for *_, label in cells])
    out = RangeInterpolation(ROWS, COLUMNS, UP_DEG, DOWN_DEG, labelled)(cloud)

    nearest: dict[tuple[int, int], int] = {}
    for index, (row, column, range_m, _) in enumerate(cells):
        best = nearest.get((row, column))
        if best is None or range_m < cells[best][2]:
            nearest[row, column] = index
    expected = []
    for row in range(ROWS):
        for column in range(1, COLUMNS - 1):
            sides = nearest.get((row, column - 1)), nearest.get((row, column + 1))
            if (row, column) not in nearest and None not in sides:
                expected.append(sides)

    count = len(cells)
    np.testing.assert_array_equal(out.points[:count], cloud.points)
    assert len(out) == count + len(expected)
    assert (out.rows[count:] == -1).all()
    assert (out.view[count:] == -1).all()
    assert out.file_rows == count
    for index, (left, right) in enumerate(expected, start=count):
        np.testing.assert_allclose(out.points[index], (cloud.points[left] + cloud.points[right]) / 2, rtol=1e-6)
        same = labelled and cells[left][3] == cells[right][3]
        assert out.labels[index] == (cells[left][3] if same else 255)
    for name in ("labels", "instances", "pixel"):
        assert len(getattr(out, name)) == len(out)
        np.testing.assert_array_equal(getattr(out, name)[:count], getattr(cloud, name))
    assert out.points.dtype == np.float32
    assert out.labels.dtype == out.rows.dtype == np.int64


def test_points_outside_the_image_count_for_its_edge():
    above, below = at(-2.0, 5.5, 10.0), at(ROWS + 0.5, 7.5, 10.0)
    between = RangeInterpolation(ROWS, COLUMNS)
    assert len(between(cloud_of([above, at(0.5, 7.5, 10.0)], [1, 1]))) == 3
    assert len(between(cloud_of([at(ROWS - 0.5, 5.5, 10.0), below], [1, 1]))) == 3


@pytest.mark.parametrize("options", [{"rows": 0}, {"columns": 2}, {"up_deg": -30.0}])
def test_images_that_are_none_are_refused(options):
    with pytest.raises(InputError, match="range image"):
        RangeInterpolation(**options)

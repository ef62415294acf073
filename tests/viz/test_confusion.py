"""The picture and the table of a confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest

from perception.callbacks.confusion import class_rows, class_table
from perception.taxonomy import ADE20K, CAMVID
from perception.viz.confusion import EMPTY, draw_confusion

NAMES, COLORS = ("road", "sky", "car"), ((128, 64, 128), (70, 130, 180), (255, 255, 255))


def cells(picture: np.ndarray, count: int, cell: int) -> np.ndarray:
    """Colour of a corner of each cell, found from the lower right end of the grid."""
    grid = np.zeros((count, count, 3), int)
    filled = (picture != 255).any(axis=2)
    top = next(y for y in range(picture.shape[0]) if filled[y].sum() > count * cell * 0.85)
    left = next(x for x in range(picture.shape[1]) if filled[top : top + cell - 1, x].all())
    left = next(x for x in range(left, picture.shape[1]) if filled[top : top + count * cell, x].mean() > 0.9)
    for row in range(count):
        for column in range(count):
            grid[row, column] = picture[top + row * cell + 2, left + column * cell + 2]
    return grid


def test_hits_are_blue_errors_orange_and_rows_are_shares() -> None:
    matrix = np.array([[50, 50, 0], [0, 0, 0], [0, 0, 3]])
    grid = cells(draw_confusion(matrix, NAMES, COLORS), 3, 40)
    assert (grid[0, 2] == EMPTY).all()
    assert (grid[1] == EMPTY).all()  # a class without pixels
    assert grid[0, 0][2] > grid[0, 0][0]
    assert grid[0, 1][0] > grid[0, 1][2]
    assert grid[2, 2].sum() < grid[0, 0].sum()  # all of three pixels are darker than half of a hundred
    scaled = cells(draw_confusion(matrix * 1000, NAMES, COLORS), 3, 40)
    assert (scaled == grid).all()


def test_many_classes_fit() -> None:
    picture = draw_confusion(np.eye(150, dtype=int), ADE20K.classes, ADE20K.colors, "x" * 500)
    assert picture.shape[0] < 2200
    assert picture.dtype == np.uint8
    with pytest.raises(ValueError, match=r"matrix is \(3, 3\) but there are 11 names"):
        draw_confusion(np.eye(3), CAMVID.classes, CAMVID.colors)


def test_rows_of_the_table() -> None:
    matrix = np.array([[6, 2, 0], [1, 1, 0], [0, 0, 0]])
    rows = class_rows(matrix, NAMES)
    assert [row["class"] for row in rows] == ["road", "sky"]
    assert rows[0] == {
        "class": "road",
        "iou": pytest.approx(6 / 9, abs=1e-6),
        "precision": pytest.approx(6 / 7, abs=1e-6),
        "recall": 0.75,
        "share": 0.8,
    }
    only_predicted = class_rows(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]]), NAMES)[1]
    assert (only_predicted["recall"], only_predicted["iou"]) == (None, 0.0)
    assert class_table(rows).row_count == 2

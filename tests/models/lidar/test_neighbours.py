from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_points import needs_cuda

from perception.errors import InputError
from perception.geometry.neighbours import nearest_neighbours
from perception.models.lidar.neighbours import batch_neighbours, neighbours_by_distance

CLOUDS = st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(0, 2**31), st.booleans())


def _cloud(points: int, seed: int, repeated: bool) -> np.ndarray:
    random = np.random.default_rng(seed)
    cloud = random.normal(size=(points, 4)).astype(np.float32) * 20
    if repeated and points:
        cloud = cloud[random.integers(0, max(points // 4, 1), points)]  # several points at the same place
    return cloud


@settings(max_examples=80, deadline=None)
@given(CLOUDS)
def test_tree_and_distances_find_the_nearest(case: tuple[int, int, int, bool]) -> None:
    size, count, seed, repeated = case
    cloud = _cloud(size, seed, repeated)
    distance = np.linalg.norm(cloud[:, None, :3].astype(np.float64) - cloud[None, :, :3], axis=2)
    for rows in (nearest_neighbours(cloud, count), neighbours_by_distance(torch.from_numpy(cloud), count).numpy()):
        assert rows.shape == (size, count + 1)
        assert rows.dtype == np.int64
        found = min(count + 1, size)
        np.testing.assert_array_equal(rows[:, 0], np.arange(size))
        np.testing.assert_array_equal(rows[:, found:], np.repeat(np.arange(size)[:, None], count + 1 - found, axis=1))
        assert all(len(set(row)) == found for row in rows[:, :found].tolist())
        taken = np.sort(np.take_along_axis(distance, rows[:, :found], axis=1), axis=1) if size else distance[:, :0]
        np.testing.assert_allclose(taken, np.sort(distance, axis=1)[:, :found], atol=1e-3)


def test_neighbours_are_of_the_same_cloud() -> None:
    points = torch.from_numpy(_cloud(60, 1, False))
    cloud = torch.repeat_interleave(torch.tensor([0, 2, 3]), torch.tensor([40, 1, 19]))
    rows = batch_neighbours(points, cloud, 4, 5)
    assert (cloud[rows] == cloud[:, None]).all()
    assert rows[40].tolist() == [40] * 6
    np.testing.assert_array_equal(rows[:40], nearest_neighbours(points[:40].numpy(), 5))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        nearest_neighbours(np.zeros((3, 3)), -1)
    with pytest.raises(InputError, match="finite"):
        nearest_neighbours(np.full((3, 3), np.nan), 1)


@pytest.mark.gpu
@needs_cuda
def test_gpu_finds_what_the_tree_finds() -> None:
    points = torch.from_numpy(_cloud(3000, 2, False))
    cloud = torch.zeros(3000, dtype=torch.int64)
    expected = batch_neighbours(points, cloud, 1, 8)
    assert (batch_neighbours(points.cuda(), cloud.cuda(), 1, 8).cpu() == expected).float().mean() > 0.999

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_points import point_batch

from perception.geometry.voxels import voxel_means
from perception.models.lidar.voxels import merge_seen, merge_voxels
from perception.types import PointBatch


def test_points_of_a_voxel_become_their_mean() -> None:
    batch = point_batch(300, 0, 200, extent_m=3.0)
    merged, rows = merge_voxels(batch, 1.0)
    assert merged.clouds == 3
    assert (merged.cloud[1:] >= merged.cloud[:-1]).all()
    voxels = {}
    for row, (point, cloud) in enumerate(zip(batch.points, batch.cloud.tolist(), strict=True)):
        voxels.setdefault((cloud, *point[:3].floor().int().tolist()), []).append(row)
    assert len(merged.points) == len(voxels) < 500
    for members in voxels.values():
        (into,) = rows[members].unique().tolist()
        torch.testing.assert_close(merged.points[into], batch.points[members].mean(0))
        assert merged.cloud[into] == batch.cloud[members[0]]


def test_far_points_and_empty_batches_survive() -> None:
    points = torch.tensor([[1e12, 0, 0, 0, 0], [-1e12, 0, 0, 0, 0], [2e12, 0, 0, 0, 0]])
    merged, rows = merge_voxels(PointBatch(points, torch.zeros(3, dtype=torch.int64), 1), 0.1)
    assert rows.tolist() == [1, 0, 1]
    assert len(merged.points) == 2
    merged, rows = merge_voxels(point_batch(0, 0), 0.1)
    assert merged.points.shape == (0, 5)
    assert len(rows) == 0


def test_unseen_points_do_not_dilute_camera_features() -> None:
    features = torch.tensor([[2.0, 4.0], [0.0, 0.0], [4.0, 0.0], [0.0, 0.0]])
    merged = merge_seen(features, torch.tensor([0, 0, 0, 1]), 2)
    assert merged.tolist() == [[3.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("voxel_m", [0.1, 0.37])
def test_numpy_merges_as_torch_does(voxel_m: float) -> None:
    batch = point_batch(2000, extent_m=4.0)
    merged, rows = merge_voxels(batch, voxel_m)
    means, own = voxel_means(batch.points.numpy(), voxel_m)
    np.testing.assert_array_equal(own, rows.numpy())
    np.testing.assert_allclose(means, merged.points.numpy(), atol=1e-5)
    assert means.dtype == np.float32
    assert len(means) < 2000
    assert voxel_means(np.zeros((0, 5), np.float32), voxel_m)[0].shape == (0, 5)

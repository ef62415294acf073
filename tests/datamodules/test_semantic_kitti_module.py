"""The data module of SemanticKITTI, by one training step and one evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_kitti import write_kitti_sequence

from perception.datamodules import SemanticKittiDataModule
from perception.datamodules.lidar import PointDataModule
from perception.errors import InputError
from perception.tasks import LidarSegmentation

SMALL = {"batch_size": 2, "num_workers": 0}
MIXED = {"frustum_mix": 1.0, "polar_mix": 1.0, "laser_mix": 1.0, "instance_copy": 1.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("00", "04"):
        write_kitti_sequence(tmp_path, name, scans=2, points=300)
    write_kitti_sequence(tmp_path, "08", scans=2, points=200)
    (tmp_path / "sequences/08/velodyne/000001.bin").write_bytes(b"")
    (tmp_path / "sequences/08/labels/000001.label").write_bytes(b"")
    return tmp_path


def test_a_step_on_mixed_clouds_and_an_evaluation_of_every_point(root: Path) -> None:
    data: PointDataModule = SemanticKittiDataModule(str(root), train_sequences=["00", "04"], **MIXED, **SMALL)
    data.setup("fit")
    torch.manual_seed(0)
    task = LidarSegmentation("frnet_nano", "semantic_kitti")
    assert task.model.label_set == data.label_set
    batch = next(iter(data.train_dataloader()))
    assert batch.clouds == 2
    assert {int(label) for label in batch.labels.unique()} <= {*range(19), 255}
    assert any((rows == -1).any() for rows in batch.rows)
    task.train()
    outputs = task.model(batch)["lidar"]
    assert outputs.shape == (len(batch.points), 19)
    torch.nn.functional.cross_entropy(outputs, batch.labels, ignore_index=255).backward()
    task.eval()
    for batch, count in zip(data.val_dataloader(), (200, 0), strict=True):
        with torch.inference_mode():
            found = task.evaluate(batch)["lidar"]
            task.val_metrics.update(found, batch.labels, batch.points)
        assert len(found) == batch.file_rows[0] == count
        np.testing.assert_array_equal(batch.rows[0], np.arange(count))
    assert np.isfinite(float(task.val_metrics.compute()["lidar/miou"]))


def test_evaluation_is_not_augmented(root: Path) -> None:
    data = SemanticKittiDataModule(str(root), max_points=10, jitter_m=1.0, **MIXED, **SMALL)
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    raw = np.fromfile(root / "sequences/08/velodyne/000000.bin", np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(batch.points[:, :4].numpy(), raw)
    assert batch.tokens == ["08/000000"]


def test_missing_sequences_are_named_at_setup(root: Path) -> None:
    with pytest.raises(InputError, match="needs sequence 01"):
        SemanticKittiDataModule(str(root), **SMALL).setup("fit")
    with pytest.raises(InputError, match="unknown split"):
        SemanticKittiDataModule(str(root), test_split="tests", **SMALL).setup("test")

"""Training, testing and submitting a LiDAR network through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_points import point_batch

from perception.cli import main
from perception.datamodules import LidarSegDataModule
from perception.errors import InputError
from perception.submissions.lidarseg import lidarseg_path
from perception.submissions.point_labels import rows_to_file
from perception.tasks.lidar import LidarSegmentation, turned
from perception.transforms.points_interpolation import RangeInterpolation

CONFIG = Path(__file__).parents[2] / "configs" / "world" / "lidar_frnet_nano.yaml"
SMALL = "{grid: [16, 48], encoder: [8, 8, 8], embedding: 8, stem: [8, 8, 8], channels: [8, 8], blocks: [1, 1], " \
    "strides: [1, 2], join: [8, 8], join_kernels: [3, 3]}"  # fmt: skip


def arguments(world: Path, run: Path) -> list[str]:
    summary = f"[{{class_path: perception.callbacks.RunSummary, init_args: {{folder: {run}}}}}]"
    return [
        "--config", str(CONFIG), "--data.root", str(world), "--data.num_workers", "0", "--data.batch_size", "2",
        "--model.model_options", SMALL, "--trainer.default_root_dir", str(run), "--trainer.logger", "false",
        "--trainer.callbacks", summary, "--trainer.precision", "32-true",
    ]  # fmt: skip


def test_fit_test_and_official_submission(
    tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    base = arguments(tiny_world, run)
    assert main(["fit", *base, "--trainer.max_time", "null", "--trainer.max_epochs", "1",
                 "--trainer.check_val_every_n_epoch", "1", "--trainer.enable_checkpointing", "true"]) == 0  # fmt: skip
    checkpoint = next(run.rglob("*.ckpt"))
    capsys.readouterr()
    assert main(["test", *base, "--ckpt_path", str(checkpoint), "--model.tta", "true", "--official"]) == 0
    official = json.loads((run / "official" / "official.json").read_text())
    measured = json.loads((run / "metrics_test.json").read_text())
    assert "test/tta/lidar/miou" in measured
    assert measured["test/lidar/miou"] == pytest.approx(official["lidarseg"]["miou"], abs=1e-6)

    assert main(["predict", *base, "--ckpt_path", str(checkpoint), "--format", "nuscenes"]) == 0
    for file in (run / "submission" / "lidarseg" / "val").iterdir():
        token = file.name.removesuffix("_lidarseg.bin")
        again = lidarseg_path(run / "official", "val", token)
        assert file.read_bytes() == again.read_bytes()


def test_a_camera_model_is_refused() -> None:
    with pytest.raises(InputError, match="takes pictures"):
        LidarSegmentation("multitask_resnet18_slim", "road_scene")
    with pytest.raises(InputError, match="3 class_weights for 16 classes"):
        LidarSegmentation("frnet_nano", class_weights=[1.0, 2.0, 3.0])


def test_turned_clouds_keep_their_distances() -> None:
    batch = point_batch(30, 20)
    for degrees, mirrored in ((90.0, False), (180.0, True), (37.0, True)):
        moved = turned(batch, degrees, mirrored)
        wanted = torch.cdist(batch.points[:, :3].double(), batch.points[:, :3].double())
        found = torch.cdist(moved.points[:, :3].double(), moved.points[:, :3].double())
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(turned(batch, 0.0).points, batch.points)
    x, y = batch.points[:, 0], batch.points[:, 1]
    torch.testing.assert_close(turned(batch, 90.0).points[:, :2], torch.stack([-y, x], 1), atol=1e-5, rtol=1e-5)


def test_every_row_of_the_file_gets_a_label() -> None:
    found = np.array([4, 2, 2, 9], np.uint8)
    labels = rows_to_file(found, np.array([0, 2, 5, -1]), 7)
    assert labels.tolist() == [4, 2, 2, 2, 2, 2, 2]
    assert rows_to_file(np.zeros(0, np.uint8), np.zeros(0, np.int64), 3).tolist() == [0, 0, 0]


def test_interpolated_points_train_and_count_for_nothing(tiny_world: Path) -> None:
    options: dict = {"num_workers": 0, "batch_size": 2, "flip": 0.0, "rotation_deg": 0.0, "scale": (1.0, 1.0)}
    plain = LidarSegDataModule(str(tiny_world), **options)
    filled = LidarSegDataModule(str(tiny_world), range_interpolation=RangeInterpolation(), **options)
    for data in (plain, filled):
        data.setup("fit")
    for stage, counts in (("train", True), ("val", False)):
        before, after = plain.datasets[stage][0], filled.datasets[stage][0]
        own = after.rows >= 0
        assert 0.01 * len(before) < (~own).sum() < len(before)
        np.testing.assert_array_equal(after.points[own], before.points)
        assert (after.labels[~own] != 255).any() == counts

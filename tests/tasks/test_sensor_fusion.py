"""Training camera heads and points together, each alone, and measuring what lost cameras cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_fusion import NAME, SMALL, paired
from tiny_points import point_batch

from perception.cli import main
from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.tasks.sensor_fusion import SensorFusion, at_size
from perception.types import Batch

CONFIG = Path(__file__).parents[2] / "configs" / "world" / "multitask_lidar_resnet18_slim_225x400.yaml"


def arguments(world: Path, run: Path) -> list[str]:
    summary = f"[{{class_path: perception.callbacks.RunSummary, init_args: {{folder: {run}}}}}]"
    return [
        "--config", str(CONFIG), "--data.root", str(world), "--data.num_workers", "0", "--data.size", "[64,96]",
        "--model.model_options", json.dumps(SMALL), "--trainer.default_root_dir", str(run), "--trainer.logger", "false",
        "--trainer.callbacks", summary, "--trainer.precision", "32-true", "--trainer.max_time", "null",
        "--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1",
    ]  # fmt: skip


def batch(points: int = 200) -> Batch:
    images = torch.rand(4, 3, 32, 48)
    return Batch(
        images, ["a"] * 4, semantic=torch.randint(0, 20, (4, 32, 48)), drivable=torch.randint(0, 2, (4, 32, 48)),
        lane=torch.randint(0, 2, (4, 32, 48)), views=2, lidar=paired(points, points, images=4, size=(32, 48)),
    )  # fmt: skip


def task(**options) -> SensorFusion:
    torch.manual_seed(0)
    return SensorFusion(NAME, "road_scene", model_options=SMALL, balance="fixed", **options)


def test_fit_and_test_on_a_rig(rig_world: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = arguments(rig_world, tmp_path / "run")
    assert main(["fit", *base]) == 0, capsys.readouterr().err
    checkpoint = next((tmp_path / "run").rglob("*.ckpt"))
    assert main(["test", *base, "--ckpt_path", str(checkpoint)]) == 0
    measured = json.loads((tmp_path / "run" / "metrics_test.json").read_text())
    for key in ("semantic/miou", "drivable/iou", "lane/iou", "detection/map50", "lidar/miou", "no_camera/lidar/miou"):
        assert 0 <= measured[f"test/{key}"] <= 1
    assert main(["predict", *base, "--ckpt_path", str(checkpoint), "--format", "nuscenes"]) == 0
    folder = tmp_path / "run" / "submission"
    labels = next((folder / "lidarseg" / "val").glob("*_lidarseg.bin"))
    assert set(np.fromfile(labels, np.uint8)) <= set(range(1, 17))
    assert json.loads((folder / "val" / "submission.json").read_text())["meta"]["use_lidar"] is True
    assert json.loads((folder / "results_nusc.json").read_text())["meta"]["use_camera"] is True


def test_each_part_trains_alone() -> None:
    points = task(freeze=["backbone", "neck", "semantic", "drivable", "lane", "detection"], camera_dropout=0.0)
    points.train()
    points.frozen()
    outputs = points.forward_batch(batch(), batch().image)
    assert set(outputs) == {"lidar", "lidar_aux"}
    losses = points.losses(outputs, batch())
    assert set(losses) == {"lidar"}
    losses["lidar"].backward()
    trained = {name.split(".")[0] for name, p in points.model.named_parameters() if p.grad is not None}
    assert trained == {"lidar"}

    cameras = task(freeze=["lidar"])
    cameras.train()
    cameras.frozen()
    sample = batch()
    sample.lidar = None
    assert set(cameras.losses(cameras.forward_batch(sample, sample.image), sample)) == {"semantic", "drivable", "lane"}


def test_lost_cameras_in_training() -> None:
    every = task(camera_dropout=1.0)._lose_cameras(batch().lidar, 2)
    assert (every.image == -1).all()
    torch.manual_seed(0)
    some, whole, single, none = task(camera_dropout=0.4), 0, 0, 0
    for _ in range(400):
        before = batch(30).lidar
        after = some._lose_cameras(before, 2).image
        for cloud in range(2):
            own = before.cloud == cloud
            views = {int(v) for v in after[own].unique() if v >= 0}
            whole += not views
            single += len(views) == 1
            none += len(views) == 2
        assert ((after == before.image) | (after == -1)).all()
    assert whole / 800 == pytest.approx(0.4, abs=0.06)
    assert single / 800 == pytest.approx(0.6 * 0.2, abs=0.05)


def test_pixels_follow_resized_images() -> None:
    sample = batch()
    moved = at_size(sample, torch.empty(4, 3, 64, 24))
    torch.testing.assert_close(moved.pixel, sample.lidar.pixel * torch.tensor([0.5, 2.0]))
    assert at_size(sample, sample.image) is sample.lidar


def test_both_parts_start_from_what_was_trained_alone(tmp_path: Path) -> None:
    camera = create_model("multitask_resnet18_slim", **{k: v for k, v in SMALL.items() if k != "lidar_options"})
    lidar = create_model("frnet_nano", **SMALL["lidar_options"])
    save(camera, tmp_path / "camera")
    save(lidar, tmp_path / "lidar")
    started = task(init_from=str(tmp_path / "camera"), init_lidar_from=str(tmp_path / "lidar"))
    own = started.model.state_dict()
    for name, value in camera.state_dict().items():
        torch.testing.assert_close(own[name], value)
    for name, value in lidar.state_dict().items():
        torch.testing.assert_close(own[f"lidar.{name}"], value)
    save(started.model, tmp_path / "both")
    again = task(init_lidar_from=str(tmp_path / "both"))
    for name, value in again.model.lidar.state_dict().items():
        torch.testing.assert_close(value, own[f"lidar.{name}"])


def test_what_does_not_fit_is_refused(tiny_world: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(InputError, match="takes no points"):
        SensorFusion("multitask_resnet18_slim", "road_scene")
    with pytest.raises(InputError, match="not a probability"):
        SensorFusion(NAME, "road_scene", camera_dropout=1.5)
    base = [*arguments(tiny_world, tmp_path), "--data.group_cameras", "false", "--data.cameras", "[CAM_FRONT]"]
    assert main(["fit", *base, "--data.lidar", "null"]) == 2
    assert "reads no LiDAR" in capsys.readouterr().err


def test_an_empty_cloud_stops_nothing() -> None:
    sample = batch()
    empty = point_batch(0, 0)
    sample.lidar = paired(0, 0, images=4, size=(32, 48)) if len(empty.points) == 0 else empty
    trained = task().train()
    losses = trained.losses(trained.forward_batch(sample, sample.image), sample)
    assert all(torch.isfinite(loss) for loss in losses.values())

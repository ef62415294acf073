from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch.utils.data import DataLoader, Dataset

from perception.callbacks import PointPictures
from perception.callbacks.point_pictures import wandb_scene
from perception.datasets.nuscenes_lidar import LIDAR, read_sweep
from perception.datasets.nuscenes_points import point_view
from perception.datasets.nuscenes_tables import open_tables
from perception.errors import InputError
from perception.geometry.boxes import box_corners
from perception.taxonomy import LIDARSEG
from perception.types import Batch, PointBatch
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_view import PointView

CAR, ROAD = LIDARSEG.index("car"), LIDARSEG.index("driveable_surface")


class Always(pl.LightningModule):
    """Calls every point driveable surface."""

    def evaluate(self, batch: PointBatch | Batch) -> dict[str, torch.Tensor]:
        lidar = batch if isinstance(batch, PointBatch) else batch.lidar
        assert lidar is not None
        return {"lidar": torch.full((len(lidar.points),), ROAD, dtype=torch.uint8)}

    def validation_step(self, batch: PointBatch | Batch, batch_idx: int) -> None: ...


def cloud(number: int) -> PointBatch:
    """Two clouds: one point ahead of the sensor, of an earlier sweep another, and one that is not finite."""
    points = torch.tensor([[0.0, 10, 0, 0.5, 0], [0, 20, 0, 0.5, 0.05], [torch.nan, 0, 0, 0, 0], [5, 5, 0, 0.5, 0]])
    labels = torch.tensor([CAR, 255, 255, ROAD])
    return PointBatch(points, torch.tensor([0, 0, 0, 1]), 2, labels=labels, names=[f"cloud {number}", "other"])


def trainer_of(tmp_path: Path, callback: pl.Callback, loggers: Any = False) -> pl.Trainer:
    return pl.Trainer(accelerator="cpu", logger=loggers, callbacks=[callback], default_root_dir=tmp_path,
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip


def loader_of(batches: list[Any]) -> DataLoader:
    return DataLoader(batches, batch_size=None)


class Spy(PointPictures):
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.drawn = list(self.views)
        super().on_validation_epoch_end(trainer, pl_module)


def test_clouds_are_spread_and_turned_to_look_ahead(tmp_path: Path) -> None:
    callback = Spy(count=2, folder=str(tmp_path), side_px=120)
    trainer_of(tmp_path, callback).validate(Always(), loader_of([cloud(i) for i in range(6)]), verbose=False)
    assert [view.name for view in callback.drawn] == ["cloud 0", "cloud 3"]
    view = callback.drawn[0]
    assert view.points.tolist() == [[10, 0, 0]]  # y of the sensor is ahead
    assert view.labels is not None
    assert view.predictions is not None
    assert (view.labels.tolist(), view.predictions.tolist()) == ([CAR], [ROAD])
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["lidar_0.png", "lidar_1.png"]


def test_kitti_looks_along_x_and_batches_of_cameras_carry_clouds(tmp_path: Path) -> None:
    callback = Spy(count=1, ahead="x", side_px=120)
    batch = Batch(torch.zeros(1, 3, 4, 4), ["image"], lidar=cloud(0))
    trainer_of(tmp_path, callback).validate(Always(), loader_of([batch]), verbose=False)
    assert callback.drawn[0].points.tolist() == [[0, 10, 0]]
    batch.lidar = None
    trainer_of(tmp_path, callback).validate(Always(), loader_of([batch]), verbose=False)
    assert callback.drawn == []


def test_only_every_other_validation_draws(tmp_path: Path) -> None:
    callback = Spy(count=1, every=2, side_px=120)
    drawn = []
    for _ in range(4):
        trainer_of(tmp_path, callback).validate(Always(), loader_of([cloud(0)]), verbose=False)
        drawn.append(len(callback.drawn))
    assert drawn == [1, 0, 1, 0]


def test_tables_bring_boxes_and_the_ego_frame(tiny_world: Path, tmp_path: Path) -> None:
    tables = open_tables(tiny_world, "v1.0-mini")
    record = tables.sample[3]
    token = record["data"][LIDAR]
    sweep = torch.from_numpy(read_sweep(tiny_world, tables, token).copy())
    sweep[:, 4] = 0

    class Clouds(Dataset):
        def __init__(self) -> None:
            self.tables = tables

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> PointBatch:
            return PointBatch(sweep, torch.zeros(len(sweep), dtype=torch.int64), 1, tokens=[token])

    callback = Spy(count=1, side_px=120)
    trainer_of(tmp_path, callback).validate(Always(), DataLoader(Clouds(), batch_size=None), verbose=False)
    expected = point_view(tables, record)
    assert callback.drawn[0].points == pytest.approx(expected.points, abs=1e-4)
    assert [box.name for box in callback.drawn[0].boxes] == [box.name for box in expected.boxes]
    assert callback.drawn[0].boxes[0].corners == pytest.approx(expected.boxes[0].corners)


def test_wandb_and_tensorboard_get_pictures_and_clouds(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    loggers = [WandbLogger(save_dir=tmp_path, offline=True), TensorBoardLogger(tmp_path)]
    trainer = trainer_of(tmp_path, PointPictures(count=1, side_px=120), loggers)
    trainer.validate(Always(), loader_of([cloud(0)]), verbose=False)
    wandb.finish()
    files = sorted(path.name for path in (tmp_path / "wandb").glob("offline-run-*/files/media/object3D/val/*.json"))
    assert [name.rsplit("_", 2)[0] for name in files] == ["lidar_0_error", "lidar_0_prediction"]
    assert list((tmp_path / "wandb").glob("offline-run-*/files/media/images/val/lidar_0_*.png"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = next(tmp_path.rglob("events.out.tfevents.*"))
    assert "val/lidar_0" in EventAccumulator(str(events)).Reload().Tags()["images"]


def test_a_scene_for_wandb_has_coloured_points_and_boxes(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    box = Box3D(box_corners(np.array([9.0, 1, 1]), np.array([4.0, 2, 1]), 0.5), 0, "car")
    view = PointView(np.array([[1.234, 5, 6]]), np.zeros(1), predictions=np.array([CAR]), boxes=[box])
    wandb.Object3D(wandb_scene(view, "prediction"))
    scene = wandb_scene(view, "prediction")
    assert scene["points"].tolist() == [[1.23, 5, 6, *LIDARSEG.colors[CAR]]]
    reference = wandb.box3d(center=(9, 1, 1), size=(4, 2, 1), orientation=(np.cos(0.25), 0, 0, np.sin(0.25)),
                            color=(1, 158 / 255, 0), label="car")  # fmt: skip
    written = json.loads(json.dumps(scene["boxes"][0]))
    assert (written["label"], written["color"]) == ("car", list(reference["color"]))
    assert np.array(written["corners"]) == pytest.approx(np.array(reference["corners"]), abs=0.006)


def test_bad_counts_are_said() -> None:
    with pytest.raises(InputError, match="at least 1"):
        PointPictures(count=0)
    with pytest.raises(InputError, match="unknown label set"):
        PointPictures(label_set="mnist")

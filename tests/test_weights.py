"""Weights in the repository: small, described, and what their cards say they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import perception
from perception.geometry.size import enlarge
from perception.runtime.engine import TorchEngine
from perception.runtime.plan import uniform_plan

WEIGHTS = Path(__file__).parents[1] / "weights"
FOLDERS = sorted(path for path in WEIGHTS.iterdir() if path.is_dir())


def test_all_of_them_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 10e6


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_has_a_card(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for said in ("**Data.**", "licence", "**Training.**", "Seed", "steps", "**Figures**", "perception "):
        assert said in card


@pytest.mark.parametrize(
    ("name", "scales"),
    [("world_ladder", (0.25, 0.32, 0.4, 0.5, 0.7)), ("world_nano", (0.25, 0.32, 0.4, 0.5, 0.7, 1.0))],
)
def test_the_ladders_weights_know_a_road_at_every_scale(name: str, scales: tuple[float, ...], tiny_world: Path) -> None:
    from perception.datasets.nuscenes import NuScenesDataset

    model = perception.load(WEIGHTS / name)
    assert model.scales == scales
    sample = NuScenesDataset(tiny_world, split="all").read(0)
    picture = sample.image.permute(1, 2, 0).numpy().repeat(4, axis=0).repeat(4, axis=1)
    engine = TorchEngine(model, "cpu", "fp32")
    road = np.asarray(sample.drivable)
    for scale in (0.25, 0.5, 0.7):
        plan = uniform_plan((round(384 * scale), round(640 * scale)))
        found = engine(picture, plan).drivable
        assert found is not None
        agreement = (enlarge(found, road.shape) == road).mean()
        assert agreement > 0.75, f"scale {scale}"


def test_the_lidar_weights_know_the_world(tiny_world: Path) -> None:
    from perception.datamodules.collate_points import collate_points
    from perception.datasets.nuscenes_lidarseg import NuScenesLidarDataset
    from perception.metrics.lidar import LidarMetrics

    model = perception.load(WEIGHTS / "world_lidar")
    metrics = LidarMetrics(model.label_set)
    for cloud in (NuScenesLidarDataset(tiny_world, split="all")[i] for i in (0, 5, 11)):
        batch = collate_points([cloud])
        with torch.inference_mode():
            found = model(batch)["lidar"].argmax(dim=1)
        metrics.update(found, batch.labels, batch.points)
    values = metrics.compute()
    assert values["lidar/iou_driveable_surface"] > 0.95
    assert values["lidar/iou_car"] > 0.7
    assert values["lidar/miou"] > 0.5

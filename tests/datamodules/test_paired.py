"""Images with the LiDAR cloud of their keyframe: pixels show what the points' labels say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perception.datamodules import MixedDataModule, NuScenesDataModule
from perception.datamodules.paired import PointOptions
from perception.errors import InputError
from perception.taxonomy import LIDARSEG, ROAD_SCENE
from perception.types import Batch

RIG = ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT"]
SAME = {"car": "car", "driveable_surface": "road", "sidewalk": "sidewalk", "manmade": "building"}
OPTIONS = {"num_workers": 0, "batch_size": 2, "jitter": 0.0}


def agreement(batch: Batch) -> float:
    """Share of the points of some classes whose pixel shows the same, or for the road what is painted on it."""
    lidar = batch.lidar
    assert lidar is not None
    assert lidar.image is not None
    assert lidar.labels is not None
    assert batch.semantic is not None
    seen = lidar.image >= 0
    x, y = lidar.pixel[seen].long().T
    shown = batch.semantic[lidar.image[seen], y.clamp(max=batch.semantic.shape[1] - 1), x.clamp(
        max=batch.semantic.shape[2] - 1)]  # fmt: skip
    labels = lidar.labels[seen]
    right, total = 0, 0
    for name, other in SAME.items():
        chosen = (labels == LIDARSEG.index(name)) & (shown != 255)
        allowed = [i for i, known in enumerate(ROAD_SCENE.classes) if known == other or (
            name == "driveable_surface" and known in ("lane_marking", "crosswalk"))]  # fmt: skip
        right += int(torch.isin(shown[chosen], torch.tensor(allowed)).sum())
        total += int(chosen.sum())
    assert total > 500
    return right / total


def test_pixels_show_the_class_of_their_point(rig_world: Path) -> None:
    torch.manual_seed(0)
    data = NuScenesDataModule(
        str(rig_world), cameras=RIG, group_cameras=True, lidar=PointOptions(), size=[80, 144], scale=(0.8, 1.5),
        **OPTIONS,
    )  # fmt: skip
    data.setup("fit")
    for batch in data.train_dataloader():
        assert batch.views == 6
        assert batch.lidar.clouds == 2
        assert batch.lidar.sample_tokens == batch.sample_tokens[::6]
        assert agreement(batch) > 0.9
        # each cloud takes images of its own sample
        known = batch.lidar.image >= 0
        assert (batch.lidar.image[known] // 6 == batch.lidar.cloud[known]).all()
    batch = next(iter(data.val_dataloader()))
    assert agreement(batch) > 0.9
    turned = torch.linalg.norm(batch.lidar.points[:, :2], dim=1)
    assert float((batch.lidar.image >= 0)[turned > 5].float().mean()) > 0.4  # six cameras see most of the turn


def test_one_camera_sees_its_share(tiny_world: Path) -> None:
    data = NuScenesDataModule(str(tiny_world), lidar=PointOptions(neighbours=3), size=[96, 160], **OPTIONS)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    assert batch.views == 1
    assert batch.lidar.neighbours.shape == (len(batch.lidar.points), 4)
    seen = batch.lidar.image == 0
    assert (batch.lidar.points[seen, 1] > 0).all()  # the LiDAR's y axis points ahead
    assert 0.02 < float(seen.float().mean()) < 0.4
    assert agreement(batch) > 0.9
    moved = batch.to("cpu")
    assert isinstance(moved.lidar, type(batch.lidar))


def test_points_keep_their_pixels_through_augmentation(tiny_world: Path) -> None:
    plain = NuScenesDataModule(str(tiny_world), lidar=PointOptions(flip=0, rotation_deg=0, scale=(1, 1)),
                               size=[96, 160], scale=(1.0, 1.0), flip=0.0, **OPTIONS)  # fmt: skip
    turned = NuScenesDataModule(str(tiny_world), lidar=PointOptions(flip=1.0, rotation_deg=180),
                                size=[96, 160], scale=(1.0, 1.0), flip=1.0, **OPTIONS)  # fmt: skip
    found = []
    for data in (plain, turned):
        data.setup("fit")
        found.append(data.items("train")[0][0][1])
    np.testing.assert_array_equal(found[0].view, found[1].view)
    seen = found[0].view >= 0
    np.testing.assert_allclose(found[1].pixel[seen, 0], 160 - found[0].pixel[seen, 0], atol=1e-3)
    np.testing.assert_allclose(found[1].pixel[seen, 1], found[0].pixel[seen, 1], atol=1e-3)
    assert not np.allclose(found[0].points[:, :2], found[1].points[:, :2], atol=1.0)


def test_what_does_not_fit_is_refused(tiny_world: Path) -> None:
    with pytest.raises(InputError, match="leave out sweeps or lidar"):
        NuScenesDataModule(str(tiny_world), sweeps=True, lidar=PointOptions())
    with pytest.raises(InputError, match="neighbours"):
        PointOptions(neighbours=-1)
    with pytest.raises(InputError, match="rotation_deg"):
        PointOptions(rotation_deg=200.0)
    mixed = MixedDataModule({"world": NuScenesDataModule(str(tiny_world), lidar=PointOptions(), size=[64, 64])})
    with pytest.raises(InputError, match="reads LiDAR"):
        mixed.setup("fit")

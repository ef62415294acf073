"""Cameras and LiDAR on one network: sampling against torch's own, and what a lost sensor changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_fusion import NAME, SMALL, SMALL_LIDAR, opened, paired
from tiny_points import point_batch, shuffle_norms

from perception import create_model
from perception.errors import InputError
from perception.models.checkpoint import load, save
from perception.models.fusion import sample_features, without_cameras


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 4, 8]), st.integers(0, 1000))
def test_sampling_is_bilinear(height, width, stride, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 5, height, width, generator=generator)
    lidar = paired(40, images=3, size=(height * stride, width * stride), seed=seed)
    found = sample_features(features, stride, lidar)
    scale = torch.tensor([width * stride, height * stride])
    grid = (lidar.pixel / scale * 2 - 1)[None, None].expand(3, -1, -1, -1)
    every = F.grid_sample(features, grid, padding_mode="border", align_corners=False)[:, :, 0]  # (3, 5, P)
    for point, image in enumerate(lidar.image.tolist()):
        wanted = torch.zeros(5) if image < 0 else every[image, :, point]
        torch.testing.assert_close(found[point], wanted, atol=1e-4, rtol=1e-4)


def test_broken_images_count_as_unseen() -> None:
    lidar = paired(60, images=2, size=(16, 16))
    features = torch.randn(2, 4, 4, 4)
    features[1] = torch.nan
    found = sample_features(features, 4, lidar)
    assert torch.isfinite(found).all()
    assert (found[lidar.image == 1] == 0).all()
    assert (found[lidar.image == 0] != 0).any()


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return opened(shuffle_norms(create_model(NAME, **SMALL))).eval()


def test_a_lost_sensor_leaves_the_other_as_it_is(model: Any) -> None:
    images = torch.rand(4, 3, 33, 50)
    lidar = paired(300, 200, images=4, size=(33, 50))
    with torch.no_grad():
        both, camera = model(images, lidar), model(images)
        for name in ("semantic", "drivable", "lane"):
            torch.testing.assert_close(both[name], camera[name], atol=0, rtol=0)
        alone = model.lidar(lidar)["lidar"]
        lost = model(images, without_cameras(lidar, torch.tensor([True, True])))["lidar"]
        torch.testing.assert_close(lost, alone)
        broken = model(torch.full_like(images, torch.nan), lidar)["lidar"]
        torch.testing.assert_close(broken, alone)
        half = model(images, without_cameras(lidar, torch.tensor([True, False])))["lidar"]
        assert not torch.allclose(both["lidar"], alone, atol=1e-4)
        torch.testing.assert_close(half[:300], alone[:300], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(half[300:], both["lidar"][300:], atol=1e-5, rtol=1e-5)
        assert model(images, point_batch(0))["lidar"].shape == (0, 16)
    assert model.decode(both)["lidar"].shape == (500,)


def test_points_train_the_camera_unless_detached() -> None:
    images = torch.rand(1, 3, 32, 48)
    lidar = paired(200, images=1, size=(32, 48))
    for detach in (False, True):
        torch.manual_seed(0)
        network = opened(create_model(NAME, **SMALL, detach=detach)).train()
        outputs = network(images, lidar, heads=False)
        assert set(outputs) == {"lidar", "lidar_aux"}
        outputs["lidar"].square().sum().backward()
        reached = any(p.grad is not None and p.grad.any() for p in network.backbone.parameters())
        assert reached is not detach


def test_the_camera_part_has_the_names_of_a_camera_model(model: Any, tmp_path: Any) -> None:
    camera = create_model("multitask_resnet18_slim", **{k: v for k, v in SMALL.items() if k != "lidar_options"})
    own = {name: value.shape for name, value in model.state_dict().items() if not name.startswith("lidar.")}
    assert own == {name: value.shape for name, value in camera.state_dict().items()}
    lidar = create_model("frnet_nano", image_channels=8, **SMALL_LIDAR)
    assert set(lidar.state_dict()) == set(model.lidar.state_dict())

    again = load(save(model, tmp_path / "saved"))
    images, points = torch.rand(2, 3, 32, 32), paired(100, images=2, size=(32, 32))
    with torch.no_grad():
        torch.testing.assert_close(again(images, points)["lidar"], model(images, points)["lidar"])


def test_without_fusion_no_camera_reaches_the_points() -> None:
    network = create_model(NAME, **SMALL, fusion=False).eval()
    assert network.lidar.image_gate is None
    lidar = paired(100, images=1, size=(32, 32))
    with torch.no_grad():
        first = network(torch.rand(1, 3, 32, 32), lidar)["lidar"]
        second = network(torch.rand(1, 3, 32, 32), lidar)["lidar"]
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    with pytest.raises(InputError, match="scales"):
        create_model(NAME, **SMALL, scales=[0.5, 1.0])

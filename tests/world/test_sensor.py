from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse, transform, yaw_rotation
from perception.types import Camera
from perception.world import build_scene, render_camera
from perception.world.mesh import Material, Surface
from perception.world.rig import FRONT, rig_camera
from perception.world.sensor import (
    FULL_WELL_E,
    IDEAL,
    READ_NOISE_E,
    READOUT_S,
    REAL,
    WHITE,
    exposure_error,
    image_motion,
    motion_blurred,
    row_times,
    sensor_model,
    shot_noise,
)  # fmt: skip
from perception.world.shapes import box

SIZE = (90, 160)
LEFT = Camera(
    rig_camera(FRONT, SIZE).intrinsics,
    SIZE,
    transform(
        np.array([1.0, 0.0, 1.5]), yaw_rotation(np.pi / 2) @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)
    ),
)
"""A camera that looks to the left, across the direction of travel."""


@pytest.mark.parametrize("gain", [1.0, 6.0])
@pytest.mark.parametrize("level", [0.02, 0.2, 1.5])
def test_noise_has_the_variance_of_its_electrons(gain: float, level: float) -> None:
    noisy = shot_noise(np.full((300, 300, 3), level, np.float32), gain, np.random.default_rng(0))
    per_electron = WHITE * gain / FULL_WELL_E
    expected = np.sqrt(level / per_electron + READ_NOISE_E**2) * per_electron
    assert noisy.std() == pytest.approx(expected, rel=0.01)
    assert noisy.mean() == pytest.approx(level, abs=4 * expected / np.sqrt(noisy.size))


def test_image_motion_is_that_of_a_moving_camera() -> None:
    camera = rig_camera(FRONT, SIZE)
    pixels = np.array([[20.0, 30.0], [80.0, 45.0], [150.0, 80.0]])
    depth = np.array([10.0, 10.0, 10.0])
    ahead = np.eye(4)
    ahead[2, 3] = -0.5  # the camera drives half a metre ahead
    motion = image_motion(camera, pixels, depth, ahead)
    assert motion == pytest.approx((pixels - [80, 45]) * (10 / 9.5 - 1), abs=1e-6)
    assert image_motion(camera, pixels, np.zeros(3), ahead) == pytest.approx(0, abs=1e-9)  # the sky stays
    turned = np.eye(4)
    angle = 0.01
    turned[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    middle = image_motion(camera, pixels[1:2], np.zeros(1), turned)[0]
    assert middle == pytest.approx([camera.focal_px * np.tan(angle), 0], abs=1e-6)


def test_blur_spreads_light_along_the_motion_and_keeps_its_sum() -> None:
    linear = np.zeros((15, 41, 3), np.float32)
    linear[:, 20] = 7.0
    motion = np.zeros((15, 41, 2))
    motion[:, :, 0] = 7.0
    blurred = motion_blurred(linear, motion)
    assert blurred[7, 17:24, 0] == pytest.approx(np.ones(7))
    assert blurred.sum() == pytest.approx(linear.sum(), rel=1e-6)
    assert motion_blurred(linear, np.zeros_like(motion)) is linear


def test_exposure_errors_are_slow_and_bounded() -> None:
    times = np.arange(0, 20, 0.1)
    stops = np.log2([exposure_error(REAL, 3, 0, float(t)) for t in times])
    assert np.abs(stops).max() <= REAL.exposure_error_ev
    assert np.ptp(stops) > 0.2
    assert np.abs(np.diff(stops)).max() < 0.1
    assert exposure_error(IDEAL, 3, 0, 1.0) == 1.0


def test_a_pole_leans_in_a_rolling_shutter_by_what_the_ego_drives() -> None:
    speed, distance, time_s = 20.0, 6.0, 1.0
    scene = build_scene(2, 0, 2.0, "clear", speed=lambda t: speed)
    pose = scene.global_from_ego(time_s) @ LEFT.ego_from_camera
    foot = apply(pose, np.array([[0.0, 0.0, distance]]))[0]
    pole = box((foot[0], foot[1], 0.0), (0.12, 0.12, 40.0)).mesh(Surface(Material.PLAIN, "pole"))
    bare = replace(scene, static=pole, actors=[], signals=[], _caches={})
    rolled = render_camera(bare, time_s, LEFT, sensor=sensor_model("ideal", True))
    still = render_camera(bare, time_s, LEFT)
    columns = [np.array([row.nonzero()[0].mean() for row in picture.depth_m > 0]) for picture in (rolled, still)]
    assert np.ptp(columns[1]) < 1
    lean = columns[0][-5:].mean() - columns[0][:5].mean()
    rows = (SIZE[0] - 5) / SIZE[0]
    assert abs(lean) == pytest.approx(speed * READOUT_S * rows / distance * LEFT.focal_px, rel=0.12)
    # Each row agrees with the projection from where the ego is when that row is exposed.
    for row, late in list(enumerate(row_times(LEFT)))[::8]:
        camera_from_global = inverse(scene.global_from_ego(time_s + float(late)) @ LEFT.ego_from_camera)
        ends, _ = project(LEFT, apply(camera_from_global, np.array([[foot[0], foot[1], z] for z in (0.0, 3.0)])))
        expected = np.interp(row + 0.5, ends[::-1, 1], ends[::-1, 0])
        assert columns[0][row] + 0.5 == pytest.approx(expected, abs=0.8)
    assert row_times(LEFT)[0] == pytest.approx(-READOUT_S / 2, rel=0.02)


def test_unknown_sensors_are_refused() -> None:
    with pytest.raises(InputError, match="use one of ideal, real"):
        sensor_model("perfect")


def test_effects_change_the_picture_but_not_its_labels() -> None:
    scene = build_scene(2, 1, 2.0, "night")
    ideal, real = (
        render_camera(scene, 0.5, rig_camera(FRONT, SIZE), sensor=sensor_model(n)) for n in ("ideal", "real")
    )
    assert not np.array_equal(ideal.image, real.image)
    for kind in ("semantic", "instance", "depth_m"):
        assert np.array_equal(getattr(ideal, kind), getattr(real, kind))

"""How far plans see, against the pinhole formula and against projected boxes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.runtime.plan import Window, fovea_plan, ladder, uniform_plan
from perception.runtime.sight import (
    assumed_camera,
    build_plans,
    make_fovea,
    pixels_ahead,
    seen_range_m,
    vanishing_point,
)
from perception.runtime.stopping import StoppingModel

CAMERA = assumed_camera((900, 1600))
STOPPING = StoppingModel()


def test_a_pinhole_sees_scale_times_focal_times_height_over_pixels() -> None:
    assert CAMERA.focal_px == pytest.approx(1266)
    for plan in ladder((900, 1600), (0.4, 0.5, 1.0)):
        scale = min(plan.size[0] / 900, plan.size[1] / 1600)
        assert seen_range_m(plan, CAMERA, STOPPING) == pytest.approx(scale * 1266 * 1.7 / 20, rel=1e-6)


def test_a_wide_lens_with_distortion_sees_what_it_magnifies() -> None:
    barrel = replace(CAMERA, model="brown_conrady", distortion=(-0.35, 0.1, 0.0, 0.0))
    # Straight ahead the lens magnifies as without distortion; off its axis less.
    assert seen_range_m(uniform_plan((900, 1600)), barrel, STOPPING) == pytest.approx(1266 * 1.7 / 20, rel=0.01)
    intrinsics = CAMERA.intrinsics.copy()
    intrinsics[1, 2] = 100  # the road lies 350 pixels below the axis
    pitch = math.atan(350 / 1266)
    turn = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    pose = CAMERA.ego_from_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ turn
    tilted = replace(CAMERA, intrinsics=intrinsics, ego_from_camera=pose)
    warped = replace(tilted, model="brown_conrady", distortion=(-0.35, 0.1, 0.0, 0.0))
    far, near = (seen_range_m(uniform_plan((900, 1600)), camera, STOPPING) for camera in (tilted, warped))
    assert near < 0.95 * far


def test_the_range_is_where_the_hazard_has_its_least_height() -> None:
    plan = uniform_plan((450, 800))
    range_m = seen_range_m(plan, CAMERA, STOPPING)
    assert pixels_ahead(CAMERA, range_m, STOPPING.hazard_height_m) / 2 == pytest.approx(STOPPING.min_height_px)


def test_the_vanishing_point_is_where_parallel_lines_meet() -> None:
    yaw = 0.05
    turn = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    pose = CAMERA.ego_from_camera.copy()
    pose[:3, :3] = pose[:3, :3] @ turn
    camera = replace(CAMERA, ego_from_camera=pose)
    far = np.array([[1e7, side, 0.0] for side in (-2.0, 2.0)])
    pixels, _ = project(camera, apply(inverse(pose), far))
    assert vanishing_point(camera) == pytest.approx(tuple(pixels.mean(axis=0)), abs=0.01)
    backwards = pose.copy()
    backwards[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ pose[:3, :3]
    with pytest.raises(InputError, match="looks ahead"):
        vanishing_point(replace(camera, ego_from_camera=backwards))


def test_a_fovea_continues_where_the_low_resolution_view_stops() -> None:
    low = (224, 400)
    fovea = make_fovea(CAMERA, low, STOPPING)
    plan = fovea_plan(low, fovea)
    full = seen_range_m(uniform_plan((900, 1600)), CAMERA, STOPPING)
    assert seen_range_m(plan, CAMERA, STOPPING) == pytest.approx(full)
    assert plan.pixels < 0.15 * 900 * 1600
    # Everything in the corridor between the two ranges is inside the window.
    near = seen_range_m(uniform_plan(low), CAMERA, STOPPING)
    window = fovea.window
    half = STOPPING.corridor_half_width_m
    points = np.array([[1.5 + r, y, z] for r in np.linspace(near, full, 9) for y in (-half, half) for z in (0, 1.7, 4)])
    pixels, _ = project(CAMERA, apply(inverse(CAMERA.ego_from_camera), points))
    assert (pixels[:, 0] >= window.left - 1).all()
    assert (pixels[:, 0] <= window.left + window.width + 1).all()
    assert (pixels[:, 1] >= window.top - 1).all()
    assert (pixels[:, 1] <= window.top + window.height + 1).all()


def test_a_fovea_with_a_gap_counts_for_nothing() -> None:
    low = (224, 400)
    window = make_fovea(CAMERA, low, STOPPING).window
    small = Window(window.top, window.left + 64, window.height, window.width - 128)
    plan = fovea_plan(low, replace(make_fovea(CAMERA, low, STOPPING), window=small))
    assert seen_range_m(plan, CAMERA, STOPPING) == seen_range_m(uniform_plan(low), CAMERA, STOPPING)


def test_an_unbelievable_focal_length_is_refused() -> None:
    with pytest.raises(InputError, match="focal_px"):
        assumed_camera((900, 1600), -1.0)


def test_the_plans_of_a_camera_are_the_ladder_and_its_cheapest_foveas() -> None:
    plans = build_plans((900, 1600), camera=CAMERA)
    uniform = ladder((900, 1600))
    assert plans[: len(uniform)] == uniform
    assert build_plans((900, 1600), fovea=False) == uniform
    with_fovea = plans[len(uniform) :]
    assert len(with_fovea) == 2
    full = seen_range_m(uniform[-1], CAMERA, STOPPING)
    assert all(seen_range_m(plan, CAMERA, STOPPING) == pytest.approx(full) for plan in with_fovea)
    dearest = max(plan.pixels for plan in with_fovea)
    for rung in uniform[:-1]:
        other = fovea_plan(rung.size, make_fovea(CAMERA, rung.size, STOPPING))
        assert other in with_fovea or other.pixels >= dearest


def test_enlarged_foveas_see_as_far_and_are_the_cheapest_of_their_kind() -> None:
    plans = build_plans((900, 1600), camera=CAMERA, fovea_zoom=2.0)
    foveas = [plan for plan in plans if plan.fovea is not None]
    assert {plan.fovea.zoom for plan in foveas if plan.fovea} == {2.0}
    plain = seen_range_m(uniform_plan((900, 1600)), CAMERA, STOPPING)
    assert [seen_range_m(plan, CAMERA, STOPPING) for plan in foveas] == pytest.approx([plain, plain])
    every = [fovea_plan(rung.size, make_fovea(CAMERA, rung.size, STOPPING, zoom=2.0)) for rung in plans[:5]]
    assert foveas == sorted(every, key=lambda plan: plan.pixels)[:2]
    for scales in ((1.0,), (0.5, 1.0)):
        with pytest.raises(InputError, match=r"fovea_zoom 0\.5 is outside"):
            build_plans((900, 1600), scales, camera=CAMERA, fovea_zoom=0.5)


def test_plans_for_a_camera_of_another_size_are_refused() -> None:
    assert build_plans((900, 1600), (1.0,)) == ladder((900, 1600), (1.0,))
    with pytest.raises(InputError, match="not that of the pictures"):
        build_plans((720, 1280), camera=CAMERA)

"""Clipping, projection and filling of polygons against shapely and matplotlib-free point tests."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.geometry.camera import project
from perception.geometry.polygons import (
    clip_half_space,
    fill,
    oriented,
    project_rings,
    ribbon,
    signed_area,
    subdivide,
)
from perception.types import Camera

SIZE = (60, 80)
CAMERA = Camera(np.array([[50.0, 0, 40], [0, 50.0, 30], [0, 0, 1]]), SIZE)


def inside(polygon: shapely.Geometry, size: tuple[int, int] = SIZE) -> np.ndarray:
    """``(H, W)`` bool: pixel centres inside, by shapely."""
    x, y = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
    return shapely.contains_xy(polygon, x, y)


def star(rng: np.random.Generator, corners: int, middle: tuple[float, float], radius: float) -> np.ndarray:
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.3, 1.0, corners) * radius
    return np.stack([middle[0] + radii * np.cos(angles), middle[1] + radii * np.sin(angles)], axis=1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
def test_fill_agrees_with_shapely_and_keeps_holes(seed: int, corners: int) -> None:
    rng = np.random.default_rng(seed)
    outer = star(rng, corners, tuple(rng.uniform(-10, 90, 2)), rng.uniform(5, 60))
    polygon = shapely.Polygon(outer)
    if not polygon.is_valid:
        return
    hole = star(rng, 5, tuple(outer.mean(axis=0)), 8)
    rings = [outer]
    if shapely.Polygon(hole).is_valid and polygon.contains(shapely.Polygon(hole)):
        polygon = shapely.Polygon(outer, [hole])
        rings.append(hole)
    expected = inside(polygon)
    np.testing.assert_array_equal(fill(rings, SIZE, even_odd=True), expected)
    turned = [oriented(ring, i == 0) for i, ring in enumerate(rings)]
    np.testing.assert_array_equal(fill(turned, SIZE), expected)


def test_overlapping_areas_unite_and_another_area_may_cover_a_hole() -> None:
    square = np.array([[10.0, 10], [50, 10], [50, 50], [10, 50]])
    hole = oriented(np.array([[20.0, 20], [40, 20], [40, 40], [20, 40]]), False)
    patch = np.array([[30.0, 30], [70, 30], [70, 55], [30, 55]])
    first = shapely.Polygon(square, [hole])
    expected = inside(shapely.union(first, shapely.Polygon(patch)))
    np.testing.assert_array_equal(fill([square, hole, patch], SIZE), expected)
    assert not fill([square, square[::-1]], SIZE).any()
    assert not fill([], SIZE).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_clipping_keeps_the_part_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ring = oriented(star(rng, 9, (40, 30), 30), True)
    polygon = shapely.Polygon(ring)
    if not polygon.is_valid:
        return
    limit = rng.uniform(5, 75)
    clipped = clip_half_space(ring, limit - ring[:, 0])
    kept = polygon.intersection(shapely.box(-1e3, -1e3, limit, 1e3))
    if len(clipped):
        assert signed_area(clipped) == pytest.approx(kept.area, abs=1e-6)
        assert clipped[:, 0].max() <= limit + 1e-9
    else:
        assert kept.area == pytest.approx(0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_ground_polygon_around_the_camera_projects_as_its_pixels_see_it(seed: int) -> None:
    """Each pixel's line of sight meets the ground inside or outside the polygon: no division by depth is involved."""
    rng = np.random.default_rng(seed)
    ring = oriented(star(rng, 8, (0, 3), 40), True)  # x right, z ahead; parts of it lie behind the camera
    polygon = shapely.Polygon(ring)
    if not polygon.is_valid:
        return
    corners = np.stack([ring[:, 0], np.full(len(ring), 1.5), ring[:, 1]], axis=1)
    seen = fill(project_rings(CAMERA, [corners], near_m=0.1), SIZE)
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    below = y > 30
    depth = 1.5 * 50 / np.where(below, y - 30, 1)
    expected = below & shapely.contains_xy(polygon, (x - 40) / 50 * depth, depth)
    assert (seen != expected).mean() < 0.002  # rounding of corners on pixel centres


def test_a_polygon_behind_the_camera_leaves_nothing() -> None:
    behind = np.array([[-5.0, 1.5, -9], [5, 1.5, -9], [5, 1.5, -1]])
    beside = np.array([[50.0, 1.5, 5], [60, 1.5, 5], [60, 1.5, 9]])
    assert project_rings(CAMERA, [behind, beside]) == []


@pytest.mark.parametrize(
    ("model", "distortion"), [("brown_conrady", (-0.3, 0.1, 0.001, -0.002)), ("fisheye", (0.05, -0.01, 0.0, 0.0))]
)
def test_a_lens_bends_the_edges(model: str, distortion: tuple[float, ...]) -> None:
    camera = Camera(CAMERA.intrinsics, SIZE, model=model, distortion=distortion)
    ring = np.array([[-6.0, 1.5, 4], [6, 1.5, 4], [6, 1.5, 30], [-6, 1.5, 30]])
    (pixels,) = project_rings(camera, [ring])
    dense = project(camera, subdivide(ring, 0.02))[0]
    polygon = shapely.Polygon(dense)
    np.testing.assert_allclose(fill([pixels], SIZE).sum(), inside(polygon).sum(), rtol=0.02)


def test_a_ribbon_is_as_wide_as_it_says_round_a_bend() -> None:
    angle = np.linspace(0, np.pi / 2, 30)
    line = np.stack([40 * np.cos(angle), 40 * np.sin(angle)], axis=1)
    quads = ribbon(np.insert(line, 5, line[5], axis=0), 4.0)  # a repeated point changes nothing
    assert len(quads) == 29
    assert all(signed_area(quad) > 0 for quad in quads)
    expected = inside(shapely.LineString(line).buffer(2.0, cap_style="flat"))
    assert (fill(quads, SIZE) != expected).sum() <= 6
    assert ribbon(line[:1], 1.0) == []
    sharp = ribbon(np.array([[0.0, 0], [10, 0], [0, 0.1]]), 1.0)
    assert np.abs(np.concatenate(sharp)).max() < 12


def test_subdivision_adds_corners_on_the_edges_only() -> None:
    square = np.array([[0.0, 0], [3, 0], [3, 3], [0, 3]])
    fine = subdivide(square, 1.0)
    assert len(fine) == 12
    assert signed_area(fine) == pytest.approx(9)
    assert {tuple(p) for p in square} <= {tuple(p) for p in fine.round(9)}

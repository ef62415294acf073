from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception.world.mesh import Material, Surface
from perception.world.raycast import Caster
from perception.world.shapes import box
from perception.world.sky import SUN_RADIUS_RAD, Daylight
from perception.world.weather import make_daylight


@pytest.fixture(scope="module")
def clear() -> Daylight:
    return make_daylight(np.random.default_rng(3), "clear")


def test_air_takes_contrast_by_koschmieders_law(clear: Daylight) -> None:
    fog = replace(clear, visibility_m=100.0)
    distance = np.array([0.0, 10.0, 50.0, 100.0, 1000.0], np.float32)
    level = np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (5, 1))
    sky = fog.gradient(level)
    for albedo in (0.0, 0.3):
        seen = fog.veil(np.full((5, 3), albedo, np.float32), distance, level)
        contrast = (seen - sky) / (albedo - sky)
        assert contrast == pytest.approx(np.repeat((0.02 ** (distance / 100))[:, None], 3, axis=1), abs=1e-5)


def test_directions_fill_the_suns_disc_evenly(clear: Daylight) -> None:
    directions = clear.sun_directions(4000).astype(np.float64)
    away = np.linalg.norm(directions - clear.sun_direction, axis=1)
    assert away.max() <= SUN_RADIUS_RAD * 1.001
    # The mean of the squared radius over a disc is half of its radius squared, and its middle is the sun's.
    assert (away**2).mean() == pytest.approx(SUN_RADIUS_RAD**2 / 2, rel=0.02)
    assert directions.mean(axis=0) == pytest.approx(clear.sun_direction, abs=2e-4)


@pytest.mark.parametrize("height_m", [4.0, 12.0, 30.0])
def test_half_shadow_widens_with_the_distance_of_the_occluder(clear: Daylight, height_m: float) -> None:
    """Under a high sun the edge of a slab throws a half-shadow as wide as the sun's disc is from there."""
    light = replace(clear, sun_direction=np.array([0.0, 0.0, 1.0]))
    slab = box((-50.0, 0.0, height_m), (100.0, 100.0, 0.01)).mesh(Surface(Material.PLAIN, "building"))
    caster = Caster(slab)
    half = SUN_RADIUS_RAD * height_m
    places = np.linspace(-1.5 * half, 1.5 * half, 31)
    share = []
    for x in places:
        rays = np.zeros((600, 6), np.float32)
        rays[:, 0], rays[:, 3:] = x, light.sun_directions(600)
        share.append(1 - caster.occluded(rays, np.inf).mean())
    # Share of a disc on one side of a line.
    u = np.clip(places / half, -1, 1)
    expected = 0.5 + (u * np.sqrt(1 - u**2) + np.arcsin(u)) / np.pi
    assert np.array(share) == pytest.approx(expected, abs=0.03)
    dim = places[(np.array(share) > 0.01) & (np.array(share) < 0.99)]
    assert np.ptp(dim) == pytest.approx(2 * half, rel=0.2)


def test_dusk_glows_on_the_side_of_the_sun() -> None:
    dusk = make_daylight(np.random.default_rng(1), "dusk")
    sun = dusk.sun_direction * [1, 1, 0]
    sun /= np.linalg.norm(sun)
    towards, away = dusk.gradient(np.array([sun, -sun], np.float32))
    assert towards[0] > 2 * away[0]
    assert towards[0] > towards[2]  # warm

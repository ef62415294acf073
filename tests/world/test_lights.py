from __future__ import annotations

import numpy as np
import pytest

from perception.world import build_scene
from perception.world.lighting import lamp_light, lamp_streaks
from perception.world.lights import (
    BEAM,
    EGO_LAMPS_M,
    SIGNAL,
    STREET,
    STREET_INTENSITY,
    TAIL,
    Lights,
    beam_share,
    lights_at,
    street_share,
)  # fmt: skip
from perception.world.mesh import Material, Surface
from perception.world.raycast import Caster, Frame
from perception.world.scene import Scene
from perception.world.shapes import box

AHEAD = np.array([1.0, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def night() -> Scene:
    return build_scene(3, 1, 2.0, "night")


def _directions(azimuth_deg: np.ndarray | float, elevation_deg: np.ndarray | float) -> np.ndarray:
    a, e = np.broadcast_arrays(np.radians(azimuth_deg), np.radians(elevation_deg))
    a, e = np.atleast_1d(a), np.atleast_1d(e)
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1).astype(np.float32)


def _lamp(height_m: float) -> Lights:
    row = np.zeros((1, 3), np.float32)
    return Lights(
        row + [0, 0, height_m], row + [0, 0, -1], np.full((1, 3), STREET_INTENSITY, np.float32), np.array([STREET]),
        np.array([False]), np.ones(1, np.float32), np.zeros(1, np.float32), -1,
    )  # fmt: skip


def _frame(*meshes) -> Frame:
    frame = Frame.__new__(Frame)
    frame.casters = [Caster(mesh) for mesh in meshes]
    return frame


def test_low_beams_end_at_their_cut_off() -> None:
    down, level, up = (beam_share(_directions(4.0, e), AHEAD, -1)[0] for e in (-1.3, -0.2, 1.0))  # oncoming side
    assert down > 0.6
    assert level < 0.03
    assert up < 0.03
    # Towards the kerb the edge rises by 15 degrees: at 6 degrees aside it would reach 0.9 degrees up.
    assert beam_share(_directions(-6.0, 0.6), AHEAD, -1)[0] > 0.3
    assert beam_share(_directions(-6.0, 1.8), AHEAD, -1)[0] < 0.03
    assert beam_share(_directions(6.0, 0.6), AHEAD, -1)[0] < 0.03


def test_low_beams_are_a_cone_and_mirror_with_the_drive_side() -> None:
    azimuth = np.linspace(-170, 170, 69)
    share = beam_share(_directions(azimuth, -2.0), AHEAD, -1)
    assert (share[np.abs(azimuth) > 90] == 0).all()
    assert share[np.abs(azimuth) < 5].min() > 3 * share[np.abs(azimuth) > 30].max()
    mirrored = beam_share(_directions(-azimuth, -2.0), AHEAD, 1)
    assert share == pytest.approx(mirrored, abs=1e-5)


def test_a_street_lamp_lights_by_the_inverse_square_and_the_cosine() -> None:
    height = 7.0
    x = np.array([0.0, 3.0, 8.0, 14.0], np.float32)
    ground = np.stack([x, np.zeros(4), np.zeros(4)], axis=1).astype(np.float32)
    up = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    no = np.zeros(4, bool)
    far = _frame(box((0, 0, 100), (1, 1, 1)).mesh(Surface(Material.PLAIN, "building")))
    light = lamp_light(far, _lamp(height), ground, up, no, np.ones(4, np.float32))
    distance = np.hypot(x, height)
    cosine = height / distance
    expected = STREET_INTENSITY * street_share(cosine) * cosine / distance**2
    assert light[:, 0] == pytest.approx(expected, rel=1e-4)
    assert street_share(np.array([0.1]))[0] == 0  # nothing near the horizon


def test_lamps_cast_shadows() -> None:
    ground = np.array([[0.0, 0, 0], [5.0, 0, 0]], np.float32)
    up = np.tile(np.array([[0, 0, 1]], np.float32), (2, 1))
    roof = _frame(box((0, 0, 3), (2, 2, 0.1)).mesh(Surface(Material.PLAIN, "building")))
    light = lamp_light(roof, _lamp(7.0), ground, up, np.zeros(2, bool), np.ones(2, np.float32))
    assert light[0].max() == pytest.approx(0, abs=1e-5)
    assert light[1].min() > 0.1


def test_wet_ground_mirrors_a_lamp_where_angles_are_equal() -> None:
    lamp, eye = np.array([20.0, 0, 6.0]), np.array([0.0, 0, 1.5])
    x = np.linspace(1, 19, 181)
    points = np.stack([x, 0 * x, 0 * x], axis=1).astype(np.float32)
    ray = points - eye
    ray = (ray / np.linalg.norm(ray, axis=1)[:, None]).astype(np.float32)
    lights = _lamp(6.0)
    lights.position[:] = lamp
    lights.kind[:] = TAIL  # shines most along its axis, here towards the ground before it
    lights.axis[:] = np.array([-0.9578, 0.0, -0.2873])
    streak = lamp_streaks(lights, points, ray, np.ones(len(x), np.float32))[:, 0]
    mirrored_at = 20.0 * 1.5 / (1.5 + 6.0)
    assert x[streak.argmax()] == pytest.approx(mirrored_at, abs=1.6)
    aside = points + np.array([0, 3.0, 0], np.float32)
    assert lamp_streaks(lights, aside, ray, np.ones(len(x), np.float32)).max() < 0.2 * streak.max()


def test_lights_belong_to_lamps_vehicles_and_the_ego(night: Scene) -> None:
    lights = lights_at(night, 0.5)
    pose = night.global_from_ego(0.5)
    own = lights.position[lights.ego]
    local = (own - pose[:3, 3]) @ pose[:3, :3]
    assert np.sort(local[:, 1]) == pytest.approx([-EGO_LAMPS_M[1], EGO_LAMPS_M[1]], abs=1e-3)
    assert local[:, 0] == pytest.approx(EGO_LAMPS_M[0], abs=1e-3)
    street = lights.position[lights.kind == STREET]
    assert len(street)
    for place in street:
        assert np.linalg.norm(night.lamp_heads - place, axis=1).min() < 1e-3
        assert 5 < place[2] < 11
    parked = [actor.instance for actor in night.actors if actor.track is None]
    assert (lights.burning[parked] == 0).all()
    assert (lights.burning > 0).any()
    assert (lights.kind == BEAM).sum() == (lights.kind == TAIL).sum() + 2
    assert np.isin(lights.kind, [STREET, BEAM, TAIL, SIGNAL]).all()
    clear = build_scene(3, 1, 2.0, "clear")
    assert Frame(clear, 0.5).lights is None


def test_night_is_lit_below_the_lamps(night: Scene) -> None:
    """A bowl of a street lamp is a mesh right above the place that its light comes from."""
    caster = Caster(night.static)
    rays = np.zeros((len(night.lamp_heads), 6), np.float32)
    rays[:, :3] = night.lamp_heads - [0, 0, 0.01]
    rays[:, 5] = 1.0
    assert (caster.cast(rays)["t_hit"].numpy() < 0.15).mean() > 0.95

from __future__ import annotations

import numpy as np
import pytest

from perception.world.signals import ALL_RED_S, YELLOW_S, Phases
from perception.world.signs import FACES, FIRST_STYLE, LIMITS, REGIONAL, face_color, sign_post


def face(name: str, side: int = 48, footprint_m: float = 0.005) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-0.95, 0.95, side), np.linspace(0.95, -0.95, side))
    style = np.full(x.size, FIRST_STYLE + list(FACES).index(name))
    return face_color(np.stack([x.ravel(), y.ravel()], 1), style, np.full(x.size, footprint_m)).reshape(side, side, 3)


def test_every_face_is_unlike_every_other() -> None:
    pictures = {name: face(name) for name in FACES}
    assert len(FACES) >= 8
    names = list(FACES)
    for i, one in enumerate(names):
        assert pictures[one].std() > 0.05
        for other in names[i + 1 :]:
            assert np.abs(pictures[one] - pictures[other]).mean() > 0.01, (one, other)


def test_limits_differ_in_their_digits_only() -> None:
    for names in LIMITS.values():
        pictures = [face(name) for name in names]
        for other in pictures[1:]:
            assert 0.02 < (np.abs(pictures[0] - other).max(axis=2) > 0.2).mean() < 0.4
    for names_of_side in REGIONAL.values():
        assert set(names_of_side.values()) <= set(FACES)


def test_faces_far_away_keep_their_mean_color() -> None:
    for name in ("stop", "limit_50", "parking"):
        assert face(name, 32, 0.3).mean(axis=(0, 1)) == pytest.approx(face(name, 128).mean(axis=(0, 1)), abs=0.08)


@pytest.mark.parametrize("name", list(FACES))
def test_posts_face_those_who_come_and_carry_their_face_upright(name: str) -> None:
    mesh = sign_post(name)
    plate = mesh.style == FIRST_STYLE + list(FACES).index(name)
    assert plate.any()
    corners = mesh.vertices[mesh.faces[plate]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normal[:, 0] < 0).all()
    uv = mesh.uv[plate]
    assert np.corrcoef(uv[..., 1].ravel(), corners[..., 2].ravel())[0, 1] > 0.99
    assert np.corrcoef(uv[..., 0].ravel(), corners[..., 1].ravel())[0, 1] < -0.99


def test_lights_of_a_junction_never_let_both_roads_in() -> None:
    phases = Phases(((-13.0, 8.0), (30.0, 50.0)))
    for time_s in np.arange(-10.0, 60.0, 0.05):
        main, side = phases.state(True, float(time_s)), phases.state(False, float(time_s))
        assert "red" in (main, side), time_s
    assert phases.state(True, 5.0) == "red"
    assert phases.state(True, 30.0 - YELLOW_S / 2) == "yellow"
    assert phases.state(False, 30.0 + ALL_RED_S + 0.1) == "green"
    assert Phases().state(True, 3.0) == "green"
    assert Phases().state(False, 3.0) == "red"

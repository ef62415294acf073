"""Plans and ladders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.plan import SCALES, Fovea, Window, fovea_plan, ladder, uniform_plan


def test_the_ladder_of_a_nuscenes_camera() -> None:
    plans = ladder((900, 1600))
    assert [plan.size for plan in plans] == [(224, 400), (288, 512), (360, 640), (448, 800), (632, 1120), (900, 1600)]
    assert len(plans) == len(SCALES)


@given(st.integers(200, 3000), st.integers(200, 3000), st.lists(st.floats(0.2, 1.0), min_size=1, max_size=6))
def test_ladders_climb_and_stay_within_the_picture(height: int, width: int, scales: list[float]) -> None:
    plans = ladder((height, width), scales)
    assert len({plan.name for plan in plans}) == len(plans)
    pixels = [plan.pixels for plan in plans]
    assert pixels == sorted(pixels)
    for plan in plans:
        assert plan.output_size == plan.size
        assert all(32 <= side <= limit for side, limit in zip(plan.size, (height, width), strict=True))


def test_a_fovea_plan_answers_at_full_resolution() -> None:
    plan = fovea_plan((224, 400), Fovea(Window(300, 600, 192, 384), (900, 1600)))
    assert plan.name == "224x400+192x384"
    assert plan.output_size == (900, 1600)
    assert plan.pixels == 224 * 400 + 192 * 384


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 64, 64), Window(0, 1590, 64, 64), Window(0, 0, 901, 64), Window(0, 0, 16, 64)]
)
def test_a_fovea_lies_inside_the_picture(window: Window) -> None:
    with pytest.raises(InputError, match="inside the picture"):
        Fovea(window, (900, 1600))


def test_an_enlarged_fovea_is_the_same_window_of_more_network_pixels() -> None:
    fovea = Fovea(Window(300, 600, 192, 384), (900, 1600), 1.5)
    plan = fovea_plan((224, 400), fovea)
    assert fovea.size == (288, 576)
    assert plan.name == "224x400+192x384@1.5"
    assert plan.output_size == (900, 1600)
    assert plan.pixels == 224 * 400 + 288 * 576


@pytest.mark.parametrize("zoom", [0.9, 4.1, float("nan")])
def test_what_a_fovea_cannot_be_enlarged_by(zoom: float) -> None:
    with pytest.raises(InputError, match=r"fovea_zoom .* is outside 1\.\.4"):
        Fovea(Window(300, 600, 192, 384), (900, 1600), zoom)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.2,)])
def test_bad_scales(scales: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="scales"):
        ladder((900, 1600), scales)


def test_a_rung_too_small_for_a_network() -> None:
    with pytest.raises(InputError, match="at least 32 pixels"):
        uniform_plan((16, 640))

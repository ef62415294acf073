"""Cut-outs of rendered products whose alpha and colours are known, and the parts against formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tiny_products import NAMES, product

from perception.errors import InputError
from perception.matting import Background, CutoutOptions, composed, cut_out, estimate_foreground, trimap_of
from perception.matting.background import blurred_behind
from perception.matting.closed_form import closed_form_alpha, matting_laplacian
from perception.matting.guided import guided_filter


@pytest.mark.parametrize("name", NAMES)
def test_alpha_and_colours_of_products(name: str) -> None:
    truth = product(name)
    found = cut_out(truth.image, truth.mask)
    error = np.abs(found.alpha - truth.alpha)
    assert error.mean() < 0.03
    assert error.mean() < 0.7 * np.abs(truth.mask - truth.alpha).mean(), "the mask's own edge is hardly worse"
    # edges carry the product's colour and not the old background's: no halo on white or black
    edge = (truth.alpha > 0.3) & (truth.alpha < 1)
    before = np.abs(truth.image / 255 - truth.color)[edge].mean()
    after = np.abs(found.color - truth.color)[edge].mean()
    assert after < 0.6 * before
    for level in (0, 255):
        flat = np.full(truth.image.shape, level, np.uint8)
        wanted = truth.alpha[..., None] * truth.color * 255 + (1 - truth.alpha[..., None]) * level
        assert np.abs(composed(found, flat) - wanted).mean() < 3.0


@pytest.mark.parametrize("name", ["bottle", "leaf"])
def test_methods_rank_as_their_cost(name: str) -> None:
    truth = product(name)
    errors = [
        np.abs(cut_out(truth.image, truth.mask, CutoutOptions(method)).alpha - truth.alpha).mean()
        for method in ("closed_form", "guided", "none")
    ]
    assert errors == sorted(errors)


def test_without_refinement_the_mask_stays() -> None:
    truth = product("ring")
    found = cut_out(truth.image, truth.mask, CutoutOptions("none", decontaminate=False))
    np.testing.assert_array_equal(found.alpha, truth.mask)
    np.testing.assert_allclose(found.color, truth.image / 255, atol=1e-6)
    np.testing.assert_array_equal(found.rgba()[..., 3], truth.mask * 255)
    assert (found.rgba()[~truth.mask] == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 6))
def test_the_band_is_as_wide_as_said(seed, inner, outer):
    random = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(random.standard_normal((40, 50)), 4) > 0
    trimap = trimap_of(mask, inner, outer)
    assert (trimap[~mask] < 1).all()
    assert (trimap[mask] > 0).all()
    inside = ndimage.distance_transform_edt(np.pad(mask, 30, mode="edge"))[30:-30, 30:-30]
    if not mask.all():
        np.testing.assert_array_equal(trimap == 1, mask & (inside > inner))


def test_holes_are_filled_and_specks_removed() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    mask[18:20, 18:20] = False
    mask[2:4, 2:4] = True
    trimap = trimap_of(mask, 1, 1, holes_px=5, specks_px=5)
    assert trimap[19, 19] == 1
    assert trimap[3, 3] == 0
    plain = trimap_of(mask, 1, 1)
    assert plain[19, 19] == 0.5
    assert plain[3, 3] == 0.5


def test_the_guided_filter_is_the_linear_fit_of_its_window() -> None:
    random = np.random.default_rng(0)
    guide = random.random((21, 21, 3))
    slope, offset = np.array([0.3, -0.2, 0.5]), 0.1
    source = guide @ slope + offset
    np.testing.assert_allclose(guided_filter(guide, source, 3, 1e-9), source, atol=1e-4)
    constant = guided_filter(guide, np.full((21, 21), 0.7), 3)
    np.testing.assert_allclose(constant, 0.7, atol=1e-9)


def test_the_laplacian_vanishes_on_what_is_linear_in_colour() -> None:
    random = np.random.default_rng(1)
    image = random.random((12, 14, 3))
    laplacian = matting_laplacian(image, np.ones((12, 14), bool), 1e-12)
    linear = (image @ np.array([0.5, -1.0, 2.0]) + 0.3).ravel()
    np.testing.assert_allclose(laplacian @ linear, 0, atol=1e-5)
    np.testing.assert_allclose(laplacian @ np.ones(12 * 14), 0, atol=1e-9)
    dense = laplacian.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-9)
    assert np.linalg.eigvalsh(dense).min() > -1e-6


def test_known_pixels_stay_and_a_known_picture_needs_no_solving() -> None:
    image = np.random.default_rng(2).random((10, 10, 3))
    trimap = np.full((10, 10), 0.5)
    trimap[:, :3], trimap[:, 7:] = 1.0, 0.0
    alpha = closed_form_alpha(image, trimap, np.full((10, 10), 0.5))
    assert (alpha[:, :3] == 1).all()
    assert (alpha[:, 7:] == 0).all()
    sure = np.where(trimap > 0.5, 1.0, 0.0)
    np.testing.assert_array_equal(closed_form_alpha(image, sure, sure), sure)


def test_the_two_colours_mix_to_the_picture() -> None:
    truth = product("leaf")
    image = truth.image / np.float32(255)
    front, back = estimate_foreground(image, truth.alpha.astype(np.float32))
    mixed = truth.alpha[..., None] * front + (1 - truth.alpha[..., None]) * back
    assert np.abs(mixed - image).mean() < 0.01
    assert front.shape == back.shape == image.shape
    one = estimate_foreground(image[:1, :5], np.ones((1, 5), np.float32))[0]
    np.testing.assert_allclose(one, image[:1, :5], atol=0.02)


def test_backgrounds(tmp_path) -> None:
    truth = product("bottle")
    found = cut_out(truth.image, truth.mask)
    assert composed(found, Background.parse("transparent").picture(truth.image, found.alpha)).shape[2] == 4
    white = composed(found, Background.parse("white").picture(truth.image, found.alpha))
    assert (white[found.alpha == 0] == 255).all()
    assert (white[found.alpha == 1] == truth.image[found.alpha == 1]).all()
    assert Background.parse("#20c0ff").color == (32, 192, 255)
    from PIL import Image

    Image.new("RGB", (50, 300), (9, 8, 7)).save(tmp_path / "back.png")
    behind = Background.parse(str(tmp_path / "back.png")).picture(truth.image, found.alpha)
    assert behind.shape == truth.image.shape
    for bad in ("blur:0", "blur:x", "nothing.png", "#12"):
        with pytest.raises(InputError):
            Background.parse(bad)


def test_the_blurred_background_holds_none_of_the_subject() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[...] = (20, 40, 60)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    image[mask] = (255, 0, 0)
    blurred = blurred_behind(image, mask, 4.0)
    assert np.abs(blurred[~mask].astype(int) - (20, 40, 60)).max() <= 1


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (np.zeros((200, 260), bool), {}, "no subject"),
        (np.ones((3, 3), bool), {}, "mask is 3x3"),
        (np.ones((200, 260), bool), {"method": "magic"}, "unknown method"),
        (np.ones((200, 260), bool), {"band_px": 0}, "at least 1"),
        (np.ones((200, 260), bool), {"cutoff": 0.6}, r"in 0\.\.0\.5"),
    ],
)
def test_bad_input_is_named(mask, options, message) -> None:
    with pytest.raises(InputError, match=message):
        cut_out(product("bottle").image, mask, CutoutOptions(**options))


def test_a_subject_of_the_whole_picture_stays_whole() -> None:
    image = product("bottle").image
    found = cut_out(image, np.ones(image.shape[:2], bool))
    assert (found.alpha == 1).all()
    np.testing.assert_allclose(found.color * 255, image, atol=1e-3)

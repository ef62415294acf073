"""Masks from coarse logits against torch, which interpolates every pixel."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.models.base import resize_logits
from perception.runtime.masks import binary_mask, class_mask, decode_masks

NEAR = 1e-5
"""Classes whose interpolated logits are nearer than this may change places by rounding."""


def patchy_logits(seed: int, classes: int, height: int, width: int, smooth: bool) -> np.ndarray:
    """Regions of single classes, as networks give them, or noise, where hardly two cells agree."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(classes, height, width)).astype(np.float32)
    if smooth:
        region = random.integers(0, classes, ((height + 2) // 3, (width + 2) // 3)).repeat(3, 0).repeat(3, 1)
        logits += 6 * (region[:height, :width] == np.arange(classes)[:, None, None])
    return logits


def upsampled(logits: np.ndarray, size: tuple[int, int], level: int) -> np.ndarray:
    return resize_logits(torch.from_numpy(logits)[None], size, level)[0].numpy()


maps = st.tuples(
    st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 9), st.integers(1, 9), st.booleans(),
    st.sampled_from([1, 2, 3, 4, 8]), st.integers(0, 12), st.integers(0, 12),
)  # fmt: skip


@given(maps)
@example((0, 20, 9, 9, True, 4, 0, 0))
@example((1, 5, 1, 1, False, 8, 7, 7))
@settings(max_examples=150, deadline=None)
def test_every_pixel_is_what_upsampling_and_argmax_give(drawn: tuple) -> None:
    seed, classes, height, width, smooth, level, cut_rows, cut_columns = drawn
    logits = patchy_logits(seed, classes, height, width, smooth)
    size = (max(1, height * level - cut_rows), max(1, width * level - cut_columns))
    full = upsampled(logits, size, level)
    mask = class_mask(logits, size, level)
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    wrong = mask != full.argmax(0)
    chosen = np.take_along_axis(full, mask[None].astype(np.int64), 0)[0]
    assert (full.max(0) - chosen)[wrong].max(initial=0) < NEAR
    binary = binary_mask(logits[:1], size, level)
    assert np.abs(full[0][(binary > 0) != (full[0] > 0)]).max(initial=0) < NEAR


def test_of_equal_classes_the_first_wins_everywhere() -> None:
    logits = np.zeros((3, 4, 5), np.float32)
    logits[0, :2] = -1  # classes 1 and 2 are equal in the upper half, all three in the lower one
    mask = class_mask(logits, (16, 20), 4)
    assert set(np.unique(mask)) == {0, 1}
    assert np.array_equal(mask, upsampled(logits, (16, 20), 4).argmax(0))
    assert not binary_mask(np.zeros((1, 4, 5), np.float32), (16, 20), 4).any()  # 0 is not positive


def test_a_class_that_wins_at_no_corner_is_found_inside() -> None:
    logits = np.array([[[4, 0]], [[0, 4]], [[3, 3]]], np.float32)
    mask = class_mask(logits, (8, 16), 8)
    assert list(mask[4]) == [0] * 6 + [2] * 4 + [1] * 6


def test_outputs_that_are_not_coarse_stay() -> None:
    random = np.random.default_rng(0)
    outputs = {
        "semantic": random.normal(size=(2, 7, 3, 4)).astype(np.float32),
        "lane": random.normal(size=(2, 1, 6, 8)).astype(np.float32),
        "boxes": random.normal(size=(2, 5, 4)).astype(np.float32),
    }
    decoded = decode_masks(outputs, {"semantic": 8, "lane": 4, "drivable": 4}, (21, 30))
    assert decoded["boxes"] is outputs["boxes"]
    assert decoded["semantic"].shape == decoded["lane"].shape == (2, 21, 30)
    assert np.array_equal(decoded["semantic"][1], class_mask(outputs["semantic"][1], (21, 30), 8))
    assert np.array_equal(decoded["lane"][1], binary_mask(outputs["lane"][1], (21, 30), 4))
    assert outputs["semantic"].shape == (2, 7, 3, 4)


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (class_mask, (3, 4, 5), r"cover 16x20 pixels, not 17x20"),
        (class_mask, (257, 5, 5), "257 classes"),
        (binary_mask, (2, 5, 5), "not 2"),
    ],
)
def test_logits_that_make_no_mask_are_refused(make, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(np.zeros(shape, np.float32), (17, 20), 4)


def test_no_torch_is_needed() -> None:
    program = "import sys, perception.runtime.masks\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

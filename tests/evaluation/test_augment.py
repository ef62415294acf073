"""Sliding windows and test-time augmentation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from perception.errors import InputError
from perception.evaluation.augment import augmented, decode_dense, probabilities, sliding_window, window_starts


def pixelwise(image: Tensor) -> dict[str, Tensor]:
    """A model that looks at one pixel at a time, so that windows and mirrors change nothing."""
    return {"semantic": torch.stack([image[:, 0] * 4, image[:, 1] * 3, image[:, 2]], 1), "lane": image[:, :1] - 0.5}


@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_windows_cover_the_side(length: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    starts = window_starts(length, window, stride)
    covered = {pixel for start in starts for pixel in range(start, min(start + window, length))}
    assert covered == set(range(length))
    assert starts == sorted(set(starts))
    assert all(start + min(window, length) <= length for start in starts)


def test_windows_change_nothing_for_a_pixelwise_model() -> None:
    image = torch.rand(2, 3, 37, 53)
    whole = pixelwise(image)
    for window, stride in (((16, 16), (10, 7)), ((64, 20), (64, 20)), ((37, 53), (1, 1))):
        found = sliding_window(pixelwise, image, window, stride)
        for name in whole:
            assert torch.allclose(found[name], whole[name], atol=1e-6)


def test_overlaps_are_averaged() -> None:
    calls = iter([1.0, 3.0])

    def run(image: Tensor) -> dict[str, Tensor]:
        return {"semantic": torch.full((1, 1, *image.shape[-2:]), next(calls))}

    found = sliding_window(run, torch.zeros(1, 3, 4, 6), (4, 4), (4, 2))["semantic"][0, 0, 0]
    assert found.tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("stride", [(0, 4), (5, 4), (4, -1)])
def test_strides_that_leave_gaps_are_refused(stride: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="must lie between 1 and the window"):
        sliding_window(pixelwise, torch.rand(1, 3, 8, 8), (4, 4), stride)


def test_a_single_copy_is_the_model_itself() -> None:
    image = torch.rand(2, 3, 9, 13)
    found = augmented(pixelwise, image)
    assert torch.equal(found["semantic"], pixelwise(image)["semantic"].softmax(dim=1))
    assert torch.equal(found["lane"], pixelwise(image)["lane"].sigmoid())
    decoded = decode_dense(found)
    assert torch.equal(decoded["semantic"], pixelwise(image)["semantic"].argmax(dim=1).to(torch.uint8))
    assert torch.equal(decoded["lane"], (pixelwise(image)["lane"][:, 0] > 0).to(torch.uint8))


def test_scales_and_mirrors_are_averaged_by_probability() -> None:
    def sided(image: Tensor) -> dict[str, Tensor]:
        """Sees the left half and the size of the picture."""
        logits = image[:, :2].clone()
        logits[:, 0, :, : image.shape[-1] // 2] += image.shape[-1] / 10
        return {"semantic": logits}

    image = torch.rand(1, 3, 8, 12)
    expected = torch.zeros(1, 2, 8, 12)
    for size in ((8, 12), (12, 18)):
        scaled = F.interpolate(image, size=size, mode="bilinear", antialias=True) if size != (8, 12) else image
        for mirror in (False, True):
            logits = sided(scaled.flip(-1) if mirror else scaled)["semantic"]
            logits = logits.flip(-1) if mirror else logits
            expected += probabilities(F.interpolate(logits, size=(8, 12), mode="bilinear")) / 4
    assert torch.allclose(augmented(sided, image, (1.0, 1.5), flip=True)["semantic"], expected, atol=1e-6)
    assert not torch.allclose(augmented(sided, image, (1.0, 1.5))["semantic"], expected, atol=1e-3)

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from perception.runtime.exported_engine import resized


def picture() -> np.ndarray:
    rows, columns = np.mgrid[:90, :160]
    return (np.stack([rows * 2, columns, (rows // 10 + columns // 10) % 2 * 200], axis=2)).astype(np.uint8)


def test_a_smaller_picture_has_the_mean_of_the_pixels_that_it_covers() -> None:
    image = picture()
    means = image.reshape(45, 2, 80, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized(image, (45, 80)), means, atol=0.5)
    stripes = np.zeros((90, 160, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.ptp(resized(stripes, (32, 48))) < 60, "what is finer than a pixel is averaged, not sampled"


@pytest.mark.parametrize("size", [(32, 48), (63, 112), (180, 320)])
def test_it_is_close_to_what_the_torch_engine_sees(size: tuple[int, int]) -> None:
    ramps = picture()[..., :2]  # nothing sharp, so that a picture that is shifted shows, and the filter does not
    ramps = np.concatenate([ramps, ramps[..., :1]], axis=2)
    ours = resized(ramps, size).astype(float)
    theirs = np.asarray(Image.fromarray(ramps).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    assert ours.shape == (*size, 3)
    assert np.abs(ours - theirs).max() <= 2


def test_a_picture_of_that_size_stays() -> None:
    image = picture()
    assert resized(image, (90, 160)) is image

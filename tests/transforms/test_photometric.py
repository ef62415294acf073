"""Colour transforms against torchvision, and that they touch the image only."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from perception.errors import InputError
from perception.transforms import ColorJitter, GaussianBlur, GaussianNoise, RandomGrayscale
from perception.transforms.photometric import adjust_color
from perception.types import Sample


@pytest.fixture
def image() -> torch.Tensor:
    """Middle tones, so that nothing clamps on the way."""
    return 0.35 + 0.3 * torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("arguments", "reference"),
    [
        ({"brightness": 1.3}, lambda x: F.adjust_brightness(x, 1.3)),
        ({"contrast": 0.6}, lambda x: F.adjust_contrast(x, 0.6)),
        ({"saturation": 1.5}, lambda x: F.adjust_saturation(x, 1.5)),
        ({"saturation": 0.0}, lambda x: F.rgb_to_grayscale(x, 3)),
        (
            {"brightness": 0.8, "contrast": 1.2, "saturation": 0.7},
            lambda x: F.adjust_contrast(F.adjust_brightness(F.adjust_saturation(x, 0.7), 0.8), 1.2),
        ),
    ],
)
def test_factors_mean_what_they_mean_in_torchvision(image, arguments, reference):
    torch.testing.assert_close(adjust_color(image, **arguments), reference(image), atol=2e-3, rtol=0)


def test_hue_turns_colours_and_keeps_grey(image):
    grey = image[:1].expand(3, -1, -1)
    torch.testing.assert_close(adjust_color(grey, hue=0.2), grey, atol=1e-5, rtol=0)
    turned = adjust_color(image, hue=0.1)
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(torch.tensordot(luma, turned, 1), torch.tensordot(luma, image, 1), atol=1e-4, rtol=0)
    assert (turned - image).abs().max() > 0.02
    torch.testing.assert_close(adjust_color(turned, hue=-0.1), image, atol=1e-4, rtol=0)
    red = torch.tensor([0.6, 0.4, 0.4])[:, None, None]
    assert adjust_color(red, hue=1 / 3).flatten().argmax() == F.adjust_hue(red, 1 / 3).flatten().argmax() == 1


def test_uint8_and_float_agree(image):
    stored = (image * 255).round().to(torch.uint8)
    arguments = {"brightness": 1.4, "contrast": 1.3, "saturation": 0.5, "hue": 0.05}
    expected = adjust_color(stored.float() / 255, **arguments)
    result = adjust_color(stored, **arguments)
    assert result.dtype == torch.uint8
    torch.testing.assert_close(result.float() / 255, expected, atol=0.51 / 255, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "transform",
    [
        ColorJitter(1.0, 1.0, 1.0, 0.5),
        RandomGrayscale(1.0),
        GaussianBlur((0.5, 2.0), 1.0),
        GaussianNoise((0.1, 0.3), 1.0),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_type_range_and_seed_are_kept(transform, dtype):
    image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(1))
    image = (image * 255).to(torch.uint8) if dtype == torch.uint8 else image
    mask = torch.ones(40, 40, dtype=torch.int64)
    torch.manual_seed(5)
    out = transform(Sample(image=image, name="x", semantic=mask))
    assert out.image.dtype == dtype
    assert out.image.shape == image.shape
    assert out.image.min() >= 0
    assert out.image.max() <= (255 if dtype == torch.uint8 else 1)
    assert not torch.equal(out.image, image)
    assert out.semantic is mask
    torch.manual_seed(5)
    assert torch.equal(out.image, transform(Sample(image=image, name="x")).image)


def test_blur_takes_away_detail_and_noise_adds_it():
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert GaussianBlur((1.5, 1.5), 1.0)(Sample(image=image, name="x")).image.std() < 0.5 * image.std()
    flat = torch.full((3, 64, 64), 0.5)
    noisy = GaussianNoise((0.1, 0.1), 1.0)(Sample(image=flat, name="x")).image
    assert noisy.std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    "transform", [ColorJitter(p=0.0), RandomGrayscale(0.0), GaussianBlur(p=0.0), GaussianNoise(p=0.0)]
)
def test_probability_zero_does_nothing(transform, image):
    sample = Sample(image=image, name="x")
    assert transform(sample) is sample


@pytest.mark.parametrize(
    "build",
    [
        lambda: ColorJitter(brightness=-0.1),
        lambda: ColorJitter(hue=0.6),
        lambda: GaussianBlur((0, 1)),
        lambda: GaussianNoise((0.2, 0.1)),
        lambda: RandomGrayscale(2),
    ],
)
def test_bad_arguments_are_refused(build):
    with pytest.raises(InputError):
        build()

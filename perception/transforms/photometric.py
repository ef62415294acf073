"""Transforms of the image's colours and sharpness alone; uint8 and float images keep their type."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from perception.errors import InputError
from perception.types import Sample

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601), as torchvision and PIL use them."""

_YIQ_FROM_RGB = torch.tensor([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)])
_RGB_FROM_YIQ = torch.linalg.inv(_YIQ_FROM_RGB)


def _to_float(image: Tensor) -> Tensor:
    """Float32 in 0..1 for either type; a copy only for uint8."""
    return image if image.is_floating_point() else image.float().div_(255)


def _like(values: Tensor, image: Tensor) -> Tensor:
    """Clamp values in 0..1 in place and give them the type of ``image``."""
    values = values.clamp_(0, 1)
    if image.is_floating_point():
        return values.to(image.dtype)
    return values.mul_(255).round_().to(image.dtype)


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(()).uniform_(low, high))


def _chance(p: float) -> bool:
    return float(torch.rand(())) < p


def _check_probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise InputError(f"probability must lie in 0..1, got {p}")
    return p


def adjust_color(
    image: Tensor, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Tensor:
    """Brightness, contrast, saturation and hue in one affine map of the colours.

    The factors mean what they mean in torchvision: 1 changes nothing, contrast blends with the picture's mean
    grey, saturation with each pixel's grey. Hue is a rotation about the grey axis (in YIQ), in turns, instead
    of a detour through HSV. Clamping happens once, at the end; all four cost one pass over the pixels.

    Shape:
        - image: ``(3, H, W)`` uint8 or float in 0..1; the result has the same type.
    """
    values = _to_float(image)
    luma = torch.tensor(LUMA)
    angle = 2 * math.pi * hue
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])
    grey = luma.expand(3, 3)  # every output channel is the pixel's grey
    saturate = saturation * torch.eye(3) + (1 - saturation) * grey
    matrix = brightness * contrast * (_RGB_FROM_YIQ @ rotation @ _YIQ_FROM_RGB) @ saturate
    offset = 0.0
    if contrast != 1:
        offset = (1 - contrast) * brightness * float(luma @ values.mean(dim=(1, 2)))
    flat = values.reshape(3, -1)
    return _like((matrix @ flat).add_(offset).reshape(values.shape), image)


class ColorJitter:
    """Random brightness, contrast, saturation and hue; see :func:`adjust_color`.

    Args:
        brightness, contrast, saturation: factors are drawn from ``[1 - value, 1 + value]``.
        hue: turns are drawn from ``[-hue, hue]``, at most 0.5.
        p: probability that anything is done.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.05,
        p: float = 1.0,
    ) -> None:
        for name, value, limit in (
            ("brightness", brightness, 1.0), ("contrast", contrast, 1.0), ("saturation", saturation, 1.0),
            ("hue", hue, 0.5),
        ):  # fmt: skip
            if not 0 <= value <= limit:
                raise InputError(f"{name} must lie in 0..{limit}, got {value}")
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        self.p = _check_probability(p)

    def __call__(self, sample: Sample) -> Sample:
        if not _chance(self.p):
            return sample
        image = adjust_color(
            sample.image,
            brightness=_uniform(1 - self.brightness, 1 + self.brightness),
            contrast=_uniform(1 - self.contrast, 1 + self.contrast),
            saturation=_uniform(1 - self.saturation, 1 + self.saturation),
            hue=_uniform(-self.hue, self.hue),
        )
        return replace(sample, image=image)

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue}, p={self.p})"
        )


class RandomGrayscale:
    """Drop the colours with probability ``p``; the image keeps three channels."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = _check_probability(p)

    def __call__(self, sample: Sample) -> Sample:
        if not _chance(self.p):
            return sample
        return replace(sample, image=F.rgb_to_grayscale(sample.image, num_output_channels=3))

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


class GaussianBlur:
    """Blur with probability ``p`` by a Gaussian of a random width.

    Args:
        sigma_px: range of the standard deviation in pixels, drawn uniformly.
    """

    def __init__(self, sigma_px: tuple[float, float] = (0.1, 1.5), p: float = 0.5) -> None:
        if not 0 < sigma_px[0] <= sigma_px[1]:
            raise InputError(f"sigma_px must be a range of positive widths (low, high), got {tuple(sigma_px)}")
        self.sigma_px = (float(sigma_px[0]), float(sigma_px[1]))
        self.p = _check_probability(p)

    def __call__(self, sample: Sample) -> Sample:
        if not _chance(self.p):
            return sample
        sigma = _uniform(*self.sigma_px)
        kernel = 2 * math.ceil(2.5 * sigma) + 1  # 99 % of the bell
        if kernel // 2 >= min(sample.image.shape[-2:]):
            raise InputError(f"{sample.name}: a blur of {sigma:.1f} px needs an image larger than {kernel // 2} px")
        return replace(sample, image=F.gaussian_blur(sample.image, [kernel, kernel], [sigma, sigma]))

    def __repr__(self) -> str:
        return f"GaussianBlur(sigma_px={self.sigma_px}, p={self.p})"


class GaussianNoise:
    """Add sensor noise with probability ``p``.

    Args:
        sigma: range of the standard deviation, as a share of full scale, drawn uniformly.
    """

    def __init__(self, sigma: tuple[float, float] = (0.0, 0.05), p: float = 0.5) -> None:
        if not 0 <= sigma[0] <= sigma[1]:
            raise InputError(f"sigma must be a range (low, high) of at least 0, got {tuple(sigma)}")
        self.sigma = (float(sigma[0]), float(sigma[1]))
        self.p = _check_probability(p)

    def __call__(self, sample: Sample) -> Sample:
        if not _chance(self.p):
            return sample
        noise = torch.randn(sample.image.shape, dtype=torch.float32).mul_(_uniform(*self.sigma))
        return replace(sample, image=_like(noise.add_(_to_float(sample.image)), sample.image))

    def __repr__(self) -> str:
        return f"GaussianNoise(sigma={self.sigma}, p={self.p})"

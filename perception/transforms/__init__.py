"""Transforms ``sample -> sample``, and the two pipelines that configs name."""

from __future__ import annotations

from collections.abc import Sequence

from perception.errors import InputError
from perception.transforms.joint import (
    Compose,
    PadToMultiple,
    RandomHorizontalFlip,
    RandomScaleCrop,
    Resize,
    Transform,
)
from perception.transforms.photometric import ColorJitter, GaussianBlur, GaussianNoise, RandomGrayscale

__all__ = [
    "ColorJitter",
    "Compose",
    "GaussianBlur",
    "GaussianNoise",
    "PadToMultiple",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomScaleCrop",
    "Resize",
    "Transform",
    "eval_transform",
    "train_transform",
]


def train_transform(
    size: Sequence[int],
    scale: tuple[float, float] = (0.5, 2.0),
    flip: float = 0.5,
    jitter: float = 0.4,
    hue: float = 0.05,
    blur: float = 0.0,
    noise: float = 0.0,
    grayscale: float = 0.0,
    base: Sequence[int] | None = None,
) -> Compose:
    """The training pipeline: random scale and crop, flip, colour jitter, and on request blur, noise and grey.

    Args:
        size: ``(height, width)`` of the result.
        scale: range of the random scale factor.
        flip: probability of mirroring.
        jitter: strength of brightness, contrast and saturation changes, 0..1; 0 switches colour jitter off.
        hue: strength of hue changes in turns; only where ``jitter`` is not 0.
        blur, noise, grayscale: probabilities; 0 switches them off.
        base: size of the whole picture at scale 1; ``size`` by default.
    """
    if not 0 <= jitter <= 1:
        raise InputError(f"jitter must lie in 0..1, got {jitter}")
    transforms: list[Transform] = [RandomScaleCrop(size, scale, base=base)]
    if flip:
        transforms.append(RandomHorizontalFlip(flip))
    if jitter:
        transforms.append(ColorJitter(jitter, jitter, jitter, hue))
    if blur:
        transforms.append(GaussianBlur(p=blur))
    if noise:
        transforms.append(GaussianNoise(p=noise))
    if grayscale:
        transforms.append(RandomGrayscale(grayscale))
    return Compose(transforms)


def eval_transform(size: Sequence[int] | None = None) -> Compose:
    """The evaluation pipeline: resize to ``size`` (``None``: as stored), keeping every box."""
    return Compose([] if size is None else [Resize(size, min_box_px=0.0)])

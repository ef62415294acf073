"""From a picture and a rough mask to alpha and the subject's own colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.matting.closed_form import closed_form_alpha
from perception.matting.foreground import estimate_foreground
from perception.matting.guided import guided_filter
from perception.matting.trimap import UNKNOWN, trimap_of

METHODS = ("closed_form", "guided", "none")


@dataclass(frozen=True)
class CutoutOptions:
    """How edges are refined.

    Args:
        method: ``closed_form`` is the best, ``guided`` the quickest, ``none`` keeps the mask's own edge.
        band_px: how far from the truth the mask's edge may be, each way; ``None`` takes a hundredth of the picture's
            longer side, 4 at least.
        holes_px, specks_px: smaller holes are filled and smaller parts removed.
        decontaminate: give edges the subject's own colour instead of one mixed with the old background.
        cutoff: alpha below this becomes 0, and above one minus this 1.
    """

    method: str = "closed_form"
    band_px: int | None = None
    holes_px: int = 0
    specks_px: int = 0
    decontaminate: bool = True
    cutoff: float = 0.02

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"unknown method {self.method!r}; use one of {', '.join(METHODS)}")
        if self.band_px is not None and self.band_px < 1:
            raise InputError(f"band_px {self.band_px} must be at least 1")
        if not 0 <= self.cutoff < 0.5:
            raise InputError(f"cutoff {self.cutoff} must lie in 0..0.5")

    def band_of(self, longer_px: int) -> int:
        return self.band_px or max(4, round(longer_px / 100))


@dataclass(frozen=True)
class Cutout:
    """A subject free of its background.

    Shape:
        - color: ``(H, W, 3)`` float32 in 0..1, the subject's own colour, also where it is see-through.
        - alpha: ``(H, W)`` float32 in 0..1.
    """

    color: np.ndarray
    alpha: np.ndarray

    def rgba(self) -> np.ndarray:
        """``(H, W, 4)`` uint8, alpha not multiplied in; colours are black where nothing is left."""
        both = np.concatenate([self.color * (self.alpha > 0)[..., None], self.alpha[..., None]], axis=2)
        return np.round(both * 255).astype(np.uint8)


def cut_out(image: np.ndarray, mask: np.ndarray, options: CutoutOptions = CutoutOptions()) -> Cutout:
    """Cut the subject out of a picture.

    Args:
        image: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` bool, rough.

    Raises:
        InputError: for a mask of another size than the picture, an empty one, or one of everything.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 3:
        raise InputError(f"a picture is (H, W, 3) uint8 of at least 3x3, got {image.shape} {image.dtype}")
    if mask.shape != image.shape[:2]:
        raise InputError(f"the mask is {mask.shape[0]}x{mask.shape[1]}, the picture {image.shape[0]}x{image.shape[1]}")
    if not mask.any():
        raise InputError("the mask has no subject; choose other classes or another mask")
    colors = image.astype(np.float32) / 255
    band = options.band_of(max(mask.shape))
    trimap = trimap_of(mask, band, band, options.holes_px, options.specks_px)
    if not (trimap > 0).any():
        raise InputError(f"no part of the mask has {options.specks_px} pixels; lower specks_px")
    alpha = _alpha(colors, mask, trimap, options, band)
    alpha = np.where(alpha < options.cutoff, 0.0, np.where(alpha > 1 - options.cutoff, 1.0, alpha)).astype(np.float32)
    color = estimate_foreground(colors, alpha)[0] if options.decontaminate else colors
    # where the subject is opaque its colour is the picture's, to the bit
    color = np.where((alpha == 1)[..., None], colors, color)
    return Cutout(color, alpha)


def _alpha(colors: np.ndarray, mask: np.ndarray, trimap: np.ndarray, options: CutoutOptions, band: int) -> np.ndarray:
    if options.method == "none":
        return np.where(trimap == UNKNOWN, mask, trimap)
    soft = np.clip(guided_filter(colors, mask, band), 0, 1)
    if options.method == "guided":
        return np.where(trimap == UNKNOWN, soft, trimap)
    return closed_form_alpha(colors, trimap, soft)

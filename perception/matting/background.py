"""What a cut-out is laid over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps
from scipy import ndimage

from perception.errors import InputError
from perception.files import read_image
from perception.matting.cutout import Cutout

TRANSPARENT = "transparent"
BLUR = "blur"


@dataclass(frozen=True)
class Background:
    """A background by one word: ``transparent``, ``blur`` or ``blur:RADIUS`` of the picture's own, a colour such as
    ``white`` or ``#20c0ff``, or the path of a picture, which is scaled and cropped to fill."""

    kind: str
    color: tuple[int, int, int] = (0, 0, 0)
    radius_px: float | None = None
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Background:
        """
        Raises:
            InputError: for what is neither.
        """
        if text == TRANSPARENT:
            return cls(TRANSPARENT)
        if text == BLUR or text.startswith(f"{BLUR}:"):
            value = text.removeprefix(BLUR).removeprefix(":")
            try:
                radius = float(value) if value else None
            except ValueError:
                radius = -1.0
            if radius is not None and not 0 < radius < 1000:
                raise InputError(f"background {text!r}: the radius must be pixels above 0, such as blur:12")
            return cls(BLUR, radius_px=radius)
        if Path(text).is_file():
            return cls("image", path=Path(text))
        try:
            return cls("color", color=ImageColor.getrgb(text)[:3])
        except ValueError:
            raise InputError(
                f"background {text!r} is no file and no colour; use transparent, blur, white, #20c0ff or a picture"
            ) from None

    def picture(self, image: np.ndarray, alpha: np.ndarray) -> np.ndarray | None:
        """``(H, W, 3)`` uint8 of the size of the original picture; ``None`` for transparency.

        Args:
            image: the original; alpha: ``(H, W)`` of its subject.
        """
        height, width = image.shape[:2]
        if self.kind == TRANSPARENT:
            return None
        if self.kind == BLUR:
            radius = self.radius_px or max(height, width) / 40
            return blurred_behind(image, alpha > 0, radius)
        if self.path is not None:
            return np.asarray(ImageOps.fit(Image.fromarray(read_image(self.path)), (width, height)))
        return np.broadcast_to(np.array(self.color, np.uint8), image.shape)


def composed(cutout: Cutout, background: np.ndarray | None) -> np.ndarray:
    """The subject over a background: ``(H, W, 3)`` uint8, or ``(H, W, 4)`` without one."""
    if background is None:
        return cutout.rgba()
    alpha = cutout.alpha[..., None]
    mixed = alpha * cutout.color + (1 - alpha) * background.astype(np.float32) / 255
    return np.round(mixed * 255).astype(np.uint8)


def blurred_behind(image: np.ndarray, mask: np.ndarray, radius_px: float) -> np.ndarray:
    """The picture blurred from what lies around the subject, so that no ring of its colours surrounds it."""
    known = (~mask).astype(np.float32)
    colors = image.astype(np.float32)
    spread, weight = _blur(colors * known[..., None], radius_px), _blur(known[..., None], radius_px)
    plain = _blur(colors, radius_px)
    return np.round(np.where(weight > 0.02, spread / np.maximum(weight, 1e-6), plain)).clip(0, 255).astype(np.uint8)


def _blur(planes: np.ndarray, radius_px: float) -> np.ndarray:
    return ndimage.gaussian_filter(planes, (radius_px, radius_px, 0), mode="nearest")

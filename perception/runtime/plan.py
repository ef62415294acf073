"""Plans: the ways of running the model that are prepared before the loop starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perception.errors import InputError

MIN_SIDE_PX = 32
"""Below this a network's last feature map would be empty or a single cell."""
MAX_ZOOM = 4.0
"""A window that is enlarged by more is as large as a picture, and blurred."""
SCALES = (0.25, 0.32, 0.4, 0.5, 0.7, 1.0)
"""The default ladder, as shares of the camera's own resolution."""


def trained_scales(info: Mapping[str, Any]) -> tuple[float, ...]:
    """The ladder that an engine's network was trained for, as its ``info`` says; by default :data:`SCALES`.

    >>> trained_scales({"device": "cpu", "scales": [0.25, 0.5]})
    (0.25, 0.5)
    """
    return tuple(info.get("scales") or SCALES)


def parse_scales(text: str) -> tuple[float, ...]:
    """Shares joined by commas.

    Raises:
        InputError: for anything else.
    """
    try:
        return tuple(float(part) for part in text.strip("[] ").split(","))
    except ValueError:
        raise InputError(f"scales {text!r} are not numbers joined by commas, such as 0.25,0.5,1") from None


@dataclass(frozen=True)
class Window:
    """A rectangle of the camera's own pixels, ``[top, top + height) x [left, left + width)``."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Fovea:
    """The part of a picture that is seen at full resolution or enlarged.

    Args:
        window: where, in pixels of a picture of size ``native``; it lies inside.
        native: ``(height, width)`` of the pictures that it is cut from.
        zoom: the network sees it enlarged by this, 1 to :data:`MAX_ZOOM`. That adds no detail, but the network's
            maps have more cells for it.
    """

    window: Window
    native: tuple[int, int]
    zoom: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of what the network sees of it."""
        return round(self.zoom * self.window.height), round(self.zoom * self.window.width)

    def __post_init__(self) -> None:
        window, (height, width) = self.window, self.native
        inside = window.top >= 0 and window.top + window.height <= height
        inside = inside and window.left >= 0 and window.left + window.width <= width
        if not inside or min(window.height, window.width) < MIN_SIDE_PX:
            raise InputError(
                f"fovea {window} must lie inside the picture of {height}x{width} pixels and measure at least "
                f"{MIN_SIDE_PX} pixels a side"
            )
        check_zoom(self.zoom)


def check_zoom(zoom: float) -> None:
    """Raise InputError for what no window can be enlarged by."""
    if not 1 <= zoom <= MAX_ZOOM:
        raise InputError(f"fovea_zoom {zoom:g} is outside 1..{MAX_ZOOM:g}")


@dataclass(frozen=True)
class Plan:
    """One way of running the model.

    Args:
        name: short name, as shown in reports.
        size: ``(height, width)`` to which the whole picture is resized for the network.
        fovea: a window that is run besides, at full resolution or enlarged; masks are stitched and boxes merged.
    """

    name: str
    size: tuple[int, int]
    fovea: Fovea | None = None

    @property
    def output_size(self) -> tuple[int, int]:
        """``(height, width)`` of the masks, in whose pixels boxes are given."""
        return self.size if self.fovea is None else self.fovea.native

    @property
    def pixels(self) -> int:
        """How many pixels the network reads."""
        window = (0, 0) if self.fovea is None else self.fovea.size
        return self.size[0] * self.size[1] + window[0] * window[1]


def uniform_plan(size: tuple[int, int]) -> Plan:
    """The whole picture at one size.

    Raises:
        InputError: if a side is too small for a network.
    """
    if min(size) < MIN_SIDE_PX:
        raise InputError(f"plan {size[0]}x{size[1]} is too small; each side must be at least {MIN_SIDE_PX} pixels")
    return Plan(f"{size[0]}x{size[1]}", size)


def fovea_plan(size: tuple[int, int], fovea: Fovea) -> Plan:
    """A low-resolution view of everything with a full-resolution window."""
    window = fovea.window
    zoom = "" if fovea.zoom == 1 else f"@{fovea.zoom:g}"
    return Plan(f"{size[0]}x{size[1]}+{window.height}x{window.width}{zoom}", size, fovea)


def ladder(native: tuple[int, int], scales: Sequence[float] = SCALES, multiple: int = 4) -> tuple[Plan, ...]:
    """Uniform plans from the smallest to the largest scale.

    >>> [plan.name for plan in ladder((900, 1600), (0.4, 1.0))]
    ['360x640', '900x1600']

    Args:
        native: ``(height, width)`` of the camera's pictures.
        scales: shares of it, up to 1.
        multiple: sides are rounded to multiples of this, but the camera's own size stays as it is.

    Raises:
        InputError: for no scales, a scale outside 0..1, or a rung that is too small.
    """
    if not scales or not all(0 < scale <= 1 for scale in scales):
        raise InputError(f"scales {list(scales)} must be numbers above 0 and up to 1")
    sizes = []
    for scale in sorted(set(scales)):
        rounded = tuple(min(side, multiple * round(scale * side / multiple)) for side in native)
        sizes.append(native if scale == 1 else (rounded[0], rounded[1]))
    return tuple(uniform_plan(size) for size in dict.fromkeys(sizes))

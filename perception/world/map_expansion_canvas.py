"""Where the scenes of a world lie on the maps: side by side on the canvases of nuScenes' four locations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

CANVASES = {
    "boston-seaport": (2979.5, 2118.1),
    "singapore-onenorth": (1585.6, 2025.0),
    "singapore-queenstown": (3228.6, 3687.1),
    "singapore-hollandvillage": (2808.3, 2922.9),
}
"""Width and height of each location's canvas in metres; the official map reader has the same numbers written in it."""
GAP_M = 20
"""Free ground around a scene's drivable area."""


@dataclass(frozen=True)
class Place:
    """Where a scene lies.

    Args:
        offset_m: whole metres from the scene's own frame to the map's.
    """

    location: str
    offset_m: tuple[int, int]


@dataclass
class _Shelves:
    """Rows of rectangles from the south-west corner of a canvas."""

    width: float
    height: float
    x: int = 0
    y: int = 0
    row: int = field(default=0)

    def put(self, width: int, height: int) -> tuple[int, int] | None:
        """Corner of the next rectangle; ``None`` where it does not fit."""
        if width > self.width:
            return None
        x, y, row = self.x, self.y, self.row
        if x + width > self.width:
            x, y, row = 0, y + row, 0
        if y + height > self.height:
            return None
        self.x, self.y, self.row = x + width, y, max(row, height)
        return x, y


def place_scenes(
    extents: Sequence[tuple[tuple[int, int], tuple[int, int]]], wishes: Sequence[Sequence[str]]
) -> list[Place]:
    """Places of the scenes, one after the other; the same extents give the same places.

    A scene goes to the first location of its wishes that has room; where none has, to any other that has.

    Args:
        extents: south-west corner and (width, height) of each scene's drivable area in its own frame, whole metres.
        wishes: locations that suit it, the best first.

    Returns:
        As many places as there is room for, of the first scenes.
    """
    shelves = {location: _Shelves(*size) for location, size in CANVASES.items()}
    places: list[Place] = []
    for ((west, south), (width, height)), wished in zip(extents, wishes, strict=True):
        for location in [*wished, *(other for other in CANVASES if other not in wished)]:
            corner = shelves[location].put(width + 2 * GAP_M, height + 2 * GAP_M)
            if corner is not None:
                places.append(Place(location, (corner[0] + GAP_M - west, corner[1] + GAP_M - south)))
                break
        else:
            return places
    return places

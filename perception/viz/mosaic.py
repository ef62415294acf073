"""Pictures of several cameras as one: a grid that shows the newest picture of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Mosaic:
    """Collects one picture per camera and says when a round is complete.

    Args:
        channels: the cameras, in the order of the tiles, row by row; three tiles to a row.
        tile: ``(height, width)`` of a tile.
    """

    def __init__(self, channels: Sequence[str], tile: tuple[int, int]) -> None:
        self.columns = min(3, len(channels))
        self.rows = math.ceil(len(channels) / self.columns)
        self.tile = tile
        self._place = {channel: divmod(index, self.columns) for index, channel in enumerate(channels)}
        self._canvas = np.full((self.rows * tile[0], self.columns * tile[1], 3), 24, np.uint8)
        self._fresh: set[str] = set()

    def round_is_over(self, channel: str) -> bool:
        """Whether the next picture of ``channel`` starts a new round: one of this camera is already in it."""
        return channel in self._fresh

    def put(self, channel: str, picture: np.ndarray) -> None:
        """Set a tile; ``picture`` is ``(*tile, 3)`` uint8."""
        row, column = self._place[channel]
        height, width = self.tile
        self._canvas[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
        self._fresh.add(channel)

    def take(self) -> np.ndarray | None:
        """The grid as it stands, and begin a new round; ``None`` if nothing came since the last one."""
        if not self._fresh:
            return None
        self._fresh.clear()
        return self._canvas.copy()

"""Picks the pictures of a run that the report shows: some spread over time, and the slowest one."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class KeyFrame:
    """A picture for the report.

    Args:
        index: its frame's position in the run.
        jpeg: the encoded picture.
        caption: one line.
    """

    index: int
    jpeg: bytes
    caption: str


class KeyFrameCollector:
    """Chooses while the run goes on, in bounded memory and without knowing its length.

    Every ``stride``-th picture is kept; when there are twice as many as wanted, every other one is dropped and
    the stride doubles.

    Args:
        count: pictures wanted, the slowest among them.
        max_side: longer pictures are scaled down, which keeps the report small.
    """

    def __init__(self, count: int = 6, max_side: int = 1280) -> None:
        self._count = count
        self._max_side = max_side
        self._stride = 1
        self._seen = 0
        self._kept: list[KeyFrame] = []
        self._slowest: tuple[float, int, np.ndarray, str] | None = None

    def offer(self, index: int, picture: np.ndarray, caption: str, latency_ms: float | None) -> None:
        """Show the collector a drawn picture ``(H, W, 3)`` uint8; it keeps no reference to what it rejects."""
        if self._seen % self._stride == 0:
            self._kept.append(KeyFrame(index, self._encode(picture), caption))
            if len(self._kept) >= 2 * self._count:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._seen += 1
        if latency_ms is not None and (self._slowest is None or latency_ms > self._slowest[0]):
            self._slowest = (latency_ms, index, picture, caption)

    def result(self) -> list[KeyFrame]:
        """The chosen pictures in order; the slowest says so in its caption."""
        if not self._kept:
            return []
        wanted = np.linspace(0, len(self._kept) - 1, min(self._count, len(self._kept))).round().astype(int)
        chosen = {self._kept[position].index: self._kept[position] for position in wanted}
        if self._slowest is not None:
            _, index, picture, caption = self._slowest
            if index not in chosen and len(chosen) >= self._count:
                del chosen[min(chosen, key=lambda other: abs(other - index))]
            slowest = chosen.get(index) or KeyFrame(index, self._encode(picture), caption)
            chosen[index] = replace(slowest, caption=f"{caption} · slowest")
        return [chosen[index] for index in sorted(chosen)]

    def _encode(self, picture: np.ndarray) -> bytes:
        image = Image.fromarray(picture)
        image.thumbnail((self._max_side, self._max_side))
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=85)
        return buffer.getvalue()

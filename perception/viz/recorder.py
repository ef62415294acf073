"""Turns the results of a drive into pictures: overlay video and key frames, of one camera or a mosaic of several."""

from __future__ import annotations

import numpy as np

from perception.runtime.loop import FrameResult
from perception.taxonomy import LabelSet
from perception.viz.keyframes import KeyFrameCollector
from perception.viz.mosaic import Mosaic
from perception.viz.overlay import Hud, draw_hud, draw_overlay
from perception.viz.video import VideoWriter

MAX_WIDTH = 1600
"""Wider pictures are drawn at this width; a mosaic has it in all."""


class Recorder:
    """Draws every frame once and hands it to the video and to the key frames.

    A skipped frame repeats the picture before it, marked so, which keeps the video in step with time.

    Args:
        channels: the cameras; more than one gives a mosaic.
        video: an opened writer, or ``None``.
        keyframes: collects the report's pictures.
    """

    def __init__(
        self, channels: tuple[str, ...], labels: LabelSet, keyframes: KeyFrameCollector, video: VideoWriter | None
    ) -> None:
        self._channels = channels
        self._labels = labels
        self._keyframes = keyframes
        self._video = video
        self._size: tuple[int, int] | None = None  # (height, width) of one camera's picture
        self._early: list[FrameResult] = []  # skipped before any picture told the size
        self._last: dict[str, np.ndarray] = {}
        self._mosaic: Mosaic | None = None
        self._round: list[FrameResult] = []

    def add(self, result: FrameResult) -> None:
        """Draw one result."""
        if self._size is None:
            if result.frame.image is None:
                self._early.append(result)
                return
            self._size = self._choose_size(result.frame.image)
            if len(self._channels) > 1:
                self._mosaic = Mosaic(self._channels, self._size)
            for early in self._early:
                self._draw(early)
            self._early.clear()
        self._draw(result)

    def finish(self) -> None:
        """Write what a mosaic still holds."""
        self._flush_round()

    def _choose_size(self, image: np.ndarray) -> tuple[int, int]:
        height, width = image.shape[:2]
        wanted = min(width, MAX_WIDTH)
        if len(self._channels) > 1:
            wanted = min(width, 2 * (MAX_WIDTH // min(3, len(self._channels)) // 2))
        return max(2, round(height * wanted / width / 2) * 2) if wanted < width else height, wanted

    def _draw(self, result: FrameResult) -> None:
        assert self._size is not None
        frame = result.frame
        if frame.image is not None:
            plan_size = result.decision.plan.output_size if result.decision else None
            self._last[frame.channel] = draw_overlay(
                frame.image, result.prediction, self._labels, self._size, plan_size
            )
        picture = self._last.get(frame.channel)
        if picture is None:
            picture = np.full((*self._size, 3), 24, np.uint8)
        picture = draw_hud(
            picture,
            Hud(
                speed_mps=result.speed_mps,
                plan=result.decision.plan.name if result.decision else None,
                latency_ms=result.latency_ms if result.decision else None,
                status=result.status.value,
                camera=frame.channel if self._mosaic else "",
            ),
        )
        if self._mosaic is None:
            self._emit(picture, [result])
            return
        if self._mosaic.round_is_over(frame.channel):
            self._flush_round()
        self._mosaic.put(frame.channel, picture)
        self._round.append(result)

    def _flush_round(self) -> None:
        picture = self._mosaic.take() if self._mosaic else None
        if picture is not None:
            self._emit(picture, self._round)
        self._round = []

    def _emit(self, picture: np.ndarray, results: list[FrameResult]) -> None:
        if self._video is not None:
            self._video.write(picture)
        answered = [result for result in results if result.decision is not None]
        if answered:
            slowest = max(answered, key=lambda result: result.latency_ms)
            self._keyframes.offer(slowest.index, picture, _caption(results, slowest), slowest.latency_ms)


def _caption(results: list[FrameResult], slowest: FrameResult) -> str:
    first, last = results[0].index, results[-1].index
    parts = [f"frame {first}" if first == last else f"frames {first} to {last}"]
    if slowest.speed_mps is not None:
        parts.append(f"{slowest.speed_mps * 3.6:.0f} km/h")
    if slowest.decision is not None:
        parts.append(slowest.decision.plan.name)
    camera = f" ({slowest.frame.channel})" if len(results) > 1 else ""
    parts.append(f"{slowest.latency_ms:.1f} ms{camera}")
    return " · ".join(parts)

"""Releasing recorded frames at the rate at which a camera took them."""

from __future__ import annotations

from collections import deque

from perception.runtime.source import Frame

MAX_LAG_S = 1.0
"""A source that falls further behind cannot keep the camera's pace; its time is shifted."""


class Pacer:
    """When to read the next frame, and when the frame that was read counts as captured.

    A camera's picture comes compressed and is decoded then; so a recorded frame is read when it is due, and the
    time that this takes is part of its latency. A rendered frame has nothing to decode: it counts as captured when it
    is released. A live frame says itself when it came.

    Args:
        channels: number of cameras.
        interval_s: between two frames of a camera.
        rendered: frames are made up by the source.
    """

    def __init__(self, channels: int, interval_s: float, rendered: bool) -> None:
        self._interval_s = interval_s
        self._rendered = rendered
        self._dues: deque[float] = deque(maxlen=channels)
        self._start: tuple[float, int] | None = None  # clock and timestamp that belong together
        self._live = False
        self.slips = 0

    @property
    def read_at_s(self) -> float | None:
        """When to begin reading the next frame; ``None`` for at once.

        Its own time is not known before it is read, so it is expected one interval after that camera's last.
        """
        if self._live or self._rendered or not self._dues:
            return None
        return self._dues[0] + self._interval_s if len(self._dues) == self._dues.maxlen else self._dues[-1]

    def captured(self, frame: Frame, begun_s: float, read_s: float) -> tuple[float, float]:
        """Clock times at which a frame counts as captured and at which it may be released.

        Args:
            begun_s: when reading began; read_s: when the frame was there.
        """
        if frame.arrived_s is not None:
            self._live = True
            return frame.arrived_s, read_s
        if self._start is None:
            self._start = (read_s if self._rendered else begun_s, frame.timestamp_us)
        due_s = self._start[0] + (frame.timestamp_us - self._start[1]) / 1e6
        lag_s = (read_s if self._rendered else begun_s) - due_s
        if lag_s > MAX_LAG_S:
            self._start = (self._start[0] + lag_s, self._start[1])
            self.slips += 1
            due_s += lag_s
        expected_s = self.read_at_s
        if self._rendered:
            captured_s = max(due_s, read_s)
            self._dues.append(due_s)
            return captured_s, captured_s
        captured_s = due_s if expected_s is None else max(due_s, min(expected_s, begun_s))
        self._dues.append(due_s)
        return captured_s, captured_s + (read_s - begun_s) if captured_s > begun_s else read_s

"""Pictures that another program hands over while they are taken, such as the callback of a ROS 2 node."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from perception.errors import InputError
from perception.files import read_image
from perception.runtime.queues import Latest
from perception.runtime.source import Frame
from perception.types import Camera

WAITING = 4
"""Pictures of all cameras that wait to be decoded; more replace the oldest."""


class LiveSource:
    """A source that is fed by :meth:`push`; drive it at pace ``camera``.

    Args:
        channels: the cameras.
        interval_s: between two pictures of a camera.
        clock: that of the loop.
    """

    total = None
    has_speed = True
    rendered = False

    def __init__(
        self,
        channels: Sequence[str] = ("camera",),
        interval_s: float = 1 / 12,
        name: str = "live",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not channels or not 0 < interval_s < 3600:
            raise InputError(f"a live source of {len(channels)} cameras every {interval_s:g} s; it needs at least one")
        self.channels = tuple(channels)
        self.interval_s = interval_s
        self.name = name
        self._clock = clock
        self._pushed: Latest[tuple[np.ndarray | bytes, Frame]] = Latest(WAITING * len(self.channels))

    def push(
        self,
        picture: np.ndarray | bytes,
        timestamp_us: int,
        channel: str | None = None,
        speed_mps: float | None = None,
        camera: Camera | None = None,
        yaw_rate_radps: float | None = None,
        age_s: float = 0.0,
    ) -> None:
        """Hand over a picture; returns at once, from any thread.

        Args:
            picture: ``(H, W, 3)`` uint8 RGB, which must not change any more, or the bytes of a JPEG or PNG file.
            timestamp_us: when it was taken, on the clock of the vehicle.
            channel: the camera; the first one by default.
            yaw_rate_radps: to the left positive.
            age_s: how long ago it was taken; the latency counts from then.

        Raises:
            InputError: for a camera that the source does not have.
        """
        channel = channel or self.channels[0]
        if channel not in self.channels:
            raise InputError(f"camera {channel!r} is none of {', '.join(self.channels)}")
        arrived_s = self._clock() - max(age_s, 0.0)
        frame = Frame(
            None, str(timestamp_us), timestamp_us, channel, speed_mps, camera, None, yaw_rate_radps, arrived_s
        )  # fmt: skip
        self._pushed.put((picture, frame))

    def close(self) -> None:
        """No more pictures come."""
        self._pushed.close()

    def __iter__(self) -> Iterator[Frame]:
        while not self._pushed.finished:
            item = self._pushed.take()
            if item is None:
                continue
            picture, frame = item
            image, error = None, None
            try:
                image = read_image(io.BytesIO(picture)) if isinstance(picture, bytes) else picture
            except InputError as problem:
                error = str(problem)
            yield replace(frame, image=image, error=error)

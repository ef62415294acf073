"""Bounded buffers between the threads of the loop. Putting something in never waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from perception.runtime.source import Frame

T = TypeVar("T")
MAX_SKIPPED = 64
"""Unreadable frames of a camera that wait for their turn; more are dropped."""


@dataclass(frozen=True)
class Captured:
    """A frame of the camera and when it came, on the loop's clock.

    Args:
        index: position in the source.
        captured_s: when the picture was taken.
        ready_s: when it was decoded.
        drops: frames of the camera that this one has replaced.
    """

    index: int
    frame: Frame
    captured_s: float
    ready_s: float
    drops: int = 0


class NewestFrames:
    """The newest waiting frame of each camera.

    A frame that finds an older one of its camera still waiting takes its place. Frames that could not be read
    replace nothing and wait in line, so that the report has them in order. Cameras take turns: the one of highest
    priority that waits and was not served in this round; when no such one waits, a new round begins.

    Args:
        channels: the cameras, the most important first.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._waiting: dict[str, deque[Captured]] = {channel: deque() for channel in channels}
        self._drops = dict.fromkeys(channels, 0)
        self._served: set[str] = set()
        self._condition = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, item: Captured) -> None:
        """Add a frame. After :meth:`close` it is ignored."""
        channel = item.frame.channel
        with self._condition:
            if self._closed:
                return
            line = self._waiting.setdefault(channel, deque())
            readable = [i for i, waiting in enumerate(line) if waiting.frame.image is not None]
            full = item.frame.image is None and len(line) - len(readable) >= MAX_SKIPPED
            if item.frame.image is not None and readable:
                del line[readable[0]]
            if full or (item.frame.image is not None and readable):
                self.dropped += 1
                self._drops[channel] = self._drops.get(channel, 0) + 1
            if not full:
                line.append(item)
            self._condition.notify()

    def take(self, timeout_s: float | None = None) -> Captured | None:
        """The next frame to be worked on; ``None`` when closed and empty, or when the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or any(self._waiting.values()), timeout_s)
            waiting = [channel for channel, line in self._waiting.items() if line]
            if not waiting:
                return None
            unserved = [channel for channel in waiting if channel not in self._served]
            if not unserved:
                self._served.clear()
            channel = (unserved or waiting)[0]
            self._served.add(channel)
            item = self._waiting[channel].popleft()
            drops, self._drops[channel] = self._drops.get(channel, 0), 0
            return Captured(item.index, item.frame, item.captured_s, item.ready_s, drops)

    def close(self, discard: bool = False) -> None:
        """No more frames come; those that wait may still be taken unless they are discarded."""
        with self._condition:
            self._closed = True
            if discard:
                for line in self._waiting.values():
                    line.clear()
            self._condition.notify_all()


class Latest(Generic[T]):
    """The latest items, oldest first; when it is full, the oldest gives way and is counted.

    Args:
        capacity: at least 1.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._condition = threading.Condition()
        self._closed = False
        self.lost = 0

    def put(self, item: T) -> None:
        with self._condition:
            if self._closed:
                return
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.lost += 1
            self._items.append(item)
            self._condition.notify()

    def take(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; ``None`` when closed and empty, or when the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._items, timeout_s)
            return self._items.popleft() if self._items else None

    @property
    def finished(self) -> bool:
        """Closed and empty."""
        with self._condition:
            return self._closed and not self._items

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()

"""The loop: take a frame, ask the policy for a plan, run the engine, publish, and say whether it came in time."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perception.errors import InputError
from perception.runtime.answer import Answerer, Monitor
from perception.runtime.engine import Engine
from perception.runtime.pacing import Pacer
from perception.runtime.realtime import RealTimeDrive
from perception.runtime.resolution import Policy
from perception.runtime.result import FrameResult, Publication, Status, answered_status
from perception.runtime.source import Frame, Source
from perception.runtime.speed import SpeedSource

__all__ = ["PACES", "DriveLoop", "FrameResult", "Publication", "Status"]

PACES = ("none", "camera")
PEEKED = 32
"""Frames that are read, at most, to learn the size of the pictures before the drive."""


class DriveLoop:
    """Drives over a source; iterate over it for what became of each frame.

    At pace ``none`` every frame is answered in order, however long it takes, one after the other in the caller's
    thread: the same frames give the same results. A frame's latency then begins when it is in hand. At pace
    ``camera`` frames come as the camera took them, on threads (see
    :class:`perception.runtime.realtime.RealTimeDrive`), and the latency runs from capture to publication.

    A frame's deadline is the one that its decision carries, or ``deadline_ms`` where that is tighter. Without either
    it is the interval between frames, divided by the number of cameras that share the engine.

    Args:
        policy: for all cameras, or one for each; the order of the mapping is that of their importance.
        deadline_ms: limit of a frame's latency.
        clock: monotonic seconds; replaced in tests.
        pace: ``none`` or ``camera``.
        monitor: told the latency of every frame, as the calibration measures it.
        publish: called with every answer as it goes out; see :class:`RealTimeDrive` for which threads call it.
        stale_ms: the watchdog's limit, at pace ``camera``.

    Raises:
        InputError: for a deadline or limit that is not a positive number, an unknown pace, or a camera without policy.
    """

    def __init__(
        self,
        source: Source,
        speed: SpeedSource,
        policy: Policy | Mapping[str, Policy],
        engine: Engine,
        deadline_ms: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        *,
        pace: str = "none",
        monitor: Monitor | None = None,
        publish: Callable[[Publication], None] | None = None,
        stale_ms: float = 1000.0,
    ) -> None:
        if pace not in PACES:
            raise InputError(f"unknown pace {pace!r}; use {' or '.join(PACES)}")
        if not 0 < stale_ms < math.inf:
            raise InputError(f"stale_ms {stale_ms:g} is not a positive number of milliseconds")
        policies = dict(policy) if isinstance(policy, Mapping) else dict.fromkeys(source.channels, policy)
        missing = [channel for channel in source.channels if channel not in policies]
        if missing:
            raise InputError(f"no policy for {', '.join(missing)}; give one for each camera of the source")
        interval_ms = source.interval_s * 1e3 / len(source.channels)
        self._answerer = Answerer(engine, policies, speed, deadline_ms, interval_ms, monitor, clock)
        self.deadline_ms = self._answerer.default_ms
        self.pace = pace
        self.warm_up_ms = 0.0
        self.stopped: str | None = None
        self._channels = tuple(channel for channel in policies if channel in source.channels)
        self._source = source
        self._monitor = monitor
        self._publish = publish
        self._stale_ms = stale_ms
        self._clock = clock
        self._peeked: list[tuple[Frame, float]] = []  # and how long each took to read, in milliseconds
        self._frames: Iterator[Frame] | None = None
        self._picture_size: tuple[int, int] | None = None
        self._drive: RealTimeDrive | None = None
        self._taken = 0
        self._last_capture: tuple[int, float] | None = None  # microseconds and latency of the last answer

    @property
    def status(self) -> Status:
        """Of what was published last; ``STALE`` where nothing was for longer than ``stale_ms``."""
        return Status.STALE if self._drive is None else self._drive.status

    @property
    def record(self) -> dict[str, Any]:
        """The drive as a whole, JSON-able: ``pace``, ``stopped``, counts of frames, and events of the monitor."""
        counts: dict[str, float | None] = {"seconds": None, "captured": self._taken}
        counts |= dict.fromkeys(("dropped", "substituted", "warped", "stale", "slips", "unread"), 0)
        if self._drive is not None:
            counts |= self._drive.record
        events = () if self._monitor is None else self._monitor.events
        drift = [event.record for event in events]
        return {"pace": self.pace, "stopped": self.stopped or "end", **counts, "drift": drift}

    def warm_up(self) -> None:
        """Prepare every plan of the policies, for pictures of the source's size, so that no frame pays for it."""
        start = self._clock()
        self._frames = iter(self._source)
        while self._picture_size is None and len(self._peeked) < PEEKED:
            begun = self._clock()
            frame = next(self._frames, None)
            if frame is None:
                break
            self._peeked.append((frame, (self._clock() - begun) * 1e3))
            if frame.image is not None:
                self._picture_size = (frame.image.shape[0], frame.image.shape[1])
        self._answerer.warm_up(self._picture_size)
        self.warm_up_ms = (self._clock() - start) * 1e3

    def stop(self, reason: str = "stopped") -> None:
        """End the drive after the frames that were taken; may be called by any thread or signal handler."""
        self.stopped = self.stopped or reason
        if self._drive is not None:
            self._drive.stop()
        elif self.pace == "camera":
            self._close_source()

    def __iter__(self) -> Iterator[FrameResult]:
        frames = iter(self._source) if self._frames is None else self._frames
        peeked, self._peeked, self._frames = self._peeked, [], None
        if self.pace == "none":
            yield from self._one_by_one(peeked, frames)
            return
        pacer = Pacer(len(self._source.channels), self._source.interval_s, self._source.rendered)
        self._drive = RealTimeDrive(
            itertools.chain((frame for frame, _ in peeked), frames), self._channels, pacer, self._answerer,
            self._publish, self._stale_ms, self._clock, self._rehearse, self._close_source,
        )  # fmt: skip
        if self.stopped is not None:
            self._drive.stop()
        yield from self._drive.run()

    def _rehearse(self) -> None:
        if self._picture_size is not None:
            self._answerer.warm_up(self._picture_size)

    def _close_source(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def _one_by_one(self, peeked: list[tuple[Frame, float]], frames: Iterator[Frame]) -> Iterator[FrameResult]:
        for frame, wait_ms in peeked:
            if self.stopped is not None:
                return
            yield self._step(frame, wait_ms)
        while self.stopped is None:
            start = self._clock()
            frame_or_end = next(frames, None)
            if frame_or_end is None or self.stopped is not None:
                return
            yield self._step(frame_or_end, (self._clock() - start) * 1e3)

    def _step(self, frame: Frame, wait_ms: float) -> FrameResult:
        index, self._taken = self._taken, self._taken + 1
        choice = self._answerer.choose(frame)
        if choice.decision is None:
            return FrameResult(
                index, frame, Status.SKIPPED, choice.deadline_ms, speed_mps=choice.speed_mps, wait_ms=wait_ms,
                age_ms=self._age_ms(frame),
            )  # fmt: skip
        prediction, infer_ms = self._answerer.infer(frame, choice)
        latency_ms = choice.choose_ms + infer_ms
        self._answerer.observe(choice, latency_ms + (0.0 if self._source.rendered else wait_ms))
        self._last_capture = (frame.timestamp_us, latency_ms)
        result = FrameResult(
            index=index,
            frame=frame,
            status=answered_status(latency_ms, choice.deadline_ms, choice.decision.degraded),
            deadline_ms=choice.deadline_ms,
            decision=choice.decision,
            prediction=prediction,
            speed_mps=choice.speed_mps,
            wait_ms=wait_ms,
            choose_ms=choice.choose_ms,
            infer_ms=infer_ms,
            age_ms=self._age_ms(frame),
        )
        if self._publish is not None:
            self._publish(Publication(index, frame.channel, result.status, prediction, result.age_ms))
        return result

    def _age_ms(self, frame: Frame) -> float | None:
        if self._last_capture is None:
            return None
        captured_us, latency_ms = self._last_capture
        return (frame.timestamp_us - captured_us) / 1e3 + latency_ms

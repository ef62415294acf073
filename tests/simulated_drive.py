"""The real-time loop's parts on an event clock: one worker, no threads, and time passes only as the fakes say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception.runtime.answer import Answerer
from perception.runtime.plan import Plan
from perception.runtime.publisher import Publisher, Substitute
from perception.runtime.queues import Captured, NewestFrames
from perception.runtime.result import FrameResult, Status
from perception.runtime.source import Frame
from perception.taxonomy import CAMVID, LabelSet
from perception.types import Prediction

PICTURE = np.zeros((4, 4, 3), np.uint8)
MASK = np.zeros((4, 4), np.uint8)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedEngine:
    """Takes as long as a function of the call's number and the plan says, in milliseconds."""

    labels: LabelSet = CAMVID
    info: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, clock: Clock, latency_ms: Callable[[int, Plan], float]) -> None:
        self.clock, self.latency_ms, self.calls = clock, latency_ms, 0

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        pass

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        self.clock.now += self.latency_ms(self.calls, plan) / 1e3
        self.calls += 1
        return Prediction(semantic=MASK)


def frames_at(interval_s: float, count: int, readable: Callable[[int], bool] = lambda index: True,
              channels: tuple[str, ...] = ("a",)) -> Iterator[Frame]:  # fmt: skip
    for index in range(count):
        image = PICTURE if readable(index) else None
        channel = channels[index % len(channels)]
        yield Frame(image, "", round(index // len(channels) * interval_s * 1e6), channel, 10.0)


@dataclass
class Simulation:
    """Delivers captures and deadlines at their times while the worker is busy, like the threads do.

    ``log`` receives ``(seconds, what)`` for every result and substitute, in the order of their publication.
    """

    clock: Clock
    answerer: Answerer
    publisher: Publisher
    waiting: NewestFrames
    on_result: Callable[[float, FrameResult], None]
    on_substitute: Callable[[float, Substitute], None] = lambda time_s, substitute: None
    most_held: int = 0
    _next: tuple[int, Frame] | None = field(default=None)

    def run(self, frames: Iterator[Frame]) -> None:
        numbered = enumerate(frames)
        self._next = next(numbered, None)
        while True:
            item = self.waiting.take(0)
            if item is None:
                if self._next is None:
                    self._wait_until(float("inf"))
                    return
                self._wait_until(self._time())
                self._capture(numbered)
                continue
            begun = self.clock.now
            choice = self.answerer.choose(item.frame)
            result = FrameResult(item.index, item.frame, Status.SKIPPED, choice.deadline_ms, drops=item.drops)
            if choice.decision is not None:
                self.publisher.decided(item, choice.deadline_ms, choice.speed_mps)
                prediction, infer_ms = self.answerer.infer(item.frame, choice)
                result = FrameResult(
                    item.index, item.frame, Status.OK, choice.deadline_ms, choice.decision, prediction,
                    choice.speed_mps, infer_ms=infer_ms, drops=item.drops,
                )  # fmt: skip
            finished, self.clock.now = self.clock.now, begun
            while self._next is not None and self._time() <= finished:
                self._wait_until(self._time())
                self._capture(numbered)
            self._wait_until(finished)
            self.on_result(finished, self.publisher.answered(result, item.captured_s, finished, stale=False))

    def _time(self) -> float:
        assert self._next is not None
        return max(self.clock.now, self._next[1].timestamp_us / 1e6)

    def _capture(self, numbered: Iterator[tuple[int, Frame]]) -> None:
        assert self._next is not None
        index, frame = self._next
        item = Captured(index, frame, frame.timestamp_us / 1e6, frame.timestamp_us / 1e6)
        self.publisher.captured(item)
        self.waiting.put(item)
        self._next = next(numbered, None)

    def _wait_until(self, time_s: float) -> None:
        while (due_s := self.publisher.next_due_s) is not None and due_s < time_s:
            self.clock.now = max(self.clock.now, due_s)
            for substitute in self.publisher.due(self.clock.now):
                self.on_substitute(self.clock.now, substitute)
            self.most_held = max(self.most_held, self.publisher.held)
        if time_s < float("inf"):
            self.clock.now = max(self.clock.now, time_s)

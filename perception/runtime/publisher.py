"""Keeps what goes out in step with the camera: own answers when they come, the last one where they are late."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

from perception.runtime.queues import Captured
from perception.runtime.result import FrameResult, answered_status
from perception.types import Camera, Prediction


@dataclass(frozen=True)
class Answer:
    """The last answer of a camera."""

    index: int
    prediction: Prediction
    captured_s: float
    camera: Camera | None
    size: tuple[int, int]


@dataclass(frozen=True)
class Substitute:
    """The last answer, to be published at the deadline of a frame whose own is not there.

    Args:
        index: of the frame.
        age_ms: since the capture of the picture that the answer is of.
        distance_m: travelled since; ``None`` where the speed or the turn is not known, or the camera is not
            calibrated. Taking a turn for a straight line would move the road's markings further off than they are.
        yaw_rad: turned since.
    """

    index: int
    channel: str
    answer: Answer
    age_ms: float
    distance_m: float | None
    yaw_rad: float


class Publisher:
    """Decides what is published when; has neither threads nor a clock of its own.

    Every captured frame has a deadline: that of its decision or, until it is decided, that of its camera's decision
    before. Calls are told the time, which must not run backwards.

    Args:
        deadline_ms: of a camera that has no decision yet.
        stale_ms: an answer that is older is not published in another's place.
    """

    def __init__(self, deadline_ms: float, stale_ms: float) -> None:
        self._default_ms = deadline_ms
        self._stale_ms = stale_ms
        self._deadlines: dict[str, float] = {}
        self._motion: dict[str, tuple[float, float] | None] = {}  # m/s and rad/s
        self._pending: OrderedDict[int, tuple[Captured, float]] = OrderedDict()  # frame and its deadline, in seconds
        self._replaced: dict[int, Substitute] = {}
        self._last: dict[str, Answer] = {}
        self.substituted = 0
        self.warped = 0

    def captured(self, item: Captured) -> None:
        """A frame came."""
        deadline_ms = self._deadlines.get(item.frame.channel, self._default_ms)
        self._pending[item.index] = (item, item.captured_s + deadline_ms / 1e3)

    def decided(self, item: Captured, deadline_ms: float, speed_mps: float | None) -> None:
        """The network is about to work on a frame."""
        self._deadlines[item.frame.channel] = deadline_ms
        turn = item.frame.yaw_rate_radps
        self._motion[item.frame.channel] = None
        if speed_mps is not None and turn is not None and math.isfinite(turn):
            self._motion[item.frame.channel] = (speed_mps, turn)
        if item.index in self._pending:
            self._pending[item.index] = (item, item.captured_s + deadline_ms / 1e3)

    def answered(self, result: FrameResult, captured_s: float, now_s: float, stale: bool) -> FrameResult:
        """The frame as it is published now.

        Args:
            result: without status and publication time.
            stale: nothing had been published for longer than the watchdog allows.
        """
        channel = result.frame.channel
        if result.prediction is None or result.decision is None:  # unreadable: at its deadline the last answer goes out
            return replace(result, age_ms=self._age_ms(channel, now_s))
        substitute = self._replaced.get(result.index)
        self._forget(channel, result.index)
        self._last[channel] = Answer(
            result.index, result.prediction, captured_s, result.frame.camera, result.decision.plan.output_size
        )
        published_ms = (now_s - captured_s) * 1e3
        return replace(
            result,
            status=answered_status(published_ms, result.deadline_ms, result.decision.degraded, stale),
            published_ms=published_ms,
            age_ms=published_ms,
            substitute_age_ms=None if substitute is None else substitute.age_ms,
            warped=substitute is not None and substitute.distance_m is not None,
        )

    def _forget(self, channel: str, index: int) -> None:
        """Nothing need be put in place of frames up to this one."""
        for old in [i for i, (item, _) in self._pending.items() if i <= index and item.frame.channel == channel]:
            del self._pending[old]
        for old in [i for i, item in self._replaced.items() if i <= index and item.channel == channel]:
            del self._replaced[old]

    def _age_ms(self, channel: str, now_s: float) -> float | None:
        last = self._last.get(channel)
        return None if last is None else (now_s - last.captured_s) * 1e3

    def due(self, now_s: float) -> list[Substitute]:
        """What to publish in place of answers whose deadline is over."""
        found: list[Substitute] = []
        for index in [i for i, (_, deadline_s) in self._pending.items() if deadline_s <= now_s]:
            item, _ = self._pending.pop(index)
            channel = item.frame.channel
            answer = self._last.get(channel)
            if answer is None:
                continue
            age_s = now_s - answer.captured_s
            if age_s * 1e3 > self._stale_ms:
                continue
            distance_m, yaw_rad = None, 0.0
            motion = self._motion.get(channel)
            if motion is not None and answer.camera is not None:
                distance_m, yaw_rad = motion[0] * age_s, motion[1] * age_s
            self._replaced[index] = Substitute(index, channel, answer, age_s * 1e3, distance_m, yaw_rad)
            found.append(self._replaced[index])
            self.substituted += 1
            self.warped += distance_m is not None
        return found

    @property
    def next_due_s(self) -> float | None:
        """When :meth:`due` has something to do next."""
        return min((deadline_s for _, deadline_s in self._pending.values()), default=None)

    @property
    def held(self) -> int:
        """How many frames are kept track of."""
        return len(self._pending) + len(self._replaced)

"""Watching whether the machine still is as quick as when it was calibrated, and reckoning with it where it is not."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from perception.errors import InputError
from perception.runtime.conformal import alarm_count, alarm_run, conformal_rank
from perception.runtime.latency import LatencyTable, Reference
from perception.runtime.plan import Plan

WINDOW = 20
"""Frames that an alarm looks back on."""
BLOCK = 60
"""Frames that must be quick before anything is taken back; more after a relapse."""
REST = 240
"""Frames for which a plan that is slow alone is left out; more after a relapse."""
PATIENCE = 16
"""How many times ``BLOCK`` and ``REST`` grow at most, doubling with each relapse."""
FORGET = 3600
"""Frames after which a new alarm is no relapse."""
EASE = 0.5
"""A factor is lowered at once where a block of frames needs less than this of it."""
STEP = 0.3
"""By how much, in logarithm, a frame above the raised bound raises it further."""
MAX_EVENTS = 1000
_RULES = 6  # three, each on the last frames of all plans and on those of one plan
_CALM_RATE = 0.02
_MIN_SLOW, _MIN_OTHERS = 3, 2


@dataclass(frozen=True)
class DriftEvent:
    """A change of what is reckoned with.

    Args:
        frame: how many latencies had been observed.
        plan: at which it happened.
        what: ``slower``, ``eased`` and ``recovered`` concern all plans; ``banned``, ``held`` (kept slow while the
            others recover) and ``readmitted`` this one.
        factor: on the calibrated latencies from now on; infinite for a ban.
    """

    frame: int
    plan: str
    what: str
    factor: float

    @property
    def record(self) -> dict[str, Any]:
        """JSON-able; the factor of a ban is ``None``."""
        factor = round(self.factor, 4) if math.isfinite(self.factor) else None
        return {"frame": self.frame, "plan": self.plan, "what": self.what, "factor": factor}


class _Level:
    """One plan: what was calibrated, by how much it is slower now, and what is answered for it."""

    __slots__ = (
        "bound_ms", "free_at", "high_ms", "interval_ms", "own", "plan", "recent", "reference", "rest", "rested_at",
    )  # fmt: skip

    def __init__(self, reference: Reference) -> None:
        self.plan, self.reference = reference.plan, reference
        self.own = 1.0
        self.rest, self.free_at, self.rested_at = REST, 0, -FORGET
        self.recent = _Recent()
        self.scale(1.0)

    def scale(self, shared: float) -> None:
        factor = max(shared, self.own)
        self.high_ms = self.reference.p90_ms * factor
        self.bound_ms = self.reference.bound_ms * factor
        self.interval_ms = self.reference.interval_ms * factor


_Seen = tuple[_Level, float, bool, bool]
"""A frame: its plan, latency in milliseconds, and whether it exceeded the 90th percentile and the bound."""


class _Recent:
    """The last frames, and how many of them exceeded what."""

    __slots__ = ("frames", "high", "over", "run")

    def __init__(self) -> None:
        self.frames: deque[_Seen] = deque()
        self.high = self.over = self.run = 0

    def add(self, seen: _Seen) -> None:
        frames = self.frames
        if len(frames) == WINDOW:
            _, _, high, over = frames.popleft()
            self.high -= high
            self.over -= over
        frames.append(seen)
        self.high += seen[2]
        self.over += seen[3]
        self.run = self.run + 1 if seen[3] else 0

    def clear(self) -> None:
        self.frames.clear()
        self.high = self.over = self.run = 0


class DriftMonitor:
    """A latency table that follows the machine; implements ``Latencies`` of the adaptive policy.

    After each frame :meth:`observe` compares its latency with the plan's calibrated 90th percentile and bound. It
    raises an alarm where, of the last 20 frames of all plans or of this plan, too many exceeded the percentile or
    the bound, or too many in a row exceeded the bound. "Too many" is the fewest that have a probability of
    at most ``alarm_rate / 6`` each, as long as latencies are exchangeable with those of the calibration; the
    probabilities are exact (see :func:`perception.runtime.conformal.exceedance_tail`), so with six rules an alarm at
    a given frame is false with a probability of at most ``alarm_rate``. Real latencies are correlated; an alarm then
    means that the machine was slow for a while, whatever the reason.

    An alarm raises the bounds of all plans by the observed ratio: the median ratio of the slow frames to the
    calibrated median, or the second largest ratio of a frame to its bound, whichever is larger (one outlier does
    not count). Only where other plans ran as quickly as ever between the slow frames, then or later, is the plan
    slow by itself, and banned for :data:`REST` frames; the last plan that is left is never banned.

    From the alarm on the factor follows the tail: a frame above the raised bound raises it by ``exp(STEP (1 - m))``,
    any other lowers it by ``exp(-STEP m)``, ``m`` being the table's miss rate and the median ratio the lowest.
    So the share of frames above the bound tends to ``m`` whatever latencies come (quantile tracking: Angelopoulos,
    Candes & Tibshirani, "Conformal PID Control for Time Series Prediction", arXiv 2307.16895). The alarm ends after
    :data:`BLOCK` frames that pass for the calibrated ones; a block that needs less than :data:`EASE` of the factor
    lowers it at once. A plan that raised the alarm and has not run since keeps its factor for :data:`REST`
    frames more. Each relapse doubles these waits, up to :data:`PATIENCE` times, so that nothing flaps.

    One thread calls :meth:`observe`; any may ask for bounds.

    Args:
        table: the calibrated latencies.
        alarm_rate: probability of a false alarm at one frame, as defined above.

    Raises:
        InputError: for an alarm rate outside 0..0.1.
    """

    def __init__(self, table: LatencyTable, alarm_rate: float = 1e-4) -> None:
        if not 0 < alarm_rate <= 0.1:
            raise InputError(f"alarm_rate {alarm_rate:g} must lie between 0 and 0.1")
        references = [reference for plan in table.plans if (reference := table.reference(plan)) is not None]
        self._levels = {reference.plan.name: _Level(reference) for reference in references}
        ranks = {(n, math.ceil(0.9 * n), conformal_rank(n, table.miss_rate)) for n in {r.samples for r in references}}
        rate = alarm_rate / _RULES
        # Of plans that were calibrated with unlike numbers of samples, the most uncertain one sets the limits.
        self._high_limit = max(alarm_count(n, high, WINDOW, rate) for n, high, _ in ranks)
        self._over_limit = max(alarm_count(n, over, WINDOW, rate) for n, _, over in ranks)
        self._run_limit = max(alarm_run(n, over, WINDOW, rate) for n, _, over in ranks)
        self._calm_high = max(alarm_count(n, high, BLOCK, _CALM_RATE) for n, high, _ in ranks)
        self._calm_over = max(alarm_count(n, over, BLOCK, _CALM_RATE) for n, _, over in ranks)
        self._frame = 0
        self._recent = _Recent()
        self._up, self._down = math.exp(STEP * (1 - table.miss_rate)), math.exp(-STEP * table.miss_rate)
        self._slow = False
        self._factor = self._floor = 1.0
        self._block: list[tuple[_Level, float]] = []
        self._calm_blocks, self._patience = 0, 1
        self._lowered_at = -FORGET
        self._suspects: set[_Level] = set()
        self._calm_levels: set[_Level] = set()
        self._next_free = math.inf
        self._events: deque[DriftEvent] = deque(maxlen=MAX_EVENTS)

    @property
    def factor(self) -> float:
        """By how much all plans are reckoned to be slower than calibrated; at least 1."""
        return self._factor

    @property
    def events(self) -> tuple[DriftEvent, ...]:
        """The latest changes, at most :data:`MAX_EVENTS`."""
        return tuple(self._events)

    def bound_ms(self, plan: Plan) -> float:
        """Upper bound of the latency, as reckoned now; infinite for a plan that is banned or was not measured."""
        level = self._levels.get(plan.name)
        return level.bound_ms if level is not None and (level.plan is plan or level.plan == plan) else math.inf

    def interval_ms(self, plan: Plan) -> float:
        """Time between two answers, as reckoned now; infinite for a plan that is banned or was not measured."""
        level = self._levels.get(plan.name)
        return level.interval_ms if level is not None and (level.plan is plan or level.plan == plan) else math.inf

    def observe(self, plan: Plan, latency_ms: float) -> None:
        """Take in how long a frame took, measured like the calibration.

        Raises:
            InputError: for a plan that was not measured, or a latency that is not a non-negative number.
        """
        level = self._levels.get(plan.name)
        if level is None or (level.plan is not plan and level.plan != plan):
            raise InputError(f"plan {plan.name} has no calibrated latency; run perception calibrate with it")
        if not 0 <= latency_ms < math.inf:
            raise InputError(f"latency of {latency_ms:g} ms is not a non-negative number")
        self._frame += 1
        if self._frame >= self._next_free:
            self._readmit()
        high, over = latency_ms > level.high_ms, latency_ms > level.bound_ms
        seen = (level, latency_ms, high, over)
        self._recent.add(seen)
        level.recent.add(seen)
        if self._slow:
            self._block.append((level, latency_ms))
            self._track(level, over)
        if high or over:
            alone = self._alarming(level.recent)
            if alone or self._alarming(self._recent):
                self._alarm(level, alone)
        if len(self._block) >= BLOCK:
            self._review(level)

    def _alarming(self, recent: _Recent) -> bool:
        return recent.high >= self._high_limit or recent.over >= self._over_limit or recent.run >= self._run_limit

    def _track(self, level: _Level, over: bool) -> None:
        """Follow the tail of the latencies while the machine is slow."""
        if over and level.own <= self._factor:
            self._factor *= self._up
        else:
            self._factor = max(self._factor * self._down, self._floor)
        for one in self._levels.values():
            one.scale(self._factor)

    def _alarm(self, level: _Level, alone: bool) -> None:
        """The last frames were slow.

        Args:
            alone: this plan's own last frames suffice for the alarm.
        """
        slow = self._slow_by_themselves(self._recent.frames, {level} if alone else set(), _MIN_OTHERS)
        if slow:
            for one in slow:
                self._set_aside(one, math.inf, "banned")
        else:
            frames = level.recent.frames if alone else self._recent.frames
            slow_frames = [seen for seen in frames if seen[2] or seen[3]]
            self._suspects.update(seen[0] for seen in slow_frames)
            if self._frame - self._lowered_at < FORGET:
                self._patience = min(2 * self._patience, PATIENCE)
            elif not self._slow:
                self._patience = 1
            self._lowered_at = -FORGET  # one relapse for each time that a factor was lowered
            location, tail = _slowdown(slow_frames)
            self._slow, self._floor = True, location
            self._set_factor(max(self._factor, location, tail), level, "slower")
        self._recent.clear()
        for one in self._levels.values():
            one.recent.clear()

    def _slow_by_themselves(self, frames: Iterable[_Seen], slow: set[_Level], least: int) -> list[_Level]:
        """Plans between whose slow frames others ran as quickly as ever; none where every plan would be left out.

        Args:
            slow: plans that are known to be slow.
            least: fewest frames of others that tell.
        """
        flags = [(one, high or over) for one, _, high, over in frames]
        by_level: dict[_Level, list[bool]] = {}
        for one, flag in flags:
            by_level.setdefault(one, []).append(flag)
        slow = slow | {one for one, own in by_level.items() if len(own) >= _MIN_SLOW and 2 * sum(own) > len(own)}
        onset = next((i for i, (one, flag) in enumerate(flags) if one in slow and flag), len(flags))
        others = [flag for one, flag in flags[onset:] if one not in slow]
        usable = [one for one in self._levels.values() if math.isfinite(one.own) and one not in slow]
        is_calm = len(others) >= least and 4 * sum(others) <= len(others)
        return sorted(slow, key=lambda one: one.plan.name) if is_calm and usable else []

    def _review(self, level: _Level) -> None:
        """Judge the frames since the last change or review."""
        block: list[_Seen] = [
            (one, latency_ms, latency_ms > one.reference.p90_ms, latency_ms > one.reference.bound_ms)
            for one, latency_ms in self._block
        ]
        self._block = []
        for one in self._slow_by_themselves(block, set(), BLOCK // 4):
            self._set_aside(one, math.inf, "banned")
            block = [seen for seen in block if seen[0] is not one]
        share = len(block) / BLOCK
        high, over = sum(seen[2] for seen in block), sum(seen[3] for seen in block)
        if high >= share * self._calm_high or over >= share * self._calm_over:
            self._calm_blocks = 0
            self._calm_levels.clear()
            self._floor, _ = _slowdown(block)
            needed = max(self._floor, *(latency_ms / one.reference.bound_ms for one, latency_ms, _, _ in block))
            if needed <= EASE * self._factor:
                self._set_factor(needed, level, "eased")
                self._lowered_at = self._frame
            return
        self._calm_blocks += 1
        self._calm_levels.update(seen[0] for seen in block)
        if self._calm_blocks >= self._patience:
            before, self._slow, self._floor = self._factor, False, 1.0
            self._set_factor(1.0, level, "recovered")
            self._lowered_at = self._frame
            for one in sorted(self._suspects - self._calm_levels, key=lambda one: one.plan.name):
                self._set_aside(one, before, "held")
            self._suspects.clear()
            self._recent.clear()

    def _set_factor(self, factor: float, level: _Level, what: str) -> None:
        self._factor = factor
        self._block, self._calm_blocks = [], 0
        if what == "slower":
            self._calm_levels.clear()
        for one in self._levels.values():
            one.scale(factor)
        self._events.append(DriftEvent(self._frame, level.plan.name, what, factor))

    def _set_aside(self, level: _Level, own: float, what: str) -> None:
        """Reckon with a factor of the plan's own for a while."""
        relapse = self._frame - level.rested_at < FORGET
        level.rest = min(2 * level.rest, PATIENCE * REST) if relapse else REST
        level.own = max(level.own, own)
        level.free_at = level.rested_at = self._frame + level.rest
        level.scale(self._factor)
        self._next_free = min(self._next_free, level.free_at)
        self._events.append(DriftEvent(self._frame, level.plan.name, what, level.own))

    def _readmit(self) -> None:
        self._next_free = math.inf
        for level in self._levels.values():
            if level.own == 1:
                continue
            if self._frame < level.free_at:
                self._next_free = min(self._next_free, level.free_at)
                continue
            level.own = 1.0
            level.scale(self._factor)
            level.recent.clear()
            self._events.append(DriftEvent(self._frame, level.plan.name, "readmitted", self._factor))


def _slowdown(frames: Sequence[_Seen]) -> tuple[float, float]:
    """The median ratio to the calibrated median, and the second largest to the bound; each at least 1."""
    if len(frames) < 2:
        return 1.0, 1.0
    of_median = median(latency_ms / level.reference.p50_ms for level, latency_ms, _, _ in frames)
    of_bound = sorted(latency_ms / level.reference.bound_ms for level, latency_ms, _, _ in frames)
    return max(1.0, of_median), max(1.0, of_bound[-2])

"""Streaming evaluation on an event clock: what a vehicle knows at an instant is the newest answer finished by then.

After Li, Wang & Ramanan, "Towards Streaming Perception" (arXiv 2005.10420). One worker runs the network; when it is
free it takes the newest frame that it has not taken yet, or waits for the next one; frames that come and go while it
is busy are dropped. The policy is asked when a frame is taken. Time passes as measured latencies say, so a drive can
be replayed at will and gives the same result every time.

An answer is not scored by its age but against the labels of the instant at which it is used: where nothing moves, a
late answer loses nothing, and that is as it should be.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from perception.errors import InputError
from perception.runtime.plan import Plan
from perception.runtime.resolution import Policy, VehicleState

UNANSWERED = -1


@dataclass(frozen=True)
class Run:
    """One frame through the network.

    Args:
        frame: its position in the drive.
        start_s: when it was taken, at or after its capture.
        finish_s: when its answer was there.
        degraded: the policy said that no plan was safe.
    """

    frame: int
    plan: Plan
    start_s: float
    finish_s: float
    degraded: bool = False


@dataclass(frozen=True)
class Schedule:
    """What ran when, and which answer each instant has.

    Args:
        runs: in the order of time.
        answers: for each instant the position in ``runs`` of the newest one finished by then, or ``UNANSWERED``.
    """

    runs: tuple[Run, ...]
    answers: tuple[int, ...]

    def answer(self, instant: int) -> Run | None:
        """The run whose answer is used at an instant; ``None`` before the first one."""
        position = self.answers[instant]
        return None if position == UNANSWERED else self.runs[position]

    def busy_s(self, until_s: float = math.inf) -> float:
        """Time that the worker spent on frames, up to a moment such as the end of the drive."""
        return sum(max(0.0, min(run.finish_s, until_s) - run.start_s) for run in self.runs)

    @cached_property
    def plan_counts(self) -> dict[Plan, int]:
        """How often each plan ran."""
        counts: dict[Plan, int] = {}
        for run in self.runs:
            counts[run.plan] = counts.get(run.plan, 0) + 1
        return counts

    def cost(self, of_plan: Callable[[Plan], float]) -> float:
        """Sum over the runs of a plan's cost, such as its pixels or multiply-accumulates."""
        return sum(count * of_plan(plan) for plan, count in self.plan_counts.items())


Chooser = Callable[[int, float, Sequence[Run]], tuple[Plan, bool]]
"""From a frame, the time at which it is taken, and the runs so far to the plan and whether it is degraded."""


def run_events(
    times_s: Sequence[float],
    choose: Chooser,
    latency_ms: Mapping[Plan, np.ndarray],
    instants_s: Sequence[float] | None = None,
) -> Schedule:
    """Let a worker drive through the frames.

    Args:
        times_s: ``(N,)`` capture times, increasing.
        choose: asked whenever a frame is taken.
        latency_ms: per plan ``(N,)``, what it takes on each frame.
        instants_s: times at which an answer is wanted, increasing; the captures by default.

    Raises:
        InputError: for times that do not increase, a plan without latencies, or a latency that is negative or not
            finite.
    """
    _check_increasing(times_s, "capture times")
    instants_s = times_s if instants_s is None else instants_s
    _check_increasing(instants_s, "instants")
    runs: list[Run] = []
    taken, free_s = -1, -math.inf
    while taken + 1 < len(times_s):
        # The newest frame that is there; where none is new, the next one, when it comes.
        frame = max(bisect_right(times_s, free_s) - 1, taken + 1)
        start_s = max(free_s, times_s[frame])
        plan, degraded = choose(frame, start_s, runs)
        finish_s = start_s + _latency_s(latency_ms, plan, frame)
        runs.append(Run(frame, plan, start_s, finish_s, degraded))
        taken, free_s = frame, finish_s
    finishes = [run.finish_s for run in runs]
    return Schedule(tuple(runs), tuple(bisect_right(finishes, instant) - 1 for instant in instants_s))


def simulate(
    times_s: Sequence[float],
    speeds_mps: Sequence[float | None],
    policy: Policy,
    latency_ms: Mapping[Plan, np.ndarray],
    instants_s: Sequence[float] | None = None,
) -> Schedule:
    """Let a policy drive; the arguments are those of :func:`run_events`, with the speed at each capture."""
    if len(speeds_mps) != len(times_s):
        raise InputError(f"{len(times_s)} frames but {len(speeds_mps)} speeds")

    def choose(frame: int, start_s: float, runs: Sequence[Run]) -> tuple[Plan, bool]:
        decision = policy.choose(VehicleState(round(times_s[frame] * 1e6), speeds_mps[frame]))
        return decision.plan, decision.degraded

    return run_events(times_s, choose, latency_ms, instants_s)


class Oracle:
    """Chooses with knowledge of the labels: headroom that no policy which has to look at the road can use.

    Greedy with a horizon. When a frame is taken, every pair of plans (this one now, that one from then on) is played
    forward on the same event clock; the pair whose answers score best, on average over the instants up to the
    horizon, says what runs now, and at the next frame it is asked anew. The pairs contain every fixed plan, but
    neither this nor the average of scores makes it an exact upper bound of a score over a whole data set.

    Args:
        score: of the answer for a frame under a plan at an instant, larger is better; called once for each.
        latency_ms: as in :func:`run_events`; the oracle also knows what each frame will take.
        horizon_s: how far it plays forward; default three times the longest latency, and at least half a second.
    """

    def __init__(
        self,
        times_s: Sequence[float],
        latency_ms: Mapping[Plan, np.ndarray],
        score: Callable[[int, Plan, int], float],
        instants_s: Sequence[float] | None = None,
        horizon_s: float | None = None,
    ) -> None:
        self._times_s = times_s
        self._instants_s = times_s if instants_s is None else instants_s
        self._latency_ms = latency_ms
        self._score = score
        self._scores: dict[tuple[int, Plan, int], float] = {}
        longest = max((float(values.max()) for values in latency_ms.values() if len(values)), default=0.0)
        self._horizon_s = max(0.5, 3e-3 * longest) if horizon_s is None else horizon_s

    def choose(self, frame: int, start_s: float, runs: Sequence[Run]) -> tuple[Plan, bool]:
        """A :data:`Chooser`."""
        first = bisect_left(self._instants_s, start_s)
        end = bisect_right(self._instants_s, start_s + self._horizon_s)
        before = (runs[-1].frame, runs[-1].plan) if runs else None
        best: tuple[float, Plan] | None = None
        for now in self._latency_ms:
            for later in self._latency_ms:
                value = self._play(frame, start_s, now, later, before, first, end)
                if best is None or value > best[0]:
                    best = (value, now)
        assert best is not None
        return best[1], False

    def _play(
        self, frame: int, start_s: float, now: Plan, later: Plan, before: tuple[int, Plan] | None, first: int, end: int
    ) -> float:
        """Sum of the scores of the instants ``first`` to ``end``."""
        total, instant, plan, answer = 0.0, first, now, before
        while instant < end:
            finish_s = start_s + _latency_s(self._latency_ms, plan, frame)
            while instant < end and self._instants_s[instant] < finish_s:
                total += 0.0 if answer is None else self._known(*answer, instant)
                instant += 1
            answer = (frame, plan)
            if frame + 1 >= len(self._times_s):
                finish_s = math.inf
            else:
                frame = max(bisect_right(self._times_s, finish_s) - 1, frame + 1)
                start_s = max(finish_s, self._times_s[frame])
                plan = later
            while finish_s == math.inf and instant < end:
                total += self._known(*answer, instant)
                instant += 1
        return total

    def _known(self, frame: int, plan: Plan, instant: int) -> float:
        key = (frame, plan, instant)
        if key not in self._scores:
            self._scores[key] = self._score(*key)
        return self._scores[key]


def _latency_s(latency_ms: Mapping[Plan, np.ndarray], plan: Plan, frame: int) -> float:
    if plan not in latency_ms:
        raise InputError(f"plan {plan.name} has no latency; measured are {', '.join(p.name for p in latency_ms)}")
    value = float(latency_ms[plan][frame])
    if not 0 <= value < math.inf:
        raise InputError(f"latency {value} ms of plan {plan.name} is not a finite number")
    return value / 1e3


def _check_increasing(times_s: Sequence[float], what: str) -> None:
    for earlier, later in pairwise(times_s):
        if not earlier < later:
            raise InputError(f"{what} must increase, but {later:g} s follows {earlier:g} s")
    if len(times_s) and not (math.isfinite(times_s[0]) and math.isfinite(times_s[-1])):
        raise InputError(f"{what} must be finite")

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.resolution import Decision, FixedPolicy, VehicleState
from perception.runtime.streaming import Oracle, Schedule, run_events, simulate

SMALL, LARGE = uniform_plan((64, 96)), uniform_plan((256, 384))
PLANS = (SMALL, LARGE)


class Scripted:
    """A policy that follows a list of plans, one for each frame of the drive by its capture time."""

    name, plans = "scripted", PLANS

    def __init__(self, times_s: list[float], script: list[Plan]) -> None:
        self._plan = {round(time * 1e6): plan for time, plan in zip(times_s, script, strict=True)}
        self.states: list[VehicleState] = []

    def choose(self, state: VehicleState) -> Decision:
        self.states.append(state)
        return Decision(self._plan[state.timestamp_us], "scripted")


def reference(times, script, latency_ms, instants):
    """The same by stepping through every moment at which anything can happen, with sets in place of bookkeeping."""
    runs, free, done = [], -math.inf, set()
    while True:
        here = [i for i in range(len(times)) if i not in done and all(i > j for j in done) and times[i] <= free]
        ahead = [i for i in range(len(times)) if all(i > j for j in done)]
        if here:
            frame, start = max(here), free
        elif ahead:
            frame = min(ahead)
            start = times[frame]
        else:
            break
        done.add(frame)
        free = start + latency_ms[script[frame]][frame] / 1e3
        runs.append((frame, script[frame], start, free))
    answers = []
    for instant in instants:
        ready = [run for run in runs if run[3] <= instant]
        answers.append(max(ready, key=lambda run: run[0])[:2] if ready else None)
    return runs, answers


@st.composite
def drives(draw):
    frames = draw(st.integers(1, 25))
    gaps = draw(st.lists(st.integers(1, 300), min_size=frames, max_size=frames))
    times = [float(t) / 1e3 for t in np.cumsum(gaps)]
    script = [PLANS[i] for i in draw(st.lists(st.integers(0, 1), min_size=frames, max_size=frames))]
    latency = {
        plan: np.array(draw(st.lists(st.integers(0, high), min_size=frames, max_size=frames)), float)
        for plan, high in ((SMALL, 80), (LARGE, 700))
    }
    more = draw(st.lists(st.integers(0, 8000), max_size=20, unique=True))
    return times, script, latency, sorted(m / 1e3 for m in more)


@settings(deadline=None, max_examples=200)
@given(drives())
def test_the_event_clock_is_a_step_by_step_simulation(drive) -> None:
    times, script, latency, instants = drive
    schedule = simulate(times, [10.0] * len(times), Scripted(times, script), latency, instants)
    runs, answers = reference(times, script, latency, instants)
    assert [(run.frame, run.plan) for run in schedule.runs] == [run[:2] for run in runs]
    assert np.allclose([(run.start_s, run.finish_s) for run in schedule.runs], [run[2:] for run in runs])
    got = [schedule.answer(k) for k in range(len(instants))]
    assert [None if run is None else (run.frame, run.plan) for run in got] == answers
    assert schedule.busy_s() == pytest.approx(sum(run[3] - run[2] for run in runs))


@settings(deadline=None, max_examples=100)
@given(drives())
def test_one_worker_and_no_answer_from_the_future(drive) -> None:
    times, script, latency, _ = drive
    schedule = simulate(times, [None] * len(times), Scripted(times, script), latency)
    for before, after in zip(schedule.runs, schedule.runs[1:], strict=False):
        assert before.finish_s <= after.start_s
        assert before.frame < after.frame
    for run in schedule.runs:
        assert times[run.frame] <= run.start_s
        newer = [t for t in times[run.frame + 1 :] if t <= run.start_s]
        assert not newer, "a newer frame was there"
    for instant in range(len(times)):
        answer = schedule.answer(instant)
        assert answer is None or answer.finish_s <= times[instant]


def constant(ms: dict[Plan, float], frames: int) -> dict[Plan, np.ndarray]:
    return {plan: np.full(frames, value) for plan, value in ms.items()}


def test_a_hand_worked_drive() -> None:
    """Frames every 100 ms; 250 ms a frame: 0, then the newest at 0.25 s is frame 2, then 5 at 0.5 s, then 7."""
    times = [i / 10 for i in range(9)]
    schedule = simulate(times, [5.0] * 9, FixedPolicy(LARGE), constant({LARGE: 250.0}, 9))
    assert [run.frame for run in schedule.runs] == [0, 2, 5, 7, 8]
    assert [None if (run := schedule.answer(k)) is None else run.frame for k in range(9)] == [
        None, None, None, 0, 0, 2, 2, 2, 5,
    ]  # fmt: skip
    assert schedule.busy_s() == pytest.approx(1.25)
    assert schedule.busy_s(until_s=0.6) == pytest.approx(0.6)
    assert schedule.plan_counts == {LARGE: 5}
    assert schedule.cost(lambda plan: plan.pixels) == 5 * 256 * 384


def test_an_answer_at_the_very_instant_counts() -> None:
    schedule = simulate([0.0, 0.1], [1.0, 1.0], FixedPolicy(SMALL), constant({SMALL: 100.0}, 2))
    assert schedule.answers == (-1, 0)


def test_the_policy_is_told_the_frame_that_is_taken() -> None:
    times = [0.0, 0.1, 0.2, 0.3]
    policy = Scripted(times, [LARGE, SMALL, SMALL, SMALL])
    simulate(times, [1.0, 2.0, 3.0, None], policy, constant({SMALL: 10.0, LARGE: 250.0}, 4))
    assert [(state.timestamp_us, state.speed_mps) for state in policy.states] == [
        (0, 1.0), (200_000, 3.0), (300_000, None),
    ]  # fmt: skip


def score_of(schedule: Schedule, score, instants: int) -> float:
    return sum(0.0 if (run := schedule.answer(k)) is None else score(run.frame, run.plan, k) for k in range(instants))


def test_the_oracle_sees_far_ahead_when_nothing_moves_and_hurries_when_it_does() -> None:
    """The large plan is better by itself; while the vehicle moves, each frame of lag costs more than that."""
    times = [i / 10 for i in range(60)]
    latency = constant({SMALL: 40.0, LARGE: 260.0}, 60)

    def score(frame: int, plan: Plan, instant: int) -> float:
        lag_cost = 0.3 if instant >= 30 else 0.0
        return (0.9 if plan == LARGE else 0.7) - lag_cost * (instant - frame - 1)

    oracle = run_events(times, Oracle(times, latency, score).choose, latency)
    plans = {run.frame: run.plan for run in oracle.runs}
    assert plans[0] == SMALL, "some answer soon, before the better ones"
    assert {plan for frame, plan in plans.items() if 0 < frame < 24} == {LARGE}
    assert {plan for frame, plan in plans.items() if 34 <= frame < 55} == {SMALL}
    fixed = [simulate(times, [None] * 60, FixedPolicy(plan), latency) for plan in PLANS]
    assert score_of(oracle, score, 60) > max(score_of(schedule, score, 60) for schedule in fixed) + 5


def test_the_oracle_asks_for_each_score_once() -> None:
    times = [i / 10 for i in range(20)]
    latency = constant({SMALL: 40.0, LARGE: 260.0}, 20)
    asked = []

    def score(frame: int, plan: Plan, instant: int) -> float:
        assert times[frame] + latency[plan][frame] / 1e3 <= times[instant] + 1e-9
        asked.append((frame, plan, instant))
        return 1.0

    run_events(times, Oracle(times, latency, score).choose, latency)
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.parametrize(
    ("times", "latency", "message"),
    [
        ([0.0, 0.0], {SMALL: [1.0, 1.0]}, "capture times must increase, but 0 s follows 0 s"),
        ([0.0, math.nan], {SMALL: [1.0, 1.0]}, "must increase"),
        ([0.0, 0.1], {SMALL: [1.0, math.nan]}, "latency nan ms of plan 64x96"),
        ([0.0, 0.1], {SMALL: [-1.0, 1.0]}, "latency -1.0 ms"),
        ([0.0, 0.1], {LARGE: [1.0, 1.0]}, "plan 64x96 has no latency; measured are 256x384"),
    ],
)
def test_bad_drives(times, latency, message) -> None:
    arrays = {plan: np.array(values) for plan, values in latency.items()}
    with pytest.raises(InputError, match=message):
        simulate(times, [1.0] * len(times), FixedPolicy(SMALL), arrays)


def test_speeds_go_with_frames() -> None:
    with pytest.raises(InputError, match="2 frames but 1 speeds"):
        simulate([0.0, 0.1], [1.0], FixedPolicy(SMALL), constant({SMALL: 1.0}, 2))

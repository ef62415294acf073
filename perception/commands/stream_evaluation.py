"""Policies against each other over labelled drives, on the event clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from perception.commands.stream_drives import Drive
from perception.commands.stream_hazards import HazardRule
from perception.commands.stream_live import DriveSource, drive_live, score_live
from perception.commands.stream_predictions import Predictor
from perception.commands.stream_scores import (
    AtRest,
    DriveScore,
    coarse_scores,
    late_truth_counts,
    score_schedules,
)
from perception.commands.stream_utility import measured_utility
from perception.console import progress_bar
from perception.metrics.streaming import mean_iou
from perception.runtime.baselines import FrameFitPolicy, LinearDeadlinePolicy
from perception.runtime.engine import Engine
from perception.runtime.plan import Plan
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.resolution import MODES, AdaptivePolicy, FixedPolicy, Policy
from perception.runtime.sight import seen_range_m
from perception.runtime.stopping import StoppingModel
from perception.runtime.streaming import Oracle, Schedule, run_events, simulate
from perception.runtime.utility import Utility
from perception.taxonomy import LabelSet

ORACLE = "oracle"
REST_S = 0.25
"""Time between the frames on which plans are judged at rest."""


@dataclass(frozen=True)
class Others:
    """What drives other than the evaluated ones tell.

    Args:
        miou: streaming mean IoU of each fixed plan, by the policy's name.
        rest: what the plans see where nothing is late.
        utility: of the plans by speed; ``None`` where the speed is not known.
    """

    miou: dict[str, float]
    rest: AtRest
    utility: Utility | None


@dataclass
class Evaluation:
    """The comparison of policies over drives.

    Args:
        labels: of the model and of the drives.
        times: latencies of the plans.
        settle_s: instants this early in a drive are not scored.
        seed: of the latencies drawn.
        score: of boxes that find a hazard; min_iou: their overlap with it.
        corridor_m: of hazards, to each side; infinite for all in view.
        ceiling: per drive ``(3, C)`` counts of the truth one frame late; filled by :meth:`run`.
    """

    labels: LabelSet
    plans: Sequence[Plan]
    times: ReplayedLatencies
    settle_s: float = 1.0
    seed: int = 0
    score: float = 0.3
    min_iou: float = 0.5
    corridor_m: float = StoppingModel.corridor_half_width_m
    ceiling: list[np.ndarray] = field(default_factory=list)

    def learn(self, drives: Sequence[Drive], predict: Predictor) -> Others:
        """Drive other drives under each fixed plan."""
        scores: dict[Plan, list[DriveScore]] = {plan: [] for plan in self.plans}
        rest = AtRest()
        for index, drive in self._each(drives, "choosing on other drives"):
            latency = self.times.draw(len(drive), (self.seed, 1, index))
            schedules = {plan.name: _drive_by(drive, FixedPolicy(plan), latency) for plan in self.plans}
            found = score_schedules(drive, schedules, predict, self.labels, self.settle_s)
            for plan in self.plans:
                scores[plan].append(found[plan.name])
            every = max(1, round(REST_S / drive.interval_s))
            rest.add(drive, self.plans, predict, self.labels, self.score, every, self.min_iou, self.corridor_m)
        miou = {
            FixedPolicy(plan).name: float(mean_iou(sum(score.counts.sum(0) for score in each)))
            for plan, each in scores.items()
        }
        return Others(miou, rest, measured_utility(scores))

    def run(
        self,
        drives: Sequence[Drive],
        predict: Predictor,
        stopping: StoppingModel,
        oracle: bool,
        utility: Utility | None = None,
    ) -> dict[str, tuple[str, list[DriveScore]]]:
        """Per policy its kind and its scores on each drive.

        Args:
            utility: of each plan for the adaptive policy; by default its pixels.
        """
        results: dict[str, tuple[str, list[DriveScore]]] = {}
        for index, drive in self._each(drives, "driving"):
            latency = self.times.draw(len(drive), (self.seed, 0, index))
            rule = self._hazard_rule(drive, stopping)
            kinds, schedules = {}, {}
            for kind, policy in self._policies(drive, stopping, rule.seen_m, utility):
                kinds[policy.name] = kind
                schedules[policy.name] = _drive_by(drive, policy, latency)
            scores = score_schedules(drive, schedules, predict, self.labels, self.settle_s, rule)
            if oracle:
                judge = Oracle(drive.times_s, latency, coarse_scores(drive, predict, self.labels))
                schedule = run_events(drive.times_s, judge.choose, latency)
                kinds[ORACLE] = ORACLE
                scores |= score_schedules(drive, {ORACLE: schedule}, predict, self.labels, self.settle_s, rule)
            for name, score in scores.items():
                results.setdefault(name, (kinds[name], []))[1].append(score)
            self.ceiling.append(late_truth_counts(drive, self.labels, self.settle_s).sum(0))
        return results

    def run_live(
        self, drives: Sequence[Drive], engine: Engine, stopping: StoppingModel, utility: Utility | None = None
    ) -> dict[str, tuple[str, list[DriveScore]]]:
        """The same in real time: the loop drives each drive once under each policy."""
        results: dict[str, tuple[str, list[DriveScore]]] = {}
        for _, drive in self._each(drives, "driving live"):
            rule, source = self._hazard_rule(drive, stopping), DriveSource(drive)
            for kind, policy in self._policies(drive, stopping, rule.seen_m, utility):
                live = drive_live(source, policy, engine)
                score = score_live(drive, live, self.labels, self.settle_s, rule)
                results.setdefault(policy.name, (kind, []))[1].append(score)
            self.ceiling.append(late_truth_counts(drive, self.labels, self.settle_s).sum(0))
        return results

    def _hazard_rule(self, drive: Drive, stopping: StoppingModel) -> HazardRule:
        seen = {plan: seen_range_m(plan, drive.camera, stopping) for plan in self.plans}
        return HazardRule(stopping, self.times, seen, self.score, self.min_iou, self.corridor_m)

    def _policies(
        self, drive: Drive, stopping: StoppingModel, seen: Mapping[Plan, float], utility: Utility | None
    ) -> list[tuple[str, Policy]]:
        ranges = [seen[plan] for plan in self.plans]
        fixed: list[tuple[str, Policy]] = [("fixed", FixedPolicy(plan)) for plan in self.plans]
        adaptive: list[tuple[str, Policy]] = [
            ("adaptive", AdaptivePolicy(self.plans, ranges, self.times, stopping, mode, utility=utility))
            for mode in MODES
        ]
        return [
            *fixed,
            ("baseline", LinearDeadlinePolicy(self.plans, self.times, stopping.max_speed_mps)),
            ("baseline", FrameFitPolicy(self.plans, self.times, drive.interval_s * 1e3)),
            *adaptive,
        ]

    def _each(self, drives: Sequence[Drive], what: str) -> Iterator[tuple[int, Drive]]:
        with progress_bar() as bar:
            task = bar.add_task(what, total=len(drives))
            for index, drive in enumerate(drives):
                yield index, drive
                bar.update(task, completed=index + 1)


def _drive_by(drive: Drive, policy: Policy, latency: Mapping[Plan, np.ndarray]) -> Schedule:
    return simulate(drive.times_s, drive.speeds_mps, policy, latency)

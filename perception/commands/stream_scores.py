"""Scores of schedules over labelled drives: each pair of an answer and an instant is counted once, for all policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from perception.commands.stream_drives import Drive, Truth
from perception.commands.stream_hazards import Hazard, HazardRule, Motion, askable_boxes, in_corridor
from perception.commands.stream_predictions import Predictor
from perception.errors import InputError
from perception.geometry.size import enlarge
from perception.metrics.recall import RecallCurve, found, recall_curve
from perception.metrics.streaming import class_counts, mean_iou
from perception.runtime.plan import Plan
from perception.runtime.streaming import Schedule
from perception.taxonomy import LabelSet
from perception.types import IGNORE_INDEX, Boxes, Prediction

COARSE = 4
"""The oracle looks at every fourth pixel each way."""


@dataclass
class DriveScore:
    """What one policy's schedule is worth on one drive.

    Shape:
        - counts: ``(N, 3, C)``, see :mod:`perception.metrics.streaming`, for the scored instants.
        - drivable: ``(N, 3, 2)``, the same of the drivable area.

    Args:
        duration_s: of the drive, up to the end of its last frame's interval.
        busy_s: of that, time in which the worker ran.
        times_s, speeds_mps: of the scored instants.
        boxes, truth: predicted and labelled boxes of the instants that have labelled ones.
        hazards: one for each labelled hazard in view at the required range.
        ages_s: of the answers at the scored instants, since their capture.
        unanswered: scored instants without an answer.
    """

    schedule: Schedule
    duration_s: float
    busy_s: float
    times_s: list[float] = field(default_factory=list)
    speeds_mps: list[float | None] = field(default_factory=list)
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0))
    drivable: np.ndarray | None = None
    boxes: list[Boxes | None] = field(default_factory=list)
    truth: list[Boxes] = field(default_factory=list)
    hazards: list[Hazard] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    unanswered: int = 0


def score_schedules(
    drive: Drive,
    schedules: Mapping[str, Schedule],
    predict: Predictor,
    labels: LabelSet,
    settle_s: float = 1.0,
    hazards: HazardRule | None = None,
    step: Callable[[], None] = lambda: None,
) -> dict[str, DriveScore]:
    """Score policies on one drive.

    Instants of the first ``settle_s`` are left out: how long the first answer takes says where the recording was cut,
    not how well the policy drives.

    The semantic classes and the boxes are those of the newest answer as it came. Only hazards are compared with the
    boxes of that answer moved by the way that the vehicle has gone since its capture, see :class:`Motion`.

    Args:
        step: called after each frame.
    """
    scored = [tick for tick in range(len(drive)) if drive.times_s[tick] - drive.times_s[0] >= settle_s]
    if not scored:
        raise InputError(f"drive {drive.name} is shorter than settle_s {settle_s:g}; use a smaller one")
    uses: dict[int, dict[Plan, set[int]]] = {}
    for schedule in schedules.values():
        for tick in scored:
            run = schedule.answer(tick)
            if run is not None:
                uses.setdefault(run.frame, {}).setdefault(run.plan, set()).add(tick)
    # By the recording's frames: at a standstill a trace shows the same one again and again.
    shown = drive.frames
    pairs: dict[tuple[int, Plan, int], tuple[np.ndarray, np.ndarray | None]] = {}
    boxes: dict[tuple[int, Plan], Boxes | None] = {}
    for frame in range(len(drive)):
        for plan, instants in uses.get(frame, {}).items():
            wanted = {(shown[frame], plan, shown[tick]): tick for tick in sorted(instants)}
            new = [key for key in wanted if key not in pairs]
            if not new:
                continue
            answer = enlarged(predict(drive, frame, plan), drive.camera.size)
            boxes[shown[frame], plan] = answer.boxes
            for key in new:
                pairs[key] = counts_of(answer, drive.truth(wanted[key]), labels)
        step()
    missed = {
        tick: counts_of(None, drive.truth(tick), labels)
        for tick in scored
        if any(schedule.answer(tick) is None for schedule in schedules.values())
    }
    scores = {}
    for name, schedule in schedules.items():
        end_s = drive.times_s[-1] + drive.interval_s
        score = DriveScore(schedule, end_s - drive.times_s[0], schedule.busy_s(end_s))
        rows = []
        for tick in scored:
            run = schedule.answer(tick)
            score.times_s.append(drive.times_s[tick])
            score.speeds_mps.append(drive.speeds_mps[tick])
            rows.append(missed[tick] if run is None else pairs[shown[run.frame], run.plan, shown[tick]])
            if run is None:
                score.unanswered += 1
            else:
                score.ages_s.append(drive.times_s[tick] - drive.times_s[run.frame])
        score.counts = np.stack([row[0] for row in rows])
        drivable = [row[1] for row in rows if row[1] is not None]
        score.drivable = np.stack(drivable) if len(drivable) == len(rows) else None
        scores[name] = score
    motion = Motion(drive)
    for tick in scored:
        _add_boxes(drive, tick, scores, boxes, labels, hazards, motion)
    return scores


def _add_boxes(
    drive: Drive,
    tick: int,
    scores: Mapping[str, DriveScore],
    boxes: Mapping[tuple[int, Plan], Boxes | None],
    labels: LabelSet,
    rule: HazardRule | None,
    motion: Motion,
) -> None:
    truth = drive.boxes(tick)
    if truth is None:
        return
    wanted = truth[askable_boxes(drive, truth, labels)]
    moved: dict[tuple[int, Plan], Boxes | None] = {}
    for score in scores.values():
        run = score.schedule.answer(tick)
        predicted = None if run is None else boxes[drive.frames[run.frame], run.plan]
        score.boxes.append(predicted)
        score.truth.append(truth)
        if rule is None:
            continue
        plan = run.plan if run is not None else max(score.schedule.plan_counts, key=rule.latencies.bound_ms)
        if run is not None:
            if (run.frame, plan) not in moved:
                moved[run.frame, plan] = motion.boxes(predicted, drive.times_s[run.frame], drive.times_s[tick])
            predicted = moved[run.frame, plan]
        score.hazards.extend(rule.rows(wanted, predicted, plan, drive.speeds_mps[tick], drive.camera))


def coarse_scores(drive: Drive, predict: Predictor, labels: LabelSet) -> Callable[[int, Plan, int], float]:
    """Mean IoU of one answer at one instant, on every fourth pixel each way, for the oracle."""
    size = (max(1, drive.camera.size[0] // COARSE), max(1, drive.camera.size[1] // COARSE))
    answers: dict[tuple[int, Plan], np.ndarray] = {}
    truths: dict[int, np.ndarray] = {}
    scores: dict[tuple[int, Plan, int], float] = {}

    def score(frame: int, plan: Plan, tick: int) -> float:
        answered, wanted = drive.frames[frame], drive.frames[tick]
        key = (answered, plan, wanted)
        if key in scores:
            return scores[key]
        if (answered, plan) not in answers:
            semantic = predict(drive, frame, plan).semantic
            assert semantic is not None
            answers[answered, plan] = enlarge(semantic, size)
        if wanted not in truths:
            truths[wanted] = enlarge(drive.truth(tick).semantic, size)
        value = float(mean_iou(class_counts(answers[answered, plan], truths[wanted], len(labels.classes))))
        scores[key] = value if np.isfinite(value) else 0.0
        return scores[key]

    return score


def late_truth_counts(drive: Drive, labels: LabelSet, settle_s: float = 1.0) -> np.ndarray:
    """``(N, 3, C)`` counts of a perfect network whose answers are one frame late: the ceiling.

    Pixels that either frame leaves unlabelled are not counted.
    """
    rows = []
    for tick in range(1, len(drive)):
        if drive.times_s[tick] - drive.times_s[0] >= settle_s:
            late, now = drive.truth(tick - 1).semantic, drive.truth(tick).semantic
            unknown = late == IGNORE_INDEX
            rows.append(
                class_counts(np.where(unknown, 0, late), np.where(unknown, IGNORE_INDEX, now), len(labels.classes))
            )
    return np.stack(rows) if rows else np.zeros((0, 3, len(labels.classes)), np.int64)


@dataclass
class AtRest:
    """What plans see of frames whose answers are not late: accuracy where nothing moves.

    Args:
        counts: per plan ``(3, C)``, see :mod:`perception.metrics.streaming`.
        heights_px: in network pixels, of each labelled hazard under each uniform plan.
        hits: whether the plan finds it.
        ahead: whether it is in the vehicle's way.
    """

    counts: dict[Plan, np.ndarray] = field(default_factory=dict)
    heights_px: list[float] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    ahead: list[bool] = field(default_factory=list)
    _counted: set[tuple[str, int]] = field(default_factory=set)

    def add(
        self,
        drive: Drive,
        plans: Sequence[Plan],
        predict: Predictor,
        labels: LabelSet,
        score: float,
        every: int,
        min_iou: float = 0.5,
        corridor_m: float = float("inf"),
    ) -> None:
        """Count every so many frames of a drive; boxes with a lower score or overlap find nothing.

        A frame that was counted already, such as under another trace, is passed over.
        """
        for tick in range(0, len(drive), every):
            frame = (drive.name, drive.frames[tick])
            if frame in self._counted:
                continue
            self._counted.add(frame)
            truth = drive.truth(tick)
            boxes = truth.boxes if truth.boxes is not None else Boxes.empty()
            wanted = boxes[askable_boxes(drive, boxes, labels)]
            tall = wanted.xyxy[:, 3] - wanted.xyxy[:, 1]
            ahead = in_corridor(wanted, drive.camera, corridor_m)
            for plan in plans:
                answer = enlarged(predict(drive, tick, plan), drive.camera.size)
                self.counts[plan] = self.counts.get(plan, 0) + counts_of(answer, truth, labels)[0]
                if plan.fovea is None:
                    self.heights_px.extend((tall * plan.size[0] / drive.camera.size[0]).tolist())
                    self.hits.extend(found(wanted, answer.boxes, min_iou, score).tolist())
                    self.ahead.extend(ahead.tolist())

    def curve(self, ahead: bool) -> RecallCurve:
        """Recall by height; of hazards in the vehicle's way alone, or of all in view."""
        kept = np.array(self.ahead, bool) if ahead else np.ones(len(self.hits), bool)
        return recall_curve(np.array(self.heights_px)[kept], np.array(self.hits, bool)[kept])


def enlarged(prediction: Prediction, size: tuple[int, int]) -> Prediction:
    """A prediction at the size of the labels."""
    assert prediction.semantic is not None
    height, width = prediction.semantic.shape
    boxes = prediction.boxes
    if boxes is not None and (height, width) != size:
        scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
        boxes = Boxes(boxes.xyxy * scale, boxes.labels, boxes.scores)
    drivable = None if prediction.drivable is None else enlarge(prediction.drivable, size)
    return Prediction(enlarge(prediction.semantic, size), drivable, boxes=boxes)


def counts_of(answer: Prediction | None, truth: Truth, labels: LabelSet) -> tuple[np.ndarray, np.ndarray | None]:
    """Counts of the classes and of the drivable area, see :func:`class_counts`; ``None`` where it is not known."""
    semantic = class_counts(None if answer is None else answer.semantic, truth.semantic, len(labels.classes))
    if truth.drivable is None or (answer is not None and answer.drivable is None):
        return semantic, None
    return semantic, class_counts(None if answer is None else answer.drivable, truth.drivable, 2)

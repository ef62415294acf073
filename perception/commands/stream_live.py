"""Streaming evaluation live: the real-time loop drives over the labelled frames, and what it publishes is scored."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from perception.commands.stream_drives import Drive
from perception.commands.stream_hazards import HazardRule, Motion, askable_boxes
from perception.commands.stream_scores import DriveScore, counts_of, enlarged
from perception.errors import InputError
from perception.files import encode_jpeg, read_image
from perception.runtime.engine import Engine
from perception.runtime.loop import DriveLoop, FrameResult, Publication
from perception.runtime.resolution import Policy
from perception.runtime.source import Frame
from perception.runtime.speed import PoseSpeed
from perception.runtime.streaming import Run, Schedule
from perception.taxonomy import LabelSet
from perception.types import Prediction

CHANNEL = "CAMERA"


class DriveSource:
    """The frames of a labelled drive as a source: compressed beforehand, decoded when they are due."""

    has_speed, rendered = True, False

    def __init__(self, drive: Drive) -> None:
        self.name, self.channels = drive.name, (CHANNEL,)
        self.interval_s, self.total = drive.interval_s, len(drive)
        self._drive = drive
        self._pictures = [encode_jpeg(drive.picture(tick)) for tick in range(len(drive))]

    def __iter__(self) -> Iterator[Frame]:
        drive = self._drive
        for tick, picture in enumerate(self._pictures):
            yield Frame(
                image=read_image(io.BytesIO(picture)),
                name=drive.names[tick],
                timestamp_us=round(drive.times_s[tick] * 1e6),
                channel=CHANNEL,
                speed_mps=drive.speeds_mps[tick],
                camera=drive.camera,
            )


@dataclass(frozen=True)
class Live:
    """What the loop did on one drive; times are seconds on the drive's clock.

    Args:
        results: of the frames that were answered.
        published: when, and what, in order: own answers and what stood in for late ones.
        finished: when each answered frame's own answer went out, in the order of ``results``.
    """

    results: tuple[FrameResult, ...]
    published: tuple[tuple[float, Publication], ...]
    finished: tuple[float, ...]


def drive_live(source: DriveSource, policy: Policy, engine: Engine) -> Live:
    """Let the real-time loop drive at the camera's pace.

    Raises:
        InputError: if nothing was answered, or the source could not keep the camera's pace.
    """
    heard: list[tuple[float, Publication]] = []
    loop = DriveLoop(
        source, PoseSpeed(), policy, engine, pace="camera", publish=lambda out: heard.append((time.perf_counter(), out))
    )
    loop.warm_up()
    results = [result for result in loop if result.prediction is not None and result.published_ms is not None]
    if loop.record["slips"] or not results:
        raise InputError(f"drive {source.name} could not be read at the camera's pace, or nothing was answered in it")
    own = {out.index: at for at, out in heard if out.own and out.prediction is not None}
    stamps = {result.index: (result.frame.timestamp_us / 1e6, result.published_ms or 0.0) for result in results}
    # Clock time of the drive's own zero, from every answer: when it went out, less how old it was, less its capture.
    zero = median(own[index] - age_ms / 1e3 - stamp for index, (stamp, age_ms) in stamps.items() if index in own)
    published = tuple((at - zero, out) for at, out in heard if out.prediction is not None)
    finished = tuple(stamps[result.index][0] + stamps[result.index][1] / 1e3 for result in results)
    return Live(tuple(results), published, finished)


def score_live(
    drive: Drive, live: Live, labels: LabelSet, settle_s: float = 1.0, hazards: HazardRule | None = None
) -> DriveScore:
    """Score each instant against what was published last by then, whether an own answer or one in its place.

    Hazards are compared with its boxes moved by the way since the capture, or, where the loop has moved them already,
    since the publication.
    """
    runs = []
    for result, finish_s in zip(live.results, live.finished, strict=True):
        assert result.decision is not None
        busy_s = (result.choose_ms + result.infer_ms) / 1e3
        runs.append(Run(result.index, result.decision.plan, finish_s - busy_s, finish_s, result.decision.degraded))
    newest = [_last_by([run.finish_s for run in runs], time_s) for time_s in drive.times_s]
    schedule = Schedule(tuple(runs), tuple(newest))
    end_s = drive.times_s[-1] + drive.interval_s
    score = DriveScore(schedule, end_s - drive.times_s[0], schedule.busy_s(end_s))
    moments = [moment for moment, _ in live.published]
    motion = Motion(drive)
    rows, drivable = [], []
    for tick, time_s in enumerate(drive.times_s):
        if time_s - drive.times_s[0] < settle_s:
            continue
        position = _last_by(moments, time_s)
        out = None if position < 0 else live.published[position][1]
        answer = None if out is None else _sized(out.prediction, drive.camera.size)
        semantic, road = counts_of(answer, drive.truth(tick), labels)
        rows.append(semantic)
        if road is not None:
            drivable.append(road)
        score.times_s.append(time_s)
        score.speeds_mps.append(drive.speeds_mps[tick])
        if out is None or out.age_ms is None:
            score.unanswered += 1
        else:
            score.ages_s.append(out.age_ms / 1e3 + time_s - moments[position])
        truth = drive.boxes(tick)
        if truth is not None:
            found = None if answer is None else answer.boxes
            score.boxes.append(found)
            score.truth.append(truth)
            if hazards is not None:
                run = schedule.answer(tick) or runs[0]
                wanted = truth[askable_boxes(drive, truth, labels)]
                if out is not None:
                    since_s = moments[position] - (0.0 if out.warped else (out.age_ms or 0.0) / 1e3)
                    found = motion.boxes(found, since_s, time_s)
                score.hazards.extend(hazards.rows(wanted, found, run.plan, drive.speeds_mps[tick], drive.camera))
    if not rows:
        raise InputError(f"drive {drive.name} is shorter than settle_s {settle_s:g}; use a smaller one")
    score.counts = np.stack(rows)
    score.drivable = np.stack(drivable) if len(drivable) == len(rows) else None
    return score


def _last_by(moments: Sequence[float], time_s: float) -> int:
    """Position of the last moment at or before a time; -1 for none. Publications are in order."""
    return int(np.searchsorted(moments, time_s, side="right")) - 1


def _sized(prediction: Prediction | None, size: tuple[int, int]) -> Prediction | None:
    return None if prediction is None else enlarged(prediction, size)

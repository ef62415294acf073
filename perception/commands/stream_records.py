"""Records of a streaming evaluation for stream.json: a row per policy, and differences with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from perception.commands.stream_drives import Drive
from perception.commands.stream_hazards import Hazard
from perception.commands.stream_scores import DriveScore
from perception.metrics.recall import RecallCurve, wilson_lower
from perception.metrics.streaming import average_precision_50, block_sums, iou, mean_iou, paired_bootstrap
from perception.runtime.plan import Plan
from perception.taxonomy import LabelSet

SPEED_EDGES_KMH = (0, 10, 30, 50, 70, 90, 110)
BLOCK_S = 1.0


def policy_row(
    name: str, kind: str, scores: Sequence[DriveScore], labels: LabelSet, gmacs: Mapping[Plan, float] | None
) -> dict[str, Any]:
    """What one policy is worth over all drives; ``gmacs`` of the plans is ``None`` where they are not known."""
    counts = sum(score.counts.sum(0) for score in scores)
    drivable = [score.drivable for score in scores if score.drivable is not None]
    seconds = sum(score.duration_s for score in scores)
    runs = [run for score in scores for run in score.schedule.runs]
    boxes = [answer for score in scores for answer in score.boxes]
    truth = [wanted for score in scores for wanted in score.truth]
    detects = any(answer is not None for answer in boxes)
    ages = [age for score in scores for age in score.ages_s]
    plans: dict[str, int] = {}
    for run in runs:
        plans[run.plan.name] = plans.get(run.plan.name, 0) + 1
    in_view = [hazard for score in scores for hazard in score.hazards]
    hazards = [hazard for hazard in in_view if hazard.in_corridor]

    def spent(cost: Callable[[Plan], float]) -> float:
        """Per second of driving."""
        return sum(score.schedule.cost(cost) for score in scores) / seconds

    return {
        "policy": name,
        "kind": kind,
        "miou": _number(mean_iou(counts)),
        "drivable_iou": _number(iou(sum(d.sum(0) for d in drivable))[1]) if len(drivable) == len(scores) else None,
        "map50": _number(average_precision_50(boxes, truth)) if detects else None,
        "hazards": _recall(hazards),
        "hazards_supported": _recall([hazard for hazard in hazards if hazard.supported]),
        "hazards_in_view": _recall(in_view),
        "hazards_by_speed": _recall_by_speed(hazards),
        "hazards_in_view_by_speed": _recall_by_speed(in_view),
        "miou_by_speed": {name: _miou_between(scores, low, high) for name, low, high in _speed_bins()},
        "age_ms": _number(np.mean(ages) * 1e3 if ages else None),
        "instants": sum(len(score.times_s) for score in scores),
        "unanswered": sum(score.unanswered for score in scores),
        "busy_share": _number(sum(score.busy_s for score in scores) / seconds),
        "mpx_per_s": _number(spent(lambda plan: plan.pixels) / 1e6),
        "gmacs_per_s": _number(None if gmacs is None else spent(gmacs.__getitem__)),
        "degraded_share": _number(np.mean([run.degraded for run in runs])),
        "plans": dict(sorted(plans.items(), key=lambda item: -item[1])),
        "iou": dict(zip(labels.classes, map(_number, iou(counts)), strict=True)),
    }


def compare(
    ours: tuple[dict[str, Any], Sequence[DriveScore]],
    theirs: tuple[dict[str, Any], Sequence[DriveScore]],
    drives: Sequence[Drive],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Difference of mean IoU of two policies with its interval, and how much compute one takes of the other's."""
    (row, scores), (other_row, other_scores) = ours, theirs
    return {
        "policy": row["policy"],
        "against": other_row["policy"],
        **_difference(scores, other_scores, drives, resamples, seed),
        **{
            f"{name}_ratio": round(row[column] / other_row[column], 4) if other_row[column] else None
            for name, column in (("busy", "busy_share"), ("pixels", "mpx_per_s"), ("gmacs", "gmacs_per_s"))
        },
    }


def trace_records(
    results: Mapping[str, tuple[str, Sequence[DriveScore]]],
    drives: Sequence[Drive],
    best: str,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Each kind of speed trace by itself: what every policy is worth there, and over the best fixed plan.

    Args:
        results: kind and scores of each policy, one score a drive.
        best: the fixed policy that the others are compared with.
    """
    records = []
    for trace in dict.fromkeys(drive.trace for drive in drives):
        of_kind = [drive for drive in drives if drive.trace == trace]
        of_trace = {
            name: (kind, [score for drive, score in zip(drives, scores, strict=True) if drive.trace == trace])
            for name, (kind, scores) in results.items()
        }
        theirs = of_trace[best][1]
        policies = [
            {
                "policy": name,
                "kind": kind,
                "miou": _number(mean_iou(sum(score.counts.sum(0) for score in scores))),
                **_difference(scores, theirs, of_kind, resamples, seed),
            }
            for name, (kind, scores) in of_trace.items()
        ]
        instants = sum(len(score.times_s) for score in theirs)
        records.append({"trace": trace, "against": best, "instants": instants, "policies": policies})
    return records


def curve_record(curve: RecallCurve) -> list[dict[str, Any]]:
    """Recall by height, a row per bin."""
    return [
        {"from_px": edge, "boxes": count, "recall": None if recall is None else round(recall, 4)}
        for edge, count, recall in zip(curve.edges_px, curve.counts, curve.recall, strict=True)
    ]


def fastest_supported(plans: Sequence[Plan], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Highest supported speed of the plans without and of those with a fovea, and which plans have it.

    Args:
        records: of the plans, with ``name`` and ``supported_kmh``.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {"uniform": [], "fovea": []}
    for plan, record in zip(plans, records, strict=True):
        kinds["uniform" if plan.fovea is None else "fovea"].append(record)
    best = {
        kind: max(of_kind, key=lambda record: record["supported_kmh"]) if of_kind else None
        for kind, of_kind in kinds.items()
    }
    return {
        "supported_kmh": {kind: record and record["supported_kmh"] for kind, record in best.items()},
        "supported_plans": {kind: record and record["name"] for kind, record in best.items()},
    }


def _difference(
    ours: Sequence[DriveScore], theirs: Sequence[DriveScore], drives: Sequence[Drive], resamples: int, seed: int
) -> dict[str, float | None]:
    """Of mean IoU, with its interval; what one recording gives under several traces is drawn together."""
    blocks = []
    for side in (ours, theirs):
        recordings: dict[str, list[np.ndarray]] = {}
        for drive, score in zip(drives, side, strict=True):
            recordings.setdefault(drive.name, []).append(block_sums(score.counts, score.times_s, BLOCK_S))
        blocks.append([np.concatenate(parts) for parts in recordings.values()])
    interval = paired_bootstrap(blocks[0], blocks[1], resamples, seed=seed)
    enough = sum(map(len, blocks[0])) > 1  # a single block gives an interval without width
    return {
        "difference": round(interval.value, 5),
        "low": round(interval.low, 5) if enough else None,
        "high": round(interval.high, 5) if enough else None,
    }


def _speed_bins() -> list[tuple[str, float, float]]:
    """Name and edges in km/h."""
    edges = [*SPEED_EDGES_KMH, math.inf]
    return [(f"{low:g}-{high:g}" if high < math.inf else f"{low:g}+", low, high) for low, high in pairwise(edges)]


def _miou_between(scores: Sequence[DriveScore], low_kmh: float, high_kmh: float) -> dict[str, Any]:
    """Mean IoU of the instants at such speeds, over the classes that the truth has there."""
    parts = []
    for score in scores:
        inside = [speed is not None and low_kmh <= speed * 3.6 < high_kmh for speed in score.speeds_mps]
        parts.append(score.counts[np.array(inside, bool)])
    counts = np.concatenate(parts)
    return {"miou": _number(mean_iou(counts.sum(0))) if len(counts) else None, "instants": len(counts)}


def _recall(hazards: Sequence[Hazard]) -> dict[str, Any]:
    hits, count = sum(hazard.found for hazard in hazards), len(hazards)
    return {
        "recall": round(hits / count, 4) if count else None,
        "lower": round(wilson_lower(hits, count), 4) if count else None,
        "count": count,
    }


def _recall_by_speed(hazards: Sequence[Hazard]) -> dict[str, Any]:
    return {
        name: _recall([hazard for hazard in hazards if low <= hazard.speed_mps * 3.6 < high])
        for name, low, high in _speed_bins()
    }


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)

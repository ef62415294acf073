"""The run in numbers: one record per frame and a summary, both JSON-able."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perception.runtime.resolution import Decision
from perception.runtime.result import FrameResult, Status

Record = dict[str, Any]
STAGES = ("wait", "queue", "choose", "infer")
CONFIDENCE = 0.95


def frame_record(result: FrameResult) -> Record:
    """One frame, as it stands in ``report.json``; ``None`` stands for what is not known."""
    skipped = result.status is Status.SKIPPED
    plan = None
    if result.decision is not None:
        chosen = result.decision.plan
        plan = {"name": chosen.name, "size": list(chosen.size), "reason": result.decision.reason}
    return {
        "index": result.index,
        "name": result.frame.name,
        "camera": result.frame.channel,
        "timestamp_us": int(result.frame.timestamp_us),
        "status": result.status.value,
        "plan": plan,
        "decision": None if result.decision is None else _decision_record(result.decision),
        "deadline": {"ms": _rounded(result.deadline_ms), "missed": result.missed},
        "latency": {
            "ms": None if skipped else _rounded(result.latency_ms),
            "wait_ms": _rounded(result.wait_ms),
            "queue_ms": None if skipped else _rounded(result.queue_ms),
            "choose_ms": None if skipped else _rounded(result.choose_ms),
            "infer_ms": None if skipped else _rounded(result.infer_ms),
            "total_ms": _rounded(result.total_ms),
            "age_ms": _rounded(result.age_ms),
        },
        "speed": {"mps": _rounded(result.speed_mps)},
        "substitute": None
        if result.substitute_age_ms is None
        else {"age_ms": _rounded(result.substitute_age_ms), "warped": result.warped},
        "drops": result.drops,
        "error": result.frame.error,
    }


def _decision_record(decision: Decision) -> Record:
    """What the policy reckoned with; ``required_m`` is ``None`` also where nothing is far enough to stop."""
    return {
        "speed_mps": _rounded(decision.speed_mps),
        "required_m": _rounded(decision.required_m),
        "seen_m": _rounded(decision.seen_m),
        "deadline_ms": _rounded(decision.deadline_ms),
        "degraded": decision.degraded,
        "supported_mps": _rounded(decision.supported_mps),
    }


def summarise(records: Sequence[Record], speed_source: str, loop: Mapping[str, Any] | None = None) -> Record:
    """Counts and quantiles of a run.

    Args:
        records: of the frames, in order.
        loop: ``DriveLoop.record``.

    Returns:
        ``frames``, ``answered``, ``skipped``, ``misses``, ``fps``, and ``plan``, ``deadline``, ``latency``, ``speed``,
        ``status``, ``cameras``, ``degraded``; with ``loop`` also ``dropped``, ``stopped`` and ``loop`` itself.
        ``fps`` is answered frames per second: of the drive where it keeps the camera's pace, else of loop time, which
        is waiting, choosing and inferring, but not drawing. Latency quantiles are order statistics over the answered
        frames. ``deadline.missed_share_upper`` is the exact upper bound of the
        miss rate at 95 % confidence, as if misses were independent.
    """
    answered = [record for record in records if record["latency"]["ms"] is not None]
    status = Counter(record["status"] for record in records)
    misses = sum(record["deadline"]["missed"] for record in records)
    seconds = None if loop is None else loop["seconds"]
    busy_ms = sum(record["latency"]["total_ms"] for record in answered) if seconds is None else 1e3 * seconds
    speeds = [record["speed"]["mps"] for record in records if record["speed"]["mps"] is not None]
    cameras = dict.fromkeys(record["camera"] for record in records)
    return {
        "frames": len(records),
        "answered": len(answered),
        "skipped": status[Status.SKIPPED.value],
        "misses": misses,
        "fps": _rounded(1e3 * len(answered) / busy_ms) if busy_ms > 0 else None,
        "degraded": sum(record["decision"]["degraded"] for record in answered),
        "plan": dict(Counter(record["plan"]["name"] for record in answered)),
        "deadline": {
            "ms": records[0]["deadline"]["ms"] if records else None,
            "missed": misses,
            "missed_share": round(misses / len(answered), 6) if answered else None,
            "missed_share_upper": round(rate_upper_bound(misses, len(answered)), 6) if answered else None,
        },
        "latency": {
            **quantiles([record["latency"]["ms"] for record in answered]),
            "stages": {
                stage: quantiles([record["latency"][f"{stage}_ms"] for record in answered])
                for stage in (*STAGES, "total")
            },
        },
        "speed": {
            "source": speed_source,
            "min_mps": min(speeds, default=None),
            "mean_mps": _rounded(float(np.mean(speeds))) if speeds else None,
            "max_mps": max(speeds, default=None),
            "unknown": len(records) - len(speeds),
        },
        "status": {kind.value: status[kind.value] for kind in Status},
        "cameras": {
            camera: {
                "frames": sum(record["camera"] == camera for record in records),
                **quantiles([record["latency"]["ms"] for record in answered if record["camera"] == camera]),
            }
            for camera in cameras
        },
        **({} if loop is None else {"dropped": loop["dropped"], "stopped": loop["stopped"], "loop": dict(loop)}),
    }


def rate_upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The rate at which so few events are only just likely enough: Clopper & Pearson's one-sided upper bound.

    >>> round(rate_upper_bound(0, 7200), 6)
    0.000416
    """
    if events >= trials:
        return 1.0
    counts = np.arange(events + 1)
    ways = np.array([math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts])
    low, high = events / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = float(np.exp(ways + counts * math.log(middle) + (trials - counts) * math.log1p(-middle)).sum())
        low, high = (middle, high) if tail > 1 - confidence else (low, middle)
        if middle in (0.0, 1.0):
            break
    return high


def quantiles(values_ms: Sequence[float]) -> dict[str, float | None]:
    """Mean, median, 90th and 99th percentile and maximum; each percentile is a value that occurred."""
    if not values_ms:
        return dict.fromkeys(("mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"))
    array = np.asarray(values_ms, dtype=np.float64)
    found = {
        f"p{percent}_ms": _rounded(float(np.quantile(array, percent / 100, method="inverted_cdf")))
        for percent in (50, 90, 99)
    }
    return {"mean_ms": _rounded(float(array.mean())), **found, "max_ms": _rounded(float(array.max()))}


def _rounded(value: float | None) -> float | None:
    """To four decimals: finer than the clocks, and the file stays readable; ``None`` for what is not finite."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)

"""The run in numbers: one record per frame and a summary, both JSON-able."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from perception.runtime.loop import FrameResult, Status

Record = dict[str, Any]
STAGES = ("wait", "choose", "infer")


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
        "deadline": {"ms": _rounded(result.deadline_ms), "missed": result.status is Status.DEADLINE_MISSED},
        "latency": {
            "ms": None if skipped else _rounded(result.latency_ms),
            "wait_ms": _rounded(result.wait_ms),
            "choose_ms": None if skipped else _rounded(result.choose_ms),
            "infer_ms": None if skipped else _rounded(result.infer_ms),
            "total_ms": _rounded(result.total_ms),
            "age_ms": _rounded(result.age_ms),
        },
        "speed": {"mps": _rounded(result.speed_mps)},
        "error": result.frame.error,
    }


def summarise(records: Sequence[Record], speed_source: str) -> Record:
    """Counts and quantiles of a run.

    Returns:
        ``frames``, ``answered``, ``skipped``, ``misses``, ``fps``, and ``plan``, ``deadline``, ``latency``, ``speed``,
        ``status``, ``cameras``. ``fps`` is answered frames per second of loop time: waiting, choosing and
        inferring, but not drawing. Latency quantiles are order statistics over the answered frames.
    """
    answered = [record for record in records if record["latency"]["ms"] is not None]
    status = Counter(record["status"] for record in records)
    misses = status[Status.DEADLINE_MISSED.value]
    loop_ms = sum(record["latency"]["total_ms"] for record in answered)
    speeds = [record["speed"]["mps"] for record in records if record["speed"]["mps"] is not None]
    cameras = dict.fromkeys(record["camera"] for record in records)
    return {
        "frames": len(records),
        "answered": len(answered),
        "skipped": status[Status.SKIPPED.value],
        "misses": misses,
        "fps": _rounded(1e3 * len(answered) / loop_ms) if loop_ms > 0 else None,
        "plan": dict(Counter(record["plan"]["name"] for record in answered)),
        "deadline": {
            "ms": records[0]["deadline"]["ms"] if records else None,
            "missed": misses,
            "missed_share": _rounded(misses / len(answered)) if answered else None,
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
    }


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
    """To four decimals: finer than the clocks, and the file stays readable."""
    return None if value is None else round(float(value), 4)

"""The timeline of an adaptive drive: speed, both bounds, the plan, and how each frame went, on one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from perception.viz.charts import Series, Span, line_chart, timeline

Frame = Mapping[str, Any]
STATUS = {
    "OK": ("in time", "status-ok"),
    "DEADLINE_MISSED": ("late", "status-late"),
    "DEGRADED": ("degraded", "status-degraded"),
    "STALE": ("stale", "status-stale"),
    "SKIPPED": ("skipped", "status-skipped"),
}
"""Status of a frame to what the page calls it and how it is drawn."""


def is_adaptive(frames: Sequence[Frame]) -> bool:
    """Whether any frame carries the bounds that a policy reasoned with."""
    return any((frame.get("decision") or {}).get("required_m") is not None for frame in frames)


def range_chart(rows: Sequence[tuple[float, Frame]], span: tuple[float, float]) -> str:
    """How far the plan sees against how far the speed asks to see.

    Args:
        rows: seconds and frame of one camera, in order.
        span: of the time axis.
    """
    decisions = [(x, frame, frame.get("decision") or {}) for x, frame in rows]
    # Where the vehicle cannot stop, the required range is infinite and has no place on the chart.
    required = [_number(decision, "required_m") for _, _, decision in decisions]
    seen = [_number(decision, "seen_m") for _, _, decision in decisions]
    titles = [_title(x, frame, decision) for x, frame, decision in decisions]
    alarms = [
        need is not None and sight is not None and need > sight for need, sight in zip(required, seen, strict=True)
    ]
    x = [seconds for seconds, _ in rows]
    return line_chart(
        [Series("range that the plan sees", x, seen, titles, alarms)],
        "m", span=span, height=200, bound=Series("range that the speed requires", x, required, titles),
    )  # fmt: skip


def status_strip(rows: Sequence[tuple[float, Frame]], span: tuple[float, float]) -> str:
    """A strip coloured by status, with a key of those that occurred."""
    kinds = list(STATUS)
    spans: list[Span] = []
    begin = 0
    for position in range(1, len(rows) + 1):
        status = rows[begin][1]["status"]
        if position < len(rows) and rows[position][1]["status"] == status:
            continue
        until = rows[position][0] if position < len(rows) else span[1]
        first, last = rows[begin][1]["index"], rows[position - 1][1]["index"]
        frames = f"frame {first}" if first == last else f"frames {first} to {last}"
        label = STATUS[status][0]
        spans.append(Span(rows[begin][0], until, label, f"{label} · {frames}", kinds.index(status)))
        begin = position
    strip = timeline(spans, *span, what="status", styles=[style for _, style in STATUS.values()])
    seen = [status for status in kinds if any(frame["status"] == status for _, frame in rows)]
    counts = {status: sum(frame["status"] == status for _, frame in rows) for status in seen}
    keys = "".join(
        f'<li><i class="key {STATUS[status][1]}"></i>{escape(STATUS[status][0])}: {counts[status]} frames</li>'
        for status in seen
    )
    return f'{strip}<ul class="keys">{keys}</ul>'


def _number(decision: Mapping[str, Any], name: str) -> float | None:
    value = decision.get(name)
    return None if value is None else float(value)


def _title(seconds: float, frame: Frame, decision: Mapping[str, Any]) -> str:
    if not decision or not frame["plan"]:
        return ""
    parts = [f"{seconds:.2f} s · {frame['plan']['name']} ({frame['plan']['reason']})"]
    if decision.get("speed_mps") is not None:
        parts.append(f"reckons with {decision['speed_mps'] * 3.6:.0f} km/h")
    need, sight = _number(decision, "required_m"), _number(decision, "seen_m")
    parts.append(f"needs {'more than any' if need is None else f'{need:.0f} m'}, sees {sight or 0:.0f} m")
    if decision.get("supported_mps") is not None:
        parts.append(f"safe up to {decision['supported_mps'] * 3.6:.0f} km/h")
    return "\n".join(parts)

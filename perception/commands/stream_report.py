"""Figures of a streaming evaluation: a row per policy, differences with intervals, a table and a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from perception.commands.stream_drives import Drive
from perception.commands.stream_scores import DriveScore
from perception.files import atomic_path
from perception.metrics.recall import RecallCurve, wilson_lower
from perception.metrics.streaming import average_precision_50, block_sums, iou, mean_iou, paired_bootstrap
from perception.runtime.plan import Plan
from perception.taxonomy import LabelSet

SPEED_EDGES_KMH = (0, 10, 30, 50, 70, 90, 110)
BLOCK_S = 1.0
COLUMNS = ("mIoU %", "drivable IoU", "mAP50 %", "hazards %", "age ms", "busy time", "Mpx /s", "GMAC /s")


def policy_row(
    name: str, kind: str, scores: Sequence[DriveScore], labels: LabelSet, gmacs: Callable[[Plan], float]
) -> dict[str, Any]:
    """What one policy is worth over all drives."""
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
    hazards = [hazard for score in scores for hazard in score.hazards]
    return {
        "policy": name,
        "kind": kind,
        "miou": _number(mean_iou(counts)),
        "drivable_iou": _number(iou(sum(d.sum(0) for d in drivable))[1]) if len(drivable) == len(scores) else None,
        "map50": _number(average_precision_50(boxes, truth)) if detects else None,
        "hazards": _recall(hazards),
        "hazards_supported": _recall([hazard for hazard in hazards if hazard[2]]),
        "hazards_by_speed": {
            name: _recall([hazard for hazard in hazards if low <= hazard[0] * 3.6 < high])
            for name, low, high in _speed_bins()
        },
        "miou_by_speed": {name: _miou_between(scores, low, high) for name, low, high in _speed_bins()},
        "age_ms": _number(np.mean(ages) * 1e3 if ages else None),
        "instants": sum(len(score.times_s) for score in scores),
        "unanswered": sum(score.unanswered for score in scores),
        "busy_share": _number(sum(score.busy_s for score in scores) / seconds),
        "mpx_per_s": _number(sum(s.schedule.cost(lambda p: p.pixels) for s in scores) / seconds / 1e6),
        "gmacs_per_s": _number(sum(score.schedule.cost(gmacs) for score in scores) / seconds),
        "degraded_share": _number(np.mean([run.degraded for run in runs])),
        "plans": dict(sorted(plans.items(), key=lambda item: -item[1])),
        "iou": dict(zip(labels.classes, map(_number, iou(counts)), strict=True)),
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


def show(result: dict[str, Any]) -> None:
    """Print the result for people."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape as literal
    from rich.table import Table

    output = Console()
    table = Table("policy\n", *(column.replace(" ", "\n") for column in COLUMNS), box=SIMPLE, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in result["policies"]:
        hazards = _show(row["hazards"]["recall"], "{:.1f}", 100)
        table.add_row(row["policy"], *_figures(row, hazards), style="bold" if row["kind"] == "adaptive" else None)
    output.print(literal(_title(result)), soft_wrap=True, highlight=False)
    output.print(table)
    for line in _sentences(result):
        output.print(line, highlight=False, markup=False, soft_wrap=True)


def write_page(path: Path, result: dict[str, Any]) -> None:
    """Write the figures and the chart as one HTML file that loads nothing."""
    from perception.viz.pareto import STYLE
    from perception.viz.style import CSS

    rows = [[row["policy"], *_figures(row, _hazard(row["hazards"]))] for row in result["policies"]]
    comparison_rows = [
        [
            entry["policy"], entry["against"], f"{100 * entry['difference']:+.2f}", _interval(entry),
            *(_show(entry[f"{name}_ratio"], "{:.2f}x") for name in ("busy", "pixels", "gmacs")),
        ]
        for entry in result["comparisons"]
    ]  # fmt: skip
    bins = list(result["policies"][0]["hazards_by_speed"])
    hazard_rows = [
        [row["policy"], *(_hazard(row["hazards_by_speed"][name]) for name in bins), _hazard(row["hazards_supported"])]
        for row in result["policies"]
    ]
    speed_rows = [
        [row["policy"], *(_show(row["miou_by_speed"][name]["miou"], "{:.2f}", 100) for name in bins)]
        for row in result["policies"]
    ]
    instants = [str(result["policies"][0]["miou_by_speed"][name]["instants"]) for name in bins]
    notes = "".join(f"<p class='note'>{escape(line)}</p>" for line in _sentences(result))
    differences = ["policy", "against", "mIoU points", "95 % interval", "busy time", "pixels", "GMACs"]
    body = [
        f"<header><h1>Streaming evaluation</h1><p class='lead'>{escape(_title(result))}</p></header>",
        _section("Accuracy against compute", pareto(result, "gmacs_per_s", "GMACs per second of driving")),
        _section("Accuracy against time", pareto(result, "busy_share", "share of the time the worker is busy, %", 100)),
        _section("Policies", _html_table(["policy", *COLUMNS], rows) + notes),
        _section("Difference to the best fixed plans", _html_table(differences, comparison_rows)),
        _section(
            "Streaming mIoU by speed in km/h",
            _html_table(["policy", *bins], [["instants", *instants], *speed_rows]),
        ),
    ]
    if result["traces"]:
        kinds = [record["trace"] for record in result["traces"]]
        trace_rows = [["instants", *(str(record["instants"]) for record in result["traces"])]]
        trace_rows += [
            [first["policy"], *(_trace_cell(record["policies"][i]) for record in result["traces"])]
            for i, first in enumerate(result["traces"][0]["policies"])
        ]
        title = f"Streaming mIoU by speed trace, and points over {result['traces'][0]['against']}"
        body.append(_section(title, _html_table(["policy", *kinds], trace_rows)))
    if any(row["hazards"]["count"] for row in result["policies"]):
        body.append(
            _section(
                "Recall of hazards at the range that stopping requires, by speed in km/h",
                _html_table(["policy", *bins, "where supported"], hazard_rows),
            )
        )
    names = [plan["name"] for plan in result["plans"]]
    taken = [[row["policy"], *_shares(row["plans"], names)] for row in result["policies"] if row["kind"] != "fixed"]
    body.append(_section("Plans that the policies took, share of runs", _html_table(["policy", *names], taken)))
    facts = {
        "median ms": "p50_ms", "p99 ms": "p99_ms", "bound ms": "bound_ms", "sees m": "seen_m",
        "up to km/h": "supported_kmh", "GMACs": "gmacs",
    }  # fmt: skip
    rows = [
        [plan["name"], *(f"{plan[name]:.1f}" for name in facts.values()), _show(plan["miou_at_rest"], "{:.2f}", 100)]
        for plan in result["plans"]
    ]
    body.append(_section("Plans", _html_table(["plan", *facts, "mIoU at rest %"], rows)))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Streaming evaluation</title>"
        f"<style>{CSS}{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def pareto(result: dict[str, Any], column: str, label: str, scale: float = 1.0) -> str:
    """Mean IoU against a measure of compute.

    Args:
        column: of the rows.
        label: of the axis; the values are multiplied by ``scale``.
    """
    from perception.viz.pareto import Point, pareto_chart

    points = [
        Point(
            row["policy"].removeprefix("fixed:"), row["kind"], scale * row[column], 100 * row["miou"],
            f"{row['policy']}: mIoU {100 * row['miou']:.2f}, {row['gmacs_per_s']:.1f} GMACs/s, "
            f"busy {row['busy_share']:.0%}, answers {_show(row['age_ms'], '{:.0f} ms')} old",
        )
        for row in result["policies"]
    ]  # fmt: skip
    ceiling = result["ceiling_miou"]
    level = None if ceiling is None else 100 * ceiling
    return pareto_chart(points, label, "streaming mIoU, %", level, "truth, one frame late")


def _figures(row: Mapping[str, Any], hazards: str) -> list[str]:
    """In the order of :data:`COLUMNS`."""
    scores = (_show(row[name], "{:.2f}", 100) for name in ("miou", "drivable_iou", "map50"))
    cost = (f"{row['busy_share']:.0%}", f"{row['mpx_per_s']:.2f}", f"{row['gmacs_per_s']:.1f}")
    return [*scores, hazards, _show(row["age_ms"], "{:.0f}"), *cost]


def _title(result: Mapping[str, Any]) -> str:
    drives, instants = len(result["drives"]), result["policies"][0]["instants"]
    return f"{result['model']} on {drives} drive{'s' if drives > 1 else ''} of {result['data']}, {instants} instants"


def _sentences(result: Mapping[str, Any]) -> list[str]:
    best = result["best_fixed"]
    also = "" if best["rung"] == best["plan"] else f" Without plans with a fovea: {best['rung']}."
    lines = [f"Best fixed plan: {best['plan']}, chosen on {best['chosen_on']}.{also}"]
    for entry in result["comparisons"]:
        if entry["kind"] == "adaptive":
            lines.append(
                f"{entry['policy']}: {100 * entry['difference']:+.2f} points of mIoU against {entry['against']} (95 % "
                f"interval {_interval(entry)}) at "
                f"{_show(entry['busy_ratio'], '{:.2f}x')} its busy time and {_show(entry['gmacs_ratio'], '{:.2f}x')} "
                "its GMACs."
            )
    for record in result["traces"]:
        shown = [
            f"{row['policy']} {100 * row['miou']:.2f}, {100 * row['difference']:+.2f} ({_interval(row)})"
            for row in record["policies"]
            if row["kind"] in ("adaptive", "oracle")
        ]
        fixed = next(row["miou"] for row in record["policies"] if row["policy"] == record["against"])
        lines.append(f"{record['trace']}: {record['against']} {100 * fixed:.2f}; {'; '.join(shown)}.")
    if result["ceiling_miou"] is not None:
        lines.append(f"Ceiling, the truth one frame late: mIoU {100 * result['ceiling_miou']:.2f}.")
    height = result["min_height"]
    lines.append(f"A hazard counts as seen from {height['px']:g} network pixels of height ({height['from']}).")
    counts = [row["hazards"]["count"] for row in result["policies"]]
    if any(counts):
        lines.append(
            f"Hazards: {min(counts)} to {max(counts)} labelled vehicles and people at 0.8 to 1.0 of the range that "
            "stopping requires; the range depends on the plan's latency, so their number differs."
        )
    return lines


def _interval(entry: Mapping[str, Any]) -> str:
    return "unknown" if entry["low"] is None else f"{100 * entry['low']:+.2f} to {100 * entry['high']:+.2f}"


def _trace_cell(row: Mapping[str, Any]) -> str:
    return f"{100 * row['miou']:.2f} ({100 * row['difference']:+.2f})"


def _recall(hazards: Sequence[tuple[float, bool, bool]]) -> dict[str, Any]:
    hits, count = sum(hazard[1] for hazard in hazards), len(hazards)
    return {
        "recall": round(hits / count, 4) if count else None,
        "lower": round(wilson_lower(hits, count), 4) if count else None,
        "count": count,
    }


def _hazard(record: Mapping[str, Any]) -> str:
    return "–" if record["recall"] is None else f"{100 * record['recall']:.0f} % of {record['count']}"


def _shares(counts: Mapping[str, int], names: Sequence[str]) -> list[str]:
    total = sum(counts.values())
    return [f"{counts[name] / total:.0%}" if name in counts else "–" for name in names]


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)


def _show(value: float | None, form: str, scale: float = 1.0) -> str:
    return "–" if value is None else form.format(scale * value)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    cells = ("".join(f"<td>{escape(value)}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

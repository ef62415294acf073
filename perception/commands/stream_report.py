"""What a streaming evaluation shows of its records: a table and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from perception.files import atomic_path

COLUMNS = ("mIoU %", "drivable IoU", "mAP50 %", "hazards %", "age ms", "busy time", "Mpx /s", "GMAC /s")


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
        [
            row["policy"],
            *(_hazard(row["hazards_by_speed"][name]) for name in bins),
            _hazard(row["hazards_supported"]),
            _hazard(row["hazards_in_view"]),
        ]
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
        _section("Accuracy against compute", pareto(result, *_compute(result))),
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
    if any(row["hazards_in_view"]["count"] for row in result["policies"]):
        body.append(
            _section(
                f"Recall of hazards {_where(result)}, at the range that stopping requires, by speed in km/h",
                _html_table(["policy", *bins, "where supported", "all in view"], hazard_rows),
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
        [
            plan["name"],
            *(_show(plan[name], "{:.1f}") for name in facts.values()),
            _show(plan["miou_at_rest"], "{:.2f}", 100),
        ]
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
            f"{row['policy']}: mIoU {100 * row['miou']:.2f}, {row['mpx_per_s']:.2f} Mpx/s, "
            f"{_show(row['gmacs_per_s'], '{:.1f} GMACs/s, ', unknown='')}"
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
    cost = (f"{row['busy_share']:.0%}", f"{row['mpx_per_s']:.2f}", _show(row["gmacs_per_s"], "{:.1f}"))
    return [*scores, hazards, _show(row["age_ms"], "{:.0f}"), *cost]


def _compute(result: Mapping[str, Any]) -> tuple[str, str]:
    """Column and name of the measure of compute: pixels where multiply-accumulates are not known."""
    if any(row["gmacs_per_s"] is None for row in result["policies"]):
        return "mpx_per_s", "megapixels per second of driving"
    return "gmacs_per_s", "GMACs per second of driving"


def _title(result: Mapping[str, Any]) -> str:
    drives, instants = len(result["drives"]), result["policies"][0]["instants"]
    return f"{result['model']} on {drives} drive{'s' if drives > 1 else ''} of {result['data']}, {instants} instants"


def _sentences(result: Mapping[str, Any]) -> list[str]:
    best = result["best_fixed"]
    also = "" if best["rung"] == best["plan"] else f" Without plans with a fovea: {best['rung']}."
    lines = [f"Best fixed plan: {best['plan']}, chosen on {best['chosen_on']}.{also}"]
    cost, unit = ("pixels", "pixels") if _compute(result)[0] == "mpx_per_s" else ("gmacs", "GMACs")
    for entry in result["comparisons"]:
        if entry["kind"] == "adaptive":
            lines.append(
                f"{entry['policy']}: {100 * entry['difference']:+.2f} points of mIoU against {entry['against']} (95 % "
                f"interval {_interval(entry)}) at "
                f"{_show(entry['busy_ratio'], '{:.2f}x')} its busy time and "
                f"{_show(entry[f'{cost}_ratio'], '{:.2f}x')} its {unit}."
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
    fastest = [
        f"{result['supported_kmh'][kind]:.0f} km/h {what} ({result['supported_plans'][kind]})"
        for kind, what in (("uniform", "without a fovea"), ("fovea", "with one"))
        if result["supported_kmh"][kind] is not None
    ]
    lines.append(f"Highest speed that a plan supports: {', '.join(fastest)}.")
    counts = [row["hazards"]["count"] for row in result["policies"]]
    if any(row["hazards_in_view"]["count"] for row in result["policies"]):
        lines.append(
            f"Hazards: {min(counts)} to {max(counts)} labelled vehicles and people {_where(result)}, at 0.8 to 1.0 "
            "of the range that stopping requires; the range depends on the plan's latency, so their number differs. "
            "The boxes of an answer are moved by the way driven since its capture."
        )
        if result["corridor_m"] is not None:
            seen = (
                f"{row['policy']} {_hazard(row['hazards_in_view'])}"
                for row in result["policies"]
                if row["kind"] == "adaptive" or row["policy"] == best["plan"]
            )
            lines.append(f"Of all in view are found: {', '.join(seen)}.")
    return lines


def _where(result: Mapping[str, Any]) -> str:
    corridor_m = result["corridor_m"]
    return "in view" if corridor_m is None else f"no more than {corridor_m:g} m beside the line ahead"


def _interval(entry: Mapping[str, Any]) -> str:
    return "unknown" if entry["low"] is None else f"{100 * entry['low']:+.2f} to {100 * entry['high']:+.2f}"


def _trace_cell(row: Mapping[str, Any]) -> str:
    return f"{100 * row['miou']:.2f} ({100 * row['difference']:+.2f})"


def _hazard(record: Mapping[str, Any]) -> str:
    return "–" if record["recall"] is None else f"{100 * record['recall']:.0f} % of {record['count']}"


def _shares(counts: Mapping[str, int], names: Sequence[str]) -> list[str]:
    total = sum(counts.values())
    return [f"{counts[name] / total:.0%}" if name in counts else "–" for name in names]


def _show(value: float | None, form: str, scale: float = 1.0, unknown: str = "–") -> str:
    return unknown if value is None else form.format(scale * value)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    cells = ("".join(f"<td>{escape(value)}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

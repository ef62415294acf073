"""The HTML report of a drive: one file that loads nothing from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from perception.files import atomic_path
from perception.taxonomy import RGB, LabelSet
from perception.viz.adaptive import is_adaptive, range_chart, status_strip
from perception.viz.charts import Series, Span, line_chart, timeline
from perception.viz.keyframes import KeyFrame
from perception.viz.overlay import DRIVABLE, LANE, box_color
from perception.viz.style import CSS

Report = Mapping[str, Any]
STAGES = {
    "wait": "wait: frame read and decoded",
    "choose": "choose: speed and plan",
    "infer": "infer: resize, network, outputs",
    "total": "total",
}


def write_report(
    path: str | Path,
    report: Report,
    pictures: Sequence[KeyFrame] = (),
    labels: LabelSet | None = None,
    metrics: Mapping[str, Any] | None = None,
    heads: Sequence[str] = ("semantic", "drivable", "lane", "boxes"),
) -> None:
    """Write ``report.html``.

    Args:
        path: the file to write.
        report: the content of ``report.json``: ``summary``, ``run`` and ``frames``.
        pictures: key frames to embed.
        labels: for the legend of classes.
        metrics: accuracy to show: a number per name, and a mapping of numbers per table, such as
            ``{"val/drivable/iou": 0.93, "IoU per class": {"road": 0.95, "lane_marking": None}}``.
        heads: what the model answers, for the legend.
    """
    page = render_report(report, pictures, labels, metrics, heads)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_report(
    report: Report,
    pictures: Sequence[KeyFrame] = (),
    labels: LabelSet | None = None,
    metrics: Mapping[str, Any] | None = None,
    heads: Sequence[str] = ("semantic", "drivable", "lane", "boxes"),
) -> str:
    """The page as text; the arguments are those of :func:`write_report`."""
    run, summary, frames = report["run"], report["summary"], report["frames"]
    body = [
        _header(run),
        _tiles(summary, is_adaptive(frames)),
        _accuracy(metrics),
        _shots(pictures, wide=len(summary["cameras"]) > 1),
        _latency(frames, summary),
        _speed(frames, summary),
        _tables(summary),
        _plans(run.get("plans")),
        _skipped(frames),
        '<div class="two">',
        _legend(labels, heads),
        _details(run),
        "</div>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The page enforces on itself that it loads nothing.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Drive report: {escape(str(run['source']))}</title><style>{CSS}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(run: Mapping[str, Any]) -> str:
    chips = [
        f"policy {run['policy']}",
        f"speed {run['speed']}",
        f"{run['device_name']} ({run['precision']})",
        f"{run['threads']} threads",
        run["created"],
    ]
    video = f' · <a href="{escape(run["video"], quote=True)}">overlay video</a>' if run.get("video") else ""
    items = "".join(f"<li>{escape(str(chip))}</li>" for chip in chips)
    return (
        f'<header><h1>Drive report</h1><p class="lead">{escape(str(run["model"]))} on {escape(str(run["source"]))}'
        f'{video}</p><ul class="chips">{items}</ul></header>'
    )


def _tiles(summary: Mapping[str, Any], adaptive: bool) -> str:
    latency, deadline, speed = summary["latency"], summary["deadline"], summary["speed"]
    late = deadline["missed_share"] or 0.0
    over = latency["p99_ms"] is not None and latency["p99_ms"] > deadline["ms"]
    mean = speed["mean_mps"]
    spread = "" if mean is None else f"{speed['min_mps'] * 3.6:.0f} to {speed['max_mps'] * 3.6:.0f} km/h"
    if speed["unknown"]:
        spread += f"{', ' if spread else ''}unknown for {speed['unknown']} frames"
    skipped, plans = summary["skipped"], summary["plan"]
    second = (
        "frames skipped", str(skipped), "could not be read" if skipped else "every frame could be read",
        "warn" if skipped else "good",
    )  # fmt: skip
    if adaptive:
        degraded = summary["degraded"]
        second = ("frames degraded", str(degraded), "no plan was safe" if degraded else "a plan was safe throughout",
                  "bad" if degraded else "good")  # fmt: skip
    over_note = "own deadline" if adaptive else _ms(deadline["ms"])
    tiles = [
        ("frames answered", str(summary["answered"]),
         f"of {summary['frames']}" + (f", {summary['dropped']} dropped" if summary.get("dropped") else ""), ""),
        second,
        ("plan" if len(plans) < 2 else "most used plan", max(plans, key=lambda name: plans[name], default="–"),
         _shares(plans), ""),
        ("mean speed", "–" if mean is None else f"{mean * 3.6:.0f} km/h", spread, ""),
        ("median latency", _ms(latency["p50_ms"]), f"mean {_ms(latency['mean_ms'])}", ""),
        ("p99 latency", _ms(latency["p99_ms"]), f"max {_ms(latency['max_ms'])}",
         "" if adaptive else "warn" if over else "good"),
        ("deadline missed", f"{late:.1%}", f"{deadline['missed']} frames over {over_note}",
         "good" if not late else "warn" if late < 0.5 else "bad"),
        ("frames per second", "–" if summary["fps"] is None else f"{summary['fps']:.1f}", "loop, without drawing", ""),
    ]  # fmt: skip
    items = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b class="{_look(style, value)}">{escape(value)}</b>'
        f"<small>{escape(note)}</small></div>"
        for name, value, note, style in tiles
    )
    return f'<div class="tiles">{items}</div>'


def _look(style: str, value: str) -> str:
    """CSS classes of a tile's figure: long ones are set smaller."""
    return f"{style} long" if len(value) > 11 else style


def _shares(plans: Mapping[str, int]) -> str:
    total = sum(plans.values())
    if len(plans) < 2:
        return f"all {total} answered frames" if total else "no frames"
    ranked = sorted(plans.items(), key=lambda item: -item[1])
    return ", ".join(f"{count / total:.0%} {name}" for name, count in ranked)


def _accuracy(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return ""
    plain = {name: value for name, value in metrics.items() if not isinstance(value, Mapping)}
    tables = {name: value for name, value in metrics.items() if isinstance(value, Mapping)}
    parts = ["<section><h2>Accuracy</h2>", _metric_table(plain) if plain else ""]
    parts.extend(f"<h3>{escape(name)}</h3>{_metric_table(table)}" for name, table in tables.items())
    return "".join([*parts, "</section>"])


def _metric_table(values: Mapping[str, Any]) -> str:
    rows = []
    for name, value in values.items():
        known = isinstance(value, int | float) and value == value
        text = f"{value:.3f}" if known else "–" if value is None or isinstance(value, float) else str(value)
        bar = ""
        if known and isinstance(value, float) and 0 <= value <= 1:
            bar = f'<span class="bar"><i style="width:{value:.1%}"></i></span>'
        rows.append(f"<tr><td>{escape(name)}</td><td>{escape(text)}{bar}</td></tr>")
    return f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'


def _shots(pictures: Sequence[KeyFrame], wide: bool) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f'<figure><img alt="{escape(shot.caption, quote=True)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(shot.jpeg).decode("ascii")}">'
        f"<figcaption>{escape(shot.caption)}</figcaption></figure>"
        for shot in pictures
    )
    return f'<section><h2>Key frames</h2><div class="shots{" wide" * wide}">{figures}</div></section>'


def _span(frames: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The time axis that all charts share: it ends where the last frame's interval ends."""
    seconds = _seconds(frames)
    if len(seconds) < 2 or seconds[-1] <= seconds[0]:
        return 0.0, 1.0
    return seconds[0], seconds[-1] + (seconds[-1] - seconds[0]) / (len(seconds) - 1)


def _seconds(frames: Sequence[Mapping[str, Any]]) -> list[float]:
    start = frames[0]["timestamp_us"] if frames else 0
    return [(frame["timestamp_us"] - start) / 1e6 for frame in frames]


def _latency(frames: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    seconds, series = _seconds(frames), []
    for camera in summary["cameras"]:
        rows = [(x, frame) for x, frame in zip(seconds, frames, strict=True) if frame["camera"] == camera]
        series.append(
            Series(
                name=camera if len(summary["cameras"]) > 1 else "latency",
                x=[x for x, _ in rows],
                y=[frame["latency"]["ms"] for _, frame in rows],
                titles=[_frame_title(x, frame) for x, frame in rows],
                alarms=[frame["deadline"]["missed"] for _, frame in rows],
            )
        )
    skipped = [
        (x, f"frame {frame['index']} skipped: {frame['error']}")
        for x, frame in zip(seconds, frames, strict=True)
        if frame["status"] == "SKIPPED"
    ][:200]
    deadlines = {frame["deadline"]["ms"] for frame in frames}
    if len(deadlines) > 1:
        camera = next(iter(summary["cameras"]))
        rows = [(x, frame) for x, frame in zip(seconds, frames, strict=True) if frame["camera"] == camera]
        bound = Series(
            "deadline", [x for x, _ in rows], [frame["deadline"]["ms"] for _, frame in rows], [""] * len(rows)
        )
        chart = line_chart(series, "ms", ticks_at=skipped, span=_span(frames), bound=bound)
    else:
        deadline_ms = summary["deadline"]["ms"]
        chart = line_chart(series, "ms", deadline_ms, f"deadline {_ms(deadline_ms)}", skipped, _span(frames))
    note = "From frame in hand to answer on the host; filled dots missed the deadline, ticks on the axis were skipped."
    return f'<section><h2>Latency</h2>{chart}<p class="note">{note}</p></section>'


def _frame_title(seconds: float, frame: Mapping[str, Any]) -> str:
    latency = frame["latency"]
    if latency["ms"] is None:
        return ""
    late = " · deadline missed" if frame["deadline"]["missed"] else ""
    return (
        f"frame {frame['index']} · {seconds:.2f} s · {frame['name']}\n{_ms(latency['ms'])} "
        f"(choose {_ms(latency['choose_ms'])}, infer {_ms(latency['infer_ms'])}), plan {frame['plan']['name']}{late}"
    )


def _speed(frames: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    seconds = _seconds(frames)
    # One camera is enough: the others tell the same speed milliseconds apart.
    camera = next(iter(summary["cameras"]), None)
    rows = [(x, frame) for x, frame in zip(seconds, frames, strict=True) if frame["camera"] == camera]
    speeds = [None if frame["speed"]["mps"] is None else frame["speed"]["mps"] * 3.6 for _, frame in rows]
    if any(speed is not None for speed in speeds):
        titles = ["" if speed is None else f"{x:.2f} s · {speed:.1f} km/h · {speed / 3.6:.2f} m/s"
                  for (x, _), speed in zip(rows, speeds, strict=True)]  # fmt: skip
        chart = line_chart(
            [Series("speed", [x for x, _ in rows], speeds, titles)], "km/h", span=_span(frames), height=180
        )
    else:
        chart = '<p class="empty">The speed is not known for any frame.</p>'
    start, end = _span(frames)
    parts = ["<section><h2>Speed</h2>", chart]
    if is_adaptive(frames):
        parts += ["<h3>Range</h3>", range_chart(rows, (start, end))]
    if rows:
        parts += ["<h3>Plan</h3>", timeline(_plan_spans(rows, end), start, end)]
        parts += ["<h3>Status</h3>", status_strip(rows, (start, end))]
    return "".join([*parts, "</section>"])


def _plan_spans(rows: Sequence[tuple[float, Mapping[str, Any]]], end: float) -> list[Span]:
    names: list[str] = []
    spans: list[Span] = []
    begin = 0
    for position in range(1, len(rows) + 1):
        plan = rows[begin][1]["plan"]
        name = plan["name"] if plan else None
        if position < len(rows) and (rows[position][1]["plan"] or {}).get("name") == name:
            continue
        if name is not None and name not in names:
            names.append(name)
        first, last = rows[begin][1], rows[position - 1][1]
        until = rows[position][0] if position < len(rows) else end
        title = f"{name or 'skipped'} · frames {first['index']} to {last['index']}"
        if plan:
            title += f" · {plan['reason']}"
        spans.append(Span(rows[begin][0], until, name or "", title, names.index(name) if name else -1))
        begin = position
    return spans


def _tables(summary: Mapping[str, Any]) -> str:
    stages = summary["latency"]["stages"]
    parts = ["<section><h2>Where the time goes</h2>"]
    parts.append(_quantile_table("stage", {STAGES.get(name, name): values for name, values in stages.items()}))
    if len(summary["cameras"]) > 1:
        parts += ["<h3>Latency per camera</h3>", _quantile_table("camera", summary["cameras"])]
    return "".join([*parts, "</section>"])


def _plans(plans: Sequence[Mapping[str, Any]] | None) -> str:
    """What the adaptive policy knew of its plans when the drive began."""
    if not plans:
        return ""
    rows = "".join(
        f"<tr><td>{escape(plan['name'])}</td><td>{plan['seen_m']:.0f} m</td><td>{_ms(plan['bound_ms'])}</td>"
        f"<td>{_ms(plan['interval_ms'])}</td></tr>"
        for plan in plans
    )
    return (
        '<section><h2>Plans</h2><div class="scroll"><table><thead><tr><th>plan</th><th>sees</th><th>latency bound</th>'
        f"<th>interval</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _quantile_table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    columns = {"mean_ms": "mean", "p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "max_ms": "max"}
    head = "".join(f"<th>{name}</th>" for name in columns.values())
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{_ms(row[key])}</td>' for key in columns)}</tr>"
        for name, row in rows.items()
    )
    return (
        f'<div class="scroll"><table><thead><tr><th>{first}</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _skipped(frames: Sequence[Mapping[str, Any]], shown: int = 100) -> str:
    skipped = [frame for frame in frames if frame["status"] == "SKIPPED"]
    if not skipped:
        return ""
    rows = "".join(
        f'<tr><td>{frame["index"]}</td><td class="text">{escape(frame["name"])}</td>'
        f'<td class="text">{escape(str(frame["error"]))}</td></tr>'
        for frame in skipped[:shown]
    )
    more = f'<p class="note">and {len(skipped) - shown} more</p>' if len(skipped) > shown else ""
    return (
        f'<section><h2>Skipped frames ({len(skipped)})</h2><div class="scroll"><table><thead><tr><th>frame</th>'
        f'<th style="text-align:left">name</th><th style="text-align:left">reason</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}</section>"
    )


def _legend(labels: LabelSet | None, heads: Sequence[str]) -> str:
    if labels is None:
        return ""

    def keys(entries: Sequence[tuple[str, RGB]]) -> str:
        items = "".join(
            f'<li><i class="key" style="background:rgb{color}"></i>{escape(name.replace("_", " "))}</li>'
            for name, color in entries
        )
        return f'<ul class="keys">{items}</ul>'

    parts = [f"<section><h2>Colours</h2><p class='note'>label set {escape(labels.name)}</p>"]
    if "semantic" in heads:
        parts += ["<h3>Classes (tint)</h3>", keys(list(zip(labels.classes, labels.colors, strict=True)))]
    areas = [entry for entry in (("drivable", DRIVABLE), ("lane", LANE)) if entry[0] in heads]
    if areas:
        parts += ["<h3>Masks</h3>", keys([({"drivable": "drivable area", "lane": "lane"}[n], c) for n, c in areas])]
    if "boxes" in heads:
        parts += ["<h3>Boxes</h3>", keys([(name, box_color(index)) for index, name in enumerate(labels.detection)])]
    return "".join([*parts, "</section>"])


def _details(run: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_detail(value))}</dd>"
        for name, value in run.items()
        if name != "plans"
    )
    return f"<section><h2>Run</h2><dl>{rows}</dl></section>"


def _detail(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_detail(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _ms(value: float | None) -> str:
    """Milliseconds with three significant digits."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} ms"

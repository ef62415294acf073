"""Accuracy against compute, with the front of what nothing else beats on both, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 960, 460
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 26, 44
MARKERS = {"fixed": "c0", "baseline": "c3", "adaptive": "c2", "oracle": "c5"}
"""Kind of a policy to the colour of its mark."""
CHAR_PX, LINE_PX = 6.6, 14.0

STYLE = """
.pareto .front { fill: none; stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 2 4; }
.pareto .ceiling { stroke: var(--good); stroke-width: 1.2; stroke-dasharray: 6 4; }
.pareto text.ceiling-label { fill: var(--good); stroke: none; }
.pareto .mark { stroke: var(--card); stroke-width: 1.5; }
.pareto text.name { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.pareto text.strong { font-weight: 650; }
.key.c0 { background: var(--c0); } .key.c2 { background: var(--c2); } .key.c3 { background: var(--c3); }
.key.c5 { background: var(--c5); }
"""
"""Goes after the style sheet of the page."""


@dataclass(frozen=True)
class Point:
    """One policy.

    Args:
        kind: one of :data:`MARKERS`.
        x: compute; y: accuracy.
        title: hover text.
    """

    name: str
    kind: str
    x: float
    y: float
    title: str


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other reaches with less compute and more accuracy, by rising compute."""
    best, kept = -math.inf, []
    for point in sorted(points, key=lambda p: (p.x, -p.y)):
        if point.y > best:
            kept.append(point)
            best = point.y
    return kept


def pareto_chart(
    points: Sequence[Point], x_label: str, y_label: str, ceiling: float | None = None, ceiling_label: str = ""
) -> str:
    """The chart; the oracle is drawn but left out of the front, because it knows the labels.

    Args:
        ceiling: a level drawn across where it is not far above the points.
    """
    if not points:
        return '<p class="empty">No values.</p>'
    xs = _ticks(0.0, max(point.x for point in points) * 1.06)
    low, high = min(point.y for point in points), max(point.y for point in points)
    pad = max(0.08 * (high - low), 0.2)
    if ceiling is not None and ceiling <= high + 0.6 * (high - low) + 1:
        high = max(high, ceiling)
    ys = _ticks(low - pad, high + pad)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / xs[-1]
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - ys[0]) / (ys[-1] - ys[0])

    parts = [
        f'<svg class="chart pareto" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{y_label} against {x_label}", quote=True)}">'
    ]
    for value in ys:
        y = at(0, value)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in xs:
        x = at(value, ys[0])[0]
        text = f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{value:g}</text>'
        parts.append(text)
    parts.append(f'<text class="tick" x="{LEFT - 40}" y="14">{escape(y_label)}</text>')
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(x_label)}</text>')
    if ceiling is not None and ys[0] <= ceiling <= ys[-1]:
        y = at(0, ceiling)[1]
        parts.append(f'<line class="ceiling" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="ceiling-label" x="{LEFT + 6}" y="{y - 5:.1f}">{escape(ceiling_label)}</text>')
    edge = [at(point.x, point.y) for point in front([p for p in points if p.kind != "oracle"])]
    path = f"M{edge[0][0]:.1f},{edge[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in edge[1:]) if edge else ""
    parts.append(f'<path class="front" d="{path}"/>')
    parts.extend(_mark(point, *at(point.x, point.y)) for point in points)
    groups = _together([(point, *at(point.x, point.y)) for point in sorted(points, key=_importance)])
    labels = _place([(_joined(group), x, y) for group, x, y in groups])
    for (group, _, _), (x, y, anchor) in zip(groups, labels, strict=True):
        strong = " strong" if group[0].kind == "adaptive" else ""
        name = escape(_joined(group))
        parts.append(f'<text class="name{strong}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{name}</text>')
    parts.append("</svg>")
    kinds = [kind for kind in MARKERS if any(point.kind == kind for point in points)]
    keys = "".join(f'<li><i class="key {MARKERS[kind]}"></i>{kind}</li>' for kind in kinds)
    return "".join(parts) + f'<ul class="keys">{keys}</ul>'


def _importance(point: Point) -> tuple[int, float]:
    """Order in which names get their places."""
    return ("adaptive", "baseline", "oracle", "fixed").index(point.kind), -point.y


def _together(places: Sequence[tuple[Point, float, float]]) -> list[tuple[list[Point], float, float]]:
    """Marks that lie on one another share one name."""
    groups: list[tuple[list[Point], float, float]] = []
    for point, x, y in places:
        near = next((group for group, gx, gy in groups if abs(gx - x) < 3 and abs(gy - y) < 3), None)
        if near is None:
            groups.append(([point], x, y))
        else:
            near.append(point)
    return groups


def _joined(group: Sequence[Point]) -> str:
    return ", ".join(point.name for point in group)


def _mark(point: Point, x: float, y: float) -> str:
    colour = f'style="fill: var(--{MARKERS[point.kind]})"'
    if point.kind == "adaptive":
        shape = f'<path class="mark" {colour} d="M{x:.1f},{y - 8:.1f}l8,8l-8,8l-8,-8z"/>'
    elif point.kind == "baseline":
        shape = f'<rect class="mark" {colour} x="{x - 5.5:.1f}" y="{y - 5.5:.1f}" width="11" height="11" rx="1"/>'
    elif point.kind == "oracle":
        shape = f'<path class="mark" {colour} d="M{x:.1f},{y - 7.5:.1f}l7,13h-14z"/>'
    else:
        shape = f'<circle class="mark" {colour} cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    return f"<g><title>{escape(point.title)}</title>{shape}</g>"


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round steps from at most ``low`` to at least ``high``."""
    span = high - low if high > low else 1.0
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if factor * step * count >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil((low + span) / step - 1e-9)
    return [round(step * index, 10) for index in range(first, max(last, first + 1) + 1)]


def _place(names: Sequence[tuple[str, float, float]]) -> list[tuple[float, float, str]]:
    """Where the name of each mark stands: x, y and anchor; the first place that is free of marks and names."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for _, x, y in names]
    placed = []
    for name, x, y in names:
        wide = CHAR_PX * len(name)
        choices = [
            (x + 10, y + 4, "start"), (x - 10, y + 4, "end"), (x, y - 12, "middle"), (x, y + 20, "middle"),
            (x + 9, y - 9, "start"), (x + 9, y + 16, "start"), (x - 9, y - 9, "end"), (x - 9, y + 16, "end"),
            *((x + 10, y + 4 + sign * LINE_PX * k, "start") for k in (2, 3, 4) for sign in (-1, 1)),
        ]  # fmt: skip
        boxes = [_box(choice, wide) for choice in choices]
        clear = [i for i, box in enumerate(boxes) if _inside(box) and not any(_meet(box, other) for other in taken)]
        chosen = clear[0] if clear else min(range(len(boxes)), key=lambda i: _crowding(boxes[i], taken))
        taken.append(boxes[chosen])
        placed.append(choices[chosen])
    return placed


_Box = tuple[float, float, float, float]


def _box(choice: tuple[float, float, str], wide: float) -> _Box:
    x, y, anchor = choice
    left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return left, y - LINE_PX + 3, left + wide, y + 3


def _inside(box: _Box) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH - 2 and box[1] >= TOP - 8 and box[3] <= HEIGHT - BOTTOM


def _meet(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crowding(box: _Box, taken: Sequence[_Box]) -> float:
    shared = sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0])) * max(0.0, min(box[3], o[3]) - max(box[1], o[1])) for o in taken
    )
    return shared + (0.0 if _inside(box) else 1e4)

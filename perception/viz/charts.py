"""Small SVG charts as text, styled by the page's CSS variables, with a hover title for every point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 960, 58, 14
MAX_TARGETS = 480
"""Points beyond this share a hover target, which then shows the highest of them."""


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Args:
        name: shown in the legend where there are several.
        x: seconds, increasing.
        y: values; ``None`` interrupts the line.
        titles: hover text per point.
        alarms: points drawn as alarms, such as missed deadlines.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    titles: Sequence[str]
    alarms: Sequence[bool] = ()


@dataclass(frozen=True)
class Span:
    """A block of a timeline, ``[start, end)`` in seconds; ``kind`` picks the colour, negative is empty."""

    start: float
    end: float
    label: str
    title: str
    kind: int


def nice_ticks(high: float, count: int = 5) -> list[float]:
    """Round steps from 0 to at least ``high``.

    >>> nice_ticks(43.0)
    [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    """
    if not high > 0:
        return [0.0, 1.0]
    step = 10.0 ** math.floor(math.log10(high / count))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if factor * step * count >= high * (1 - 1e-9))
    return [round(step * index, 10) for index in range(math.ceil(high / step - 1e-9) + 1)]


def line_chart(
    series: Sequence[Series],
    unit: str,
    limit: float | None = None,
    limit_label: str = "",
    ticks_at: Sequence[tuple[float, str]] = (),
    span: tuple[float, float] | None = None,
    height: int = 250,
    bound: Series | None = None,
) -> str:
    """Lines over time.

    Args:
        unit: of the values, at the top of the axis.
        limit: drawn as a dashed line with ``limit_label``.
        ticks_at: moments marked on the time axis, with their hover text.
        span: first and last second of the time axis; default those of the points.
        bound: a limit that changes with time, drawn dashed.
    """
    times = [x for line in series for x in line.x]
    lines = [*series, bound] if bound else list(series)
    values = [y for line in lines for y in line.y if y is not None]
    if not values:
        return '<p class="empty">No values.</p>'
    axis = _TimeAxis(*(span or (min(times), max(times))))
    levels = nice_ticks(max([*values, limit or 0.0]) * 1.02)
    top, bottom = 22, height - 26

    def level(value: float) -> float:
        return bottom - (bottom - top) * value / levels[-1]

    parts = [_open(height, f"{series[0].name} over time")]
    for value in levels:
        y = level(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(f'<text class="tick" x="{LEFT - 8}" y="12" text-anchor="end">{escape(unit)}</text>')
    parts.append(axis.labels(height))
    if limit is not None:
        y = level(limit)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if bound is not None:
        parts.append(f'<path class="bound" d="{_steps(bound, axis, level)}"/>')
    for index, line in enumerate(series):
        parts.append(_path(line, axis, level, index))
    for x, title in ticks_at:
        parts.append(f'<g><title>{escape(title)}</title><path class="skip" d="M{axis(x):.1f},{bottom - 9}v9"/></g>')
    if limit is not None:
        parts.append(f'<text class="limit-label" x="{WIDTH - RIGHT}" y="{level(limit) - 5:.1f}" text-anchor="end">'
                     f"{escape(limit_label)}</text>")  # fmt: skip
    parts.extend(_targets(line, axis, level, top, bottom) for line in series)
    parts.append("</svg>")
    if len(lines) > 1:
        styles = [f"line{i % 6}" for i in range(len(series))] + ["dashed"]
        keys = "".join(
            f'<li><i class="key {style}"></i>{escape(line.name)}</li>'
            for style, line in zip(styles, lines, strict=False)
        )
        parts.append(f'<ul class="keys">{keys}</ul>')
    return "".join(parts)


def timeline(
    spans: Sequence[Span], start: float, end: float, what: str = "plan", styles: Sequence[str] | None = None
) -> str:
    """Blocks on a time axis, with their labels where they fit; ``styles`` names a CSS class per kind."""
    axis, height = _TimeAxis(start, end), 62
    parts = [_open(height, f"{what} over time")]
    for span in spans:
        left, right = axis(span.start), max(axis(span.end), axis(span.start) + 1)
        style = "none" if span.kind < 0 else styles[span.kind] if styles else f"fill{span.kind % 6}"
        parts.append(f'<g><title>{escape(span.title)}</title><rect class="span {style}" x="{left:.1f}" y="4" '
                     f'width="{right - left:.1f}" height="28" rx="3"/>')  # fmt: skip
        if right - left > 8 * len(span.label) + 10:
            parts.append(f'<text class="on-span" x="{(left + right) / 2:.1f}" y="22" text-anchor="middle">'
                         f"{escape(span.label)}</text>")  # fmt: skip
        parts.append("</g>")
    parts.append(axis.labels(height))
    return "".join([*parts, "</svg>"])


class _TimeAxis:
    """Seconds to horizontal position."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.length = end - start if end > start else 1.0

    def __call__(self, seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (seconds - self.start) / self.length

    def labels(self, height: int) -> str:
        ticks = [tick for tick in nice_ticks(self.length, 8) if tick <= self.length * (1 + 1e-9)]
        texts = [
            f'<text class="tick" x="{self(self.start + tick):.1f}" y="{height - 8}" text-anchor="middle">'
            f"{tick:g}{' s' if tick == ticks[-1] else ''}</text>"
            for tick in ticks
        ]
        return "".join(texts)


def _open(height: int, label: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label, quote=True)}">'


def _path(line: Series, axis: _TimeAxis, level: Callable[[float], float], index: int) -> str:
    commands, dots, pen_down = [], [], False
    several = sum(value is not None for value in line.y) > 1
    for position, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
        if y is None:
            pen_down = False
            continue
        commands.append(f"{'L' if pen_down else 'M'}{axis(x):.1f},{level(y):.1f}")
        pen_down = True
        if not several or (line.alarms and line.alarms[position]):
            kind = "alarm" if line.alarms and line.alarms[position] else f"dot{index % 6}"
            dots.append(f'<circle class="{kind}" cx="{axis(x):.1f}" cy="{level(y):.1f}" r="3"/>')
    # Alarms on every one of many frames would be a band of ink: the line above the limit says it already.
    shown = dots if len(dots) <= MAX_TARGETS else dots[:: math.ceil(len(dots) / MAX_TARGETS)]
    return f'<path class="line line{index % 6}" d="{"".join(commands)}"/>{"".join(shown)}'


def _steps(line: Series, axis: _TimeAxis, level: Callable[[float], float]) -> str:
    """A path that holds each value until the next point."""
    commands, before = [], None
    for x, y in zip(line.x, line.y, strict=True):
        if y is not None:
            start = f"M{axis(x):.1f},{level(y):.1f}" if before is None else f"H{axis(x):.1f}V{level(y):.1f}"
            commands.append(start)
        before = y
    return "".join(commands)


def _targets(line: Series, axis: _TimeAxis, level: Callable[[float], float], top: int, bottom: int) -> str:
    """Invisible discs, one per point or bin of points, that carry the hover text."""
    points = [(x, y, title) for x, y, title in zip(line.x, line.y, line.titles, strict=True) if y is not None]
    size = max(1, math.ceil(len(points) / MAX_TARGETS))
    parts = []
    for begin in range(0, len(points), size):
        x, y, title = max(points[begin : begin + size], key=lambda point: point[1])
        parts.append(f'<circle class="target" cx="{axis(x):.1f}" cy="{level(y):.1f}" r="7">'
                     f"<title>{escape(title)}</title></circle>")  # fmt: skip
    return "".join(parts)

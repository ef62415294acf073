"""Point clouds from above: coloured points, range rings, boxes with headings, and the vehicle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from perception.errors import InputError
from perception.taxonomy import RGB
from perception.viz.keyframe import Box3D
from perception.viz.overlay import load_font
from perception.viz.pointcloud_legend import TEXT, draw_legend
from perception.viz.pointcloud_view import BACKGROUND, VEHICLE_M, Coloring, PointView, color_by

RING: RGB = (62, 67, 77)
RING_TEXT: RGB = (158, 165, 177)
VEHICLE: RGB = (240, 242, 246)
FINER = 2
"""Everything but text is drawn at so many times the size and scaled down, which smooths it."""
GAP_PX = 6
SIDE_PX = (120, 4096)
RANGE_M = (2.0, 1000.0)
FLOOR = np.array([0, 2, 6, 4])
"""Corners of a box's lower face, in order."""


def draw_topdown(
    view: PointView, colors: Sequence[str] = ("height",), side_px: int = 900, range_m: float = 50.0
) -> np.ndarray:
    """A cloud from above, one panel for each colouring, with one legend below them.

    Ahead is up. One pixel is ``2 * range_m / side_px`` metres.

    Args:
        colors: keys of :data:`perception.viz.pointcloud_view.COLORINGS`, such as ``("class", "prediction", "error")``.
        side_px: side of a panel.
        range_m: distance from the origin to the middle of a panel's edge.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        InputError: for an unknown colouring, missing labels, or sizes out of range.
    """
    if not SIDE_PX[0] <= side_px <= SIDE_PX[1]:
        raise InputError(f"side of {side_px} px is outside {SIDE_PX[0]}..{SIDE_PX[1]}")
    if not RANGE_M[0] <= range_m <= RANGE_M[1]:
        raise InputError(f"range of {range_m:g} m is outside {RANGE_M[0]:g}..{RANGE_M[1]:g}")
    colorings = [color_by(view, color) for color in colors]
    panels = [draw_panel(view, coloring, side_px, range_m) for coloring in colorings]
    return with_legend(view, panels, colorings, f"{2 * range_m / side_px:.2f} m per pixel")


def draw_panel(view: PointView, coloring: Coloring, side_px: int, range_m: float) -> np.ndarray:
    """One square from above, ``(side_px, side_px, 3)`` uint8."""
    side = side_px * FINER
    scale = side / (2 * range_m)  # fine pixels per metre
    canvas = Image.new("RGB", (side, side), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    rings = np.arange(1, int(np.ceil(1.42 * range_m / ring_step_m(range_m)))) * ring_step_m(range_m)
    for ring in rings:
        r = ring * scale
        draw.ellipse((side / 2 - r, side / 2 - r, side / 2 + r, side / 2 + r), outline=RING, width=FINER)
    fine = np.array(canvas)
    _splat(fine, view.points, coloring, scale)
    canvas = Image.fromarray(fine)
    draw = ImageDraw.Draw(canvas)
    for box in view.boxes:
        _draw_box(draw, box, coloring.box(box, view.label_set), side, scale)
    _draw_vehicle(draw, view.middle_m, side, scale)
    canvas = canvas.resize((side_px, side_px), Image.Resampling.BOX)
    draw = ImageDraw.Draw(canvas)
    font = load_font(max(12, side_px // 60))
    for ring in rings:
        offset = ring * scale / FINER * np.sqrt(0.5)
        draw.text((side_px / 2 + offset, side_px / 2 - offset), f"{ring:g} m", RING_TEXT, font, anchor="mm",
                  stroke_width=2, stroke_fill=BACKGROUND)  # fmt: skip
    title = load_font(max(13, side_px // 48))
    draw.text((10, 8), coloring.title, TEXT, title, stroke_width=3, stroke_fill=BACKGROUND)
    return np.array(canvas)


def with_legend(
    view: PointView, panels: Sequence[np.ndarray], colorings: Sequence[Coloring], note: str = ""
) -> np.ndarray:
    """Panels of one height side by side, with the legend of all below."""
    parts: list[np.ndarray] = []
    for panel in panels:
        if parts:
            parts.append(np.full((panel.shape[0], GAP_PX, 3), BACKGROUND, np.uint8))
        parts.append(panel)
    row = np.concatenate(parts, axis=1)
    both = "shares: truth / prediction" if {"truth", "prediction"} <= {c.title for c in colorings} else ""
    note = " · ".join(part for part in (view.name, f"{len(view.points):,} points", note, both) if part)
    return np.concatenate([row, draw_legend(row.shape[1], colorings, note)])


def ring_step_m(range_m: float) -> float:
    """Distance between rings: a round number that gives two to five of them.

    >>> [ring_step_m(r) for r in (10, 25, 50, 100)]
    [2.0, 5.0, 10.0, 20.0]
    """
    power = 10.0 ** np.floor(np.log10(range_m / 5))
    return float(next(step * power for step in (1, 2, 5, 10) if range_m / (step * power) <= 5 + 1e-9))


def _splat(fine: np.ndarray, points: np.ndarray, coloring: Coloring, scale: float) -> None:
    """Square dots of about 0.2 m, at least one final pixel; the highest priority, then the highest point, last."""
    order = np.lexsort((points[:, 2], coloring.priority))
    column, row = _pixels(points[order], fine.shape[0], scale).T
    dot = int(np.clip(round(0.2 * scale), FINER + 1, 4 * FINER))
    for dy in range(dot):
        for dx in range(dot):
            x, y = column + dx - (dot - 1) // 2, row + dy - (dot - 1) // 2
            held = (x >= 0) & (x < fine.shape[1]) & (y >= 0) & (y < fine.shape[0])
            fine[y[held], x[held]] = coloring.colors[order][held]  # numpy keeps the last of repeated indices


def _pixels(points: np.ndarray, side: int, scale: float) -> np.ndarray:
    """``(N, 2)`` int64 column and row: x ahead is up, y left is left."""
    place = np.stack([side / 2 - points[:, 1] * scale, side / 2 - points[:, 0] * scale], axis=1)
    return np.floor(np.clip(place, -1e6, 1e6)).astype(np.int64)


def _draw_box(draw: ImageDraw.ImageDraw, box: Box3D, color: RGB, side: int, scale: float) -> None:
    """The outline from above, and a line from the middle through the front."""
    floor = [(float(x), float(y)) for x, y in _pixels(box.corners[FLOOR], side, scale)]
    draw.polygon(floor, outline=BACKGROUND, width=3 * FINER)
    draw.polygon(floor, outline=color, width=FINER + 1)
    middle, front = box.corners.mean(axis=0), box.corners[4:].mean(axis=0)
    ahead = front + (front - middle) / max(float(np.linalg.norm(front - middle)), 1e-6) * 0.8
    line = [(float(x), float(y)) for x, y in _pixels(np.stack([middle, ahead]), side, scale)]
    draw.line(line, fill=color, width=FINER + 1)


def _draw_vehicle(draw: ImageDraw.ImageDraw, middle_m: float, side: int, scale: float) -> None:
    """The own vehicle's outline with an arrow for its nose."""
    length, width = VEHICLE_M
    shape = np.array([(-length, width), (0.25 * length, width), (length, 0.35 * width), (length, -0.35 * width),
                      (0.25 * length, -width), (-length, -width)]) / 2  # fmt: skip
    shape[:, 0] += middle_m
    outline = [(float(x), float(y)) for x, y in _pixels(shape, side, scale)]
    draw.polygon(outline, fill=BACKGROUND, outline=VEHICLE, width=2 * FINER)

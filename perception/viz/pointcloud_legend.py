"""The strip under pictures of point clouds that says what the colours mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from perception.taxonomy import RGB
from perception.viz.overlay import load_font
from perception.viz.pointcloud_view import BACKGROUND, Coloring, ColorScale, LegendEntry

TEXT: RGB = (226, 229, 234)
SOFT: RGB = (150, 156, 166)
FONT_PX = 15
ROW_PX = 24
SCALE_PX = 170
"""Width of the ramp of a scale."""
PAD_PX = 12
MARK_PX = 19
"""From the left of a coloured square to its text."""


def draw_legend(width: int, colorings: Sequence[Coloring], note: str = "") -> np.ndarray:
    """Names, shares and scales of all panels, each name once: ``(H, width, 3)`` uint8.

    A name that several panels have says its share in each of them, in the order of the panels.

    Args:
        note: small text in the last line.
    """
    entries = _merge(colorings)
    scales = list({coloring.title: coloring.scale for coloring in colorings if coloring.scale is not None}.items())
    font = load_font(FONT_PX)
    widest = max((_width_px(entry, shares) for entry, shares in entries), default=width)
    columns = max(1, min(len(entries), (width - PAD_PX) // (widest + PAD_PX)))
    rows = math.ceil(len(entries) / columns)
    height = 2 * PAD_PX + ROW_PX * (rows + len(scales) + bool(note))
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    y = PAD_PX
    for title, scale in scales:
        _draw_scale(canvas, draw, (PAD_PX, y), title, scale)
        y += ROW_PX
    step = (width - PAD_PX) // columns
    for index, (entry, shares) in enumerate(entries):
        column, row = divmod(index, rows)
        x, middle = PAD_PX + column * step, y + row * ROW_PX + ROW_PX // 2
        square = (x, middle - 6, x + 12, middle + 6)
        draw.rectangle(square, outline=entry.color, width=2, fill=entry.color if shares else None)
        name, figures = _texts(entry, shares)
        draw.text((x + MARK_PX, middle), name, TEXT, font, anchor="lm")
        draw.text((x + MARK_PX + font.getlength(name), middle), figures, SOFT, font, anchor="lm")
    if note:
        draw.text((PAD_PX, height - PAD_PX - ROW_PX // 2), note, SOFT, load_font(FONT_PX - 2), anchor="lm")
    return np.array(canvas)


def _merge(colorings: Sequence[Coloring]) -> list[tuple[LegendEntry, list[float]]]:
    """Each name with its shares; 0 in panels of the same kind that lack it."""
    firsts: dict[str, LegendEntry] = {}
    for entry in (entry for coloring in colorings for entry in coloring.legend):
        firsts.setdefault(entry.name, entry)
    merged = []
    for name, first in firsts.items():
        shares = [
            next((entry.share for entry in coloring.legend if entry.name == name), 0.0)
            for coloring in colorings
            if _kind(coloring) == _kind_of(name, colorings)
        ]
        merged.append((first, [share for share in shares if share is not None]))
    return merged


def _kind(coloring: Coloring) -> str:
    return "class" if coloring.title in ("truth", "prediction") else coloring.title


def _kind_of(name: str, colorings: Sequence[Coloring]) -> str:
    return next(_kind(coloring) for coloring in colorings if any(entry.name == name for entry in coloring.legend))


def _texts(entry: LegendEntry, shares: Sequence[float]) -> tuple[str, str]:
    name = entry.name.replace("_", " ")
    return (f"{name}  ", f"{' / '.join(_percent(share) for share in shares)} %") if shares else (name, "")


def _width_px(entry: LegendEntry, shares: Sequence[float]) -> int:
    return MARK_PX + math.ceil(load_font(FONT_PX).getlength("".join(_texts(entry, shares))))


def _percent(share: float) -> str:
    percent = 100 * share
    return "<0.1" if 0 < percent < 0.05 else f"{percent:.1f}"


def _draw_scale(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, scale: ColorScale
) -> None:
    x, y = corner
    font = load_font(FONT_PX)
    middle = y + ROW_PX // 2
    low, high = f"{scale.low:g}", f"{scale.high:g} {scale.unit}".strip()
    draw.text((x, middle), f"{title}  {low}", TEXT, font, anchor="lm")
    x += round(draw.textlength(f"{title}  {low} ", font)) + 4
    place = np.linspace(0, len(scale.ramp) - 1, SCALE_PX)
    ramp = np.stack([np.interp(place, np.arange(len(scale.ramp)), scale.ramp[:, i]) for i in range(3)], axis=1)
    canvas.paste(Image.fromarray(np.tile(ramp.round().astype(np.uint8), (10, 1, 1))), (x, middle - 5))
    draw.text((x + SCALE_PX + 8, middle), high, TEXT, font, anchor="lm")

"""A picture of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perception.taxonomy import RGB

PAGE, INK, SOFT, EMPTY = (255, 255, 255), (26, 29, 33), (91, 100, 112), (240, 242, 245)
SWATCH_EDGE = (176, 182, 190)
LOW, HIGH = (232, 240, 252), (12, 74, 160)
WRONG_LOW, WRONG_HIGH = (253, 236, 226), (176, 58, 0)
MARGIN = 16
MOST_NUMBERED = 40
"""Matrices of more classes get small cells without numbers."""


def draw_confusion(matrix: np.ndarray, names: Sequence[str], colors: Sequence[RGB], title: str = "") -> np.ndarray:
    """Rows are the truth and sum to 1: where the pixels of each class went. Hits are blue, errors orange.

    Args:
        matrix: ``(C, C)`` counts, rows truth, columns prediction.
        names, colors: of the classes.
        title: above the picture.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        ValueError: for a matrix that does not fit the names.
    """
    count = len(names)
    if matrix.shape != (count, count):
        raise ValueError(f"matrix is {matrix.shape} but there are {count} names")
    numbered = count <= MOST_NUMBERED
    cell = 40 if numbered else 12
    font = ImageFont.load_default(size=13 if numbered else 10)
    small = ImageFont.load_default(size=12)
    heading = ImageFont.load_default(size=17)
    label_px = int(max(font.getlength(name) for name in names)) + 30
    left, top = MARGIN + 24 + label_px, MARGIN + 54 + label_px
    totals = matrix.sum(axis=1)
    width = left + count * cell + MARGIN + (76 if numbered else 0)
    height = top + count * cell + MARGIN + 24
    canvas = Image.new("RGB", (max(width, left + int(heading.getlength(title)) - label_px), height), PAGE)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, heading)
    draw.text((left, MARGIN + 26), "predicted", SOFT, font)
    _upright(canvas, "truth", (MARGIN, top), font, SOFT, turn=90, below=True)
    if numbered:
        draw.text((left + count * cell + 8, top - 20), "pixels", SOFT, small)
    for place, (name, color) in enumerate(zip(names, colors, strict=True)):
        middle = top + place * cell + cell // 2
        draw.text((left - 24, middle), name, INK, font, anchor="rm")
        draw.rectangle((left - 18, middle - cell // 4, left - 8, middle + cell // 4), color, SWATCH_EDGE)
        across = left + place * cell + cell // 2
        draw.rectangle((across - cell // 4, top - 18, across + cell // 4, top - 8), color, SWATCH_EDGE)
        _upright(canvas, name, (across, top - 24), font, INK)
        for column in range(count):
            share = matrix[place, column] / totals[place] if totals[place] else 0.0
            box = (left + column * cell, top + place * cell)
            hit = place == column
            draw.rectangle((*box, box[0] + cell - 2, box[1] + cell - 2), _shade(share, hit))
            if numbered and share >= 0.005:
                ink = PAGE if share > 0.5 else INK
                text = f"{share * 100:.0f}" if share < 0.995 else "100"
                draw.text((box[0] + cell // 2 - 1, box[1] + cell // 2 - 1), text, ink, small, anchor="mm")
        if numbered:
            draw.text((left + count * cell + 8, middle), _amount(float(totals[place])), SOFT, small, anchor="lm")
    draw.text((left, top + count * cell + 8), "percent of the pixels of each true class", SOFT, small)
    return np.array(canvas)


def _shade(share: float, hit: bool) -> RGB:
    if share < 0.005:
        return EMPTY
    low, high = (LOW, HIGH) if hit else (WRONG_LOW, WRONG_HIGH)
    strength = share if hit else share**0.6  # small errors should show
    mixed = [round(a + (b - a) * strength) for a, b in zip(low, high, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def _amount(value: float) -> str:
    """Three digits with a unit.

    >>> [_amount(value) for value in (0, 950, 12_345, 3_400_000)]
    ['0', '950', '12.3k', '3.4M']
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def _upright(
    canvas: Image.Image,
    text: str,
    at: tuple[int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    ink: RGB,
    turn: int = 90,
    below: bool = False,
) -> None:
    """Text that reads upwards: its end, or with ``below`` its start, is at the point."""
    box = font.getbbox(text)
    layer = Image.new("L", (int(box[2]) + 2, int(box[3]) + 4), 0)
    ImageDraw.Draw(layer).text((0, 0), text, 255, font)
    turned = layer.rotate(turn, expand=True)
    corner = (at[0], at[1]) if below else (at[0] - turned.width // 2, at[1] - turned.height)
    canvas.paste(ink, (*corner, corner[0] + turned.width, corner[1] + turned.height), turned)

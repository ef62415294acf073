"""Traffic signs with readable faces, drawn when first needed; a face is looked up by its number in :data:`FACES`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perception.world.mesh import Material, Mesh, Surface, merge
from perception.world.shapes import Shape, tube

PIXELS = 256
FIRST_STYLE = 20
"""Surface style of the first face; smaller numbers are other things of the sign material."""
RED, WHITE, BLUE, BLACK = (190, 18, 24), (242, 242, 238), (14, 76, 168), (16, 16, 16)
YELLOW, GREEN, ORANGE = (250, 190, 10), (0, 104, 62), (244, 120, 10)

_CIRCLE = [(float(np.cos(a)), float(np.sin(a))) for a in np.arange(24) * np.pi / 12]
_OCTAGON = [(float(np.cos(a)) * 1.082, float(np.sin(a)) * 1.082) for a in (np.arange(8) + 0.5) * np.pi / 4]
_SQUARE = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
_DIAMOND = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
_DOWN = [(0.0, -0.9), (1.0, 0.85), (-1.0, 0.85)]
_UP = [(-1.0, -0.85), (1.0, -0.85), (0.0, 0.9)]


class _Canvas:
    """A face to draw on; places are x to the right and y up, both -1..1."""

    def __init__(self, background: tuple[int, int, int]) -> None:
        self.image = Image.new("RGB", (2 * PIXELS, 2 * PIXELS), background)
        self.draw = ImageDraw.Draw(self.image)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x + 1) * PIXELS, (1 - y) * PIXELS

    def area(self, points: list[tuple[float, float]], color: tuple[int, int, int], scale: float = 1.0) -> None:
        self.draw.polygon([self._at(x * scale, y * scale) for x, y in points], fill=color)

    def disc(self, x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
        self.draw.ellipse([self._at(x - radius, y + radius), self._at(x + radius, y - radius)], fill=color)

    def bar(self, x0: float, y0: float, x1: float, y1: float, color: tuple[int, int, int]) -> None:
        self.draw.rectangle([self._at(min(x0, x1), max(y0, y1)), self._at(max(x0, x1), min(y0, y1))], fill=color)

    def line(self, points: list[tuple[float, float]], width: float, color: tuple[int, int, int]) -> None:
        self.draw.line([self._at(*p) for p in points], fill=color, width=int(width * PIXELS), joint="curve")
        for x, y in points:
            self.disc(x, y, width / 2, color)

    def text(
        self, words: str, x: float, y: float, height: float, color: tuple[int, int, int], squeeze: float = 1.0
    ) -> None:
        """``height`` is that of a line of text; ``squeeze`` narrows it for faces that are wider than high."""
        font = ImageFont.load_default(size=height * PIXELS)
        stroke = max(1, int(height * 0.04 * PIXELS))
        mask = Image.new("L", (6 * PIXELS, 2 * PIXELS))
        middle = mask.width / 2, mask.height / 2
        ImageDraw.Draw(mask).text(middle, words, fill=255, font=font, anchor="mm", stroke_width=stroke)
        mask = mask.resize((int(mask.width * squeeze), mask.height), Image.Resampling.BOX)
        left, top = self._at(x, y)
        self.image.paste(color, (int(left - mask.width / 2), int(top - mask.height / 2)), mask)

    def arrow(self, x: float, low: float, high: float, width: float, color: tuple[int, int, int]) -> None:
        """Straight up from ``low`` to ``high``."""
        self.bar(x - width / 2, low, x + width / 2, high - width * 1.2, color)
        self.area([(x - width * 1.5, high - width * 1.6), (x + width * 1.5, high - width * 1.6), (x, high)], color)

    def walker(self, x: float, y: float, size: float, color: tuple[int, int, int]) -> None:
        """Someone who walks, ``size`` high."""

        def place(a: float, b: float) -> tuple[float, float]:
            return x + a * size, y + b * size

        self.disc(*place(0.02, 0.42), 0.085 * size, color)
        for points, width in (
            ([(0.0, 0.28), (-0.02, 0.0)], 0.14), ([(-0.02, 0.0), (0.13, -0.2), (0.17, -0.46)], 0.09),
            ([(-0.02, 0.0), (-0.08, -0.22), (-0.22, -0.44)], 0.09), ([(0.0, 0.26), (0.15, 0.1), (0.25, 0.05)], 0.06),
            ([(0.0, 0.26), (-0.13, 0.12), (-0.2, -0.02)], 0.06),
        ):  # fmt: skip
            self.line([place(*p) for p in points], width * size, color)


def _limit_disc(value: int) -> Callable[[], _Canvas]:
    def draw() -> _Canvas:
        face = _Canvas(RED)
        face.disc(0, 0, 0.76, WHITE)
        face.text(str(value), 0, 0, 0.92, BLACK)
        return face

    return draw


def _limit_board(value: int) -> Callable[[], _Canvas]:
    def draw() -> _Canvas:
        face = _Canvas(BLACK)
        face.bar(-0.95, -0.96, 0.95, 0.96, WHITE)
        face.text("SPEED", 0, 0.70, 0.42, BLACK)
        face.text("LIMIT", 0, 0.34, 0.42, BLACK)
        face.text(str(value), 0, -0.36, 1.15, BLACK)
        return face

    return draw


def _stop() -> _Canvas:
    face = _Canvas(WHITE)
    face.area(_OCTAGON, RED, 0.93)
    face.text("STOP", 0, 0, 0.66, WHITE)
    return face


def _yield() -> _Canvas:
    face = _Canvas(RED)
    face.area([(0.0, -0.52), (0.66, 0.64), (-0.66, 0.64)], WHITE)
    return face


def _no_entry() -> _Canvas:
    face = _Canvas(RED)
    face.bar(-0.68, -0.17, 0.68, 0.17, WHITE)
    return face


def _crossing_blue() -> _Canvas:
    face = _Canvas(BLUE)
    face.area([(-0.78, -0.68), (0.78, -0.68), (0.0, 0.78)], WHITE)
    face.walker(0.0, -0.2, 0.85, BLACK)
    for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
        face.bar(x - 0.07, -0.66, x + 0.07, -0.58, BLACK)
    return face


def _crossing_yellow() -> _Canvas:
    face = _Canvas(BLACK)
    face.area(_DIAMOND, YELLOW, 0.93)
    face.walker(0.0, 0.02, 1.15, BLACK)
    return face


def _parking() -> _Canvas:
    face = _Canvas(WHITE)
    face.bar(-0.93, -0.93, 0.93, 0.93, BLUE)
    face.text("P", 0, 0, 1.5, WHITE)
    return face


def _works(background: tuple[int, int, int], outline: list[tuple[float, float]], inner: float) -> Callable[[], _Canvas]:
    def draw() -> _Canvas:
        face = _Canvas(RED if background == WHITE else BLACK)
        face.area(outline, background, inner)
        down = -0.12 if background == WHITE else 0.0
        face.disc(-0.08, 0.30 + down, 0.10, BLACK)
        face.line([(-0.10, 0.15 + down), (-0.20, -0.12 + down)], 0.14, BLACK)
        face.line([(-0.20, -0.12 + down), (-0.08, -0.42 + down)], 0.09, BLACK)
        face.line([(-0.20, -0.12 + down), (-0.36, -0.42 + down)], 0.09, BLACK)
        face.line([(-0.10, 0.12 + down), (0.12, -0.05 + down)], 0.07, BLACK)
        face.line([(0.02, 0.10 + down), (0.30, -0.34 + down)], 0.05, BLACK)
        face.area([(0.14, -0.44 + down), (0.56, -0.44 + down), (0.38, -0.22 + down)], BLACK)
        return face

    return draw


def _direction(background: tuple[int, int, int], upper: str, lower: str) -> Callable[[], _Canvas]:
    def draw() -> _Canvas:
        face = _Canvas(WHITE)
        face.bar(-0.96, -0.92, 0.96, 0.92, background)
        face.text(upper, 0.14, 0.42, 0.58, WHITE, 0.56)
        face.text(lower, -0.20, -0.42, 0.58, WHITE, 0.56)
        face.line([(-0.80, 0.15), (-0.80, 0.62)], 0.09, WHITE)
        face.area([(-0.92, 0.52), (-0.68, 0.52), (-0.80, 0.80)], WHITE)
        face.line([(0.52, -0.42), (0.76, -0.42)], 0.09, WHITE)
        face.area([(0.72, -0.60), (0.72, -0.24), (0.93, -0.42)], WHITE)
        return face

    return draw


def _ahead() -> _Canvas:
    face = _Canvas(BLUE)
    face.arrow(0.0, -0.62, 0.68, 0.24, WHITE)
    return face


def _bus_stop() -> _Canvas:
    face = _Canvas(BLUE)
    face.bar(-0.7, -0.72, 0.7, 0.72, WHITE)
    face.bar(-0.45, -0.30, 0.45, 0.42, BLACK)
    face.bar(-0.36, -0.02, 0.36, 0.28, WHITE)
    face.bar(-0.36, 0.30, 0.36, 0.38, YELLOW)
    for x in (-0.26, 0.26):
        face.disc(x, -0.16, 0.07, WHITE)
        face.bar(x - 0.08, -0.42, x + 0.08, -0.28, BLACK)
    return face


Outline = list[tuple[float, float]]
FACES: dict[str, tuple[Callable[[], _Canvas], Outline, float, float]] = {
    "stop": (_stop, _OCTAGON, 0.36, 0.36),
    "yield": (_yield, _DOWN, 0.42, 0.38),
    "limit_30": (_limit_disc(30), _CIRCLE, 0.34, 0.34),
    "limit_50": (_limit_disc(50), _CIRCLE, 0.34, 0.34),
    "limit_70": (_limit_disc(70), _CIRCLE, 0.34, 0.34),
    "board_25": (_limit_board(25), _SQUARE, 0.30, 0.38),
    "board_35": (_limit_board(35), _SQUARE, 0.30, 0.38),
    "board_45": (_limit_board(45), _SQUARE, 0.30, 0.38),
    "no_entry": (_no_entry, _CIRCLE, 0.36, 0.36),
    "crossing_blue": (_crossing_blue, _SQUARE, 0.34, 0.34),
    "crossing_yellow": (_crossing_yellow, _DIAMOND, 0.46, 0.46),
    "parking": (_parking, _SQUARE, 0.32, 0.32),
    "works_triangle": (_works(WHITE, [(-0.72, -0.70), (0.72, -0.70), (0.0, 0.58)], 1.0), _UP, 0.46, 0.42),
    "works_diamond": (_works(ORANGE, _DIAMOND, 0.93), _DIAMOND, 0.50, 0.50),
    "direction_green": (_direction(GREEN, "Harbour", "Centre"), _SQUARE, 0.85, 0.48),
    "direction_blue": (_direction(BLUE, "Airport", "Station"), _SQUARE, 0.85, 0.48),
    "ahead": (_ahead, _CIRCLE, 0.32, 0.32),
    "bus_stop": (_bus_stop, _SQUARE, 0.26, 0.26),
}
"""Faces by name: how each is drawn, its outline in face coordinates, half its width and height in metres."""

LIMITS = {-1: ("board_25", "board_35", "board_45"), 1: ("limit_30", "limit_50", "limit_70")}
REGIONAL = {
    -1: {"crossing": "crossing_yellow", "works": "works_diamond", "direction": "direction_green"},
    1: {"crossing": "crossing_blue", "works": "works_triangle", "direction": "direction_blue"},
}
"""Faces that differ by the side on which one drives: -1 right (as in Boston), +1 left (as in Singapore)."""


@lru_cache(maxsize=1)
def _atlas() -> list[np.ndarray]:
    """Linear RGB ``(F, P, P, 3)`` float32 of all faces, each level a quarter of the size of the one before."""
    faces = [draw().image.resize((PIXELS, PIXELS), Image.Resampling.BOX) for draw, *_ in FACES.values()]
    levels = [np.stack([np.asarray(face, np.float32) for face in faces]) / 255]
    levels[0] = 0.85 * levels[0] ** 2.2
    while levels[-1].shape[1] > 8:
        count, side = levels[-1].shape[:2]
        levels.append(levels[-1].reshape(count, side // 4, 4, side // 4, 4, 3).mean(axis=(2, 4)))
    return levels


def face_color(uv: np.ndarray, style: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """``(N, 3)`` linear RGB of places on faces.

    Args:
        uv: ``(N, 2)`` x and y in -1..1.
        style: ``(N,)`` from :data:`FIRST_STYLE`.
        footprint: ``(N,)`` width of a pixel in metres.
    """
    levels = _atlas()
    halves = np.array([width for _, _, width, _ in FACES.values()], np.float32)
    face = np.clip(style - FIRST_STYLE, 0, len(halves) - 1)
    texels = footprint / (2 * halves[face] / PIXELS)
    level = np.clip(np.floor(np.log(np.maximum(texels, 1e-6)) / np.log(4.0) + 0.5), 0, len(levels) - 1).astype(int)
    out = np.zeros((len(uv), 3), np.float32)
    for number in np.unique(level):
        rows = np.flatnonzero(level == number)
        table = levels[number]
        side = table.shape[1]
        x = np.clip((uv[rows, 0] + 1) / 2 * side - 0.5, 0, side - 1.001)
        y = np.clip((1 - uv[rows, 1]) / 2 * side - 0.5, 0, side - 1.001)
        i, j = x.astype(int), y.astype(int)
        a, b, which = (x - i)[:, None], (y - j)[:, None], face[rows]
        top = table[which, j, i] * (1 - a) + table[which, j, i + 1] * a
        out[rows] = top * (1 - b) + (table[which, j + 1, i] * (1 - a) + table[which, j + 1, i + 1] * a) * b
    return out


@lru_cache(maxsize=64)
def sign_post(name: str, height: float = 2.5) -> Mesh:
    """A sign on a post that faces local -x, its middle at ``height`` metres."""
    _, outline, width, tall = FACES[name]
    plate = Surface(Material.SIGN, "traffic_sign", (0.7, 0.7, 0.7), style=FIRST_STYLE + list(FACES).index(name))
    back = Surface(Material.PLAIN, "traffic_sign", (0.30, 0.31, 0.32))
    post = Surface(Material.PLAIN, "pole", (0.32, 0.33, 0.34))
    uv = np.array(outline)
    count = len(uv)
    # Seen from -x, local -y is to the right.
    rim = np.stack([np.full(count, -0.06), -width * uv[:, 0], height + tall * uv[:, 1]], axis=1)
    index = np.arange(count)
    triangles = np.stack([np.full(count, count), index, (index + 1) % count], axis=1)
    vertices, all_uv = np.concatenate([rim, rim.mean(axis=0)[None]]), np.concatenate([uv, uv.mean(axis=0)[None]])
    front = Shape(vertices, triangles, all_uv[triangles]).mesh(plate)
    rear = Shape(vertices + [0.02, 0, 0], triangles[:, ::-1], all_uv[triangles]).mesh(back)
    return merge([tube((0, 0, 0), (0, 0, height + 0.9 * tall), 0.035, sides=6).mesh(post), front, rear])

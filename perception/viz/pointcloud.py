"""Point clouds in perspective, without a graphics card: discs into a depth buffer, shaded at edges of depth.

Shading as in eye-dome lighting (Boucheny, Interactive Scientific Visualization of Large Datasets, 2009), on logarithms
of depth, so that its strength does not depend on distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from perception.errors import InputError
from perception.geometry.boxes import EDGES, box_corners
from perception.taxonomy import RGB
from perception.viz.overlay import load_font
from perception.viz.pointcloud_legend import TEXT
from perception.viz.pointcloud_view import BACKGROUND, VEHICLE_M, Coloring, PointView, color_by
from perception.viz.topdown import RING, VEHICLE, ring_step_m, with_legend

SKY: RGB = (38, 42, 51)
"""Colour of the background at the top; at the bottom it is that of top-down pictures."""
NEAR_M = 0.5
DISC_M = 0.055
"""Radius of a point's disc, which grows towards the viewer within these limits in fine pixels."""
DISC_PX = (1.0, 6.0)
SHADE = 4.0
"""Strength of the shading at edges of depth."""
FINER = 2
"""Everything but text is drawn at so many times the size and scaled down, which smooths it."""
FOV_DEG = 60.0
VEHICLE_HEIGHT_M = 1.55
NEIGHBOURS = ((0, 2), (0, -2), (2, 0), (-2, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class Viewpoint:
    """From where and to where: metres in the frame of the points. Up is z, or x where the look is straight down."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]

    def rotation(self) -> np.ndarray:
        """``(3, 3)`` rows: right, down and ahead of the viewer."""
        ahead = np.asarray(self.target, dtype=np.float64) - self.eye
        length = np.linalg.norm(ahead)
        if length < 1e-9:
            raise InputError(f"viewpoint {self.eye} looks at itself; choose another target")
        ahead /= length
        up = np.array([1.0, 0.0, 0.0]) if abs(ahead[2]) > 0.999 else np.array([0.0, 0.0, 1.0])
        right = np.cross(ahead, up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(ahead, right), ahead])


VIEWPOINTS = {
    "behind": Viewpoint((-14.0, 0.0, 9.0), (10.0, 0.0, 0.0)),
    "front": Viewpoint((28.0, 0.0, 9.0), (2.0, 0.0, 0.0)),
    "left": Viewpoint((2.0, 24.0, 10.0), (4.0, 0.0, 0.0)),
    "right": Viewpoint((2.0, -24.0, 10.0), (4.0, 0.0, 0.0)),
    "bird": Viewpoint((-30.0, 0.0, 38.0), (4.0, 0.0, 0.0)),
}


def viewpoint(text: str) -> Viewpoint:
    """A viewpoint by name, or on an orbit around the vehicle: ``azimuth,elevation,distance``.

    The azimuth in degrees is 0 behind the vehicle and 90 at its left, the elevation in degrees is above the ground, the
    distance in metres.

    >>> [round(value, 6) for value in viewpoint("0,0,20").eye]
    [-20.0, 0.0, 0.0]

    Raises:
        InputError: for anything else.
    """
    if text in VIEWPOINTS:
        return VIEWPOINTS[text]
    remedy = f"use {', '.join(VIEWPOINTS)} or azimuth,elevation,distance such as 30,25,40"
    try:
        azimuth, elevation, distance = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"view {text!r} is unknown; {remedy}") from None
    if not (-360 <= azimuth <= 360 and -90 <= elevation <= 90 and 1 <= distance <= 1000):
        raise InputError(f"view {text!r} is outside -360..360 and -90..90 degrees and 1..1000 m; {remedy}")
    turn, rise = np.deg2rad(azimuth), np.deg2rad(elevation)
    across = distance * np.cos(rise)
    eye = (-across * np.cos(turn), across * np.sin(turn), distance * np.sin(rise))
    return Viewpoint((float(eye[0]), float(eye[1]), float(eye[2])), (0.0, 0.0, 0.0))


def draw_perspective(
    view: PointView,
    colors: Sequence[str] = ("height",),
    seen_from: Viewpoint = VIEWPOINTS["behind"],
    size: tuple[int, int] = (600, 900),
) -> np.ndarray:
    """A cloud in perspective, one panel for each colouring, with one legend below them.

    Args:
        colors: keys of :data:`perception.viz.pointcloud_view.COLORINGS`.
        size: ``(height, width)`` of a panel.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        InputError: for an unknown colouring, missing labels, or a size out of range.
    """
    if not (120 <= size[0] <= 4096 and 120 <= size[1] <= 4096):
        raise InputError(f"size {size[0]}x{size[1]} is outside 120..4096")
    colorings = [color_by(view, color) for color in colors]
    panels = [draw_scene(view, coloring, seen_from, size) for coloring in colorings]
    return with_legend(view, panels, colorings)


def draw_scene(view: PointView, coloring: Coloring, seen_from: Viewpoint, size: tuple[int, int]) -> np.ndarray:
    """One panel in perspective, ``(*size, 3)`` uint8."""
    canvas = Canvas(size[0] * FINER, size[1] * FINER, seen_from)
    canvas.points(view.points, coloring.colors)
    canvas.shade()
    reach = float(np.clip(np.linalg.norm(np.subtract(seen_from.eye, seen_from.target)) * 1.5, 10, 200))
    step = ring_step_m(reach)
    circle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(circle), np.sin(circle), np.zeros_like(circle)], axis=1)
    rings = step * np.arange(1, 6)
    for ring in rings:
        canvas.lines(ring * circle[:-1], ring * circle[1:], RING, hidden=0.0)
    for box in view.boxes:
        canvas.box(box.corners, coloring.box(box, view.label_set))
    middle = np.array([view.middle_m, 0.0, VEHICLE_HEIGHT_M / 2])
    canvas.box(box_corners(middle, np.array([*VEHICLE_M, VEHICLE_HEIGHT_M]), 0.0), VEHICLE)
    picture = Image.fromarray(canvas.rgb).resize((size[1], size[0]), Image.Resampling.BOX)
    draw = ImageDraw.Draw(picture)
    places, depth = canvas.project(np.stack([rings, np.zeros_like(rings), np.zeros_like(rings)], axis=1))
    font = load_font(max(12, size[1] // 65))
    for ring, (x, y), far in zip(rings, places / FINER, depth, strict=True):
        if far > NEAR_M and 0 <= x < size[1] and 0 <= y < size[0]:
            draw.text((x, y), f"{ring:g} m", (175, 181, 192), font, anchor="mm", stroke_width=2, stroke_fill=BACKGROUND)
    title = load_font(max(13, size[1] // 48))
    draw.text((10, 8), coloring.title, TEXT, title, stroke_width=3, stroke_fill=BACKGROUND)
    return np.array(picture)


class Canvas:
    """A picture with a depth buffer.

    Attributes:
        rgb: ``(H, W, 3)`` uint8.
        depth: ``(H, W)`` float64 metres along the line of sight's axis, infinite where nothing is.
    """

    def __init__(self, height: int, width: int, seen_from: Viewpoint) -> None:
        fade = np.linspace(1, 0, height)[:, None, None] ** 1.5
        plain = np.array(BACKGROUND) + fade * (np.array(SKY) - np.array(BACKGROUND))
        self.rgb = np.broadcast_to(plain, (height, width, 3)).round().astype(np.uint8)
        self.depth = np.full((height, width), np.inf)
        self._eye = np.asarray(seen_from.eye, dtype=np.float64)
        self._rotation = seen_from.rotation()
        self._focal = width / 2 / np.tan(np.deg2rad(FOV_DEG / 2))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(N, 2)`` pixels (x, y) and ``(N,)`` depth of ``(N, 3)`` points; pixels mean nothing below ``NEAR_M``."""
        seen = (points - self._eye) @ self._rotation.T
        depth = seen[:, 2]
        height, width = self.depth.shape
        pixels = seen[:, :2] * (self._focal / np.maximum(depth, NEAR_M))[:, None] + (width / 2, height / 2)
        return pixels, depth

    def points(self, points: np.ndarray, colors: np.ndarray) -> None:
        """Draw ``(N, 3)`` points as discs with ``(N, 3)`` uint8 colours; near ones hide far ones."""
        height, width = self.depth.shape
        pixels, depth = self.project(points)
        radius = np.clip(self._focal * DISC_M / np.maximum(depth, NEAR_M), *DISC_PX)
        margin = DISC_PX[1]
        near = (depth > NEAR_M) & (pixels > -margin).all(axis=1) & (pixels < (width + margin, height + margin)).all(1)
        order = np.flatnonzero(near)
        order = order[np.argsort(-depth[order], kind="stable")]
        middle = np.floor(pixels[order]).astype(np.int64)
        steps = np.round(radius[order] * 2) / 2
        reach = int(np.ceil(DISC_PX[1]))
        offset = np.arange(-reach, reach + 1)
        places, owners = [], []
        for dy, dx in ((dy, dx) for dy in offset for dx in offset):
            chosen = np.flatnonzero(np.hypot(dy, dx) < steps)
            x, y = middle[chosen, 0] + dx, middle[chosen, 1] + dy
            held = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            places.append((y * width + x)[held])
            owners.append(chosen[held])
        place, owner = np.concatenate(places), np.concatenate(owners)
        nearest = np.full(height * width, -1, np.int64)
        np.maximum.at(nearest, place, owner)  # the order is from far to near
        drawn = nearest >= 0
        point = order[nearest[drawn]]
        flat_depth, flat_rgb = self.depth.reshape(-1), self.rgb.reshape(-1, 3)
        wins = depth[point] < flat_depth[drawn]
        where = np.flatnonzero(drawn)[wins]
        flat_depth[where], flat_rgb[where] = depth[point[wins]], colors[point[wins]]

    def shade(self) -> None:
        """Darken pixels that lie behind their neighbours, which gives clouds an outline."""
        log_depth = np.log2(self.depth)
        seen = np.isfinite(log_depth)
        behind = np.zeros(self.depth.shape)
        padded = np.pad(log_depth, 2, constant_values=np.inf)
        height, width = self.depth.shape
        with np.errstate(invalid="ignore"):
            for dy, dx in NEIGHBOURS:
                other = padded[2 + dy : 2 + dy + height, 2 + dx : 2 + dx + width]
                behind += np.where(seen, np.clip(log_depth - other, 0, 0.35), 0)
        light = np.maximum(np.exp(-SHADE * behind / len(NEIGHBOURS)), 0.3)
        self.rgb[seen] = (self.rgb[seen] * light[seen, None]).round().astype(np.uint8)

    def box(self, corners: np.ndarray, color: RGB) -> None:
        """Edges of a box of ``(8, 3)`` corners, and a line on its floor from the middle through the front."""
        self.lines(corners[EDGES[:, 0]], corners[EDGES[:, 1]], color)
        floor, front = corners[[0, 2, 4, 6]].mean(axis=0), corners[[4, 6]].mean(axis=0)
        ahead = front + (front - floor) / max(float(np.linalg.norm(front - floor)), 1e-6) * 0.8
        self.lines(floor[None], ahead[None], color)

    def lines(self, starts: np.ndarray, ends: np.ndarray, color: RGB, hidden: float = 0.35) -> None:
        """Draw ``(N, 3)`` to ``(N, 3)`` lines; ``hidden`` is the opacity of what lies behind points."""
        height, width = self.depth.shape
        for start, end in zip(starts, ends, strict=True):
            near = [float((point - self._eye) @ self._rotation[2]) for point in (start, end)]
            if max(near) <= NEAR_M:
                continue
            if min(near) <= NEAR_M:  # cut the line where it passes the viewer
                cut = start + (end - start) * (NEAR_M * 1.01 - near[0]) / (near[1] - near[0])
                start, end = (cut, end) if near[0] < near[1] else (start, cut)
            pixels, depth = self.project(np.stack([start, end]))
            count = int(np.clip(np.abs(pixels[1] - pixels[0]).max() + 1, 2, 4 * (height + width)))
            share = np.linspace(0, 1, count)
            x, y = (pixels[0] + share[:, None] * (pixels[1] - pixels[0])).T
            far = 1 / (1 / depth[0] + share * (1 / depth[1] - 1 / depth[0]))  # straight lines are straight in 1/depth
            # Two pixels wide whichever way it runs; each is blended once.
            column = np.concatenate([np.floor(x), np.floor(x + 1), np.floor(x)]).astype(np.int64)
            row = np.concatenate([np.floor(y), np.floor(y), np.floor(y + 1)]).astype(np.int64)
            far = np.tile(far, 3)
            held = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place, first = np.unique(row[held] * width + column[held], return_index=True)
            row, column = np.divmod(place, width)
            seen = far[held][first] < self.depth[row, column] + 0.1
            opacity = np.where(seen, 1.0, hidden)[:, None]
            blend = (1 - opacity) * self.rgb[row, column] + opacity * np.array(color)
            self.rgb[row, column] = blend.round().astype(np.uint8)

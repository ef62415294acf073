"""Pictures of all cameras of an instant as one, with LiDAR points coloured by distance and 3D boxes as wires."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perception.geometry.boxes import EDGES, project_box
from perception.geometry.camera import in_image, project
from perception.geometry.frames import apply, inverse
from perception.taxonomy import RGB
from perception.types import Camera
from perception.viz.overlay import box_color, load_font, text_height

FRONT = np.array([4, 5, 7, 6])
"""Corners of the face that looks along the box's heading."""
NEAR_M = 0.1
RANGE_M = (2.0, 60.0)
"""Distances at the two ends of the colours, on a logarithmic scale."""
COLORS = np.array(
    [[255, 64, 48], [255, 150, 30], [250, 225, 50], [120, 230, 80], [40, 210, 190], [60, 150, 255], [120, 90, 230]]
)
"""From near to far."""


@dataclass(frozen=True)
class Box3D:
    """A box to draw.

    Shape:
        - corners: ``(8, 3)`` metres in the ego frame, in the order of :func:`perception.geometry.boxes.box_corners`.

    Args:
        label: picks the colour; -1 is grey.
        name: written above it; "" writes nothing.
    """

    corners: np.ndarray
    label: int
    name: str = ""


@dataclass(frozen=True)
class CameraView:
    """One camera's part of the picture.

    Shape:
        - image: ``(H, W, 3)`` uint8 RGB.
        - points_ego: ``(N, 3)`` metres in the ego frame of the image's instant.
    """

    name: str
    image: np.ndarray
    camera: Camera
    points_ego: np.ndarray
    boxes: Sequence[Box3D]


def draw_views(views: Sequence[CameraView], width: int = 800, columns: int = 3) -> np.ndarray:
    """All views in a grid.

    Args:
        views: in the order of the tiles, row by row.
        width: of a tile in pixels; the height follows the first picture.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    height = round(width * views[0].camera.size[0] / views[0].camera.size[1])
    columns = min(columns, len(views))
    canvas = np.full((math.ceil(len(views) / columns) * height, columns * width, 3), 24, np.uint8)
    for index, view in enumerate(views):
        row, column = divmod(index, columns)
        tile = draw_view(view, (height, width))
        canvas[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return canvas


def draw_view(view: CameraView, size: tuple[int, int]) -> np.ndarray:
    """One camera at ``size`` (height, width): ``(*size, 3)`` uint8 RGB."""
    camera = view.camera.resized(size)
    picture = np.array(Image.fromarray(view.image).resize((size[1], size[0]), Image.Resampling.BOX))
    camera_from_ego = inverse(camera.ego_from_camera)
    pixels, depth = project(camera, apply(camera_from_ego, view.points_ego))
    seen = in_image(camera, pixels) & (depth > NEAR_M)
    order = np.argsort(-depth[seen])  # near points over far ones
    column, row = pixels[seen][order].astype(np.int64).T
    colors = distance_colors(depth[seen][order])
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        picture[np.minimum(row + dy, size[0] - 1), np.minimum(column + dx, size[1] - 1)] = colors
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    font = load_font(text_height(size[0]))
    placed = [(box, apply(camera_from_ego, box.corners)) for box in view.boxes]
    placed.sort(key=lambda pair: -float(pair[1][:, 2].mean()))
    for box, corners in placed:
        _draw_box(draw, camera, corners, box)
    taken: list[tuple[float, float, float, float]] = []
    for box, corners in reversed(placed):  # near boxes get their names first
        _draw_name(draw, camera, corners, box, font, taken)
    draw.text((8, 6), view.name, (255, 255, 255), font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.array(canvas)


def distance_colors(distance_m: np.ndarray) -> np.ndarray:
    """``(N, 3)`` uint8 colours of distances, red near and violet far."""
    low, high = np.log(RANGE_M)
    place = np.clip((np.log(np.maximum(distance_m, 1e-3)) - low) / (high - low), 0, 1) * (len(COLORS) - 1)
    channels = [np.interp(place, np.arange(len(COLORS)), COLORS[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _color(box: Box3D) -> RGB:
    return box_color(box.label) if box.label >= 0 else (190, 190, 190)


def _draw_box(draw: ImageDraw.ImageDraw, camera: Camera, corners: np.ndarray, box: Box3D) -> None:
    """Edges of a box; ``corners`` are in the camera frame."""
    if project_box(camera, corners) is None:
        return
    for a, b in EDGES:
        start, end = corners[a], corners[b]
        if start[2] < NEAR_M and end[2] < NEAR_M:
            continue
        if start[2] < NEAR_M or end[2] < NEAR_M:  # cut the edge where it passes the camera
            cut = start + (end - start) * (NEAR_M - start[2]) / (end[2] - start[2])
            start, end = (cut, end) if start[2] < NEAR_M else (start, cut)
        pixels = project(camera, np.stack([start, end]))[0]
        thick = 2 if a in FRONT and b in FRONT else 1
        draw.line([(float(x), float(y)) for x, y in pixels], fill=_color(box), width=thick)


def _draw_name(
    draw: ImageDraw.ImageDraw,
    camera: Camera,
    corners: np.ndarray,
    box: Box3D,
    font: ImageFont.FreeTypeFont,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """The name above a box, unless it would cover another; ``taken`` are the places in use."""
    seen = project_box(camera, corners)
    if seen is None or not box.name:
        return
    x, y = float(seen[0][0]), float(seen[0][1]) - 2
    area = draw.textbbox((x, y), box.name, font, anchor="lb")
    clash = any(area[0] < t[2] and area[2] > t[0] and area[1] < t[3] and area[3] > t[1] for t in taken)
    if area[1] < 0 or area[2] > camera.size[1] or clash:
        return
    taken.append((float(area[0]), float(area[1]), float(area[2]), float(area[3])))
    draw.text((x, y), box.name, _color(box), font, anchor="lb", stroke_width=2, stroke_fill=(0, 0, 0))

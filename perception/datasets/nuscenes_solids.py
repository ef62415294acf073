"""What of an annotated box is solid: a car has a bonnet and stands on wheels, so that its box hides more than it does.

Shares of length, width and height are those of common vehicles, measured from the rear (length), the right (width) and
the ground (height).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception.geometry.boxes import box_corners, inside_box
from perception.geometry.frames import apply

Span = tuple[float, float]
Part = tuple[Span, Span, Span]
"""Shares of length, width and height."""

FULL = (0.0, 1.0)
MEASURED_POINTS = 30
"""Boxes with so many LiDAR points are known better from these than from their shape."""
BLIND_M = 3.5
"""Nearer than this to a LiDAR at roof height, the lower parts of an object lie below its lowest beam."""
WHEELS: tuple[tuple[Span, Span], ...] = tuple(
    (along, across) for along in ((0.12, 0.27), (0.74, 0.89)) for across in ((0.03, 0.16), (0.84, 0.97))
)
"""Where wheels touch the ground, as shares of length and width."""


@dataclass(frozen=True)
class Shape:
    """Solid parts of a category.

    Args:
        body: parts that a LiDAR sees.
        feet: parts on the ground; tyres are black and return little.
        clearance_m: height of the body above the ground.
    """

    body: tuple[Part, ...]
    feet: tuple[Part, ...] = ()
    clearance_m: float = 0.0


def shape_of(category: str, height_m: float) -> Shape:
    """The shape of a nuScenes category's boxes of a height.

    >>> shape_of("movable_object.barrier", 1.0).body
    (((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)),)
    """
    if category in ("vehicle.car", "vehicle.emergency.police"):
        low = min(0.2, 0.3 * height_m)
        floor = low / height_m
        body = (
            ((0.02, 0.95), (0.06, 0.94), (floor, 0.48)),
            ((0.0, 1.0), (0.15, 0.85), (floor, 0.4)),
            ((0.04, 0.86), (0.07, 0.93), (0.48, 0.6)),
            ((0.05, 0.68), (0.1, 0.9), (0.6, 0.75)),
            ((0.1, 0.6), (0.17, 0.83), (0.75, 1.0)),
        )
        return Shape(body, _wheels(0.4), low)
    if category.startswith("vehicle.bus"):
        low = min(0.35, 0.3 * height_m)
        return Shape(((FULL, FULL, (low / height_m, 1.0)),), _wheels(0.22), low)
    if category == "vehicle.construction":  # on tracks, with an arm at the front
        return Shape((((0.0, 0.8), (0.05, 0.95), (0.0, 0.45)), ((0.05, 0.7), (0.1, 0.9), (0.45, 1.0))))
    if category.startswith(("vehicle.truck", "vehicle.trailer", "vehicle.emergency")):
        load, cab = min(0.5, 0.3 * height_m), min(0.3, 0.3 * height_m)
        boxy = (((0.0, 0.78), FULL, (load / height_m, 1.0)), ((0.75, 1.0), FULL, (cab / height_m, 1.0)))
        return Shape(boxy, _wheels(0.28), cab)
    if category == "movable_object.trafficcone":
        return Shape(
            (
                (FULL, FULL, (0.0, 0.08)),
                ((0.2, 0.8), (0.2, 0.8), (0.08, 0.55)),
                ((0.35, 0.65), (0.35, 0.65), (0.55, 1.0)),
            )
        )
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        return Shape(((FULL, (0.3, 0.7), (0.0, 0.55)), ((0.25, 0.75), (0.1, 0.9), (0.3, 1.0))))
    if category.startswith("human."):
        return Shape((((0.15, 0.85), (0.15, 0.85), FULL),))
    return Shape(((FULL, FULL, FULL),))


def _wheels(height: float) -> tuple[Part, ...]:
    return tuple((along, across, (0.0, height)) for along, across in WHEELS)


@dataclass
class Solids:
    """What annotations say of the things around the ego.

    Shape:
        - parts: ``(8, 3)`` corners each, in the ego frame.
        - floor_m: ``(N,)`` height above the ground at which the surface under each LiDAR point ends; 0 where it stands
          on the ground.
    """

    parts: list[np.ndarray] = field(default_factory=list)
    floor_m: np.ndarray = field(default_factory=lambda: np.zeros(0))


def collect_solids(boxes: Sequence[Any], ego_from_global: np.ndarray, points_ego: np.ndarray | None = None) -> Solids:
    """The solid parts of annotated boxes; bodies that the LiDAR has measured well are left to it.

    Args:
        boxes: the devkit's, in the global frame.
        points_ego: ``(N, 3)`` metres in the ego frame.
    """
    points = np.zeros((0, 3)) if points_ego is None else points_ego
    found = Solids(floor_m=np.zeros(len(points)))
    for box in boxes:
        size = np.asarray(box.wlh, dtype=np.float64)[[1, 0, 2]]
        center = apply(ego_from_global, np.asarray(box.center, dtype=np.float64)[None])[0]
        rotation = ego_from_global[:3, :3] @ box.rotation_matrix
        shape = shape_of(box.name, float(size[2]))
        reach = np.linalg.norm(size) / 2
        near = np.flatnonzero((np.abs(points[:, :2] - center[:2]) <= reach).all(axis=1))
        held = near[inside_box(points[near], box_corners(center, size, rotation))]
        found.floor_m[held] = shape.clearance_m
        parts = shape.feet
        if len(held) < MEASURED_POINTS or np.hypot(center[0] - 1.0, center[1]) - reach < BLIND_M:
            parts += shape.body
        for part in parts:
            low, high = np.array(part).T
            middle = center + rotation @ (((low + high) / 2 - 0.5) * size)
            found.parts.append(box_corners(middle, (high - low) * size, rotation))
    return found

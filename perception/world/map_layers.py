"""What a map says about a place: polygons and lines of the layers of the nuScenes map expansion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from perception.errors import InputError

SEGMENT_TYPES = ("NIL", "SINGLE_SOLID_WHITE", "DOUBLE_DASHED_WHITE", "SINGLE_ZIGZAG_WHITE")
"""Types of lane divider segments."""
STOP_LINE_TYPES = ("PED_CROSSING", "STOP_SIGN", "TRAFFIC_LIGHT", "TURN_STOP", "YIELD")
"""Why one stops at a line."""


@dataclass(frozen=True)
class Polygon:
    """An area of the ground.

    Shape:
        - exterior: ``(N, 2)`` float64, metres in the global frame, not closed, counter-clockwise.
        - holes: each ``(M, 2)``, clockwise.

    Raises:
        InputError: for a ring of fewer than three points or one that is not finite.
    """

    exterior: np.ndarray
    holes: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        for ring in (self.exterior, *self.holes):
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
                raise InputError(f"a ring of a polygon must be (N, 2) with N at least 3 and finite, got {ring.shape}")


@dataclass(frozen=True)
class RoadSegment:
    """A piece of road, an intersection or a stretch between two."""

    area: Polygon
    is_intersection: bool


@dataclass(frozen=True)
class Lane:
    """A lane, or the way through an intersection from one lane to another.

    Shape:
        - centerline: ``(K, 3)`` float64 x, y and heading (radians) in the direction of travel, at most 1 m apart.

    Args:
        area: ``None`` for a connector.
        segment: index of its road segment.
        connector: whether it leads through an intersection.
        successors: indices of the lanes that follow.
        left, right: type of the divider on each side, of :data:`SEGMENT_TYPES`.
    """

    centerline: np.ndarray
    area: Polygon | None
    segment: int
    connector: bool = False
    successors: tuple[int, ...] = ()
    left: str = "NIL"
    right: str = "NIL"


@dataclass(frozen=True)
class StopLine:
    """Where one waits.

    Args:
        kind: one of :data:`STOP_LINE_TYPES`.
        segment: index of the road segment that it guards.
        crossings: indices of pedestrian crossings; lights: indices of traffic lights.
    """

    area: Polygon
    kind: str
    segment: int
    crossings: tuple[int, ...] = ()
    lights: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrafficLight:
    """A signal head.

    Shape:
        - pose: ``(4, 4)`` float64 global from light; x points where it is seen from, z up.

    Args:
        segment: index of the intersection that it guards.
        horizontal: whether the lamps lie side by side.
    """

    pose: np.ndarray
    segment: int
    horizontal: bool = False


@dataclass(frozen=True)
class MapLayers:
    """Layers of one place, all in the global frame of its scene, metres.

    Args:
        drivable_area: areas that vehicles may drive on, car parks included.
        crossings, walkways, carparks: areas; crossings pair with a road segment by ``crossing_segments``.
        road_dividers, lane_dividers: ``(K, 2)`` lines; the latter pair with ``lane_divider_types``.
    """

    drivable_area: tuple[Polygon, ...] = ()
    segments: tuple[RoadSegment, ...] = ()
    lanes: tuple[Lane, ...] = ()
    crossings: tuple[Polygon, ...] = ()
    crossing_segments: tuple[int, ...] = ()
    walkways: tuple[Polygon, ...] = ()
    carparks: tuple[Polygon, ...] = ()
    stop_lines: tuple[StopLine, ...] = ()
    road_dividers: tuple[np.ndarray, ...] = ()
    lane_dividers: tuple[np.ndarray, ...] = ()
    lane_divider_types: tuple[str, ...] = ()
    lights: tuple[TrafficLight, ...] = field(default=())

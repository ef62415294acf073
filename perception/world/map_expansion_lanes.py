"""Outlines of lanes taken apart: the edges one enters and leaves by, and the sides between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.map_layers import Lane, Polygon

CONNECTOR_WIDTH_M = 3.0
"""Width of the area of a way through an intersection, which has no outline of its own."""


@dataclass(frozen=True)
class LaneOutline:
    """A lane's outline, all points ``(N, 2)``.

    Args:
        entry, exit: the two ends of the edges, left one first.
        left, right: the sides from entry to exit, with their ends.
    """

    entry: np.ndarray
    exit: np.ndarray
    left: np.ndarray
    right: np.ndarray


def lane_outline(lane: Lane) -> LaneOutline:
    """Take the outline of a lane apart; its edges are those next to the ends of its centre line."""
    ring = lane_area(lane).exterior
    if _signed_area(ring) < 0:
        ring = ring[::-1]
    start = _nearest_edge(ring, lane.centerline[0])
    end = _nearest_edge(ring, lane.centerline[-1], without=start)
    count = len(ring)
    # Counter-clockwise, the entry is passed from left to right, then comes the right side.
    right = np.take(ring, np.arange(start + 1, start + 1 + (end - start - 1) % count + 1), axis=0, mode="wrap")
    left = np.take(ring, np.arange(end + 1, end + 1 + (start - end - 1) % count + 1), axis=0, mode="wrap")[::-1]
    return LaneOutline(np.stack([left[0], right[0]]), np.stack([left[-1], right[-1]]), left, right)


def lane_area(lane: Lane) -> Polygon:
    """The outline of a lane; of a connector, a strip along its centre line."""
    if lane.area is not None:
        return lane.area
    x, y, heading = lane.centerline.T
    aside = np.stack([-np.sin(heading), np.cos(heading)], axis=1) * CONNECTOR_WIDTH_M / 2
    middle = np.stack([x, y], axis=1)
    return Polygon(np.concatenate([middle - aside, (middle + aside)[::-1]]))


def block_ring(outlines: list[LaneOutline]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outline, entry and exit of lanes that lie side by side and lead the same way.

    Args:
        outlines: from the left to the right.

    Returns:
        ``(N, 2)`` counter-clockwise ring, and the entry and exit as ``(K, 2)`` lines from the left to the right.
    """
    entry = _chain([outline.entry for outline in outlines])
    leave = _chain([outline.exit for outline in outlines])
    ring = np.concatenate([entry, outlines[-1].right[1:-1], leave[::-1], outlines[0].left[1:-1][::-1]])
    return ring, entry, leave


def side_by_side(lanes: list[Lane]) -> list[list[int]]:
    """Indices of lanes that lead the same way, grouped, each group from the left to the right."""
    groups: list[list[int]] = []
    for index, lane in enumerate(lanes):
        heading = _heading(lane)
        for group in groups:
            if np.cos(heading - _heading(lanes[group[0]])) > 0.5:
                group.append(index)
                break
        else:
            groups.append([index])
    for group in groups:
        heading = _heading(lanes[group[0]])
        to_left = np.array([-np.sin(heading), np.cos(heading)])
        group.sort(key=lambda index: -float(_middle(lanes[index])[:2] @ to_left))
    return groups


def _middle(lane: Lane) -> np.ndarray:
    pose: np.ndarray = lane.centerline[len(lane.centerline) // 2]
    return pose


def _heading(lane: Lane) -> float:
    return float(_middle(lane)[2])


def _chain(edges: list[np.ndarray]) -> np.ndarray:
    points = [edges[0][0]]
    for edge in edges:
        points += [point for point in edge if np.abs(point - points[-1]).max() > 1e-3]
    return np.array(points)


def _nearest_edge(ring: np.ndarray, pose: np.ndarray, without: int = -1) -> int:
    """Index of the edge (from that corner to the next) across a pose, next to it."""
    following = np.roll(ring, -1, axis=0)
    away = np.linalg.norm((ring + following) / 2 - pose[:2], axis=1)
    away[without] = np.inf if without >= 0 else away[without]
    return int(away.argmin())


def _signed_area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)

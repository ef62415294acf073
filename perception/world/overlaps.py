"""Which road users would touch one another."""

from __future__ import annotations

import numpy as np

from perception.world.actors import Actor
from perception.world.road import Road

CHECK_S = 0.1
MARGIN_M = 0.12
"""Boxes are this much longer and wider than they are, so that nobody touches between two checks."""


def footprints(actors: list[Actor], road: Road, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes on the ground.

    Returns:
        ``(A, T, 4)`` x, y, yaw and presence (0 or 1), ``(A, 2)`` offset of the box's middle from its actor's place,
        and ``(A, 2)`` half of its length and width.
    """
    places = np.zeros((len(actors), len(times_s), 4))
    for row, actor in zip(places, actors, strict=True):
        if actor.track is None:
            assert actor.pose is not None
            row[:] = *actor.pose[:2, 3], np.arctan2(actor.pose[1, 0], actor.pose[0, 0]), 1.0
        else:
            row[:, :2], row[:, 2], row[:, 3] = actor.track.places(road, times_s)
    sizes = np.array([actor.size[:2] for actor in actors]) / 2
    return places, np.array([actor.low[:2] for actor in actors]) + sizes, sizes


def touching(places: np.ndarray, middles: np.ndarray, halves: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """``(P, 2)`` pairs of actors whose boxes overlap at some time, at least one of each pair moving.

    Args:
        places, middles, halves: as :func:`footprints` has them.
        moving: ``(A,)`` bool.
    """
    cos, sin = np.cos(places[..., 2]), np.sin(places[..., 2])
    mx, my = middles[:, None, 0], middles[:, None, 1]
    center = np.stack([places[..., 0] + cos * mx - sin * my, places[..., 1] + sin * mx + cos * my], axis=-1)
    center[places[..., 3] == 0] = (
        1e7 * (1 + np.arange(len(places)))[:, None].repeat(places.shape[1], 1)[places[..., 3] == 0][:, None]
    )
    radius = np.hypot(*halves.T)
    low, high = center.min(axis=1) - radius[:, None], center.max(axis=1) + radius[:, None]
    # Boxes over all time first: far fewer pairs are then looked at time by time.
    first, second = np.triu_indices(len(places), 1)
    keep = (moving[first] | moving[second]) & (low[first] < high[second]).all(1) & (low[second] < high[first]).all(1)
    pairs = []
    for a, b in zip(first[keep], second[keep], strict=True):
        gap = center[b] - center[a]
        near = np.flatnonzero((gap**2).sum(axis=1) < (radius[a] + radius[b]) ** 2)
        if len(near) and _overlap(gap[near], places[a, near, 2], places[b, near, 2], halves[a], halves[b]).any():
            pairs.append((a, b))
    return np.array(pairs, int).reshape(-1, 2)


def _overlap(gap: np.ndarray, yaw_a: np.ndarray, yaw_b: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(T,)`` bool by the separating axes of two rectangles with half sizes ``a`` and ``b``."""
    result = np.ones(len(gap), bool)
    turn = yaw_b - yaw_a
    c, s = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    for yaw, own, other in ((yaw_a, a, b), (yaw_b, b, a)):
        along = np.abs(gap[:, 0] * np.cos(yaw) + gap[:, 1] * np.sin(yaw))
        across = np.abs(gap[:, 1] * np.cos(yaw) - gap[:, 0] * np.sin(yaw))
        result &= (along < own[0] + other[0] * c + other[1] * s) & (across < own[1] + other[0] * s + other[1] * c)
    return result


IMPORTANCE = {"ego": 9, "parked": 5, "object": 5, "vehicle": 4, "cyclist": 3, "turning": 2, "pedestrian": 1}


def without_overlaps(actors: list[Actor], ego: Actor, road: Road, end_s: float, ranks: dict[int, int]) -> list[Actor]:
    """The actors less those who would touch the ego or one of greater importance.

    Args:
        ranks: importance by instance where it differs from that of the actor's kind.
    """
    everybody = [ego, *actors]
    places, middles, halves = footprints(everybody, road, np.arange(0.0, end_s + CHECK_S, CHECK_S))
    moving = np.array([actor.track is not None for actor in everybody])
    pairs = touching(places, middles, halves + MARGIN_M / 2, moving)
    rank = [ranks.get(actor.instance, IMPORTANCE.get(actor.kind, 3)) for actor in everybody]
    rank[0] = IMPORTANCE["ego"]
    gone: set[int] = set()
    # Who touches the most important ones goes first; it may free others.
    for a, b in sorted(pairs.tolist(), key=lambda pair: -max(rank[pair[0]], rank[pair[1]])):
        if a not in gone and b not in gone:
            gone.add(a if rank[a] < rank[b] else b)
    return [actor for k, actor in enumerate(everybody) if k and k not in gone]

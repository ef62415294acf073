"""What each plan's answers were worth on labelled drives, by speed: the table that the adaptive policy ranks with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from perception.commands.stream_scores import DriveScore
from perception.metrics.streaming import mean_iou
from perception.runtime.plan import Plan
from perception.runtime.utility import Utility

EDGES_MPS = (0.0, 0.5, 3.0, 8.0, 14.0, 20.0, 27.0, np.inf)
"""Bins of speed: standing, walking pace, yards, towns, arterial roads, country roads, motorways."""
MIN_INSTANTS = 12
"""A bin with fewer scored instants joins the next faster one, or the last one before it."""


def measured_utility(scores: Mapping[Plan, Sequence[DriveScore]]) -> Utility | None:
    """Streaming mean IoU of each plan by speed, from the drives that it drove alone.

    All plans must have been scored at the same instants. ``None`` where no instant has a known speed.
    """
    first = next(iter(scores.values()))
    speeds = np.array([np.nan if v is None else v for score in first for v in score.speeds_mps], np.float64)
    groups = speed_groups(speeds)
    if not groups:
        return None
    values = {}
    for plan, per_drive in scores.items():
        counts = np.concatenate([score.counts for score in per_drive])
        values[plan.name] = tuple(round(float(mean_iou(counts[group].sum(0))), 5) for group in groups)
    return Utility(tuple(round(float(speeds[group].mean()), 3) for group in groups), values)


def speed_groups(speeds: np.ndarray) -> list[np.ndarray]:
    """Instants of each bin, ascending in speed, each bin with enough of them where there are enough at all."""
    groups: list[np.ndarray] = []
    rest = np.zeros(0, np.int64)
    for low, high in pairwise(EDGES_MPS):
        rest = np.concatenate([rest, np.flatnonzero((speeds >= low) & (speeds < high))])
        if len(rest) >= MIN_INSTANTS:
            groups.append(rest)
            rest = np.zeros(0, np.int64)
    if len(rest):
        groups[-1:] = [np.concatenate([*groups[-1:], rest])]
    return groups

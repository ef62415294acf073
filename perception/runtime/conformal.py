"""Bounds from samples that hold without knowing the distribution, and how often later samples may break them.

Split-conformal prediction: of ``n`` calibration samples and a new one, all exchangeable, the new one is equally
likely to have any rank (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005; Angelopoulos &
Bates, "A Gentle Introduction to Conformal Prediction", arXiv 2107.07511). The guarantee is on average over
calibrations, and statistical: it is no worst-case execution time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from perception.errors import InputError


def samples_needed(miss_rate: float) -> int:
    """The fewest samples that give a finite bound.

    >>> samples_needed(0.01), samples_needed(0.001)
    (99, 999)

    Raises:
        InputError: for a miss rate outside 0..1.
    """
    return math.ceil(1 / _exact(miss_rate)) - 1


def conformal_rank(samples: int, miss_rate: float) -> int:
    """Which of the sorted samples is the bound, from 1: ``ceil((n + 1) (1 - miss_rate))``.

    Raises:
        InputError: for too few samples, saying how many are needed, or a miss rate outside 0..1.
    """
    needed = samples_needed(miss_rate)
    if samples < needed:
        raise InputError(f"{samples} samples are too few for a miss rate of {miss_rate:g}; it needs at least {needed}")
    return max(1, math.ceil((samples + 1) * (1 - _exact(miss_rate))))


def conformal_bound(samples_ms: Sequence[float] | np.ndarray, miss_rate: float) -> float:
    """Upper bound that an exchangeable later sample exceeds with a probability of at most ``miss_rate``.

    >>> conformal_bound(range(1, 100), 0.05)
    95.0

    Raises:
        InputError: for too few samples, a sample that is not a finite number, or a miss rate outside 0..1.
    """
    samples = np.asarray(samples_ms, dtype=np.float64)
    if not np.isfinite(samples).all():
        raise InputError("a latency sample is not a finite number; measure again")
    return float(np.sort(samples)[conformal_rank(len(samples), miss_rate) - 1])


def exceedance_tail(samples: int, rank: int, window: int, count: int) -> float:
    """Probability that at least ``count`` of the next ``window`` samples exceed the ``rank``-th of ``samples``.

    Exact for exchangeable samples of a continuous distribution (negative hypergeometric: every interleaving of
    the earlier and the later samples is equally likely), and an upper bound where values tie. It accounts for
    what the calibration itself leaves uncertain.

    >>> exceedance_tail(99, 99, 1, 1)
    0.01
    """
    above, below = samples - rank, rank - 1
    ways = sum(
        math.comb(k + above, k) * math.comb(window - k + below, window - k) for k in range(max(count, 0), window + 1)
    )
    return ways / math.comb(window + samples, window)


def alarm_count(samples: int, rank: int, window: int, rate: float) -> int:
    """The fewest exceedances within ``window`` whose probability is at most ``rate``; ``window + 1`` for none."""
    return next(k for k in range(window + 2) if k > window or exceedance_tail(samples, rank, window, k) <= rate)


def alarm_run(samples: int, rank: int, longest: int, rate: float) -> int:
    """The fewest exceedances in a row whose probability is at most ``rate``; ``longest + 1`` for none."""
    return next(k for k in range(1, longest + 2) if k > longest or exceedance_tail(samples, rank, k, k) <= rate)


def _exact(miss_rate: float) -> Fraction:
    """The decimal as it was written, so that ``0.01`` of 99 samples does not become 98.999."""
    if not 0 < miss_rate < 1:
        raise InputError(f"miss_rate {miss_rate:g} must lie between 0 and 1, such as 0.01")
    return Fraction(str(float(miss_rate)))

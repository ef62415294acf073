"""Conformal bounds against exact counting, and exceedance probabilities against enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.conformal import (
    alarm_count,
    alarm_run,
    conformal_bound,
    conformal_rank,
    exceedance_tail,
    samples_needed,
)

rates = st.integers(1, 999).map(lambda thousandths: thousandths / 1000)


@given(rates)
def test_the_needed_samples_are_the_fewest(miss_rate: float) -> None:
    needed = samples_needed(miss_rate)
    assert needed >= 0
    if needed:
        assert conformal_rank(needed, miss_rate) <= needed
    if needed > 1:
        with pytest.raises(InputError, match=f"needs at least {needed}$"):
            conformal_rank(needed - 1, miss_rate)


@given(rates, st.integers(0, 300))
def test_the_rank_covers_and_no_smaller_one_does(miss_rate: float, spare: int) -> None:
    # The next of n + 1 exchangeable samples exceeds the r-th smallest of the others in n + 1 - r of n + 1 cases.
    samples = max(1, samples_needed(miss_rate)) + spare
    rank = conformal_rank(samples, miss_rate)
    thousandths = round(miss_rate * 1000)
    assert 1000 * (samples + 1 - rank) <= thousandths * (samples + 1)
    assert rank == 1 or 1000 * (samples + 2 - rank) > thousandths * (samples + 1)


@given(st.lists(st.integers(0, 6), min_size=9, max_size=40), st.sampled_from([0.1, 0.2, 0.5]))
def test_the_bound_covers_each_sample_left_out_in_turn(values: list[int], miss_rate: float) -> None:
    # With each sample in turn as the new one, the share that exceeds its bound is at most the miss rate, ties or not.
    values = values + [3]
    missed = sum(value > conformal_bound(values[:i] + values[i + 1 :], miss_rate) for i, value in enumerate(values))
    assert missed <= miss_rate * len(values) + 1e-9


def test_coverage_on_fresh_samples() -> None:
    random = np.random.default_rng(0)
    samples = random.lognormal(3.0, 0.3, (20_000, 60))
    bounds = np.sort(samples[:, :59], axis=1)[:, conformal_rank(59, 0.05) - 1]
    share = float((samples[:, 59] > bounds).mean())
    assert share == pytest.approx(0.05, abs=0.006)
    assert bounds[0] == conformal_bound(samples[0, :59], 0.05)


@pytest.mark.parametrize("miss_rate", [0.0, 1.0, -0.1, math.nan, math.inf])
def test_miss_rates_outside_the_range_are_refused(miss_rate: float) -> None:
    with pytest.raises(InputError, match="miss_rate"):
        conformal_bound([1.0] * 1000, miss_rate)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="not a finite number"):
        conformal_bound([1.0] * 200 + [math.nan], 0.01)


@pytest.mark.parametrize(("samples", "window"), [(5, 3), (4, 4), (6, 2)])
def test_exceedances_against_enumeration(samples: int, window: int) -> None:
    total = samples + window
    for rank, count in itertools.product(range(1, samples + 1), range(window + 1)):
        hits = cases = 0
        for earlier in itertools.combinations(range(total), samples):
            later = set(range(total)) - set(earlier)
            hits += sum(value > earlier[rank - 1] for value in later) >= count
            cases += 1
        assert exceedance_tail(samples, rank, window, count) == pytest.approx(hits / cases, abs=1e-12)


@given(st.integers(19, 400), st.integers(1, 30), st.floats(1e-7, 0.2))
def test_limits_are_the_fewest_that_keep_the_rate(samples: int, window: int, rate: float) -> None:
    rank = math.ceil(0.9 * samples)
    count = alarm_count(samples, rank, window, rate)
    if count <= window:
        assert exceedance_tail(samples, rank, window, count) <= rate
    assert exceedance_tail(samples, rank, window, count - 1) > rate
    run = alarm_run(samples, rank, window, rate)
    if run <= window:
        assert exceedance_tail(samples, rank, run, run) <= rate
    assert run == 1 or exceedance_tail(samples, rank, run - 1, run - 1) > rate

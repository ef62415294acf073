"""Clouds made of two: where each point came from, and what it takes along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.taxonomy import LIDARSEG
from perception.transforms.points_mixing import (
    COPIED,
    azimuth,
    frustum_mix,
    inclination,
    instance_copy,
    joined,
    laser_mix,
    mix_transform,
    polar_mix,
    swapped_half,
)
from perception.types import PointCloud

THINGS = LIDARSEG.indices(COPIED)


def turn(count: int, mark: float, seed: int = 0) -> PointCloud:
    """A cloud of -30..+10 degrees whose intensity marks all its points."""
    rng = np.random.default_rng(seed)
    around, up = rng.uniform(-np.pi, np.pi, count), np.radians(rng.uniform(-30, 10, count))
    range_m = rng.uniform(3, 50, count)
    points = np.zeros((count, 5), np.float32)
    points[:, 0] = range_m * np.cos(up) * np.cos(around)
    points[:, 1] = range_m * np.cos(up) * np.sin(around)
    points[:, 2] = range_m * np.sin(up)
    points[:, 3] = mark
    return PointCloud(
        points=points,
        name=f"sweep {mark:g}",
        rows=np.arange(count),
        file_rows=count,
        labels=rng.integers(0, 16, count),
        instances=rng.integers(0, 3, count),
        view=rng.integers(0, 6, count),
        pixel=rng.random((count, 2)).astype(np.float32),
    )


@pytest.fixture
def pair() -> tuple[PointCloud, PointCloud]:
    return turn(4000, 0.0, 1), turn(3000, 1.0, 2)


def lookup(mixed: PointCloud, source: PointCloud) -> np.ndarray:
    """Row in the source of each of the mixed cloud's points that has the source's mark and place, else -1."""
    places = {tuple(point): row for row, point in enumerate(source.points.tolist())}
    return np.array([places.get(tuple(point), -1) for point in mixed.points.tolist()])


def test_points_of_the_other_cloud_belong_to_no_row_and_no_camera(pair):
    own, other = pair
    mixed = joined(own, other)
    copied = mixed.points[:, 3] == 1
    assert copied.sum() == 3000
    assert (mixed.rows[copied] == -1).all()
    assert (mixed.view[copied] == -1).all()
    np.testing.assert_array_equal(mixed.rows[~copied], own.rows)
    np.testing.assert_array_equal(mixed.view[~copied], own.view)
    np.testing.assert_array_equal(mixed.pixel[~copied], own.pixel)
    np.testing.assert_array_equal(mixed.labels, np.concatenate([own.labels, other.labels]))
    assert (mixed.name, mixed.file_rows) == (own.name, own.file_rows)
    # Objects of the two stay apart, and points of no object stay so.
    theirs = mixed.instances[copied]
    np.testing.assert_array_equal(theirs == 0, other.instances == 0)
    assert not set(theirs[theirs > 0]) & set(own.instances)


def test_what_only_one_cloud_knows_counts_as_unknown_for_the_other(pair):
    own, other = pair
    mixed = joined(own, replace(other, labels=None, instances=None))
    assert (mixed.labels[4000:] == 255).all()
    assert not mixed.instances[4000:].any()
    bare = joined(replace(own, labels=None, view=None, pixel=None), other)
    assert (bare.labels[:4000] == 255).all()
    assert bare.view is None


def test_strips_of_inclination_alternate_and_cover_everything_once(pair):
    own, other = pair
    # Hits on the vehicle itself must not stretch the strips.
    own.points[:20, :3] = [0.1, 0.1, -5.0]
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        mixed = laser_mix(own, other)
        order = np.argsort(inclination(mixed), kind="stable")
        marks = mixed.points[order, 3]
        changes = int((np.diff(marks) != 0).sum())
        seen.add((changes + 1, marks[0]))
        kept = {int(mark): np.unique(lookup(mixed, source)) for mark, source in ((0, own), (1, other))}
        assert len(mixed) == sum((rows >= 0).sum() for rows in kept.values()) + (19 if marks[0] == 0 else 0)
        share = (marks == 1).mean()
        assert 0.2 < share < 0.8
        # Taken the other way round with the same draw, the two results hold every point of both.
        torch.manual_seed(seed)
        rest = laser_mix(other, own)
        assert len(mixed) + len(rest) == 7000
    assert {strips for strips, _ in seen} == {3, 4, 5, 6}
    assert {first for _, first in seen} == {0, 1}


def test_half_a_turn_is_replaced_from_any_direction(pair):
    own, other = pair
    middles = []
    for seed in range(30):
        torch.manual_seed(seed)
        mixed = swapped_half(own, other)
        taken = mixed.points[:, 3] == 1
        angles = azimuth(mixed)
        middle = np.angle(np.exp(1j * angles[taken]).sum())
        off = np.abs(np.angle(np.exp(1j * (angles - middle))))
        assert (off[taken] < np.pi / 2 + 0.2).all()
        assert (off[~taken] > np.pi / 2 - 0.2).all()
        assert taken.sum() == pytest.approx(1500, abs=150)
        middles.append(middle)
    assert max(np.abs(np.diff(sorted(middles)))) < 1.5


def test_frustum_mix_does_both_kinds(pair):
    own, other = pair
    torch.manual_seed(0)
    directions = set()
    for _ in range(20):
        mixed = frustum_mix(own, other)
        taken = mixed.points[:, 3] == 1
        # A half turn leaves one side of the compass empty of the other cloud; strips do not.
        sectors = np.histogram(azimuth(mixed)[taken], bins=16, range=(-np.pi, np.pi))[0]
        directions.add(bool((sectors == 0).any()))
    assert directions == {True, False}


def test_instances_are_copied_where_they_are(pair):
    own, other = pair
    mixed = instance_copy(own, other, THINGS)
    things = np.isin(other.labels, THINGS)
    np.testing.assert_array_equal(mixed.points[:4000], own.points)
    np.testing.assert_array_equal(mixed.points[4000:], other.points[things])
    np.testing.assert_array_equal(mixed.labels[4000:], other.labels[things])
    assert not set(LIDARSEG.indices(("driveable_surface", "vegetation"))) & set(mixed.labels[4000:])
    assert instance_copy(own, replace(other, labels=None), THINGS) is own


def test_polar_mix_pastes_objects_at_three_turns(pair):
    own, other = pair
    truck = LIDARSEG.index("truck")
    other.labels[:] = LIDARSEG.index("manmade")
    other.labels[:5] = truck
    own.labels[:] = LIDARSEG.index("manmade")
    torch.manual_seed(2)
    mixed = polar_mix(own, other, (truck,))
    pasted = mixed[np.arange(len(mixed) - 15, len(mixed))]
    assert (pasted.labels == truck).all()
    expected_m = np.hypot(*other.points[:5, :2].T)
    for third in range(3):
        objects = pasted[slice(5 * third, 5 * third + 5)]
        np.testing.assert_allclose(np.hypot(*objects.points[:, :2].T), expected_m, rtol=1e-5)
        np.testing.assert_array_equal(objects.points[:, 2], other.points[:5, 2])
        turned = np.mod(azimuth(objects) - azimuth(other[slice(5)]), 2 * np.pi)
        np.testing.assert_allclose(turned, turned[0], atol=1e-4)
        assert third * 2 * np.pi / 3 <= turned[0] + 1e-4
        assert turned[0] <= (third + 1) * 2 * np.pi / 3 + 1e-4
    # Each paste is objects of its own.
    numbers = [set(pasted.instances[5 * third : 5 * third + 5]) - {0} for third in range(3)]
    assert not numbers[0] & numbers[1]
    assert not numbers[1] & numbers[2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 10_000))
def test_any_two_clouds_mix(count, others, seed):
    own, other = turn(count, 0.0, seed), turn(others, 1.0, seed + 1)
    before = own.points.copy(), other.points.copy()
    torch.manual_seed(seed)
    mixed = mix_transform(0.5, 0.5, 0.5, 0.5, classes=THINGS)(own, other)
    size = len(mixed)
    columns = (mixed.points, mixed.rows, mixed.labels, mixed.instances, mixed.view, mixed.pixel)
    assert {len(column) for column in columns} == {size}
    assert mixed.points.dtype == np.float32
    assert mixed.rows.dtype == mixed.labels.dtype == mixed.instances.dtype == mixed.view.dtype == np.int64
    np.testing.assert_array_equal(own.points, before[0])
    np.testing.assert_array_equal(other.points, before[1])
    kept = mixed.rows >= 0
    np.testing.assert_array_equal(mixed.points[kept], own.points[mixed.rows[kept]])
    np.testing.assert_array_equal(mixed.labels[kept], own.labels[mixed.rows[kept]])


def test_probabilities_choose_the_mixing(pair):
    own, other = pair
    assert mix_transform() is None
    never_laser = mix_transform(instance_copy=1.0, classes=THINGS)
    assert len(never_laser(own, other)) == 4000 + np.isin(other.labels, THINGS).sum()
    torch.manual_seed(0)
    sometimes = mix_transform(laser_mix=0.5)
    untouched = [sometimes(own, other) is own for _ in range(60)]
    assert 15 < sum(untouched) < 45


@pytest.mark.parametrize("name", ["frustum_mix", "polar_mix", "laser_mix", "instance_copy"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_only_probabilities_are_taken(name, value):
    with pytest.raises(InputError, match=name):
        mix_transform(**{name: value})

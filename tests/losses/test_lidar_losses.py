"""Losses of points against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from perception.losses.lidar import (
    boundary_loss,
    grid_loss,
    lovasz_softmax,
    point_cross_entropy,
    point_loss,
)


def lovasz_by_definition(probability: np.ndarray, labels: np.ndarray) -> float:
    """Errors in falling order, each times the growth of the Jaccard loss when it joins the set of mistakes."""
    losses = []
    for label in np.unique(labels):
        truth = labels == label
        errors = np.where(truth, 1 - probability[:, label], probability[:, label])
        total, before, mistakes = 0.0, 0.0, np.zeros(len(labels), bool)
        for row in np.argsort(-errors, kind="stable"):
            mistakes[row] = True
            union = (truth | mistakes).sum()
            jaccard = 1 - (truth & ~mistakes).sum() / union
            total += errors[row] * (jaccard - before)
            before = jaccard
        losses.append(total)
    return float(np.mean(losses))


@given(seed=st.integers(0, 10_000), points=st.integers(1, 40), classes=st.integers(2, 5))
def test_lovasz_is_the_extension_of_the_jaccard_loss(seed: int, points: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    probability = random.dirichlet(np.ones(classes), points)
    labels = random.integers(0, classes, points)
    ours = lovasz_softmax(torch.from_numpy(probability), torch.from_numpy(labels))
    assert float(ours) == pytest.approx(lovasz_by_definition(probability, labels), abs=1e-9)


def test_ignored_points_do_not_count() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 4
    with_ignored = torch.cat([labels, torch.full((10,), 255)])
    noise = torch.cat([logits, torch.full((10, 4), 7.0)])
    for loss in (point_cross_entropy, point_loss):
        torch.testing.assert_close(loss(noise, with_ignored), loss(logits, labels))


def test_weights_are_those_of_torch() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 4
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    ours = point_cross_entropy(logits, labels, weights)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, labels, weights))


@pytest.mark.parametrize("points", [0, 5])
def test_without_labels_losses_are_zero_with_gradients(points: int) -> None:
    logits = torch.randn(points, 4, requires_grad=True)
    labels = torch.full((points,), 255)
    loss = point_loss(logits, labels, torch.ones(4))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
    grid = torch.randn(1, 4, 6, 8, requires_grad=True)
    empty = grid_loss(grid, torch.full((1, 6, 8), 255))
    empty.backward()
    assert float(empty.detach()) == 0


def test_boundaries_are_scored_as_by_definition() -> None:
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(0, 3, (4, 5)), np.ones((4, 4), int))
    shifted = np.roll(labels, 1, axis=1)
    scores = []
    for label in np.unique(labels):
        wanted, found = (
            (mask & (maximum_filter(~mask, 3, mode="constant"))) for mask in (labels == label, shifted == label)
        )
        near = [maximum_filter(edge, 5, mode="constant") for edge in (wanted, found)]
        precision, recall = (found & near[0]).sum() / found.sum(), (wanted & near[1]).sum() / wanted.sum()
        scores.append(2 * precision * recall / (precision + recall))
    probability = torch.nn.functional.one_hot(torch.from_numpy(shifted), 3).permute(2, 0, 1)[None].double()
    ours = boundary_loss(probability, torch.from_numpy(labels)[None])
    assert float(ours) == pytest.approx(1 - np.mean(scores), abs=1e-9)
    assert float(boundary_loss(probability, torch.from_numpy(shifted)[None])) == pytest.approx(0, abs=1e-9)


def test_a_coarser_grid_is_upsampled() -> None:
    labels = torch.zeros(1, 8, 16, dtype=torch.int64)
    labels[..., 8:] = 1
    right = torch.stack([(labels[:, ::4, ::4] == k).float() * 20 for k in range(2)], dim=1)
    assert float(grid_loss(right, labels)) < float(grid_loss(-right, labels))

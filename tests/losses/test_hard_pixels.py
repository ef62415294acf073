from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.losses.hard_pixels import balanced_class_weights, dice_loss, focal_loss, ohem_cross_entropy
from perception.losses.lidar import lovasz_softmax
from perception.losses.segmentation import PIXEL_LOSSES, cross_entropy, semantic_loss


def _example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(2, 4, 9, 11, generator=generator)
    target = torch.randint(0, 3, (2, 9, 11), generator=generator)
    target[:, :2] = 255
    return logits, target


def _rows(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    score = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).double().numpy()
    score = np.exp(score - score.max(axis=1, keepdims=True))
    known = target.flatten().numpy() != 255
    return (score / score.sum(axis=1, keepdims=True))[known], target.flatten().numpy()[known]


def test_ohem_takes_the_unsure_pixels() -> None:
    logits, target = _example()
    probability, truth = _rows(logits, target)
    picked = probability[np.arange(len(truth)), truth]
    found = ohem_cross_entropy(logits.log_softmax(1), target, threshold=0.3)
    assert found.item() == pytest.approx(-np.log(picked[picked <= 0.3]).mean(), rel=1e-5)


def test_ohem_keeps_the_least_share_where_all_are_sure() -> None:
    logits, target = _example()
    probability, truth = _rows(logits, target)
    loss = np.sort(-np.log(probability[np.arange(len(truth)), truth]))[::-1]
    found = ohem_cross_entropy(logits.log_softmax(1), target, threshold=1e-30, min_share=0.25)
    assert found.item() == pytest.approx(loss[: len(loss) // 4].mean(), rel=1e-5)


def test_focal_is_cross_entropy_at_zero_and_the_formula_at_two() -> None:
    logits, target = _example()
    log_probability = logits.log_softmax(1)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    assert torch.allclose(
        focal_loss(log_probability, target, weights, gamma=0.0), cross_entropy(log_probability, target, weights)
    )
    probability, truth = _rows(logits, target)
    picked = probability[np.arange(len(truth)), truth]
    expected = (-((1 - picked) ** 2) * np.log(picked)).mean()
    assert focal_loss(log_probability, target).item() == pytest.approx(expected, rel=1e-5)


def test_dice_and_lovasz_against_numpy_and_at_their_ends() -> None:
    logits, target = _example()
    probability, truth = _rows(logits, target)
    dice = [1 - 2 * probability[truth == c, c].sum() / (probability[:, c].sum() + (truth == c).sum()) for c in range(3)]
    assert dice_loss(logits.log_softmax(1), target).item() == pytest.approx(np.mean(dice), rel=1e-5)
    perfect = 60 * torch.nn.functional.one_hot(target.masked_fill(target == 255, 3), 4).permute(0, 3, 1, 2).float()
    for options in ({"dice": 1.0}, {"lovasz": 1.0}, {"jaccard": 1.0}):
        assert semantic_loss(perfect, target, **options).item() == pytest.approx(0, abs=1e-4)
    both = semantic_loss(logits, target, lovasz=0.5) - semantic_loss(logits, target)
    rows = logits.softmax(1).permute(0, 2, 3, 1).reshape(-1, 4)
    assert both.item() == pytest.approx(0.5 * lovasz_softmax(rows, target.flatten()).item(), rel=1e-4)


@pytest.mark.parametrize("kind", PIXEL_LOSSES)
@pytest.mark.parametrize("labelled", [True, False])
def test_gradients_are_finite(kind: str, labelled: bool) -> None:
    logits, target = _example()
    if not labelled:
        target[:] = 255
    logits = (20 * logits).requires_grad_()
    loss = semantic_loss(logits, target, jaccard=1.0, kind=kind, dice=1.0, lovasz=1.0)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (loss.item() == 0) != labelled


def test_class_weights_balance_frequency() -> None:
    counts = torch.tensor([800, 100, 50, 0])
    assert balanced_class_weights(counts, beta=1.0).tolist() == [0.125, 1.0, 2.0, 1.0]
    assert balanced_class_weights(counts, beta=0.0).tolist() == [1.0] * 4
    assert balanced_class_weights(torch.zeros(3)).tolist() == [1.0] * 3

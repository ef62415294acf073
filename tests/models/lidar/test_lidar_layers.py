from __future__ import annotations

import pytest
import torch
from tiny_points import shuffle_norms
from torch import nn

from perception.models.lidar.fold import fold
from perception.models.lidar.layers import LayerScale, RowNorm


@pytest.mark.parametrize("training", [True, False])
def test_row_norm_is_a_batch_norm(training: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = RowNorm(5, momentum=0.2), nn.BatchNorm1d(5, momentum=0.2)
    theirs.load_state_dict(shuffle_norms(ours).state_dict())
    rows = torch.randn(40, 5)
    first, second = (rows.clone().requires_grad_() for _ in range(2))
    out, expected = ours.train(training)(first), theirs.train(training)(second)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    (out**3).sum().backward()
    (expected**3).sum().backward()
    torch.testing.assert_close(first.grad, second.grad)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("training", [True, False])
def test_row_norm_of_hardly_any_rows_keeps_its_statistics(rows: int, training: bool) -> None:
    norm = shuffle_norms(RowNorm(3)).train(training)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    values = torch.randn(rows, 3)
    out = norm(values)
    expected = (values - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def _folded(*layers: nn.Module) -> nn.Sequential:
    sequence = nn.Sequential(*layers).eval()
    shuffle_norms(sequence)
    return sequence


@pytest.mark.parametrize(
    ("layers", "shape", "left"),
    [
        (
            [RowNorm(4), nn.Linear(4, 6, bias=False), RowNorm(6), nn.ReLU(), nn.Linear(6, 3), LayerScale(3, 2)],
            (9, 4),
            3,
        ),
        ([nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()], (2, 4, 5, 7), 2),
        ([nn.Conv2d(4, 4, 3, groups=4), LayerScale(4, 4), nn.BatchNorm2d(4)], (2, 4, 5, 7), 1),
        ([nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)], (2, 4, 5, 7), 2),
    ],
)
def test_folded_layers_do_the_same(layers: list[nn.Module], shape: tuple[int, ...], left: int) -> None:
    sequence = _folded(*layers)
    values = torch.randn(*shape)
    with torch.no_grad():
        expected = sequence(values)
        fold(sequence)
        torch.testing.assert_close(sequence(values), expected, atol=1e-5, rtol=1e-5)
    assert len(sequence) == left


def test_folding_needs_eval_mode() -> None:
    with pytest.raises(ValueError, match="eval"):
        fold(nn.Sequential(nn.Linear(2, 2), RowNorm(2)))

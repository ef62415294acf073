from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_points import needs_cuda

from perception.models.lidar.scatter import scatter_count, scatter_max, scatter_mean, scatter_sum

CASES = st.tuples(st.integers(0, 60), st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**31))


def _case(points: int, channels: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(points, channels, generator=generator)
    return rows, torch.randint(0, size, (points,), generator=generator)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_agree_with_loops_over_segments(case: tuple[int, int, int, int]) -> None:
    rows, index = _case(*case)
    size = case[2]
    total, mean, largest = np.zeros((3, size, case[1]), np.float32)
    for segment in range(size):
        members = rows.numpy()[index.numpy() == segment]
        if len(members):
            total[segment], mean[segment], largest[segment] = members.sum(0), members.mean(0), members.max(0)
    np.testing.assert_allclose(scatter_sum(rows, index, size), total, atol=1e-5)
    np.testing.assert_allclose(scatter_mean(rows, index, size), mean, atol=1e-5)
    np.testing.assert_array_equal(scatter_max(rows, index, size), largest)
    np.testing.assert_array_equal(scatter_count(index, size), np.bincount(index, minlength=size))


@pytest.mark.parametrize("function", [scatter_sum, scatter_mean, scatter_max])
def test_gradients_are_right(function) -> None:
    rows, index = _case(17, 3, 6, 1)
    rows = rows.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: function(values, index, 6), (rows,))


def test_equal_maxima_share_the_gradient() -> None:
    rows = torch.tensor([[1.0], [1.0], [0.5]], requires_grad=True)
    scatter_max(rows, torch.zeros(3, dtype=torch.int64), 1).sum().backward()
    assert rows.grad is not None
    assert rows.grad.flatten().tolist() == [0.5, 0.5, 0.0]


def test_many_rows_in_half_precision_are_summed_exactly() -> None:
    rows = torch.ones(1000, 2, dtype=torch.bfloat16)
    index = torch.zeros(1000, dtype=torch.int64)
    assert scatter_sum(rows, index, 1).tolist() == [[1000, 1000]]  # bfloat16 alone would stick at 256
    assert scatter_mean(rows, index, 1).dtype == torch.bfloat16
    assert scatter_mean(rows, index, 1).tolist() == [[1, 1]]


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("function", [scatter_sum, scatter_mean, scatter_max])
def test_cuda_agrees_with_cpu(function) -> None:
    rows, index = _case(5000, 16, 300, 2)
    expected = function(rows, index, 300)
    torch.testing.assert_close(function(rows.cuda(), index.cuda(), 300).cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@needs_cuda
def test_cuda_repeats_itself_where_asked_to() -> None:
    rows, index = (tensor.cuda() for tensor in _case(200_000, 16, 50, 3))
    torch.use_deterministic_algorithms(True)
    try:
        first = scatter_sum(rows, index, 50)
        assert all(torch.equal(first, scatter_sum(rows, index, 50)) for _ in range(5))
    finally:
        torch.use_deterministic_algorithms(False)

"""Adaptive average pooling in a form that exports with free height and width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def adaptive_average(x: Tensor, bins: int) -> Tensor:
    """``(B, C, bins, bins)``: the same as ``F.adaptive_avg_pool2d(x, bins)``.

    While a network is exported the averages are two matrix products, whose matrices are made from the size of ``x``:
    the exporters turn adaptive pooling into slices of the size that was traced, which are silently wrong at others.

    Args:
        x: ``(B, C, H, W)``.
    """
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool2d(x, bins)
    rows, columns = (_averages(x.shape[axis], bins, x) for axis in (2, 3))
    return rows @ x @ columns.transpose(0, 1)


def _averages(length: int, bins: int, like: Tensor) -> Tensor:
    """``(bins, length)`` matrix whose row i averages cells floor(i L / bins) .. ceil((i + 1) L / bins) - 1."""
    cell = torch.arange(length, device=like.device)
    part = torch.arange(bins, device=like.device)[:, None]
    first = part * length // bins
    last = ((part + 1) * length + bins - 1) // bins
    inside = ((cell >= first) & (cell < last)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)

"""The scatter operators of the LiDAR networks against the other ways that torch offers."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from perception.commands.bench import ratio, take_turns
from perception.models.lidar.grid import FrustumGrid
from perception.models.lidar.scatter import scatter_max, scatter_sum
from perception.types import PointBatch

CHANNELS = 128
OURS = "ours"
GRID = FrustumGrid((32, 480), (10.0, -30.0))

Scatter = Callable[[Tensor, Tensor, int], Tensor]


def _reduce_rows(reduction: str) -> Scatter:
    def call(rows: Tensor, index: Tensor, size: int) -> Tensor:
        out = rows.new_zeros(size, rows.shape[1])
        return out.scatter_reduce(0, index[:, None].expand_as(rows), rows, reduction, include_self=False)

    return call


def _reduce_columns(reduction: str) -> Scatter:
    """The same on channels-first features ``(C, P)``, as networks of 1D convolutions hold them."""

    def call(columns: Tensor, index: Tensor, size: int) -> Tensor:
        out = columns.new_zeros(columns.shape[0], size)
        return out.scatter_reduce(1, index.expand_as(columns), columns, reduction, include_self=False)

    return call


def _reduce_sorted(reduction: str) -> Scatter:
    """Rows sorted by index, then ``segment_reduce``."""

    def call(rows: Tensor, index: Tensor, size: int) -> Tensor:
        lengths = torch.bincount(index, minlength=size)
        ordered = rows.index_select(0, index.argsort())
        out = torch.segment_reduce(ordered, reduction, lengths=lengths, axis=0)
        return torch.where(lengths[:, None] > 0, out, 0)

    return call


def _index_reduce(rows: Tensor, index: Tensor, size: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at each call that its interface may change
        return rows.new_zeros(size, rows.shape[1]).index_reduce(0, index, rows, "amax", include_self=False)


WAYS: dict[str, tuple[Scatter, dict[str, Scatter]]] = {
    "sum": (
        scatter_sum,
        {
            "scatter_reduce, rows": _reduce_rows("sum"),
            "scatter_reduce, columns": _reduce_columns("sum"),
            "sort and segment_reduce": _reduce_sorted("sum"),
        },
    ),
    "max": (
        scatter_max,
        {
            "index_reduce, rows": _index_reduce,
            "scatter_reduce, columns": _reduce_columns("amax"),
            "sort and segment_reduce": _reduce_sorted("max"),
        },
    ),
}
"""For sum and max our operator (``index_add`` and ``scatter_reduce`` on rows) and the other ways."""


def bench_scatter(batch: PointBatch, rounds: int) -> list[dict[str, Any]]:
    """Each way on the points of a batch, 128 channels each, into 32x480 frustums; the ways take turns.

    Returns:
        For sum and max, forward alone and with the gradient: milliseconds of every way, ours over each of the
        others, and the best of those.
    """
    index = GRID.locate(batch.points, batch.cloud, batch.clouds).index()
    size = 32 * 480 * batch.clouds
    rows = torch.randn(len(index), CHANNELS, generator=torch.Generator().manual_seed(0)).to(index.device)
    found = []
    for what, (ours, ways) in WAYS.items():
        for gradient in (False, True):
            calls = {OURS: _call(ours, rows, index, size, gradient)}
            for name, way in ways.items():
                values = rows.T.contiguous() if "columns" in name else rows
                calls[name] = _call(way, values, index, size, gradient)
            times = take_turns(calls, rounds)
            others = {name: round(ratio(times, OURS, name), 4) for name in ways}
            found.append(
                {
                    "what": f"{what} with gradient" if gradient else what,
                    "milliseconds": {name: round(statistics.median(values), 3) for name, values in times.items()},
                    "ratios": others,
                    "best other": max(others.items(), key=lambda item: item[1])[0],
                }
            )
    return found


def _call(way: Scatter, values: Tensor, index: Tensor, size: int, gradient: bool) -> Callable[[], None]:
    values = values.clone().requires_grad_(gradient)

    def call() -> None:
        with torch.inference_mode(not gradient):
            out = way(values, index, size)
        if gradient:
            torch.autograd.grad(out, values, torch.ones_like(out))
        if values.is_cuda:
            torch.cuda.synchronize()

    return call

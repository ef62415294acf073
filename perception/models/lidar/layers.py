"""Layers that the LiDAR networks share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RowNorm(nn.BatchNorm1d):
    """Batch norm of point rows ``(P, C)``.

    In training, fewer than two rows have no spread to be normalised by: they are normalised by the running
    statistics, which they leave alone, so that an empty cloud or a single point stops no training.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) < 2:
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(input, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(input)


class LayerScale(nn.Module):
    """A learned factor for each channel at the end of a residual branch.

    Paper: Going deeper with Image Transformers - arXiv 2103.17239.

    Args:
        channels: of the input.
        dimensions: 2 for rows ``(P, C)``, 4 for pictures ``(B, C, H, W)``.
    """

    def __init__(self, channels: int, dimensions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels).uniform_(-1, 1))  # as published: a depthwise 1x1 convolution
        self.shape = (-1,) + (1,) * (dimensions - 2)

    def forward(self, input: Tensor) -> Tensor:
        return input * self.weight.view(self.shape)


def linear_norm(in_channels: int, out_channels: int, **norm: Any) -> list[nn.Module]:
    """Linear layer, batch norm and ReLU on rows. ``norm`` are options of the batch norm."""
    linear = nn.Linear(in_channels, out_channels, bias=False)
    return [linear, RowNorm(out_channels, **norm), nn.ReLU()]


def conv_norm(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, activation: bool = True, **norm: Any
) -> list[nn.Module]:
    """Convolution that keeps the size, batch norm and hard swish."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(out_channels, **norm)]
    return [*layers, nn.Hardswish(inplace=True)] if activation else layers

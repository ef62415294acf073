"""The frustum-range backbone: a residual network on the frustum grid that trades features with the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.lidar.grid import FrustumCells
from perception.models.lidar.layers import conv_norm, linear_norm


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, with hard swish."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, **norm: Any) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *conv_norm(in_channels, channels, stride=stride, **norm),
            *conv_norm(channels, channels, activation=False, **norm),
        )
        same = stride == 1 and in_channels == channels
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(*conv_norm(in_channels, channels, 1, stride, activation=False, **norm))
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(self.convs(x) + self.shortcut(x))


class FusionStage(nn.Module):
    """Residual blocks, then pixel to point, point to pixel, and a gated sum.

    Args:
        point_channels: width of the point features that come in; those that go out have ``channels``.
        stride: of the first block; ``total_stride`` is that of the output.
        kernel: of the convolutions that fuse and gate.
    """

    def __init__(
        self,
        in_channels: int,
        point_channels: int,
        channels: int,
        blocks: int,
        stride: int,
        total_stride: int,
        kernel: int = 3,
        **norm: Any,
    ) -> None:
        super().__init__()
        self.stride = total_stride
        widths = [in_channels] + [channels] * blocks
        self.blocks = nn.Sequential(
            *(BasicBlock(widths[i], channels, stride if i == 0 else 1, **norm) for i in range(blocks))
        )
        self.point_fusion = nn.Sequential(*linear_norm(point_channels + channels, channels, **norm))
        self.pixel_fusion = nn.Sequential(*conv_norm(2 * channels, channels, kernel, **norm))
        self.attention = nn.Sequential(
            *conv_norm(channels, channels, kernel, **norm),
            *conv_norm(channels, channels, kernel, activation=False, **norm),
            nn.Sigmoid(),
        )

    def forward(self, pixels: Tensor, points: Tensor, cells: FrustumCells) -> tuple[Tensor, Tensor]:
        pixels = self.blocks(pixels)
        points = self.point_fusion(torch.cat([cells.to_points(pixels, self.stride), points], dim=1))
        fused = self.pixel_fusion(torch.cat([cells.to_pixels(points, self.stride), pixels], dim=1))
        return fused * self.attention(fused) + pixels, points


class FRNetBackbone(nn.Module):
    """Stem and stages, and all their levels joined again at the full grid and at the points.

    Args:
        in_channels: of the frustum features; point_channels: of the point embedding.
        stem: widths of the stem's 3x3 convolutions.
        channels, blocks, strides: of each stage.
        join: widths of the layers that join the levels; join_kernels: their kernels on the grid.
        fusion_kernel: of the convolutions that fuse points into pixels and gate them.

    Raises:
        InputError: for lists of different length.
    """

    def __init__(
        self,
        in_channels: int,
        point_channels: int,
        stem: Sequence[int],
        channels: Sequence[int],
        blocks: Sequence[int],
        strides: Sequence[int],
        join: Sequence[int],
        join_kernels: Sequence[int],
        fusion_kernel: int = 3,
        **norm: Any,
    ) -> None:
        super().__init__()
        if not len(channels) == len(blocks) == len(strides):
            raise InputError(
                f"{len(channels)} widths, {len(blocks)} depths and {len(strides)} strides of stages differ"
            )
        if len(join) != len(join_kernels):
            raise InputError(f"{len(join)} widths but {len(join_kernels)} kernels of the layers that join levels")
        widths = [in_channels, *stem]
        self.stem = nn.Sequential(
            *(layer for i in range(len(stem)) for layer in conv_norm(widths[i], widths[i + 1], **norm))
        )
        width = stem[-1]
        self.point_fusion = nn.Sequential(*linear_norm(width + point_channels, width, **norm))
        self.pixel_fusion = nn.Sequential(*conv_norm(2 * width, width, fusion_kernel, **norm))
        self.stages = nn.ModuleList()
        stride = 1
        for i, stage in enumerate(channels):
            stride *= strides[i]
            self.stages.append(FusionStage(width, width, stage, blocks[i], strides[i], stride, fusion_kernel, **norm))
            width = stage
        self.total_stride = stride
        self.level_channels = [stem[-1], *channels]
        joined = [sum(self.level_channels), *join]
        self.join_pixels = nn.Sequential(
            *(layer for i in range(len(join)) for layer in conv_norm(joined[i], joined[i + 1], join_kernels[i], **norm))
        )
        self.join_points = nn.Sequential(
            *(layer for i in range(len(join)) for layer in linear_norm(joined[i], joined[i + 1], **norm))
        )

    def forward(self, frustums: Tensor, points: Tensor, cells: FrustumCells) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Fused features of the grid and of the points, and the levels before they were joined.

        Shape:
            - frustums: ``(B, in_channels, h, w)``; points: ``(P, point_channels)``.
            - output: ``(B, join[-1], h, w)``, ``(P, join[-1])``, and for the stem and each stage
              ``(B, level_channels[i], h, w)``, coarse ones upsampled.
        """
        pixels = self.stem(frustums)
        points = self.point_fusion(torch.cat([cells.to_points(pixels), points], dim=1))
        pixels = self.pixel_fusion(torch.cat([cells.to_pixels(points), pixels], dim=1))
        levels, point_levels = [pixels], [points]
        for stage in self.stages:
            pixels, points = stage(pixels, points, cells)
            levels.append(pixels)
            point_levels.append(points)
        levels = [self._full_size(level, cells.size) for level in levels]
        joined = self.join_pixels(torch.cat(levels, dim=1))
        return joined, self.join_points(torch.cat(point_levels, dim=1)), levels

    @staticmethod
    def _full_size(level: Tensor, size: tuple[int, int]) -> Tensor:
        if level.shape[-2:] == size:
            return level
        return F.interpolate(level, size=size, mode="bilinear", align_corners=True)

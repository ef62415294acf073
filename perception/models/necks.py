"""Necks join the levels of a backbone into maps that heads read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.adaptive_pool import adaptive_average


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU; ``kernel // 2 * dilation`` padding keeps the size at stride 1."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1):
        padding = kernel // 2 * dilation
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class Refinement(nn.Module):
    """A 3x3 convolution of the rectified map, added to the map.

    The norm's weights start at zero (arXiv 1706.02677, section 5.1): a trained network that gets one starts as it was.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(torch.relu(x)))


class PyramidPooling(nn.Module):
    """Context from averages over 1, 2, 3 and 6 parts of the image, added to the map.

    Paper: Pyramid Scene Parsing Network - arXiv 1612.01105. Departure: the branches are summed after their
    1x1 convolutions instead of concatenated, which costs little on the coarsest map of a small network.
    """

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.branches = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in self.bins)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for size, branch in zip(self.bins, self.branches, strict=True):
            pooled = branch(adaptive_average(x, size))
            out = out + F.interpolate(pooled, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return out


class FeaturePyramid(nn.Module):
    """Top-down pathway with lateral 1x1 convolutions; smoothed where a head reads.

    Paper: Feature Pyramid Networks for Object Detection - arXiv 1612.03144. Departures: bilinear instead of
    nearest upsampling, batch norm, 3x3 smoothing only at the levels in ``out_reductions``, and pyramid pooling
    on the coarsest level or refinement on the way down as options.

    Args:
        in_channels, reductions: of the backbone, fine to coarse.
        channels: width of every output map.
        out_reductions: strides at which maps are wanted.
        context: whether the coarsest level gets :class:`PyramidPooling`.
        refine: number of :class:`Refinement` that a level gets before it is handed down.

    Shape:
        - input: one map per backbone level.
        - output: ``{reduction: (B, channels, H / reduction, W / reduction)}``.

    Raises:
        InputError: if the backbone has no level at a wanted stride.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        reductions: Sequence[int],
        channels: int = 128,
        out_reductions: Sequence[int] = (4,),
        context: bool = True,
        refine: int = 0,
    ) -> None:
        super().__init__()
        self.out_reductions = tuple(sorted(set(out_reductions)))
        missing = [r for r in self.out_reductions if r not in reductions]
        if missing:
            raise InputError(f"the backbone has no map at stride {missing[0]}; its strides are {list(reductions)}")
        self.levels = [i for i, r in enumerate(reductions) if r >= self.out_reductions[0]]
        self.reductions = [reductions[i] for i in self.levels]
        if len(set(self.reductions)) != len(self.reductions):
            raise InputError(f"a feature pyramid needs maps at distinct strides, the backbone has {list(reductions)}")
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(in_channels[i], channels, 1, bias=False) for i in self.levels)
        self.norm = nn.ModuleList(nn.BatchNorm2d(channels) for _ in self.levels)
        self.context = PyramidPooling(channels) if context else nn.Identity()
        self.refine = nn.ModuleList(
            nn.Sequential(*(Refinement(channels) for _ in range(refine if level else 0)))
            for level in range(len(self.levels))
        )
        self.smooth = nn.ModuleDict({str(r): ConvNormAct(channels, channels) for r in self.out_reductions})

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        maps = [
            norm(lateral(features[i])) for i, lateral, norm in zip(self.levels, self.lateral, self.norm, strict=True)
        ]
        top = self.context(maps[-1])
        out: dict[int, Tensor] = {}
        for level in range(len(maps) - 1, -1, -1):
            if level < len(maps) - 1:
                top = maps[level] + F.interpolate(
                    top, size=maps[level].shape[-2:], mode="bilinear", align_corners=False
                )
            top = self.refine[level](top)
            reduction = self.reductions[level]
            if reduction in self.out_reductions:
                out[reduction] = self.smooth[str(reduction)](torch.relu(top))
        return out

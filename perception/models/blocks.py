"""Convolutional blocks that several systems share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.necks import ConvNormAct


class DilatedConv(nn.Sequential):
    """3x3 convolution with holes, batch norm, ReLU; the size stays.

    Args:
        separable: a depthwise convolution followed by a 1x1 one, which reads the same area for less.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int = 1, separable: bool = False) -> None:
        if dilation < 1:
            raise InputError(f"dilation {dilation} must be at least 1")
        if separable:
            convs = [
                nn.Conv2d(in_channels, in_channels, 3, 1, dilation, dilation, groups=in_channels, bias=False),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
            ]
        else:
            convs = [nn.Conv2d(in_channels, out_channels, 3, 1, dilation, dilation, bias=False)]
        super().__init__(*convs, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class ImagePooling(nn.Module):
    """The mean of the map, projected, at every pixel.

    The norm of the one pixel needs two images in a batch to train; with one image its running statistics are used.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.conv(x.mean(dim=(2, 3), keepdim=True))
        if self.norm.training and x.shape[0] == 1:
            self.norm.eval()
            pooled = self.norm(pooled)
            self.norm.train()
        else:
            pooled = self.norm(pooled)
        return pooled.relu().expand(-1, -1, *x.shape[-2:])


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 convolution, dilated ones, and the image's mean, joined.

    Paper: Rethinking Atrous Convolution for Semantic Image Segmentation - arXiv 1706.05587.

    Args:
        rates: dilation of each 3x3 branch; 6, 12, 18 belong to output stride 16, twice that to 8.
        separable: depthwise separable branches, as in DeepLab v3+ (arXiv 1802.02611).

    Shape:
        - input: ``(B, in_channels, h, w)``; output: ``(B, out_channels, h, w)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        separable: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList([ConvNormAct(in_channels, out_channels, 1)])
        self.branches.extend(DilatedConv(in_channels, out_channels, rate, separable) for rate in rates)
        self.branches.append(ImagePooling(in_channels, out_channels))
        self.project = nn.Sequential(
            ConvNormAct(len(self.branches) * out_channels, out_channels, 1), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([branch(x) for branch in self.branches], dim=1))


def resized(x: Tensor, like: Tensor) -> Tensor:
    """``x`` bilinearly at the height and width of ``like``."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)

"""The decoder of U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.models.necks import ConvNormAct


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, between: int | None = None) -> None:
        between = between or out_channels
        super().__init__(ConvNormAct(in_channels, between), ConvNormAct(between, out_channels))


class Up(nn.Module):
    """Brings a map up by two and joins it with the encoder's map of that size.

    Args:
        bilinear: interpolation instead of a transposed convolution; the convolutions then halve the channels.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, bilinear: bool) -> None:
        super().__init__()
        self.up = None if bilinear else nn.ConvTranspose2d(in_channels, in_channels // 2, 2, 2)
        joined = skip_channels + (in_channels if bilinear else in_channels // 2)
        self.convs = DoubleConv(joined, out_channels, joined // 2 if bilinear else None)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.up is None:
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=True)
        else:
            x = self.up(x)
        return self.convs(torch.cat([skip, x], dim=1))


class UNetHead(nn.Module):
    """The expanding path of U-Net over any pyramid whose levels halve in size.

    Paper: U-Net: Convolutional Networks for Biomedical Image Segmentation - arXiv 1505.04597. Departures: padded
    convolutions and batch norm, so that the logits have the size of the finest map.

    Args:
        in_channels: of the maps, fine to coarse.
        widths: of the path, fine to coarse; one fewer than the maps. By default the widths of the encoder's maps.

    Shape:
        - input: the maps, fine to coarse; output: logits at the size of the finest.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        widths: Sequence[int] | None = None,
        bilinear: bool = False,
    ) -> None:
        super().__init__()
        widths = tuple(in_channels[:-1]) if widths is None else tuple(widths)
        below = [*widths[1:], in_channels[-1]]
        self.ups = nn.ModuleList(
            Up(deep, skip, width, bilinear) for deep, skip, width in zip(below, in_channels[:-1], widths, strict=True)
        )
        self.classifier = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = maps[-1]
        for i in range(len(self.ups) - 1, -1, -1):
            x = self.ups[i](x, maps[i])
        return self.classifier(x)

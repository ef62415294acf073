"""The decoder of DeepLab v3+."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception.models.blocks import ASPP, DilatedConv, resized
from perception.models.necks import ConvNormAct


class DeepLabV3PlusHead(nn.Module):
    """ASPP on the coarse map, brought up to the fine one and refined with it.

    Paper: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation - arXiv 1802.02611.
    Departure: one separable convolution after the join instead of two 3x3 ones, and one before the upsampling.

    Args:
        in_channels: of the fine map (stride 4) and of the coarse one (stride 16 or 8).
        channels: width of ASPP and decoder.
        low_channels: to which the fine map is reduced.
        rates: of ASPP.

    Shape:
        - input: the two maps; output: logits ``(B, out_channels, h, w)`` at the size of the fine one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        channels: int = 256,
        low_channels: int = 48,
        rates: Sequence[int] = (6, 12, 18),
    ) -> None:
        super().__init__()
        self.aspp = nn.Sequential(
            ASPP(in_channels[-1], channels, rates, separable=True), DilatedConv(channels, channels, separable=True)
        )
        self.low = ConvNormAct(in_channels[0], low_channels, 1)
        self.refine = DilatedConv(channels + low_channels, channels, separable=True)
        self.classifier = nn.Conv2d(channels, out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        fine, context = self.low(maps[0]), self.aspp(maps[-1])
        return self.classifier(self.refine(torch.cat([resized(context, fine), fine], dim=1)))

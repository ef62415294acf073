"""The light head of MobileNetV3."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from perception.models.blocks import resized
from perception.models.necks import ConvNormAct


class LRASPPHead(nn.Module):
    """A coarse map gated by its own mean, plus a fine map, each with a classifier.

    Paper: Searching for MobileNetV3 - arXiv 1905.02244. Departure: the gate is the mean of the whole map instead of
    a 49x49 window, as in torchvision.

    Args:
        in_channels: of the fine and of the coarse map.

    Shape:
        - input: the two maps; output: logits at the size of the fine one.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, channels: int = 128) -> None:
        super().__init__()
        self.project = ConvNormAct(in_channels[-1], channels, 1)
        self.gate = nn.Conv2d(in_channels[-1], channels, 1, bias=False)
        self.fine_classifier = nn.Conv2d(in_channels[0], out_channels, 1)
        self.coarse_classifier = nn.Conv2d(channels, out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        fine, coarse = maps[0], maps[-1]
        gated = self.project(coarse) * self.gate(coarse.mean(dim=(2, 3), keepdim=True)).sigmoid()
        return self.fine_classifier(fine) + self.coarse_classifier(resized(gated, fine))

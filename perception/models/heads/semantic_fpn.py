"""The head of Semantic FPN."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from perception.models.blocks import resized
from perception.models.necks import ConvNormAct


class SemanticFPNHead(nn.Module):
    """Each level of a pyramid is brought to the finest in steps of two, each behind a convolution, and summed.

    Paper: Panoptic Feature Pyramid Networks - arXiv 1901.02446. Departure: batch norm instead of group norm.

    Args:
        in_channels: of every level.
        levels: number of levels, each half the size of the one before.

    Shape:
        - input: one map per level, fine to coarse; output: logits at the size of the finest.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int = 128, levels: int = 4) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.ModuleList(ConvNormAct(in_channels if i == 0 else channels, channels) for i in range(max(level, 1)))
            for level in range(levels)
        )
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(channels, out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        total: Tensor | None = None
        for level, branch in enumerate(self.branches):
            x = maps[level]
            assert isinstance(branch, nn.ModuleList)
            for i, conv in enumerate(branch):
                x = conv(x)
                if level:
                    x = resized(x, maps[level - 1 - i])
            total = x if total is None else total + x
        assert total is not None
        return self.classifier(self.dropout(total))

"""The plain dense head."""

from __future__ import annotations

from torch import Tensor, nn

from perception.models.necks import ConvNormAct


class FCNHead(nn.Module):
    """3x3 convolution, batch norm, ReLU, dropout, 1x1 classifier.

    Paper: Fully Convolutional Networks for Semantic Segmentation - arXiv 1411.4038, in the form that became
    common on residual backbones.

    Args:
        in_channels: of the pyramid level that it reads.
        out_channels: number of logits per pixel; 1 for a binary mask.
        hidden_channels: width of the 3x3 convolution.
        level: stride of the map that it reads.

    Shape:
        - input: ``(B, in_channels, h, w)``
        - output: ``(B, out_channels, h, w)`` logits
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int = 64,
        level: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.level = level
        self.conv = ConvNormAct(in_channels, hidden_channels)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(hidden_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.conv(x)))

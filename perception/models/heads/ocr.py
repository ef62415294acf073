"""Object-contextual representations on a high-resolution map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perception.models.necks import ConvNormAct


class OCRHead(nn.Module):
    """Coarse logits say which pixels belong to a class; each pixel then attends to the classes' mean features.

    Paper: Segmentation Transformer: Object-Contextual Representations for Semantic Segmentation - arXiv 1909.11065.

    Args:
        channels: of the pixels; ``key_channels``: of the attention.

    Shape:
        - input: ``(B, in_channels, h, w)``.
        - output: logits ``(B, out_channels, h, w)`` and the coarse ones, of the same shape.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int = 512, key_channels: int = 256) -> None:
        super().__init__()
        self.coarse = nn.Sequential(ConvNormAct(in_channels, in_channels, 1), nn.Conv2d(in_channels, out_channels, 1))
        self.pixels = ConvNormAct(in_channels, channels)
        self.query = nn.Sequential(ConvNormAct(channels, key_channels, 1), ConvNormAct(key_channels, key_channels, 1))
        self.key = nn.Sequential(ConvNormAct(channels, key_channels, 1), ConvNormAct(key_channels, key_channels, 1))
        self.value = ConvNormAct(channels, key_channels, 1)
        self.out = ConvNormAct(key_channels, channels, 1)
        self.join = ConvNormAct(2 * channels, channels, 1)
        self.classifier = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        coarse, pixels = self.coarse(x), self.pixels(x)
        share = coarse.flatten(2).softmax(dim=2)  # (B, K, hw): where each class is
        regions = (share @ pixels.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]  # (B, C, K, 1)
        query = self.query(pixels).flatten(2).transpose(1, 2)  # (B, hw, D)
        key = self.key(regions).flatten(2)  # (B, D, K)
        attention = (query @ key * key.shape[1] ** -0.5).softmax(dim=2)  # (B, hw, K)
        value = self.value(regions).flatten(2).transpose(1, 2)  # (B, K, D)
        context = (attention @ value).transpose(1, 2).unflatten(2, x.shape[-2:])  # (B, D, h, w)
        return self.classifier(self.join(torch.cat([self.out(context), pixels], dim=1))), coarse

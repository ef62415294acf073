"""Heads for semantic segmentation over a feature pyramid of one width, by name."""

from __future__ import annotations

from torch import nn

from perception.models.heads.deeplabv3plus import DeepLabV3PlusHead
from perception.models.heads.fcn import FCNHead
from perception.models.heads.lraspp import LRASPPHead
from perception.models.heads.semantic_fpn import SemanticFPNHead
from perception.models.heads.unet import UNetHead

SEMANTIC_HEADS: dict[str, tuple[int, ...]] = {
    "fcn": (4,),
    "deeplabv3plus": (4, 16),
    "semantic_fpn": (4, 8, 16, 32),
    "lraspp": (8, 16),
    "unet": (4, 8, 16, 32),
}
"""Strides of the maps that each reads; logits have the stride of the first."""


def build_semantic_head(name: str, in_channels: int, out_channels: int, hidden_channels: int) -> nn.Module:
    """A head of :data:`SEMANTIC_HEADS`. It takes a list of maps, or the one map if it reads one.

    Args:
        in_channels: of every map.
        hidden_channels: width of the head; U-Net's is that of the pyramid.
    """
    levels = SEMANTIC_HEADS[name]
    widths = [in_channels] * len(levels)
    if name == "deeplabv3plus":
        return DeepLabV3PlusHead(widths, out_channels, hidden_channels, max(hidden_channels // 4, 8))
    if name == "semantic_fpn":
        return SemanticFPNHead(in_channels, out_channels, hidden_channels, len(levels))
    if name == "lraspp":
        return LRASPPHead(widths, out_channels, hidden_channels)
    if name == "unet":
        return UNetHead(widths, out_channels)
    return FCNHead(in_channels, out_channels, hidden_channels, levels[0])

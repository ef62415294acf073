"""Segmenter: a ViT encoder with a linear decoder or a mask transformer.

Paper: Segmenter: Transformer for Semantic Segmentation - arXiv 2105.05633.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.semantic.base import SemanticModel
from perception.models.semantic.vit_backbone import VitBackbone
from perception.taxonomy import LabelSet

DECODERS = ("linear", "mask")


class MaskTransformer(nn.Module):
    """Class tokens beside the patch tokens; a class's mask is the cosine of its token with every patch.

    Args:
        in_channels: of the encoder; ``channels``: of the decoder, whose heads are 64 wide.
        num_classes: number of class tokens.
        depth: number of transformer blocks.
        drop_path: share of residual branches that are dropped in training.

    Shape:
        - input: ``(B, in_channels, h, w)``
        - output: ``(B, num_classes, h, w)`` logits
    """

    def __init__(
        self, in_channels: int, num_classes: int, channels: int, depth: int = 2, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.project = nn.Linear(in_channels, channels)
        self.class_tokens = nn.Parameter(torch.empty(1, num_classes, channels))
        self.blocks = nn.ModuleList(
            Block(channels, max(channels // 64, 1), qkv_bias=True, drop_path=drop_path) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(channels)
        self.patch_projection = nn.Parameter(channels**-0.5 * torch.randn(channels, channels))
        self.class_projection = nn.Parameter(channels**-0.5 * torch.randn(channels, channels))
        self.mask_norm = nn.LayerNorm(num_classes)
        nn.init.trunc_normal_(self.class_tokens, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        tokens = self.project(x.flatten(2).transpose(1, 2))  # (B, h * w, channels)
        tokens = torch.cat([tokens, self.class_tokens.expand(batch, -1, -1)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        patches, classes = tokens[:, : height * width], tokens[:, height * width :]
        patches = F.normalize(patches @ self.patch_projection, dim=-1)
        classes = F.normalize(classes @ self.class_projection, dim=-1)
        masks = self.mask_norm(patches @ classes.transpose(1, 2))  # (B, h * w, num_classes)
        return masks.transpose(1, 2).unflatten(2, (height, width))


class Segmenter(SemanticModel):
    """A ViT with one of Segmenter's decoders.

    Args:
        label_set, heads, num_classes, pretrained, in_channels: see :class:`SemanticModel`.
        decoder: ``linear`` or ``mask``.
        backbone: a ViT of timm.
        image_size: side of the training crops, for which position embeddings are kept.
        decoder_depth: blocks of the mask transformer.
        drop_path: of the encoder's blocks.
        vit_options: further options of the ViT.

    Raises:
        InputError: for an unknown decoder.
    """

    def __init__(
        self,
        label_set: LabelSet,
        decoder: str,
        backbone: str,
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        image_size: int = 512,
        decoder_depth: int = 2,
        drop_path: float = 0.1,
        vit_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        if decoder not in DECODERS:
            raise InputError(f"unknown decoder {decoder!r} of Segmenter; use one of {', '.join(DECODERS)}")
        # The encoder's weights come from training on images in -1..1.
        self.mean.fill_(0.5)
        self.std.fill_(0.5)
        options = {"drop_path_rate": drop_path, **(vit_options or {})}
        self.backbone = VitBackbone(backbone, image_size, (), True, pretrained, in_channels, **options)
        width = self.backbone.channels
        if decoder == "linear":
            linear = nn.Conv2d(width, self.num_classes, 1)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
            self.head: nn.Module = linear
        else:
            self.head = MaskTransformer(width, self.num_classes, width, decoder_depth)

    @property
    def stride(self) -> int:
        return self.backbone.patch

    def parts(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "semantic": self.head}

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.head(self.backbone(image)[-1]), []

"""SETR: a ViT encoder with a naive, a progressive, or a multi-level decoder.

Paper: Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with Transformers - arXiv 2012.15840.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.necks import ConvNormAct
from perception.models.semantic.base import SemanticModel
from perception.models.semantic.vit_backbone import VitBackbone
from perception.taxonomy import LabelSet

DECODERS = ("naive", "pup", "mla")


def upsample(x: Tensor, scale: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(scale), mode="bilinear", align_corners=False)


class ProgressiveHead(nn.Module):
    """Layer norm, then convolutions with upsampling after each, then the classifier.

    The classifier runs before the last upsampling: a 1x1 convolution and bilinear interpolation commute, and the map
    has ``scale ** 2`` times fewer cells there.

    Args:
        in_channels, channels: of the ViT's map and of the convolutions.
        num_classes: number of logits.
        convs: number of convolutions; ``kernel``: their size.
        scale: factor of each upsampling.

    Shape:
        - input: ``(B, in_channels, h, w)``
        - output: ``(B, num_classes, h * scale ** convs, w * scale ** convs)``
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int, convs: int, kernel: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.convs = nn.ModuleList(
            ConvNormAct(in_channels if i == 0 else channels, channels, kernel) for i in range(convs)
        )
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # over channels
        for i, conv in enumerate(self.convs):
            x = conv(upsample(x, self.scale) if i else x)
        return upsample(self.classifier(x), self.scale)


class MultiLevelHead(nn.Module):
    """Four maps of the ViT, summed top-down, each with convolutions of its own, joined into logits.

    Shape:
        - input: four ``(B, in_channels, h, w)``, from the first block to the last.
        - output: logits ``(B, num_classes, 4h, 4w)``, and in training one ``(B, num_classes, h, w)`` for each level,
          if ``aux``.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int, head_channels: int, aux: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(in_channels, eps=1e-6) for _ in range(4))
        self.reduce = nn.ModuleList(ConvNormAct(in_channels, channels, 1) for _ in range(4))
        self.smooth = nn.ModuleList(ConvNormAct(channels, channels) for _ in range(4))
        self.branches = nn.ModuleList(
            nn.Sequential(ConvNormAct(channels, head_channels), ConvNormAct(head_channels, head_channels))
            for _ in range(4)
        )
        self.classifier = nn.Conv2d(4 * head_channels, num_classes, 1)
        self.aux = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for _ in range(4 if aux else 0))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        reduced = [
            reduce(norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
            for x, norm, reduce in zip(levels, self.norms, self.reduce, strict=True)
        ]
        summed = [reduced[-1]]
        for x in reduced[-2::-1]:
            summed.insert(0, x + summed[0])
        maps = [smooth(x) for x, smooth in zip(summed, self.smooth, strict=True)]
        joined = torch.cat([branch(x) for x, branch in zip(maps, self.branches, strict=True)], dim=1)
        aux = [head(x) for head, x in zip(self.aux, maps, strict=True)] if self.training and len(self.aux) else []
        return upsample(self.classifier(joined), 4), aux


class SETR(SemanticModel):
    """A ViT with one of SETR's decoders.

    Args:
        label_set, heads, num_classes, pretrained, in_channels: see :class:`SemanticModel`.
        decoder: ``naive``, ``pup`` or ``mla``.
        backbone: a ViT of timm.
        image_size: side of the training crops, for which position embeddings are kept.
        taps: blocks that the decoder reads, counted from 1; auxiliary heads of ``naive`` and ``pup`` read all but the
            last. By default spread as in the paper: 10, 15, 20, 24 of 24, and 6, 12, 18, 24 for ``mla``.
        channels: of the decoder; ``head_channels``: of each branch of ``mla``.
        aux: auxiliary heads in training.
        vit_options: further options of the ViT.

    Raises:
        InputError: for an unknown decoder, or ``mla`` with other than four taps.
    """

    def __init__(
        self,
        label_set: LabelSet,
        decoder: str,
        backbone: str = "vit_large_patch16_384",
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        image_size: int = 768,
        taps: Sequence[int] | None = None,
        channels: int = 256,
        head_channels: int = 128,
        aux: bool = True,
        vit_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        if decoder not in DECODERS:
            raise InputError(f"unknown decoder {decoder!r} of SETR; use one of {', '.join(DECODERS)}")
        if taps is None:
            taps = (6, 12, 18, 24) if decoder == "mla" else (10, 15, 20, 24)
        if decoder == "mla" and len(taps) != 4:
            raise InputError(f"the mla decoder reads 4 taps, not {len(taps)}")
        if not aux and decoder != "mla":
            taps = taps[-1:]
        self.decoder = decoder
        options = dict(vit_options or {})
        self.backbone = VitBackbone(backbone, image_size, taps, False, pretrained, in_channels, **options)
        width, classes = self.backbone.channels, self.num_classes
        self.head: nn.Module
        self.aux_heads = nn.ModuleList()
        if decoder == "mla":
            self.head = MultiLevelHead(width, classes, channels, head_channels, aux)
            return
        convs, kernel, scale = (1, 1, 4) if decoder == "naive" else (4, 3, 2)
        self.head = ProgressiveHead(width, classes, channels, convs, kernel, scale)
        for _ in taps[:-1]:
            convs = 1 if decoder == "naive" else 2
            self.aux_heads.append(ProgressiveHead(width, classes, channels, convs, kernel, scale))

    @property
    def stride(self) -> int:
        return self.backbone.patch

    def parts(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "semantic": self.head}

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        levels = self.backbone(image)
        if self.decoder == "mla":
            return self.head(levels)
        aux = [head(x) for head, x in zip(self.aux_heads, levels, strict=False)] if self.training else []
        return self.head(levels[-1]), aux

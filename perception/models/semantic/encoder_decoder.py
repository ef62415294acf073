"""A backbone whose maps one head reads: DeepLab v3+, Semantic FPN, HRNetV2, U-Net."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.backbones import Backbone, build_backbone
from perception.models.blocks import resized
from perception.models.heads.deeplabv3plus import DeepLabV3PlusHead
from perception.models.heads.ocr import OCRHead
from perception.models.heads.semantic_fpn import SemanticFPNHead
from perception.models.heads.unet import UNetHead
from perception.models.necks import ConvNormAct
from perception.models.semantic.base import SemanticModel
from perception.taxonomy import LabelSet


class EncoderDecoder(SemanticModel):
    """A timm backbone and a head over its maps. Subclasses set ``head`` and read the maps in :meth:`logits`.

    Args:
        label_set, heads, num_classes, in_channels: see :class:`SemanticModel`.
        backbone: timm name.
        pretrained: backbone weights, as in :func:`build_backbone`.
        output_stride: 8 or 16 replaces the last strides by dilation.
        backbone_options: further options of the backbone.

    Raises:
        InputError: for a backbone that lacks what the head reads.
    """

    backbone: Backbone
    head: nn.Module

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        output_stride: int | None = None,
        backbone_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        self.backbone = build_backbone(backbone, pretrained, output_stride, in_channels, **(backbone_options or {}))

    @property
    def stride(self) -> int:
        return self.backbone.stride

    def parts(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "semantic": self.head}

    def level(self, reduction: int) -> int:
        """Place of the last map at a stride."""
        if reduction not in self.backbone.reductions:
            raise InputError(
                f"the backbone has no map at stride {reduction}; its strides are {self.backbone.reductions}"
            )
        return len(self.backbone.reductions) - 1 - self.backbone.reductions[::-1].index(reduction)


class DeepLabV3Plus(EncoderDecoder):
    """DeepLab v3+, see :class:`DeepLabV3PlusHead`; logits at stride 4.

    Args:
        channels, low_channels, rates: of the head.
        options: of :class:`EncoderDecoder`.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        output_stride: int = 16,
        channels: int = 256,
        low_channels: int = 48,
        rates: Sequence[int] = (6, 12, 18),
        **options: Any,
    ) -> None:
        super().__init__(label_set, backbone, output_stride=output_stride, **options)
        self.fine = self.level(4)
        widths = [self.backbone.channels[self.fine], self.backbone.channels[-1]]
        self.head = DeepLabV3PlusHead(widths, self.num_classes, channels, low_channels, rates)

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = self.backbone(image)
        return self.head([maps[self.fine], maps[-1]]), []


class SemanticFPN(EncoderDecoder):
    """A feature pyramid of strides 4 to 32 and :class:`SemanticFPNHead`; logits at stride 4.

    Paper: Panoptic Feature Pyramid Networks - arXiv 1901.02446.

    Args:
        pyramid_channels: width of the pyramid; ``channels``: of the head.
        options: of :class:`EncoderDecoder`.
    """

    def __init__(
        self, label_set: LabelSet, backbone: str, pyramid_channels: int = 256, channels: int = 128, **options: Any
    ) -> None:
        super().__init__(label_set, backbone, **options)
        self.levels = [self.level(reduction) for reduction in (4, 8, 16, 32)]
        widths = [self.backbone.channels[i] for i in self.levels]
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid_channels, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(pyramid_channels, pyramid_channels, 3, padding=1) for _ in widths)
        self.head = SemanticFPNHead(pyramid_channels, self.num_classes, channels)

    def parts(self) -> dict[str, nn.Module]:
        return {**super().parts(), "neck": nn.ModuleList([self.lateral, self.smooth])}

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = self.backbone(image)
        maps = [lateral(maps[i]) for i, lateral in zip(self.levels, self.lateral, strict=True)]
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + nn.functional.interpolate(maps[i + 1], size=maps[i].shape[-2:], mode="nearest")
        return self.head([smooth(x) for x, smooth in zip(maps, self.smooth, strict=True)]), []


class BackboneUNet(EncoderDecoder):
    """U-Net's expanding path over the maps of a backbone, see :class:`UNetHead`; logits at the finest one's stride.

    Args:
        widths: of the path, fine to coarse, one fewer than the backbone's maps; by default those of the maps.
        bilinear: interpolation instead of transposed convolutions.
        options: of :class:`EncoderDecoder`.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        widths: Sequence[int] | None = None,
        bilinear: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(label_set, backbone, **options)
        strides = self.backbone.reductions
        if any(coarse != 2 * fine for fine, coarse in itertools.pairwise(strides)):
            raise InputError(f"U-Net needs a backbone whose maps halve in size; {backbone} has strides {strides}")
        if widths is not None and len(widths) != len(strides) - 1:
            raise InputError(f"{len(widths)} widths for the {len(strides) - 1} steps up from {backbone}")
        self.head = UNetHead(self.backbone.channels, self.num_classes, widths, bilinear)

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.head(self.backbone(image)), []


class HRNetV2(EncoderDecoder):
    """HRNetV2: four scales kept side by side, joined at stride 4, with OCR as an option.

    Papers: Deep High-Resolution Representation Learning for Visual Recognition - arXiv 1908.07919;
    Object-Contextual Representations for Semantic Segmentation - arXiv 1909.11065.

    Args:
        ocr: :class:`OCRHead` instead of the 1x1 convolutions; its coarse logits are auxiliary.
        channels, key_channels: of OCR.
        options: of :class:`EncoderDecoder`.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        ocr: bool = False,
        channels: int = 512,
        key_channels: int = 256,
        backbone_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if not backbone.startswith("hrnet"):
            raise InputError(f"HRNetV2 takes an hrnet_* backbone of timm, not {backbone!r}")
        # The trunk alone: without the wider blocks that the classification head puts on each scale.
        trunk = {"feature_location": "", "out_indices": (1, 2, 3, 4), **(backbone_options or {})}
        super().__init__(label_set, backbone, backbone_options=trunk, **options)
        width = sum(self.backbone.channels)
        self.ocr = ocr
        if ocr:
            self.head = OCRHead(width, self.num_classes, channels, key_channels)
        else:
            self.head = nn.Sequential(ConvNormAct(width, width, 1), nn.Conv2d(width, self.num_classes, 1))

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = self.backbone(image)
        joined = torch.cat([maps[0], *(resized(x, maps[0]) for x in maps[1:])], dim=1)
        if not self.ocr:
            return self.head(joined), []
        logits, coarse = self.head(joined)
        return logits, [coarse]

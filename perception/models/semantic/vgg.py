"""FCN and DeepLab v1 on VGG, whose fully connected layers became convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.backbones import Backbone
from perception.models.semantic.encoder_decoder import EncoderDecoder
from perception.taxonomy import LabelSet


class FCN(EncoderDecoder):
    """FCN-32s, -16s and -8s: scores of ``fc7``, joined with scores of earlier pools by transposed convolutions.

    Paper: Fully Convolutional Networks for Semantic Segmentation - arXiv 1411.4038. Departure: the image is padded
    to a multiple of 32 and ``fc6`` keeps the size, instead of 100 pixels around the image.

    Args:
        stride_of_scores: 32, 16 or 8: where the scores are brought up to the image from.
        hidden_channels: of ``fc6`` and ``fc7``.
        options: of :class:`EncoderDecoder`; the backbone is a VGG of timm.
    """

    def __init__(
        self,
        label_set: LabelSet,
        stride_of_scores: int,
        backbone: str = "vgg16",
        hidden_channels: int = 4096,
        **options: Any,
    ) -> None:
        _require_vgg(backbone)
        if stride_of_scores not in (8, 16, 32):
            raise InputError(f"stride_of_scores {stride_of_scores} must be 8, 16 or 32")
        super().__init__(label_set, backbone, **options)
        classes, channels = self.num_classes, self.backbone.channels
        self.pools = [level for level, stride in ((3, 16), (2, 8)) if stride >= stride_of_scores]
        self.head = nn.ModuleDict(
            {
                "fc": _fully_connected(channels[-1], hidden_channels, 7, 1),
                "score": nn.Conv2d(hidden_channels, classes, 1),
                "pool_scores": nn.ModuleList(nn.Conv2d(channels[level], classes, 1) for level in self.pools),
                "doublings": nn.ModuleList(_bilinear(classes, 2) for _ in self.pools),
                "up": _bilinear(classes, stride_of_scores),
            }
        )

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = self.backbone(image)
        head: Any = self.head
        scores = head["score"](head["fc"](maps[-1]))
        for level, score, double in zip(self.pools, head["pool_scores"], head["doublings"], strict=True):
            scores = double(scores) + score(F.max_pool2d(maps[level], 2))
        return head["up"](scores), []


class DeepLabV1(EncoderDecoder):
    """DeepLab v1 LargeFOV: VGG at output stride 8, whose ``fc6`` reads far through dilation 12; logits at stride 8.

    Paper: Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs - arXiv 1412.7062.

    Args:
        hidden_channels: of ``fc6`` and ``fc7``.
        dilation: of ``fc6``.
        options: of :class:`EncoderDecoder`; the backbone is a VGG of timm.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str = "vgg16",
        hidden_channels: int = 1024,
        dilation: int = 12,
        **options: Any,
    ) -> None:
        _require_vgg(backbone)
        super().__init__(label_set, backbone, **options)
        keep_last_strides(self.backbone)
        self.head = nn.Sequential(
            *_fully_connected(self.backbone.channels[-1], hidden_channels, 3, dilation),
            nn.Conv2d(hidden_channels, self.num_classes, 1),
        )

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.head(self.backbone(image)[-1]), []


def keep_last_strides(vgg: Backbone) -> None:
    """Turn a VGG of stride 32 into one of stride 8: 3x3 pools, the last two of stride 1, and dilated ``conv5``."""
    pools = 0
    for layer in vgg.features.modules():
        if isinstance(layer, nn.MaxPool2d):
            pools += 1
            layer.kernel_size, layer.padding = 3, 1
            if pools > 3:
                layer.stride = 1
        elif isinstance(layer, nn.Conv2d) and pools >= 4:
            layer.dilation = layer.padding = (2, 2)
    vgg.reductions = [min(reduction, 8) for reduction in vgg.reductions]


def _require_vgg(backbone: str) -> None:
    if not backbone.startswith("vgg"):
        raise InputError(f"this system stands on a vgg* backbone of timm, not {backbone!r}; see fcn_resnet50")


def _fully_connected(in_channels: int, hidden: int, kernel: int, dilation: int) -> nn.Sequential:
    padding = kernel // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden, kernel, 1, padding, dilation),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )


def _bilinear(classes: int, factor: int) -> nn.ConvTranspose2d:
    """A transposed convolution that starts as bilinear upsampling of each class by itself."""
    conv = nn.ConvTranspose2d(classes, classes, 2 * factor, factor, factor // 2, bias=False)
    place = torch.arange(2 * factor)
    ramp = 1 - (place - (factor - 0.5)).abs() / factor
    weight = torch.eye(classes)[:, :, None, None] * (ramp[:, None] * ramp)
    with torch.no_grad():
        conv.weight.copy_(weight)
    return conv

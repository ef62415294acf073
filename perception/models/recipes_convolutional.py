"""Convolutional systems of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from perception.models.base import PerceptionModel
from perception.models.recipe import Recipe
from perception.models.semantic.encoder_decoder import BackboneUNet, DeepLabV3Plus, HRNetV2, SemanticFPN
from perception.models.semantic.torchvision import TorchvisionSegmentation
from perception.models.semantic.unet import UNet
from perception.models.semantic.vgg import FCN, DeepLabV1

FCN_PAPER = "Fully Convolutional Networks for Semantic Segmentation - arXiv 1411.4038"
DEEPLAB_V1_PAPER = "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs - arXiv 1412.7062"
DEEPLAB_V3_PAPER = "Rethinking Atrous Convolution for Semantic Image Segmentation - arXiv 1706.05587"
DEEPLAB_V3PLUS_PAPER = (
    "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation - arXiv 1802.02611"
)
UNET_PAPER = "U-Net: Convolutional Networks for Biomedical Image Segmentation - arXiv 1505.04597"
SEMANTIC_FPN_PAPER = "Panoptic Feature Pyramid Networks - arXiv 1901.02446"
HRNET_PAPER = "Deep High-Resolution Representation Learning for Visual Recognition - arXiv 1908.07919"
OCR_PAPER = "Object-Contextual Representations for Semantic Segmentation - arXiv 1909.11065"
LRASPP_PAPER = "Searching for MobileNetV3 - arXiv 1905.02244"


def _semantic(build: Callable[..., PerceptionModel], backbone: str, paper: str, **defaults: Any) -> Recipe:
    return Recipe(build, "semantic", backbone, paper, {"backbone": backbone, **defaults})


def _torchvision(name: str, backbone: str, paper: str) -> Recipe:
    return Recipe(partial(TorchvisionSegmentation, name=name), "semantic", backbone, paper)


CONVOLUTIONAL_RECIPES: dict[str, Recipe] = {
    "fcn32s_vgg16": _semantic(FCN, "vgg16", FCN_PAPER, stride_of_scores=32),
    "fcn16s_vgg16": _semantic(FCN, "vgg16", FCN_PAPER, stride_of_scores=16),
    "fcn8s_vgg16": _semantic(FCN, "vgg16", FCN_PAPER, stride_of_scores=8),
    "fcn_resnet50": _torchvision("fcn_resnet50", "resnet50", FCN_PAPER),
    "deeplabv1_largefov_vgg16": _semantic(DeepLabV1, "vgg16", DEEPLAB_V1_PAPER),
    "deeplabv3_resnet50": _torchvision("deeplabv3_resnet50", "resnet50", DEEPLAB_V3_PAPER),
    "deeplabv3plus_resnet50": _semantic(DeepLabV3Plus, "resnet50", DEEPLAB_V3PLUS_PAPER),
    "deeplabv3plus_xception65": _semantic(DeepLabV3Plus, "xception65", DEEPLAB_V3PLUS_PAPER),
    "deeplabv3plus_mobilenetv3_large": _semantic(DeepLabV3Plus, "mobilenetv3_large_100", DEEPLAB_V3PLUS_PAPER),
    "unet": Recipe(UNet, "semantic", "unet", UNET_PAPER),
    "unet_resnet18": _semantic(BackboneUNet, "resnet18", UNET_PAPER),
    # with the stem of three 3x3 convolutions, in which the figures of this system are published
    "semantic_fpn_resnet50": _semantic(SemanticFPN, "resnet50c", SEMANTIC_FPN_PAPER),
    "hrnetv2_w18": _semantic(HRNetV2, "hrnet_w18", HRNET_PAPER),
    "hrnetv2_w48": _semantic(HRNetV2, "hrnet_w48", HRNET_PAPER),
    "hrnetv2_w48_ocr": _semantic(HRNetV2, "hrnet_w48", OCR_PAPER, ocr=True),
    "lraspp_mobilenetv3_large": _torchvision("lraspp_mobilenetv3_large", "mobilenetv3_large_100", LRASPP_PAPER),
    "lraspp_mobilenetv3_small": _torchvision("lraspp_mobilenetv3_small", "mobilenetv3_small_100", LRASPP_PAPER),
    "lraspp_shufflenetv2_x1_0": _torchvision("lraspp_shufflenetv2_x1_0", "shufflenet_v2_x1_0", LRASPP_PAPER),
}

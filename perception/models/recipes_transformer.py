"""Transformer systems of the zoo."""

from __future__ import annotations

from perception.models.recipe import Recipe
from perception.models.rtdetr import RTDetr
from perception.models.semantic.mask2former import Mask2Former
from perception.models.semantic.segformer import SegFormer
from perception.models.semantic.segmenter import Segmenter
from perception.models.semantic.setr import SETR


def _setr(decoder: str) -> Recipe:
    paper = (
        "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with Transformers - arXiv 2012.15840"
    )
    return Recipe(SETR, "semantic", "vit_large_patch16_384", paper, {"decoder": decoder})


def _segmenter(decoder: str, size: str, image_size: int = 512) -> Recipe:
    backbone = f"vit_{size}_patch16_384"
    defaults = {"decoder": decoder, "backbone": backbone, "image_size": image_size}
    return Recipe(
        Segmenter, "semantic", backbone, "Segmenter: Transformer for Semantic Segmentation - arXiv 2105.05633", defaults
    )


def _mask2former(backbone: str) -> Recipe:
    paper = "Masked-attention Mask Transformer for Universal Image Segmentation - arXiv 2112.01527"
    return Recipe(Mask2Former, "semantic", backbone, paper, {"backbone": backbone})


def _segformer(variant: str) -> Recipe:
    paper = "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers - arXiv 2105.15203"
    return Recipe(SegFormer, "semantic", f"mit_{variant}", paper, {"variant": variant})


def _rtdetr(backbone: str) -> Recipe:
    paper = "DETRs Beat YOLOs on Real-time Object Detection - arXiv 2304.08069"
    return Recipe(RTDetr, "detection", backbone, paper, {"backbone": backbone})


TRANSFORMER_RECIPES: dict[str, Recipe] = {
    "setr_naive_vit_large": _setr("naive"),
    "setr_pup_vit_large": _setr("pup"),
    "setr_mla_vit_large": _setr("mla"),
    "segmenter_linear_vit_base": _segmenter("linear", "base"),
    "segmenter_mask_vit_tiny": _segmenter("mask", "tiny"),
    "segmenter_mask_vit_small": _segmenter("mask", "small"),
    "segmenter_mask_vit_base": _segmenter("mask", "base"),
    "segmenter_mask_vit_large": _segmenter("mask", "large", 640),
    "mask2former_resnet50": _mask2former("resnet50"),
    "mask2former_swin_tiny": _mask2former("swin_tiny"),
    "mask2former_swin_small": _mask2former("swin_small"),
    "mask2former_swin_base": _mask2former("swin_base"),
    "mask2former_swin_large": _mask2former("swin_large"),
    "segformer_b0": _segformer("b0"),
    "segformer_b2": _segformer("b2"),
    "segformer_b5": _segformer("b5"),
    "rtdetr_resnet18": _rtdetr("resnet18"),
    "rtdetr_resnet50": _rtdetr("resnet50"),
}

"""Options that make models of the zoo small enough for a quick test, through the same code."""

from __future__ import annotations

from typing import Any

from tiny_fusion import SMALL

from perception.models.recipes_transformer import TRANSFORMER_RECIPES

VGG: dict[str, Any] = {"backbone": "vgg11", "hidden_channels": 8}
RESNET: dict[str, Any] = {"backbone_options": {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 32)}, "channels": 16}
CONVOLUTIONAL: dict[str, dict[str, Any]] = {
    "fcn32s_vgg16": VGG,
    "fcn16s_vgg16": VGG,
    "fcn8s_vgg16": VGG,
    "deeplabv1_largefov_vgg16": VGG,
    "deeplabv3plus_resnet50": RESNET,
    "deeplabv3plus_xception65": {"backbone": "xception41", "channels": 16},
    "deeplabv3plus_mobilenetv3_large": {"channels": 16},
    "unet": {"width": 4},
    "unet_resnet18": {"backbone_options": {"channels": [4, 8, 8, 8]}},
    "semantic_fpn_resnet50": RESNET,
    "hrnetv2_w18": {"backbone": "hrnet_w18_small"},
    "hrnetv2_w48": {"backbone": "hrnet_w18_small"},
    "hrnetv2_w48_ocr": {"backbone": "hrnet_w18_small", "channels": 16, "key_channels": 8},
    "lraspp_mobilenetv3_large": {},
    "lraspp_mobilenetv3_small": {},
    "lraspp_shufflenetv2_x1_0": {},
}

VIT = {"embed_dim": 64, "depth": 4, "num_heads": 2}
SETR: dict[str, Any] = {"image_size": 64, "taps": (1, 2, 3, 4), "channels": 16, "vit_options": VIT}
SEGMENTER: dict[str, Any] = {"image_size": 64, "drop_path": 0.0, "vit_options": VIT}
QUERIES: dict[str, Any] = {
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_queries": 20,
    "train_num_points": 400,
}
SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "drop_path_rate": 0.0}
SEGFORMER = {"hidden_sizes": [8, 16, 40, 64], "depths": [1, 1, 2, 1], "decoder_hidden_size": 16, "drop_path_rate": 0.0}
RTDETR: dict[str, Any] = {
    "config": {
        "d_model": 32,
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 32,
        "encoder_in_channels": [8, 16, 16],
        "decoder_in_channels": [32, 32, 32],
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "num_queries": 30,
    },
    "backbone_options": {
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
}


def reduced_transformer(name: str) -> dict[str, Any]:
    if name.startswith("setr"):
        return SETR | ({"head_channels": 8} if "mla" in name else {})
    if name.startswith("segmenter"):
        return SEGMENTER
    if name == "mask2former_resnet50":
        return {"config": QUERIES, "backbone_options": {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 32)}}
    if name.startswith("mask2former"):
        return {"config": QUERIES, "backbone_options": SWIN}
    if name.startswith("rtdetr"):
        return RTDETR
    return {"config": SEGFORMER}


SLIM = {"backbone_options": {"channels": [8, 8, 8, 8]}, "channels": 8, "head_channels": 8}
EVERY: dict[str, dict[str, Any]] = {
    **CONVOLUTIONAL,
    **{name: reduced_transformer(name) for name in TRANSFORMER_RECIPES},
    "fcn_resnet50": {},
    "deeplabv3_resnet50": {},
    "multitask_resnet18_slim": SLIM,
    "multitask_resnet18_nano": SLIM | {"backbone_options": SLIM["backbone_options"] | {"space_to_depth": True}},
    "multitask_lidar_resnet18_slim": SMALL,
    "frnet_nano": {},
    "waffleiron_6_64": {},
}

"""Names to models. A recipe is a plain entry of one dictionary; nothing registers itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from perception.errors import InputError
from perception.models.fusion import FusionModel
from perception.models.lidar.base import LidarModel
from perception.models.lidar.frnet import FRNet
from perception.models.lidar.waffleiron import WaffleIron
from perception.models.multitask import MultiTaskModel
from perception.models.recipe import Recipe
from perception.models.recipes_convolutional import CONVOLUTIONAL_RECIPES
from perception.models.recipes_transformer import TRANSFORMER_RECIPES
from perception.taxonomy import LIDARSEG, SEMANTIC_KITTI, LabelSet, get_label_set, label_set_reference
from perception.types import PointBatch

LIDAR_POINTS = 34_000
"""Points at which multiply-accumulates of LiDAR models are counted: a nuScenes sweep."""

FPN_PAPER = "Feature Pyramid Networks for Object Detection - arXiv 1612.03144"

SLIM_RESNET18 = {"channels": (32, 64, 128, 192)}
"""Widths of the CPU-sized backbone. Dense 3x3 convolutions at these widths run faster on a CPU than
depthwise ones with a tenth of the operations."""


def _multitask(backbone: str, **defaults: Any) -> Recipe:
    return Recipe(partial(MultiTaskModel, backbone=backbone), "multitask", backbone, FPN_PAPER, defaults)


def _frnet(label_set: LabelSet, **defaults: Any) -> Recipe:
    paper = "FRNet: Frustum-Range Networks for Scalable LiDAR Segmentation - arXiv 2312.04484"
    return Recipe(FRNet, "lidar", "frustum_range", paper, defaults, label_set)


def _fusion(backbone: str, lidar: Callable[..., LidarModel], **defaults: Any) -> Recipe:
    paper = "FRNet: Frustum-Range Networks for Scalable LiDAR Segmentation - arXiv 2312.04484"
    return Recipe(partial(FusionModel, backbone=backbone, lidar=lidar), "fusion", backbone, paper, defaults)


def _waffleiron(depth: int, channels: int, label_set: LabelSet = LIDARSEG, **defaults: Any) -> Recipe:
    paper = "Using a Waffle Iron for Automotive Point Cloud Semantic Segmentation - arXiv 2301.10100"
    options = {"depth": depth, "channels": channels, **defaults}
    return Recipe(WaffleIron, "lidar", "waffleiron", paper, options, label_set)


FRNET_NANO: dict[str, Any] = {
    "encoder": (32, 48, 64),
    "embedding": 64,
    "stem": (32, 48),
    "channels": (48, 64, 96),
    "blocks": (1, 2, 2),
    "strides": (2, 2, 2),
    "join": (64, 64),
    "join_kernels": (1, 3),
    "fusion_kernel": 1,
}
"""Sizes for two CPU cores. Most work at the full grid is in 1x1 convolutions; 3x3 ones run at half of it and below."""

SEMANTIC_KITTI_SENSOR = {"grid": (64, 512), "elevation_deg": (3.0, -25.0), "intensity_scale": 1.0}

RESNET18_SLIM: dict[str, Any] = {
    "channels": 64,
    "head_channels": {"semantic": 64, "drivable": 24, "lane": 24, "detection": 32},
    "backbone_options": SLIM_RESNET18,
}

RESNET18_NANO: dict[str, Any] = {
    "channels": 48,
    "head_channels": {"semantic": 32, "drivable": 16, "lane": 16, "detection": 32},
    "backbone_options": {
        "channels": (32, 48, 96, 160),
        "layers": (1, 2, 2, 2),
        "stem_type": "deep",  # whose norm is as wide as the first stage
        "stem_width": 16,
        "space_to_depth": True,
    },
}
"""For 8-bit inference on two CPU cores at the camera's pace: as little as possible happens at strides below 8."""

ZOO: dict[str, Recipe] = {
    "multitask_resnet18_nano": _multitask("resnet18", **RESNET18_NANO),
    "multitask_resnet18_slim": _multitask("resnet18", **RESNET18_SLIM),
    "multitask_mobilenetv4_small": _multitask("mobilenetv4_conv_small", channels=64, head_channels=32),
    "multitask_resnet18": _multitask("resnet18"),
    "multitask_resnet50": _multitask("resnet50", channels=256, head_channels=128),
    "multitask_swin_tiny": _multitask("swin_tiny_patch4_window7_224", channels=256, head_channels=128),
    "multitask_lidar_resnet18_slim": _fusion("resnet18", partial(FRNet, **FRNET_NANO), **RESNET18_SLIM),
    "multitask_lidar_resnet50": _fusion("resnet50", FRNet, channels=256, head_channels=128),
    **CONVOLUTIONAL_RECIPES,
    **TRANSFORMER_RECIPES,
    "frnet_nuscenes": _frnet(LIDARSEG),
    "frnet_semantic_kitti": _frnet(SEMANTIC_KITTI, **SEMANTIC_KITTI_SENSOR),
    "frnet_nano": _frnet(LIDARSEG, **FRNET_NANO),
    "waffleiron_48_384": _waffleiron(48, 384),
    "waffleiron_48_256": _waffleiron(
        48, 256, SEMANTIC_KITTI, cell_m=0.4, high_m=(50.0, 50.0, 3.0), intensity_scale=1.0
    ),
    "waffleiron_12_256": _waffleiron(12, 256, voxel_m=0.0, drop=0.0),
    "waffleiron_6_64": _waffleiron(6, 64, voxel_m=0.0, drop=0.0),
}


def list_models(kind: str | None = None) -> list[str]:
    """Names that :func:`create_model` takes.

    >>> list_models("detection")
    ['rtdetr_resnet18', 'rtdetr_resnet50']

    Raises:
        InputError: for a kind that no model is of.
    """
    kinds = sorted({recipe.kind for recipe in ZOO.values()})
    if kind is not None and kind not in kinds:
        raise InputError(f"unknown kind {kind!r}; use one of {', '.join(kinds)}")
    return sorted(name for name, recipe in ZOO.items() if kind in (None, recipe.kind))


def create_model(name: str, label_set: str | dict[str, Any] | LabelSet | None = None, **options: Any) -> Any:
    """Build a model of the zoo with random weights, or with a pretrained backbone.

    Args:
        name: one of :func:`list_models`.
        label_set: what the outputs mean; a :class:`LabelSet`, or what :func:`get_label_set` takes. The default is that
            of the data set which the model was published on, and ``road_scene`` for camera models.
        options: ``num_classes`` for all, ``heads``, ``pretrained``, ``in_channels`` for camera models; others by
            kind, see :class:`MultiTaskModel`, :class:`SemanticModel`, :class:`FRNet` and :class:`WaffleIron`.

    Returns:
        A :class:`PerceptionModel`, or a :class:`LidarModel` for the kind ``lidar``.

    Raises:
        InputError: for an unknown name or option.
    """
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else f"; the zoo has {', '.join(list_models())}"
        raise InputError(f"unknown model {name!r}{hint}")
    recipe = ZOO[name]
    labels = get_label_set(label_set) if isinstance(label_set, str | dict) else label_set or recipe.label_set
    try:
        model = recipe.build(labels, **{**recipe.defaults, **options})
    except TypeError as error:
        raise InputError(f"model {name} does not take these options: {error}") from error
    # The weights come from what was trained, so a rebuilt model never looks for a pretrained backbone again.
    kept = {key: value for key, value in options.items() if key != "pretrained"}
    model.recipe = {"name": name, "label_set": label_set_reference(labels), "options": kept}
    return model


def describe(name: str, size: tuple[int, int] = (512, 1024)) -> dict[str, Any]:
    """Facts of a zoo member: kind, backbone, parameters, and multiply-accumulates of one input in GMACs.

    The input is an image, for LiDAR models a sweep of :data:`LIDAR_POINTS` points, none of which share a voxel, and
    for those of both an image and a sweep.
    Convolutions and matrix products are counted; the model is built without memory for its weights.
    """
    recipe = ZOO[name]
    picture, points = recipe.kind != "lidar", recipe.kind in ("lidar", "fusion")
    whole: dict[str, Any] = {"voxel_m": 0.0} if recipe.build is WaffleIron else {}
    with torch.device("meta"):
        model = create_model(name, **whole).eval().to("meta")
        samples: list[Any] = [torch.empty(1, 3, *size)] if picture else []
        if points:
            samples.append(_meta_sweep(LIDAR_POINTS))
    shown = [f"{size[0]}x{size[1]}"] if picture else []
    return {
        "name": name,
        "kind": recipe.kind,
        "backbone": recipe.backbone,
        "heads": [*(model.head_names if picture else []), *(["lidar"] if points else [])],
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "gmacs": round(count_macs(model, *samples) / 1e9, 2),
        "size": " and ".join([*shown, *([f"{LIDAR_POINTS} points"] if points else [])]),
        "paper": recipe.paper,
    }


def count_macs(model: nn.Module, *samples: Any) -> float:
    """Multiply-accumulates of the convolutions and matrix products of one forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*samples)
    return counter.get_total_flops() / 2


def _meta_sweep(points: int) -> PointBatch:
    """The shapes of one sweep, with neighbours enough for any model."""
    cloud = torch.empty(points, dtype=torch.int64)
    neighbours = torch.empty(points, 17, dtype=torch.int64)
    image, pixel = torch.empty(points, dtype=torch.int64), torch.empty(points, 2)
    return PointBatch(torch.empty(points, 5), cloud, 1, neighbours=neighbours, image=image, pixel=pixel)

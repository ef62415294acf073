"""Names to models. A recipe is a plain entry of one dictionary; nothing registers itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from perception.errors import InputError
from perception.models.base import PerceptionModel
from perception.models.multitask import MultiTaskModel
from perception.models.torchvision_models import TorchvisionSegmentation
from perception.taxonomy import ROAD_SCENE, LabelSet, get_label_set


@dataclass(frozen=True)
class Recipe:
    """How a zoo member is built, and what is known about it."""

    build: Callable[..., PerceptionModel]
    kind: str
    backbone: str
    paper: str
    defaults: dict[str, Any] = field(default_factory=dict)


FPN_PAPER = "Feature Pyramid Networks for Object Detection - arXiv 1612.03144"

SLIM_RESNET18 = {"channels": (32, 64, 128, 192)}
"""Widths of the CPU-sized backbone. Dense 3x3 convolutions at these widths run faster on a CPU than
depthwise ones with a tenth of the operations."""


def _multitask(backbone: str, **defaults: Any) -> Recipe:
    return Recipe(partial(MultiTaskModel, backbone=backbone), "multitask", backbone, FPN_PAPER, defaults)


def _torchvision(name: str, backbone: str, paper: str) -> Recipe:
    return Recipe(partial(TorchvisionSegmentation, name=name), "semantic", backbone, paper)


ZOO: dict[str, Recipe] = {
    "multitask_resnet18_slim": _multitask(
        "resnet18",
        channels=64,
        head_channels={"semantic": 64, "drivable": 24, "lane": 24, "detection": 32},
        backbone_options=SLIM_RESNET18,
    ),
    "multitask_mobilenetv4_small": _multitask("mobilenetv4_conv_small", channels=64, head_channels=32),
    "multitask_resnet18": _multitask("resnet18"),
    "multitask_resnet50": _multitask("resnet50", channels=256, head_channels=128),
    "multitask_swin_tiny": _multitask("swin_tiny_patch4_window7_224", channels=256, head_channels=128),
    "lraspp_mobilenetv3_large": _torchvision(
        "lraspp_mobilenetv3_large", "mobilenetv3_large_100", "Searching for MobileNetV3 - arXiv 1905.02244"
    ),
    "fcn_resnet50": _torchvision(
        "fcn_resnet50", "resnet50", "Fully Convolutional Networks for Semantic Segmentation - arXiv 1411.4038"
    ),
    "deeplabv3_resnet50": _torchvision(
        "deeplabv3_resnet50",
        "resnet50",
        "Rethinking Atrous Convolution for Semantic Image Segmentation - arXiv 1706.05587",
    ),
}


def list_models(kind: str | None = None) -> list[str]:
    """Names that :func:`create_model` takes.

    >>> list_models("semantic")
    ['deeplabv3_resnet50', 'fcn_resnet50', 'lraspp_mobilenetv3_large']

    Raises:
        InputError: for a kind that no model is of.
    """
    kinds = sorted({recipe.kind for recipe in ZOO.values()})
    if kind is not None and kind not in kinds:
        raise InputError(f"unknown kind {kind!r}; use one of {', '.join(kinds)}")
    return sorted(name for name, recipe in ZOO.items() if kind in (None, recipe.kind))


def create_model(name: str, label_set: str | LabelSet = ROAD_SCENE, **options: Any) -> PerceptionModel:
    """Build a model of the zoo with random weights, or with a pretrained backbone.

    Args:
        name: one of :func:`list_models`.
        label_set: what the outputs mean; a name or a :class:`LabelSet`.
        options: ``num_classes``, ``heads``, ``pretrained``, ``in_channels`` for all; others by kind, see
            :class:`MultiTaskModel` and :class:`TorchvisionSegmentation`.

    Raises:
        InputError: for an unknown name or option.
    """
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else f"; the zoo has {', '.join(list_models())}"
        raise InputError(f"unknown model {name!r}{hint}")
    recipe = ZOO[name]
    labels = get_label_set(label_set) if isinstance(label_set, str) else label_set
    try:
        model = recipe.build(labels, **{**recipe.defaults, **options})
    except TypeError as error:
        raise InputError(f"model {name} does not take these options: {error}") from error
    # The weights come from what was trained, so a rebuilt model never looks for a pretrained backbone again.
    kept = {key: value for key, value in options.items() if key != "pretrained"}
    model.recipe = {"name": name, "label_set": labels.name, "options": kept}
    return model


def describe(name: str, size: tuple[int, int] = (512, 1024)) -> dict[str, Any]:
    """Facts of a zoo member: kind, backbone, parameters, and multiply-accumulates of one image in GMACs.

    Convolutions and matrix products are counted; the model is built without memory for its weights.
    """
    from torch.utils.flop_counter import FlopCounterMode

    recipe = ZOO[name]
    with torch.device("meta"):
        model = create_model(name).eval()
        image = torch.empty(1, 3, *size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image)
    return {
        "name": name,
        "kind": recipe.kind,
        "backbone": recipe.backbone,
        "heads": list(model.head_names),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "gmacs": round(counter.get_total_flops() / 2e9, 2),
        "size": f"{size[0]}x{size[1]}",
        "paper": recipe.paper,
    }

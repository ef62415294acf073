"""Published weights: the Hugging Face hub, torchvision's segmentation networks, and models to hand on with a card.

:func:`perception.load` takes everything that is here by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from perception.errors import InputError, require
from perception.files import atomic_path
from perception.models.base import PerceptionModel
from perception.models.checkpoint import load_weights, save
from perception.models.lidar.base import LidarModel
from perception.models.zoo import ZOO, create_model

CARD = "README.md"

CARD_SECTIONS = ("data", "training", "figures", "limits", "licence")
"""What a card says beside what the model itself knows."""

TORCHVISION = "torchvision:"
"""Prefix of the names of torchvision's checkpoints, such as ``torchvision:deeplabv3_resnet50``."""

TORCHVISION_BUILDERS = {
    "fcn_resnet50": "fcn_resnet50",
    "deeplabv3_resnet50": "deeplabv3_resnet50",
    "lraspp_mobilenetv3_large": "lraspp_mobilenet_v3_large",
}
"""Zoo name to torchvision's."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")

FILE_ENDINGS = (".ckpt", ".pth", ".pt", ".safetensors", ".onnx", ".xml", ".engine")


def is_hub_id(spec: str) -> bool:
    """Whether a name has the form of a hub id: ``owner/name``, or ``owner/name@revision``.

    >>> is_hub_id("nvidia/segformer-b0-finetuned-cityscapes-1024-1024"), is_hub_id("./runs/model")
    (True, False)
    """
    return HUB_ID.fullmatch(spec) is not None and not spec.endswith(FILE_ENDINGS)


def download(spec: str) -> Path:
    """Folder with the configuration and the safetensors of a model on the hub; nothing else is fetched.

    Raises:
        InputError: if there is no such model, or the hub cannot be reached.
    """
    hub = require("huggingface_hub", "hub")
    name, _, revision = spec.partition("@")
    try:
        folder = hub.snapshot_download(name, revision=revision or None, allow_patterns=["*.json", "*.safetensors"])
    except Exception as error:  # the hub's client has errors of its own, beside those of the network
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{spec} is no folder here, and cannot be had from the hub: {reason}") from error
    return Path(folder)


def load_torchvision(spec: str, file: str | Path | None = None) -> PerceptionModel:
    """A torchvision segmentation network with its published weights (COCO images, the 21 classes of VOC).

    Args:
        spec: ``torchvision:`` and a zoo name of :data:`TORCHVISION_BUILDERS`.
        file: a local copy of the weights, ``.pth`` or ``.safetensors``; downloaded where left out.

    Raises:
        InputError: for another name, or weights that are missing, unsafe to read, or of another network.
    """
    name = spec.removeprefix(TORCHVISION)
    if name not in TORCHVISION_BUILDERS:
        raise InputError(f"torchvision has no weights for {name!r}; it has them for {', '.join(TORCHVISION_BUILDERS)}")
    weights = _torchvision_file(Path(file)) if file is not None else _torchvision_download(name)
    has_aux = any(key.startswith("aux_classifier.") for key in weights)
    options = {"aux": True} if has_aux else {}
    model = create_model(name, "voc", **options)
    load_weights(model, torchvision_names(model, weights), Path(spec))
    return model.eval()


def torchvision_names(model: PerceptionModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of ``model`` out of torchvision's own."""
    own = model.state_dict()
    renamed = {f"network.{key}": value for key, value in weights.items()}
    return renamed | {name: own[name] for name in ("mean", "std")}


def _torchvision_file(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"weights {path} do not exist")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle, torch or safetensors, by what is wrong
        raise InputError(f"weights {path} cannot be read safely: damaged, or more than tensors") from error


def _torchvision_download(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    weights = next(iter(get_model_weights(TORCHVISION_BUILDERS[name])))
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{TORCHVISION}{name} cannot be downloaded: {error}") from error


def save_pretrained(
    model: PerceptionModel | LidarModel,
    folder: str | Path,
    card: Mapping[str, str] | None = None,
    half: bool = False,
) -> Path:
    """Write a model as :func:`perception.models.checkpoint.save` does, with a card, to hand it on.

    The folder can be loaded with :func:`perception.load`, also after it was uploaded to the hub as it is.

    Args:
        card: text of any of :data:`CARD_SECTIONS`.
        half: see :func:`perception.models.checkpoint.save`.

    Raises:
        InputError: for a section that a card does not have.
    """
    text = model_card(model, card or {})
    folder = save(model, folder, half)
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder


def model_card(model: PerceptionModel | LidarModel, card: Mapping[str, str]) -> str:
    """Markdown with the front matter that the hub reads: what the model is, and what the sections say of it."""
    unknown = [section for section in card if section not in CARD_SECTIONS]
    if unknown:
        raise InputError(f"a model card has no section {unknown[0]!r}; it has {', '.join(CARD_SECTIONS)}")
    name = model.recipe.get("name")
    if name is None:
        raise InputError("only models made by create_model can be saved; this one has no recipe")
    recipe, labels = ZOO[name], model.label_set
    parameters = sum(parameter.numel() for parameter in model.parameters())
    heads = getattr(model, "head_names", ("lidar",))
    lines = [
        "---",
        "library_name: perception",
        f"pipeline_tag: {'object-detection' if heads == ('detection',) else 'image-segmentation'}",
        "tags:",
        *(f"- {tag}" for tag in ("driving", recipe.kind, name)),
        "---",
        "",
        f"# {name}",
        "",
        f"{parameters:,} parameters; backbone `{recipe.backbone}`; outputs: {', '.join(heads)}.",
        "",
        f"Paper: {recipe.paper}.",
        "",
        f"Label set `{labels.name}`: {', '.join(labels.classes)}.",
    ]
    if "detection" in heads:
        lines += ["", f"Boxes: {', '.join(labels.detection)}."]
    lines += ["", "```python", "import perception", "", 'model = perception.load("this folder")', "```"]
    for section in CARD_SECTIONS:
        lines += ["", f"## {section.capitalize()}", "", card.get(section, "Not stated.").strip()]
    return "\n".join(lines) + "\n"

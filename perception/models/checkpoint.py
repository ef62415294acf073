"""Saving and loading models: a folder of ours, a training checkpoint, or a name of the zoo."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perception.console import warn
from perception.errors import InputError
from perception.files import atomic_path, write_json
from perception.models.base import PerceptionModel
from perception.models.lidar.base import LidarModel
from perception.models.slimming import PRUNED, apply_pruning
from perception.models.zoo import ZOO, create_model

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
RECIPE_KEY = "perception_recipe"
PER_SCALE = (re.compile(r"\.norms\.\d+\."), re.compile(r"\.0\.norms\.\d+\."))
"""Part of a name that marks a norm of one scale, without and with an activation beside it."""
TRANSFORMERS_KEY = "model_type"
"""What a configuration of transformers has and a recipe of ours has not."""
OWN_PYRAMID, SHARED_PYRAMID = "detection_neck.", "neck."
"""What names of tensors of a detection head's own pyramid and of the shared one begin with."""
BOX_MAPS = ("heads.detection.box.weight", "heads.detection.box.bias")
"""Names of the tensors that a centre head's maps of boxes come from."""
MODEL_PREFIX = "model."
"""Where a training task keeps the network in its state dict."""


def save(model: PerceptionModel | LidarModel, folder: str | Path, half: bool = False) -> Path:
    """Write ``config.json`` and ``model.safetensors`` into ``folder``.

    Args:
        half: keep weights of layers in float16, which halves the file; biases, norms and their statistics stay. A
            loaded model computes in float32 again.
    """
    if not model.recipe:
        raise InputError("only models made by create_model can be saved; this one has no recipe")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / WEIGHTS) as temporary:
        weights = {key: value.detach().contiguous().cpu() for key, value in model.state_dict().items()}
        if half:
            weights = {key: value.half() if value.ndim > 1 else value for key, value in weights.items()}
        save_file(weights, temporary)
    write_json(folder / CONFIG, model.recipe)
    return folder


def load(spec: str | Path, device: str = "cpu") -> Any:
    """A model in eval mode.

    Args:
        spec: a folder written by :func:`save` or by transformers, a training checkpoint (``.ckpt``), a hub id such as
            ``nvidia/segformer-b0-finetuned-cityscapes-1024-1024``, ``torchvision:`` and the name of one of its
            segmentation networks, or a zoo name, which gives random weights and a warning.
        device: where the weights go.

    Raises:
        InputError: if there is no such model, a file is damaged, or its weights are of another model.
    """
    from perception.models import pretrained

    path = Path(spec)
    if path.is_dir():
        recipe = _read_recipe(path)
        if TRANSFORMERS_KEY in recipe:
            from perception.models.pretrained_transformers import read_checkpoint

            return read_checkpoint(path).to(device)
        weights = _read_folder(path)[1]
    elif path.is_file():
        recipe, weights = _read_checkpoint(path)
    elif str(spec) in ZOO:
        warn(f"{spec} is a zoo name: its weights are random, so its predictions mean nothing")
        return create_model(str(spec)).eval().to(device)
    elif str(spec).startswith(pretrained.TORCHVISION):
        return pretrained.load_torchvision(str(spec)).to(device)
    elif pretrained.is_hub_id(str(spec)):
        return load(pretrained.download(str(spec)), device)
    else:
        raise InputError(f"no model {str(spec)!r}: not a folder, not a checkpoint, and not among {', '.join(ZOO)}")
    model = build(recipe, path)
    load_weights(model, weights, path)
    return model.eval().to(device)


def build(recipe: dict[str, Any], path: Path) -> Any:
    try:
        model = create_model(recipe["name"], recipe["label_set"], **recipe["options"])
    except KeyError as error:
        raise InputError(f"model file {path} lacks {error} in its recipe") from error
    if PRUNED in recipe:
        apply_pruning(model, recipe[PRUNED])
    return model


def read_weights(spec: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Recipe and state dict of a saved folder or a checkpoint, for fine-tuning; transformers' have no recipe."""
    path = Path(spec)
    if not path.exists():
        raise InputError(f"weights {path} do not exist")
    if path.is_dir() and TRANSFORMERS_KEY in _read_recipe(path):
        from perception.models.pretrained_transformers import read_checkpoint

        return {}, read_checkpoint(path).state_dict()
    return (_read_folder if path.is_dir() else _read_checkpoint)(path)


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    missing = [key for key in own if key not in weights]
    extra = [key for key in weights if key not in own]
    differing = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if missing or extra or differing:
        first = (missing or extra or differing)[0]
        raise InputError(
            f"{path} holds the weights of another model: {len(missing)} missing, {len(extra)} unknown and "
            f"{len(differing)} of other shape, first {first}; build the model it was trained as, or fine-tune "
            "from it with init_from"
        )
    model.load_state_dict(weights)


def load_matching(model: nn.Module, weights: dict[str, Tensor]) -> tuple[int, list[str]]:
    """Copy the weights whose name and shape agree, as when fine-tuning onto another class count.

    Norms per scale that the weights lack start from the plain norm of the same place, a detection head's own
    pyramid from the shared one, and its further maps of boxes from the only one.

    Returns:
        How many tensors were copied, and the names of those of ``model`` that were not.
    """
    own = model.state_dict()
    chosen = {}
    for key, value in own.items():
        found = next((weights[name] for name in _sources(key) if name in weights), None)
        if found is not None and key in BOX_MAPS:
            found = found.repeat(len(value) // len(found), *(1 for _ in value.shape[1:]))
        if found is not None and found.shape == value.shape:
            chosen[key] = found
    model.load_state_dict(chosen, strict=False)
    return len(chosen), [key for key in own if key not in chosen]


def _sources(key: str) -> list[str]:
    """Names of weights that a tensor may start from, the best first."""
    places = [key]
    if key.startswith(OWN_PYRAMID):
        places.append(SHARED_PYRAMID + key.removeprefix(OWN_PYRAMID))
    return [name for place in places for name in (place, *(pattern.sub(".", place) for pattern in PER_SCALE))]


def _read_recipe(folder: Path) -> dict[str, Any]:
    try:
        recipe = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"folder {folder} has no {CONFIG}; it is not a saved model") from None
    except ValueError as error:
        raise InputError(f"{folder / CONFIG} is not JSON: {error}") from None
    if not isinstance(recipe, dict):
        raise InputError(f"{folder / CONFIG} is not a description of a model")
    return recipe


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    recipe = _read_recipe(folder)
    try:
        return recipe, load_file(folder / WEIGHTS)
    except FileNotFoundError:
        raise InputError(f"folder {folder} has no {WEIGHTS}") from None
    except Exception as error:  # safetensors raises its own type for damaged files
        raise InputError(f"{folder / WEIGHTS} is damaged: {error}") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        # torch's own message advises to read it unsafely, so it is not repeated.
        raise InputError(
            f"checkpoint {path} cannot be read safely: it is damaged, or holds more than tensors and plain values"
        ) from error
    if not isinstance(checkpoint, dict) or RECIPE_KEY not in checkpoint:
        raise InputError(f"{path} is not a checkpoint of this library: it has no {RECIPE_KEY!r}")
    state = checkpoint["state_dict"]
    weights = {key[len(MODEL_PREFIX) :]: value for key, value in state.items() if key.startswith(MODEL_PREFIX)}
    return checkpoint[RECIPE_KEY], weights

"""Structured pruning: whole channels are taken out, so that the network is smaller and faster wherever it runs.

DepGraph: Towards Any Structural Pruning - arXiv 2301.12900, through ``torch-pruning``. Channels that must go together,
because sums or concatenations join them, are ranked and taken out together.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from perception.errors import InputError, require
from perception.models.base import PerceptionModel

PRUNED = "pruned"
"""Entry of a recipe: the lengths of tensors that pruning changed, by name and dimension."""

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def prune_channels(model: PerceptionModel, share: float, size: tuple[int, int], round_to: int = 8) -> None:
    """Take the least important channels out of each layer of a convolutional network, in place.

    A group's importance is the L2 norm of its weights. The recipe notes what changed, so saving and loading work as
    for any model. Train it afterwards: accuracy comes back with it.

    Args:
        share: of the channels of each layer that go.
        size: ``(height, width)`` of a picture to follow channels through the network with.
        round_to: channels are kept in multiples of this, which is what processors like.

    Raises:
        InputError: for a share outside of (0, 1), or a network whose channels cannot be followed.
        MissingExtra: without torch-pruning.
    """
    if not 0 < share < 1 or round_to < 1:
        raise InputError(f"share {share:g} of channels must lie between 0 and 1, and round_to {round_to} be at least 1")
    if not model.recipe:
        raise InputError("only models made by create_model can be pruned; this one has no recipe")
    name, training = model.recipe["name"], model.training
    if PRUNED in model.recipe:
        raise InputError(f"{name} is pruned already; prune the whole network by a larger share instead")
    if getattr(model, "scales", None) or any("Attention" in type(module).__name__ for module in model.modules()):
        raise InputError(f"{name} cannot be pruned: attention and norms per scale tie its channels; use a plain CNN")
    tp: Any = require("torch_pruning", "prune")
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    pruned = copy.deepcopy(model).cpu().eval().requires_grad_(True)
    before = {key: value.shape for key, value in pruned.state_dict().items()}
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            pruner = tp.pruner.BasePruner(
                pruned, image, importance=tp.importance.GroupMagnitudeImportance(p=2), pruning_ratio=share,
                round_to=round_to, ignored_layers=_last_layers(tp, pruned, image), output_transform=_tensors,
            )  # fmt: skip
            pruner.step()
    except (ArithmeticError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} cannot be pruned: its channels cannot be followed ({reason})") from error
    after = {key: value.shape for key, value in pruned.state_dict().items()}
    lengths = {key: _changed(before[key], after[key]) for key in before if before[key] != after[key]}
    if not lengths:
        raise InputError(f"share {share:g} takes no channel out of {name}; raise it, or lower round_to {round_to}")
    slim = copy.deepcopy(model).cpu().eval()
    shorten(slim, lengths)
    slim.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        outputs = [_tensors(network(image)) for network in (model.eval().cpu(), pruned, slim)]
    model.train(training)
    shapes = [[value.shape for value in each] for each in outputs]
    same = all(torch.allclose(one, other, atol=1e-4) for one, other in zip(*outputs[1:], strict=True))
    if shapes[0] != shapes[1] or not same:
        raise InputError(f"{name} cannot be pruned: its outputs depend on widths that are fixed in its code")
    apply_pruning(model, lengths)
    model.load_state_dict(pruned.state_dict())


def apply_pruning(model: PerceptionModel, lengths: dict[str, dict[str, int]]) -> None:
    """Give a model the widths that pruning left of another of its kind, in place; the weights are to be loaded.

    Args:
        lengths: new length by tensor and dimension, as in the recipe under :data:`PRUNED`.

    Raises:
        InputError: for a tensor that the model does not have, or a length above its own.
    """
    shorten(model, lengths)
    model.recipe = {**model.recipe, PRUNED: lengths}


def shorten(model: nn.Module, lengths: dict[str, dict[str, int]]) -> None:
    """Set the lengths of tensors, and what their layers say of them."""
    modules = dict(model.named_modules())
    for key, changes in lengths.items():
        path, _, name = key.rpartition(".")
        tensor = getattr(modules.get(path), name, None)
        shape = list(tensor.shape) if isinstance(tensor, Tensor) else []
        for dim, length in changes.items():
            if not dim.isdigit() or int(dim) >= len(shape) or not 0 < length <= shape[int(dim)]:
                raise InputError(f"pruned {key}: dimension {dim} of length {length} is not part of this model")
            shape[int(dim)] = length
        assert isinstance(tensor, Tensor)
        value = tensor.new_empty(shape)
        if isinstance(tensor, nn.Parameter):
            setattr(modules[path], name, nn.Parameter(value, requires_grad=tensor.requires_grad))
        else:
            modules[path].register_buffer(name, value)
    for module in {key.rpartition(".")[0]: modules[key.rpartition(".")[0]] for key in lengths}.values():
        _follow(module)


def _follow(module: Any) -> None:
    """Make what a layer says of its widths agree with its weights."""
    if isinstance(module, nn.Conv2d):
        if 1 < module.groups == module.in_channels:  # depthwise
            module.groups = module.weight.shape[0] // (module.out_channels // module.in_channels)
        module.out_channels, module.in_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
    elif isinstance(module, nn.ConvTranspose2d):
        module.in_channels, module.out_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.num_features = module.weight.shape[0]
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = module.weight.shape[0]
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)


def _last_layers(tp: Any, model: nn.Module, image: Tensor) -> list[nn.Module]:
    """Layers whose channels no other layer reads: those are the outputs."""
    graph = tp.DependencyGraph().build_dependency(model, image, output_transform=_tensors)
    last: list[nn.Module] = []
    for module in model.modules():
        prune = graph.get_pruner_of_module(module) if module in graph.module2node else None
        if prune is None or not isinstance(module, LAYERS):
            continue
        group = graph.get_pruning_group(module, prune.prune_out_channels, idxs=[0])
        readers = [each for each, _ in group if isinstance(each.target.module, LAYERS)]
        if not any(graph.is_in_channel_pruning_fn(each.handler) for each in readers):
            last.append(module)
    return last


def _tensors(outputs: Any) -> list[Tensor]:
    """The tensors of a model's outputs, in order, whatever holds them."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [value for each in outputs for value in _tensors(each)] if isinstance(outputs, list | tuple) else []


def _changed(before: torch.Size, after: torch.Size) -> dict[str, int]:
    return {str(dim): new for dim, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}

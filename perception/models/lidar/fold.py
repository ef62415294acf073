"""Batch norms and layer scales merged into the layers beside them, for inference."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from perception.models.lidar.layers import LayerScale


def fold(module: nn.Module) -> None:
    """Merge norms and scales of every ``nn.Sequential`` inside, in place; the module must be in eval mode.

    A norm or scale after a linear layer or convolution goes into it, and so does a norm before a linear layer. A norm
    before a padded convolution stays: padding comes after it, so no weights express both.

    Raises:
        ValueError: for a module in training mode, whose norms follow the batch.
    """
    if module.training:
        raise ValueError("a module in training mode cannot be folded; call eval() first")
    for child in module.modules():
        if isinstance(child, nn.Sequential):
            _fold_sequence(child)


def _fold_sequence(layers: nn.Sequential) -> None:
    i = 0
    while i + 1 < len(layers):
        merged = _merge(layers[i], layers[i + 1])
        if merged is None:
            i += 1
        else:
            layers[i] = merged
            del layers[i + 1]
            i = max(i - 1, 0)  # what came before may merge with the new layer


def _merge(first: nn.Module, second: nn.Module) -> nn.Module | None:
    """One layer that does what two did, or ``None``."""
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        return fuse_conv_bn_eval(first, second)
    if isinstance(first, nn.Linear) and isinstance(second, nn.BatchNorm1d):
        return fuse_linear_bn_eval(first, second)
    if isinstance(first, nn.BatchNorm1d) and isinstance(second, nn.Linear):
        scale, shift = norm_as_affine(first)
        bias = 0 if second.bias is None else second.bias
        return _linear(second.weight * scale, second.weight @ shift + bias)
    if isinstance(first, (nn.Linear, nn.Conv2d)) and isinstance(second, LayerScale):
        with torch.no_grad():
            first.weight.mul_(second.weight.view(-1, *[1] * (first.weight.ndim - 1)))
            if first.bias is not None:
                first.bias.mul_(second.weight)
        return first
    return None


def norm_as_affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """What a norm in eval mode does, ``scale * x + shift``, each ``(C,)``."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.eval()

"""Any timm model as a feature pyramid behind one contract.

timm's families differ: Swin returns NHWC maps and asserts on sizes that its patches do not divide, HRNet and
VGG reject ``output_stride`` with a bare assertion, transformers need to be told that sizes vary. Here every
backbone takes any input size and returns NCHW maps.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pad ``(..., H, W)`` at the bottom and right by repeating the edge, so that ``multiple`` divides both sizes.

    Raises:
        InputError: for an image smaller than one pixel on a side.
    """
    height, width = x.shape[-2:]
    if height < 1 or width < 1:
        raise InputError(f"image of size {height}x{width} is empty")
    below = (height + multiple - 1) // multiple * multiple - height
    right = (width + multiple - 1) // multiple * multiple - width
    if not torch.compiler.is_exporting() and not below and not right:  # a branch would hold for the traced size alone
        return x
    return F.pad(x, (0, right, 0, below), mode="replicate")


class SpaceToDepthStem(nn.Sequential):
    """Blocks of 4 x 4 pixels as channels, then a 3x3 convolution: a stem at stride 4.

    It reads 12 x 12 pixels, about what a 7x7 convolution and a 3x3 maximum do together, and computes nothing at
    stride 2, where a map takes much memory traffic.

    Paper: the focus layer of TResNet (SpaceToDepth stem) - arXiv 2003.13630.

    Shape:
        - input: ``(B, in_channels, H, W)``, both sides multiples of 4.
        - output: ``(B, out_channels, H / 4, W / 4)``
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.PixelUnshuffle(4), nn.Conv2d(16 * in_channels, out_channels, 3, padding=1, bias=False))


class Backbone(nn.Module):
    """A feature pyramid.

    Args:
        features: a timm model made with ``features_only=True``.
        channels_last_output: whether its maps are ``(B, H, W, C)``.

    Attributes:
        channels: channels of each map, fine to coarse.
        reductions: stride of each map relative to the input.

    Shape:
        - input: ``(B, in_channels, H, W)``, any size, normalised.
        - output: one ``(B, channels[i], ceil(H / S) * S / reductions[i], ...)`` per level, ``S`` the coarsest
          reduction: the input is padded to a multiple of it.
    """

    def __init__(self, features: nn.Module, channels_last_output: bool = False) -> None:
        super().__init__()
        self.features = features
        self.channels_last_output = channels_last_output
        info: Any = features.feature_info
        self.channels: list[int] = list(info.channels())
        self.reductions: list[int] = list(info.reduction())

    @property
    def stride(self) -> int:
        """What the input is padded to: a multiple of the coarsest reduction."""
        return max(self.reductions)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.features(pad_to_multiple(x, self.stride))
        if self.channels_last_output:
            maps = [level.permute(0, 3, 1, 2) for level in maps]  # (B, H, W, C) -> (B, C, H, W)
        return maps


def build_backbone(
    name: str,
    pretrained: bool | str = False,
    output_stride: int | None = None,
    in_channels: int = 3,
    space_to_depth: bool = False,
    **options: Any,
) -> Backbone:
    """A timm model as a feature pyramid.

    Args:
        name: timm model name, such as ``resnet50``, ``swin_tiny_patch4_window7_224``, ``mobilenetv4_conv_small``.
        pretrained: ``True`` downloads timm's weights; a path loads a local ``safetensors`` file of them.
        output_stride: 8 or 16 replaces the last strides by dilation, where the family supports it.
        in_channels: channels of the input image; pretrained first layers are adapted by timm.
        space_to_depth: a ResNet begins with :class:`SpaceToDepthStem` and has no map at stride 2.
        options: passed to ``timm.create_model``, such as ``channels=(32, 64, 128, 192)`` for a slim ResNet.

    Raises:
        InputError: for an unknown name, an ``output_stride`` that the family does not support, or weights that
            are missing or unsafe to read.
    """
    if not timm.is_model(name.split(".")[0]):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else "; timm.list_models() has the names"
        raise InputError(f"unknown backbone {name!r}{hint}")
    if output_stride is not None:
        options["output_stride"] = output_stride
    if isinstance(pretrained, str):
        path = Path(pretrained)
        if path.suffix != ".safetensors" or not path.is_file():
            raise InputError(f"backbone weights {pretrained} are not a readable .safetensors file")
        options["pretrained_cfg_overlay"] = {"file": str(path)}
    if name.startswith("swin"):
        options.setdefault("strict_img_size", False)
    if space_to_depth:
        if not name.startswith("resnet") or pretrained:
            raise InputError(
                f"space_to_depth replaces the first layers of a ResNet that trains from random weights, not of {name}"
                + (" with pretrained ones" if pretrained else "")
            )
        options.setdefault("out_indices", (1, 2, 3, 4))
    try:
        features = timm.create_model(
            name, features_only=True, pretrained=bool(pretrained), in_chans=in_channels, **options
        )
    except (AssertionError, TypeError, NotImplementedError, RuntimeError, AttributeError) as error:
        asked = f" with output_stride={output_stride}" if output_stride is not None else ""
        reason = str(error).splitlines()[0] if str(error) else "the family does not support it"
        raise InputError(f"backbone {name}{asked} cannot be built: {reason}") from error
    if space_to_depth:
        width = int(features.get_parameter("bn1.weight").numel())
        features.set_submodule("conv1", SpaceToDepthStem(in_channels, width))
        features.set_submodule("maxpool", nn.Identity())
    backbone = Backbone(features, "NHWC" in str(getattr(features, "output_fmt", "")))
    if output_stride is not None and backbone.stride != output_stride:
        raise InputError(
            f"backbone {name} keeps its stride of {backbone.stride}; it does not support output_stride={output_stride}"
        )
    return backbone


def freeze(module: nn.Module) -> None:
    """Stop training: no gradients, and batch norms keep their running statistics."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module.eval()

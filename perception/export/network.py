"""A model as a plain function of one picture batch, which exporters can trace."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from perception.errors import InputError
from perception.models.base import DENSE_HEADS, PerceptionModel

INPUTS = ("uint8", "float")
DECODED = (*DENSE_HEADS, "boxes", "scores", "labels")
"""Outputs of files that decode; segments of single objects are for whoever takes the raw maps."""


class ExportNetwork(nn.Module):
    """Picture bytes in, a fixed list of tensors out.

    Args:
        model: in eval mode.
        input: ``uint8`` takes 0..255, ``float`` takes 0..1; normalisation is inside either way.
        postprocess: ``semantic``, ``drivable``, ``lane`` as ``(N, H, W)`` uint8, and ``boxes`` ``(N, K, 4)``,
            ``scores``, ``labels`` ``(N, K)``; without it the logits of each head, detection as ``heatmap`` and ``box``.
        coarse: instead of masks the float32 logits that they are made of, ``(N, C, h, w)`` at the model's
            ``mask_strides``; boxes are decoded all the same.
        half: the network runs in half precision, which changes the model; its outputs are decoded in float.

    Shape:
        - input: ``(N, 3, H, W)``.
    """

    def __init__(
        self, model: PerceptionModel, input: str = "uint8", postprocess: bool = True, half: bool = False,
        coarse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if input not in INPUTS:
            raise InputError(f"unknown input {input!r}; use {' or '.join(INPUTS)}")
        self.model = model.half() if half else model
        self.half_precision = half
        self.input = input
        self.postprocess = postprocess
        self.coarse = coarse

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self._answer(image, self.coarse)

    def decoded(self, image: Tensor) -> dict[str, Tensor]:
        """What an engine over the file gives: :meth:`forward`, with masks at full size whether or not coarse."""
        return self._answer(image, False)

    def _answer(self, image: Tensor, coarse: bool) -> dict[str, Tensor]:
        pixels = image.float() / 255 if self.input == "uint8" else image
        pixels = pixels.half() if self.half_precision else pixels
        outputs = self.model.coarse(pixels) if coarse else self.model(pixels)
        if self.half_precision:
            outputs = tree_map(lambda value: value.float() if isinstance(value, Tensor) else value, outputs)
        if not self.postprocess:
            return raw_outputs(outputs)
        logits = {name: outputs.pop(name) for name in DENSE_HEADS if coarse and name in outputs}
        decoded = self.model.decode(outputs)
        return logits | {name: value for name, value in decoded.items() if name in DECODED}

    def example(self, size: tuple[int, int], batch: int = 1) -> Tensor:
        """A picture batch to trace with."""
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (batch, 3, *size), generator=generator, dtype=torch.uint8)
        return pixels if self.input == "uint8" else pixels.float() / 255


def at_one_size(network: ExportNetwork, size: tuple[int, int]) -> ExportNetwork:
    """The network, or where it resizes position embeddings a copy that has those of pictures of one size.

    Such a resize is bicubic with antialiasing, which runtimes lack: OpenVINO runs it without, and differs.
    """
    if not _resizing(network):
        return network
    network = copy.deepcopy(network)
    seen: dict[nn.Module, tuple[int, int]] = {}
    hooks = [
        module.patch_embed.register_forward_pre_hook(lambda part, inputs: seen.update({part: inputs[0].shape[-2:]}))
        for module in _resizing(network)
    ]
    with torch.no_grad():
        network(network.example(size))
    for hook in hooks:
        hook.remove()
    for module in _resizing(network):
        module.set_input_size(img_size=tuple(seen[module.patch_embed]))
    return network


def _resizing(network: nn.Module) -> list[Any]:
    """Vision transformers of timm that take any size."""
    return [
        module
        for module in network.modules()
        if getattr(module, "dynamic_img_size", False) and hasattr(module, "set_input_size")
    ]


def takes_free_size(model: nn.Module) -> bool:
    """Whether one file serves all sizes: windows and position embeddings of attention fix the traced one."""
    return not any("Attention" in type(module).__name__ for module in model.modules())


def raw_outputs(outputs: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a model's outputs in one flat dictionary."""
    flat: dict[str, Tensor] = {}
    for name, value in outputs.items():
        if isinstance(value, Tensor):
            flat[name] = value
        elif isinstance(value, dict):
            flat |= {key: part for key, part in value.items() if isinstance(part, Tensor)}
    return flat

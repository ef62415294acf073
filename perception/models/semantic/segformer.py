"""SegFormer on this library's contract; the network is transformers' own.

Paper: SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers - arXiv 2105.15203.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from perception.errors import InputError, require
from perception.models.semantic.base import SemanticModel
from perception.taxonomy import LabelSet

VARIANTS: dict[str, dict[str, Any]] = {
    "b0": {"hidden_sizes": [32, 64, 160, 256], "depths": [2, 2, 2, 2], "decoder_hidden_size": 256},
    "b1": {"hidden_sizes": [64, 128, 320, 512], "depths": [2, 2, 2, 2], "decoder_hidden_size": 256},
    "b2": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 6, 3], "decoder_hidden_size": 768},
    "b3": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 4, 18, 3], "decoder_hidden_size": 768},
    "b4": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 8, 27, 3], "decoder_hidden_size": 768},
    "b5": {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 6, 40, 3], "decoder_hidden_size": 768},
}


class SegFormer(SemanticModel):
    """A hierarchical transformer without position embeddings, and a decoder of linear layers.

    Inputs are padded to a multiple of 32; logits have a quarter of the resolution and are brought up bilinearly.

    Args:
        label_set, heads, num_classes, in_channels: see :class:`SemanticModel`.
        variant: ``b0`` to ``b5``.
        pretrained: a folder or hub id with SegFormer's or its encoder's weights as safetensors, such as
            ``nvidia/mit-b0``; ``True`` takes that of the variant.
        config: further values of transformers' ``SegformerConfig``, such as ``depths``.

    Raises:
        InputError: for an unknown variant or weights that do not fit.
    """

    def __init__(
        self,
        label_set: LabelSet,
        variant: str = "b0",
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        if variant not in VARIANTS:
            raise InputError(f"unknown variant {variant!r} of SegFormer; use one of {', '.join(VARIANTS)}")
        transformers = require("transformers", "hub")
        values = {**VARIANTS[variant], "num_channels": in_channels, **(config or {})}
        settings = transformers.SegformerConfig(**values, num_labels=self.num_classes)
        self.network = transformers.SegformerForSemanticSegmentation(settings)
        if pretrained:
            from perception.models.pretrained_transformers import read_encoder

            source = f"nvidia/mit-{variant}" if pretrained is True else pretrained
            read_encoder(transformers.SegformerModel, source, self.network.segformer)

    @property
    def stride(self) -> int:
        return 32

    def parts(self) -> dict[str, nn.Module]:
        return {"backbone": self.network.segformer, "semantic": self.network.decode_head}

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.network(image).logits, []

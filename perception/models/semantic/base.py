"""What every system for semantic segmentation alone shares: padding inside, logits at the size of the image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from perception.errors import InputError
from perception.models.backbones import pad_to_multiple
from perception.models.base import PerceptionModel, resize_logits
from perception.taxonomy import LabelSet


class SemanticModel(PerceptionModel):
    """A model with the head ``semantic`` alone. Subclasses give logits of padded images.

    Args:
        label_set: names the classes; ``num_classes`` overrides their number.
        heads: ``semantic``.
        in_channels: of the image.

    Attributes:
        num_classes: number of logits of a pixel.

    Shape:
        - input: ``(B, in_channels, H, W)`` float32 in 0..1. It is padded at the bottom and right to a multiple of
          :attr:`stride` by repeating its edge, and the padding is cut off the logits.
        - output: ``semantic`` ``(B, num_classes, H, W)``; in training ``semantic_aux``, a list of the same shape, if
          the system has auxiliary heads.

    Raises:
        InputError: for other heads, or fewer than one class.
    """

    def __init__(
        self,
        label_set: LabelSet,
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__(label_set, in_channels)
        name = type(self).__name__
        if list(heads) != ["semantic"]:
            raise InputError(f"{name} has the head 'semantic' only, not {list(heads)}; use a multitask_* model")
        if num_classes is not None and num_classes < 1:
            raise InputError(f"num_classes {num_classes} must be at least 1")
        self.num_classes = num_classes or len(label_set.classes)

    @property
    def head_names(self) -> tuple[str, ...]:
        return ("semantic",)

    @property
    @abstractmethod
    def stride(self) -> int:
        """What both sizes of the image are padded to a multiple of."""

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits of a normalised, padded image, and in training those of auxiliary heads, at any stride.

        A system whose outputs are more than logits gives :meth:`forward` instead.
        """
        raise NotImplementedError

    def padded(self, image: Tensor) -> Tensor:
        """The normalised image, padded."""
        return pad_to_multiple(self.normalise(image), self.stride)

    def forward(self, image: Tensor) -> dict[str, Any]:
        size = (image.shape[-2], image.shape[-1])
        padded = self.padded(image)
        logits, aux = self.logits(padded)
        outputs: dict[str, Any] = {"semantic": resize_logits(logits, size, padded.shape[-1] // logits.shape[-1])}
        if self.training and aux:
            outputs["semantic_aux"] = [resize_logits(x, size, padded.shape[-1] // x.shape[-1]) for x in aux]
        return outputs

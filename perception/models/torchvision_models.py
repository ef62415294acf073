"""torchvision's segmentation networks on this library's contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torchvision.models import segmentation

from perception.errors import InputError
from perception.models.backbones import pad_to_multiple
from perception.models.base import PerceptionModel
from perception.taxonomy import LabelSet

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "lraspp_mobilenetv3_large": segmentation.lraspp_mobilenet_v3_large,
    "fcn_resnet50": segmentation.fcn_resnet50,
    "deeplabv3_resnet50": segmentation.deeplabv3_resnet50,
}

STRIDE = 8
"""Output stride of the networks; inputs are padded to a multiple of it."""


class TorchvisionSegmentation(PerceptionModel):
    """A semantic segmentation network of torchvision.

    Args:
        label_set: names the classes; ``num_classes`` overrides their number.
        name: one of :data:`BUILDERS`.
        pretrained: ``True`` downloads the ImageNet backbone weights.
        aux: auxiliary head in training (not for LR-ASPP).

    Raises:
        InputError: for heads other than ``semantic``, input channels other than 3, or local weights.
    """

    def __init__(
        self,
        label_set: LabelSet,
        name: str,
        heads: tuple[str, ...] | list[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        aux: bool = False,
    ) -> None:
        super().__init__(label_set, in_channels)
        if list(heads) != ["semantic"]:
            raise InputError(f"{name} has the head 'semantic' only, not {list(heads)}; use a multitask_* model")
        if in_channels != 3:
            raise InputError(f"{name} takes 3 input channels, not {in_channels}")
        if isinstance(pretrained, str):
            raise InputError(f"{name} takes pretrained true or false; start from a saved model with init_from")
        options: dict[str, Any] = {"num_classes": num_classes or len(label_set.classes), "weights": None}
        options["weights_backbone"] = "DEFAULT" if pretrained else None
        if not name.startswith("lraspp"):
            options["aux_loss"] = aux
        elif aux:
            raise InputError(f"{name} has no auxiliary head; leave out aux")
        self.network = BUILDERS[name](**options)

    @property
    def head_names(self) -> tuple[str, ...]:
        return ("semantic",)

    def parts(self) -> dict[str, nn.Module]:
        return {
            "backbone": self.network.get_submodule("backbone"),
            "semantic": self.network.get_submodule("classifier"),
        }

    def forward(self, image: Tensor) -> dict[str, Any]:
        height, width = image.shape[-2:]
        raw = self.network(pad_to_multiple(self.normalise(image), STRIDE))
        outputs = {"semantic": raw["out"][..., :height, :width]}
        if self.training and "aux" in raw:
            outputs["semantic_aux"] = raw["aux"][..., :height, :width]
        return outputs

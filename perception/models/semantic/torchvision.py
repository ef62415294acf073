"""torchvision's segmentation networks, and LR-ASPP on further backbones of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision import models
from torchvision.models import segmentation

from perception.errors import InputError
from perception.models.semantic.base import SemanticModel
from perception.taxonomy import LabelSet


class TwoLevels(nn.ModuleDict):
    """Layers run one after the other, keeping the outputs of two as ``low`` and ``high``."""

    def __init__(self, layers: dict[str, nn.Module], low: str, high: str) -> None:
        super().__init__(layers)
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for name, layer in self.items():
            x = layer(x)
            if name == self.low:
                maps["low"] = x
            if name == self.high:
                maps["high"] = x
        return maps


def _lraspp_mobilenetv3_small(num_classes: int, weights: None, weights_backbone: str | None) -> nn.Module:
    features = models.mobilenet_v3_small(weights=weights_backbone, dilated=True).features
    layers = {str(i): layer for i, layer in enumerate(features)}
    return segmentation.LRASPP(TwoLevels(layers, "2", "12"), 24, 576, num_classes)  # strides 8 and 16


def _lraspp_shufflenetv2(num_classes: int, weights: None, weights_backbone: str | None) -> nn.Module:
    network = models.shufflenet_v2_x1_0(weights=weights_backbone)
    layers = {name: layer for name, layer in network.named_children() if name != "fc"}
    return segmentation.LRASPP(TwoLevels(layers, "stage2", "conv5"), 116, 1024, num_classes)  # strides 8 and 32


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "lraspp_mobilenetv3_large": segmentation.lraspp_mobilenet_v3_large,
    "lraspp_mobilenetv3_small": _lraspp_mobilenetv3_small,
    "lraspp_shufflenetv2_x1_0": _lraspp_shufflenetv2,
    "fcn_resnet50": segmentation.fcn_resnet50,
    "deeplabv3_resnet50": segmentation.deeplabv3_resnet50,
}


class TorchvisionSegmentation(SemanticModel):
    """A semantic segmentation network of torchvision.

    The image is not padded: these networks take any size and bring their logits to it, so that the output is that
    of torchvision's own network at every size.

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
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        aux: bool = False,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        if in_channels != 3:
            raise InputError(f"{name} takes 3 input channels, not {in_channels}")
        if isinstance(pretrained, str):
            raise InputError(f"{name} takes pretrained true or false; start from a saved model with init_from")
        weights = "DEFAULT" if pretrained else None
        build = partial(BUILDERS[name], num_classes=self.num_classes, weights=None, weights_backbone=weights)
        if name.startswith("lraspp"):
            if aux:
                raise InputError(f"{name} has no auxiliary head; leave out aux")
            self.network = build()
        else:
            self.network = build(aux_loss=aux)

    @property
    def stride(self) -> int:
        return 1

    def parts(self) -> dict[str, nn.Module]:
        return {
            "backbone": self.network.get_submodule("backbone"),
            "semantic": self.network.get_submodule("classifier"),
        }

    def forward(self, image: Tensor) -> dict[str, Any]:
        raw = self.network(self.normalise(image))
        outputs: dict[str, Any] = {"semantic": raw["out"]}
        if self.training and "aux" in raw:
            outputs["semantic_aux"] = [raw["aux"]]
        return outputs

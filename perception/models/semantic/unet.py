"""U-Net with its own encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.heads.unet import DoubleConv, UNetHead
from perception.models.semantic.base import SemanticModel
from perception.taxonomy import LabelSet


class UNetEncoder(nn.Module):
    """Double convolutions, halved in size by max pooling between them: one map per width, from stride 1 on."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        ins = [in_channels, *widths[:-1]]
        self.levels = nn.ModuleList(DoubleConv(i, o) for i, o in zip(ins, widths, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for i, level in enumerate(self.levels):
            x = level(F.max_pool2d(x, 2) if i else x)
            maps.append(x)
        return maps


class UNet(SemanticModel):
    """U-Net, padded and with batch norm.

    Paper: U-Net: Convolutional Networks for Biomedical Image Segmentation - arXiv 1505.04597.

    Args:
        label_set, heads, num_classes, in_channels: see :class:`SemanticModel`.
        pretrained: must be false: the encoder has no published weights.
        width: of the first level; each of the ``depth`` levels below has twice that of the one above.
        bilinear: interpolation instead of transposed convolutions, with half the widths of the path.

    Raises:
        InputError: for ``pretrained``, or no level below the first.
    """

    def __init__(
        self,
        label_set: LabelSet,
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        width: int = 64,
        depth: int = 4,
        bilinear: bool = False,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        if pretrained:
            raise InputError("unet has no pretrained backbone; leave out pretrained, or start with init_from")
        if depth < 1 or width < 2:
            raise InputError(f"unet needs a depth of at least 1 and a width of at least 2, not {depth} and {width}")
        widths = [width * 2**i for i in range(depth + 1)]
        path = widths[:-1]
        if bilinear:
            widths[-1] //= 2
            path = [width, *(w // 2 for w in widths[1:-1])]
        self.depth = depth
        self.backbone = UNetEncoder(in_channels, widths)
        self.head = UNetHead(widths, self.num_classes, path, bilinear)

    @property
    def stride(self) -> int:
        return 2**self.depth

    def parts(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "semantic": self.head}

    def logits(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.head(self.backbone(image)), []

"""A plain Vision Transformer as the encoder of segmentation systems.

Paper: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale - arXiv 2010.11929.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from perception.errors import InputError


class VitBackbone(nn.Module):
    """Maps of chosen blocks of a timm ViT, all at the stride of its patches.

    The class token has no position embedding of its own: the token is learned too, so their sum is one parameter.
    Position embeddings are interpolated bicubically to the grid of any input.

    Args:
        name: timm name, such as ``vit_large_patch16_384``.
        image_size: side of the square crops of training, for which position embeddings are kept.
        taps: blocks whose outputs are given, counted from 1; the last block where left out.
        final_norm: layer norm after the last block, applied to every map that is given.
        pretrained: ``True`` downloads timm's weights; a path loads a local ``safetensors`` file of them.
        in_channels: of the input image.
        options: further options of timm's ``VisionTransformer``, such as ``depth`` or ``drop_path_rate``.

    Attributes:
        channels: of each map.
        patch: stride of the maps; the input is to be a multiple of it.

    Shape:
        - input: ``(B, in_channels, H, W)``, normalised, H and W multiples of ``patch``.
        - output: one ``(B, channels, H / patch, W / patch)`` for each tap.

    Raises:
        InputError: for a name that is no ViT, taps outside the network, or weights that are not safetensors.
    """

    def __init__(
        self,
        name: str,
        image_size: int,
        taps: Sequence[int] = (),
        final_norm: bool = False,
        pretrained: bool | str = False,
        in_channels: int = 3,
        **options: Any,
    ) -> None:
        super().__init__()
        if not name.startswith("vit_") or not timm.is_model(name.split(".")[0]):
            raise InputError(f"{name!r} is not a plain ViT of timm; use one such as vit_base_patch16_384")
        common: dict[str, Any] = {"img_size": image_size, "in_chans": in_channels, "num_classes": 0, **options}
        vit: Any = timm.create_model(
            name, no_embed_class=True, dynamic_img_size=True, final_norm=final_norm, global_pool="", **common
        )
        self.vit = vit
        depth = len(vit.blocks)
        self.taps = tuple(taps) or (depth,)
        if any(not 1 <= tap <= depth for tap in self.taps):
            raise InputError(f"taps {list(self.taps)} must lie in 1..{depth}, the blocks of {name}")
        self.final_norm = final_norm
        self.channels = int(vit.embed_dim)
        self.patch = int(vit.patch_embed.patch_size[0])
        if pretrained:
            self._load_timm(name, pretrained, common)

    def _load_timm(self, name: str, pretrained: bool | str, options: dict[str, Any]) -> None:
        if isinstance(pretrained, str):
            path = Path(pretrained)
            if path.suffix != ".safetensors" or not path.is_file():
                raise InputError(f"backbone weights {pretrained} are not a readable .safetensors file")
            options = options | {"pretrained_cfg_overlay": {"file": str(path)}}
        try:
            weights = timm.create_model(name, pretrained=True, **options).state_dict()
        except RuntimeError as error:
            raise InputError(f"backbone weights do not fit {name}: {str(error).splitlines()[0]}") from error
        position = weights["pos_embed"]  # (1, 1 + patches, channels), the class token first
        weights["cls_token"] = weights["cls_token"] + position[:, :1]
        weights["pos_embed"] = position[:, 1:]
        own = self.vit.state_dict()
        self.vit.load_state_dict({key: value for key, value in weights.items() if key in own})

    def forward(self, x: Tensor) -> list[Tensor]:
        taps: list[int] = [tap - 1 for tap in self.taps]
        return self.vit.forward_intermediates(x, indices=taps, norm=self.final_norm, intermediates_only=True)

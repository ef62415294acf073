"""The ViT encoder, against timm's own with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from perception.models.semantic.vit_backbone import VitBackbone

SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 2}
NAME = "vit_tiny_patch16_384"


@pytest.mark.parametrize("norm", [False, True])
def test_equals_timm_with_its_weights(norm: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = timm.create_model(NAME, img_size=64, num_classes=0, **SMALL).eval()
    torch.nn.init.normal_(original.pos_embed)
    torch.nn.init.normal_(original.cls_token)
    save_file(original.state_dict(), tmp_path / "vit.safetensors")
    backbone = VitBackbone(NAME, 64, (1, 3), norm, str(tmp_path / "vit.safetensors"), **SMALL).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = original.forward_intermediates(image, indices=[0, 2], norm=norm, intermediates_only=True)
        found = backbone(image)
    for own, theirs in zip(found, expected, strict=True):
        assert own.shape == (2, 32, 4, 4)
        assert (own - theirs).abs().max() < 1e-4


def test_positions_are_interpolated_for_other_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = timm.create_model(NAME, img_size=64, num_classes=0, **SMALL)
    torch.nn.init.normal_(original.pos_embed)
    save_file(original.state_dict(), tmp_path / "vit.safetensors")
    # Weights of another training size are brought to this one when they are read, others when an image comes.
    backbone = VitBackbone(NAME, 96, (), False, str(tmp_path / "vit.safetensors"), **SMALL).eval()
    direct = VitBackbone(NAME, 64, (), False, str(tmp_path / "vit.safetensors"), **SMALL).eval()
    image = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        assert (backbone(image)[0] - direct(image)[0]).abs().max() < 1e-3
        assert direct(torch.randn(1, 3, 32, 112))[0].shape == (1, 32, 2, 7)

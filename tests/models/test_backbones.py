from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from perception.errors import InputError
from perception.models.backbones import build_backbone, freeze, pad_to_multiple
from perception.models.necks import FeaturePyramid, Refinement


@pytest.mark.parametrize(
    ("name", "channels", "reductions"),
    [
        ("resnet18", [64, 64, 128, 256, 512], [2, 4, 8, 16, 32]),
        ("mobilenetv4_conv_small", [32, 32, 64, 96, 960], [2, 4, 8, 16, 32]),
        ("swin_tiny_patch4_window7_224", [96, 192, 384, 768], [4, 8, 16, 32]),
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (225, 100)])
def test_maps_are_nchw_at_the_said_strides(name, channels, reductions, size) -> None:
    backbone = build_backbone(name).eval()
    assert backbone.channels == channels
    assert backbone.reductions == reductions
    padded = [-(-side // 32) * 32 for side in size]
    with torch.inference_mode():
        maps = backbone(torch.rand(1, 3, *size))
    assert [tuple(level.shape) for level in maps] == [
        (1, c, padded[0] // r, padded[1] // r) for c, r in zip(channels, reductions, strict=True)
    ]


@pytest.mark.parametrize(("name", "count"), [("resnet50", 23_508_032), ("mobilenetv4_conv_small", 1_261_664)])
def test_published_backbone_counts(name: str, count: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == count


def test_output_stride_dilates_where_supported() -> None:
    backbone = build_backbone("resnet18", output_stride=8).eval()
    assert backbone.stride == 8
    assert backbone(torch.rand(1, 3, 64, 64))[-1].shape[-2:] == (8, 8)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "hrnet_w18", "vgg16_bn"])
def test_output_stride_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match="output_stride") as caught:
        build_backbone(name, output_stride=8)
    assert "\n" not in str(caught.value)


def test_unknown_backbone_suggests() -> None:
    with pytest.raises(InputError, match="resnet"):
        build_backbone("resnet5")


def test_local_pretrained_weights_are_read(tmp_path) -> None:
    import timm

    weights = timm.create_model("resnet18").state_dict()
    save_file(weights, tmp_path / "resnet18.safetensors")
    backbone = build_backbone("resnet18", pretrained=str(tmp_path / "resnet18.safetensors"))
    assert torch.equal(backbone.state_dict()["features.layer3.0.conv1.weight"], weights["layer3.0.conv1.weight"])
    with pytest.raises(InputError, match="safetensors"):
        build_backbone("resnet18", pretrained=str(tmp_path / "resnet18.pth"))


def test_other_input_channels() -> None:
    assert build_backbone("resnet18", in_channels=1).eval()(torch.rand(1, 1, 32, 32))[0].shape == (1, 64, 16, 16)


@pytest.mark.parametrize("size", [(32, 64), (33, 64), (1, 1), (95, 31)])
def test_padding_repeats_the_edge(size: tuple[int, int]) -> None:
    image = torch.rand(1, 2, *size)
    padded = pad_to_multiple(image, 32)
    assert padded.shape[-2] % 32 == padded.shape[-1] % 32 == 0
    assert padded.shape[-2] - size[0] < 32
    assert torch.equal(padded[..., : size[0], : size[1]], image)
    assert torch.equal(padded[..., -1, -1], image[..., -1, -1])


def test_empty_image_is_refused() -> None:
    with pytest.raises(InputError, match="0x5 is empty"):
        pad_to_multiple(torch.zeros(1, 3, 0, 5), 8)


def test_freezing_stops_gradients_and_statistics() -> None:
    backbone = build_backbone("resnet18")
    freeze(backbone)
    before = backbone.state_dict()["features.bn1.running_mean"].clone()
    backbone(torch.rand(1, 3, 32, 32))
    assert torch.equal(backbone.state_dict()["features.bn1.running_mean"], before)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_pyramid_gives_the_wanted_levels() -> None:
    neck = FeaturePyramid([8, 16, 32], [4, 8, 16], channels=12, out_reductions=(4, 8))
    maps = neck([torch.rand(2, 8, 16, 24), torch.rand(2, 16, 8, 12), torch.rand(2, 32, 4, 6)])
    assert {r: tuple(level.shape) for r, level in maps.items()} == {4: (2, 12, 16, 24), 8: (2, 12, 8, 12)}


@pytest.mark.parametrize("refine", [False, True])
def test_a_pyramid_refines_what_it_hands_down_on_request(refine: bool) -> None:
    neck = FeaturePyramid(
        [8, 16, 32], [4, 8, 16], channels=12, out_reductions=(4, 16), context=False, refine=2 * refine
    )
    neck.eval()
    maps = [torch.rand(1, 8, 16, 24), torch.rand(1, 16, 8, 12), torch.rand(1, 32, 4, 6)]
    before = neck(maps)
    refinements = [module for module in neck.modules() if isinstance(module, Refinement)]
    assert len(refinements) == (4 if refine else 0)  # the finest level is smoothed anyway
    for module in refinements:
        torch.nn.init.ones_(module.norm.weight)
    after = neck(maps)
    for reduction in (4, 16):
        assert torch.equal(before[reduction], after[reduction]) is not refine


@pytest.mark.parametrize(("reductions", "message"), [([8, 16, 32], "no map at stride 4"), ([4, 16, 16], "distinct")])
def test_pyramid_refuses_levels_it_cannot_join(reductions, message) -> None:
    with pytest.raises(InputError, match=message):
        FeaturePyramid([8, 16, 32], reductions)


def test_a_space_to_depth_stem_starts_at_stride_four_and_sees_every_pixel() -> None:
    backbone = build_backbone("resnet18", space_to_depth=True, stem_type="deep", stem_width=8).eval()
    assert backbone.reductions == [4, 8, 16, 32]
    image = torch.zeros(1, 3, 64, 96)
    first = backbone(image)[0]
    assert first.shape[-2:] == (16, 24)
    stem = backbone.features.get_submodule("conv1")
    assert stem(image).shape == (1, 16, 16, 24)
    pixels = torch.zeros(1, 3, 64, 96, requires_grad=True)
    stem(pixels)[0, :, 8, 12].sum().backward()
    assert pixels.grad is not None
    seen = pixels.grad.abs().sum(dim=(0, 1)).nonzero()
    assert seen.min(dim=0).values.tolist() == [4 * 7, 4 * 11]
    assert seen.max(dim=0).values.tolist() == [4 * 10 - 1, 4 * 14 - 1]
    assert len(seen) == 12 * 12


@pytest.mark.parametrize(("name", "pretrained"), [("mobilenetv4_conv_small", False), ("resnet18", True)])
def test_a_space_to_depth_stem_is_refused_where_it_does_not_fit(name: str, pretrained: bool) -> None:
    with pytest.raises(InputError, match="space_to_depth replaces"):
        build_backbone(name, pretrained, space_to_depth=True)

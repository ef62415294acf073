"""Every convolutional system: parameter counts, odd sizes, saving and loading.

The reduced forms go through the same code; ``slow`` runs the full ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_zoo import CONVOLUTIONAL, RESNET, VGG
from torchvision.models import segmentation

import perception
from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.recipes_convolutional import CONVOLUTIONAL_RECIPES
from perception.models.zoo import ZOO, create_model, describe

COUNTS = [
    ("fcn32s_vgg16", 21, {}, 136_152_917),
    ("fcn32s_vgg16", 19, {}, 135_817_043),
    ("fcn16s_vgg16", 21, {}, 134_815_994),
    ("fcn8s_vgg16", 21, {}, 134_489_759),
    ("fcn8s_vgg16", 19, {}, 134_456_985),
    ("deeplabv1_largefov_vgg16", 21, {}, 20_505_429),
    ("deeplabv3plus_resnet50", 19, {}, 26_682_211),
    ("unet", 19, {}, 31_038_803),
    ("unet", 19, {"bilinear": True}, 17_264_147),
    ("semantic_fpn_resnet50", 19, {}, 28_497_907),
    ("hrnetv2_w18", 19, {}, 9_640_849),
    ("hrnetv2_w48", 19, {}, 65_858_659),
    ("hrnetv2_w48_ocr", 19, {}, 70_371_446),
    ("lraspp_mobilenetv3_large", 19, {}, 3_221_198),
]

EVERY = [
    *(pytest.param(name, options, id=name) for name, options in CONVOLUTIONAL.items()),
    *(pytest.param(name, {}, id=f"{name}-full", marks=pytest.mark.slow) for name in CONVOLUTIONAL_RECIPES),
]


@pytest.mark.parametrize(("name", "classes", "options", "count"), COUNTS)
def test_published_parameter_counts(name: str, classes: int, options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize(
    ("name", "gmacs"), [("deeplabv3plus_resnet50", 73.3), ("unet", 385.9), ("semantic_fpn_resnet50", 90.5)]
)
def test_published_multiply_accumulates(name: str, gmacs: float) -> None:
    assert describe(name, (512, 1024))["gmacs"] == pytest.approx(gmacs, rel=0.02)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_odd_sizes_and_saving(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    loaded = perception.load(save(model, tmp_path / "model"))
    for size in ((65, 97), (50, 110)):
        image = torch.rand(1, 3, *size)
        with torch.inference_mode():
            logits = model(image)["semantic"]
            assert torch.equal(logits, loaded(image)["semantic"])
        assert logits.shape == (1, model.num_classes, *size)


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("fcn_resnet50", segmentation.fcn_resnet50),
        ("deeplabv3_resnet50", segmentation.deeplabv3_resnet50),
        ("lraspp_mobilenetv3_large", segmentation.lraspp_mobilenet_v3_large),
    ],
)
def test_output_is_that_of_torchvision(name: str, build: Any) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=5).eval()
    reference = build(weights=None, weights_backbone=None, num_classes=5).eval()
    reference.load_state_dict(
        {key.removeprefix("network."): x for key, x in model.state_dict().items() if "network." in key}
    )
    for size in ((64, 96), (51, 77)):
        image = torch.rand(1, 3, *size)
        with torch.inference_mode():
            expected = reference((image - model.mean) / model.std)["out"]
            assert (model(image)["semantic"] - expected).abs().max() < 1e-4


def test_transposed_convolutions_start_as_bilinear_upsampling() -> None:
    model = create_model("fcn8s_vgg16", num_classes=3, **VGG)
    x = torch.rand(1, 3, 6, 7)
    up = model.head["up"]
    expected = torch.nn.functional.interpolate(x, scale_factor=8, mode="bilinear", align_corners=False)
    inner = (..., slice(8, -8), slice(8, -8))  # at the border the convolution fades into its zero padding
    assert torch.allclose(up(x)[inner], expected[inner], atol=1e-5)


def test_bilinear_unet_and_other_backbones() -> None:
    image = torch.rand(1, 3, 40, 50)
    for name, options in (
        ("unet", {"width": 4, "depth": 2, "bilinear": True}),
        ("deeplabv3plus_resnet50", {"backbone": "resnet18", "channels": 16, "output_stride": 8}),
        ("semantic_fpn_resnet50", {"backbone": "mobilenetv4_conv_small", "channels": 16, "pyramid_channels": 16}),
    ):
        model = create_model(name, num_classes=3, **options).eval()
        with torch.inference_mode():
            assert model(image)["semantic"].shape == (1, 3, 40, 50)


def test_one_image_trains_through_aspp() -> None:
    model = create_model("deeplabv3plus_resnet50", **RESNET).train()
    model(torch.rand(1, 3, 64, 64))["semantic"].mean().backward()
    assert all(torch.isfinite(x.grad).all() for x in model.parameters() if x.grad is not None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fcn8s_vgg16", {"backbone": "resnet18"}, "stands on a vgg"),
        ("fcn8s_vgg16", {"stride_of_scores": 4}, "must be 8, 16 or 32"),
        ("hrnetv2_w18", {"backbone": "resnet18"}, "takes an hrnet"),
        ("unet", {"pretrained": True}, "no pretrained backbone"),
        ("unet", {"depth": 0}, "depth of at least 1"),
        ("unet", {"heads": ["lane"]}, "has the head 'semantic' only"),
        ("lraspp_mobilenetv3_small", {"aux": True}, "no auxiliary head"),
        ("deeplabv3_resnet50", {"in_channels": 1}, "takes 3 input channels"),
        ("deeplabv3plus_resnet50", {"output_stride": 5}, "cannot be built"),
    ],
)
def test_bad_options_say_what_is_wrong(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **options)


def test_recipes_are_in_the_zoo() -> None:
    assert all(ZOO[name] is recipe for name, recipe in CONVOLUTIONAL_RECIPES.items())

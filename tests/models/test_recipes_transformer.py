"""Every transformer system: parameter counts, odd sizes, saving and loading.

The reduced forms go through the same code; ``slow`` runs the full ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_zoo import SEGMENTER, SETR, reduced_transformer

import perception
from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.recipes_transformer import TRANSFORMER_RECIPES
from perception.models.zoo import ZOO, create_model

pytest.importorskip("transformers")

COUNTS = {
    "setr_naive_vit_large": (19, 306_535_500),
    "setr_pup_vit_large": (19, 318_466_124),
    "setr_mla_vit_large": (19, 310_678_111),
    "segmenter_mask_vit_tiny": (150, 6_713_196),
    "segmenter_mask_vit_small": (150, 26_033_580),
    "segmenter_mask_vit_base": (150, 102_496_812),
    "segmenter_mask_vit_large": (150, 333_233_452),
    "mask2former_resnet50": (19, 44_007_700),
    "mask2former_swin_tiny": (19, 47_405_966),
    # transformers' own counts 106,890,572 with a norm of 2 x 1024 that nothing reads
    "mask2former_swin_base": (19, 106_890_572 - 2048),
    "segformer_b0": (19, 3_719_027),
}

EVERY = [
    *(pytest.param(name, reduced_transformer(name), id=name) for name in TRANSFORMER_RECIPES),
    *(pytest.param(name, {}, id=f"{name}-full", marks=pytest.mark.slow) for name in TRANSFORMER_RECIPES),
]


def _decoded(model: Any, image: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return model.decode(model(image))


@pytest.mark.parametrize("name", COUNTS)
def test_published_parameter_counts(name: str) -> None:
    classes, count = COUNTS[name]
    with torch.device("meta"):
        model = create_model(name, num_classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_odd_sizes_and_saving(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    loaded = perception.load(save(model, tmp_path / "model"))
    for size in ((65, 97), (50, 110)):
        image = torch.rand(1, 3, *size)
        decoded, again = _decoded(model, image), _decoded(loaded, image)
        assert decoded.keys() == again.keys()
        for key, value in decoded.items():
            assert torch.equal(value, again[key])
        if "semantic" in model.head_names:
            assert decoded["semantic"].shape == (1, *size)
            assert decoded["semantic"].dtype == torch.uint8
        else:
            assert decoded["boxes"].shape == (1, 100, 4)
            assert decoded["boxes"][..., 0::2].max() <= size[1]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["setr_naive_vit_large", "segmenter_linear_vit_base", "segformer_b0"])
def test_other_input_channels(name: str, channels: int) -> None:
    model = create_model(name, in_channels=channels, num_classes=3, **reduced_transformer(name)).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, channels, 40, 50))["semantic"].shape == (1, 3, 40, 50)


def test_published_defaults_have_their_auxiliary_heads() -> None:
    torch.manual_seed(0)
    for name, heads in (("setr_naive_vit_large", 3), ("setr_pup_vit_large", 3), ("setr_mla_vit_large", 4)):
        model = create_model(name, **reduced_transformer(name))
        assert len(model(torch.rand(2, 3, 32, 32))["semantic_aux"]) == heads
        assert "semantic_aux" not in model.eval()(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("setr_naive_vit_large", {"decoder": "maxi"}, "unknown decoder 'maxi' of SETR; use one of naive, pup, mla"),
        ("setr_mla_vit_large", {**SETR, "taps": (1, 2)}, "reads 4 taps, not 2"),
        ("setr_naive_vit_large", {**SETR, "taps": (1, 9)}, r"taps \[1, 9\] must lie in 1..4"),
        ("segmenter_mask_vit_tiny", {"backbone": "resnet50"}, "'resnet50' is not a plain ViT"),
        ("segmenter_mask_vit_tiny", {**SEGMENTER, "pretrained": "no.bin"}, "not a readable .safetensors"),
        ("segformer_b0", {"variant": "b9"}, "unknown variant 'b9'"),
        ("segformer_b0", {"heads": ["lane"]}, "has the head 'semantic' only"),
        ("rtdetr_resnet18", {"backbone": "vgg"}, "unknown backbone 'vgg' of RT-DETR"),
        ("rtdetr_resnet18", {"heads": ["semantic"]}, "has the head 'detection' only"),
    ],
)
def test_bad_options_say_what_is_wrong(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **options)


def test_recipes_are_in_the_zoo() -> None:
    assert all(ZOO[name] is recipe for name, recipe in TRANSFORMER_RECIPES.items())

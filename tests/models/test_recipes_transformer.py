"""Every transformer system: parameter counts, odd sizes, a falling loss, saving and loading.

The reduced forms go through the same code; ``slow`` runs the full ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import perception
from perception.errors import InputError
from perception.losses.hungarian import query_loss
from perception.losses.segmentation import semantic_loss
from perception.models.checkpoint import save
from perception.models.recipes_transformer import TRANSFORMER_RECIPES
from perception.models.zoo import ZOO, create_model
from perception.types import Batch

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

VIT = {"embed_dim": 64, "depth": 4, "num_heads": 2}
SETR: dict[str, Any] = {"image_size": 64, "taps": (1, 2, 3, 4), "channels": 16, "vit_options": VIT}
SEGMENTER: dict[str, Any] = {"image_size": 64, "drop_path": 0.0, "vit_options": VIT}
QUERIES: dict[str, Any] = {
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_queries": 20,
    "train_num_points": 400,
}
SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "drop_path_rate": 0.0}
SEGFORMER = {"hidden_sizes": [8, 16, 40, 64], "depths": [1, 1, 2, 1], "decoder_hidden_size": 16, "drop_path_rate": 0.0}
RTDETR: dict[str, Any] = {
    "config": {
        "d_model": 32,
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 32,
        "encoder_in_channels": [8, 16, 16],
        "decoder_in_channels": [32, 32, 32],
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "num_queries": 30,
    },
    "backbone_options": {
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
}


def _reduced(name: str) -> dict[str, Any]:
    if name.startswith("setr"):
        return SETR | ({"head_channels": 8} if "mla" in name else {})
    if name.startswith("segmenter"):
        return SEGMENTER
    if name == "mask2former_resnet50":
        return {"config": QUERIES, "backbone_options": {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 32)}}
    if name.startswith("mask2former"):
        return {"config": QUERIES, "backbone_options": SWIN}
    if name.startswith("rtdetr"):
        return RTDETR
    return {"config": SEGFORMER}


EVERY = [
    *(pytest.param(name, _reduced(name), id=name) for name in TRANSFORMER_RECIPES),
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


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_every_parameter_learns_and_the_loss_falls(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = create_model(name, **options).train()
    image = 0.3 * torch.rand(2, 3, 65, 97)
    image[0, 0, 8:40, 8:40] += 0.7
    image[1, 1, 20:60, 50:90] += 0.7
    target = torch.full((2, 65, 97), 255)
    target[0, :, :40], target[0, :, 40:], target[1, 10:50], target[1, 50:] = 0, 8, 13, 2
    boxes = torch.tensor([[[8.0, 8, 40, 40]], [[50.0, 20, 90, 60]]])
    labels = torch.tensor([[0], [5]])
    batch = Batch(image, ["a", "b"], semantic=target)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=(1e-4 if name.startswith("rtdetr") else 1e-3) if options else 2e-5
    )
    losses: list[float] = []
    for step in range(6):
        torch.manual_seed(1)  # the same points are drawn for Mask2Former's loss
        outputs = model(image)
        if name.startswith("rtdetr"):
            loss = query_loss(outputs["detection"], boxes, labels, torch.tensor([True, True]))
        elif own := model.loss(outputs, batch):
            loss = own["semantic"]
        else:
            loss = semantic_loss(outputs["semantic"], target)
            for logits in outputs.get("semantic_aux", []):
                assert logits.shape == outputs["semantic"].shape
                loss = loss + 0.4 * semantic_loss(logits, target)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            unreached = [key for key, value in model.named_parameters() if value.grad is None]
            assert not unreached
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["setr_naive_vit_large", "segmenter_linear_vit_base", "segformer_b0"])
def test_other_input_channels(name: str, channels: int) -> None:
    model = create_model(name, in_channels=channels, num_classes=3, **_reduced(name)).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, channels, 40, 50))["semantic"].shape == (1, 3, 40, 50)


def test_published_defaults_have_their_auxiliary_heads() -> None:
    torch.manual_seed(0)
    for name, heads in (("setr_naive_vit_large", 3), ("setr_pup_vit_large", 3), ("setr_mla_vit_large", 4)):
        model = create_model(name, **_reduced(name))
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

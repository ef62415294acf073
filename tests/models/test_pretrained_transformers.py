"""Checkpoints as transformers writes them, with random weights: the same input gives the same output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from perception.errors import InputError
from perception.models.pretrained_transformers import label_set_of, read_checkpoint
from perception.models.semantic.segformer import SegFormer
from perception.taxonomy import CITYSCAPES, ROAD_SCENE

transformers = pytest.importorskip("transformers")

NAMES = dict(enumerate(CITYSCAPES.classes))
SIZES = [(64, 96), (96, 64)]
SEGFORMER = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "decoder_hidden_size": 16}
SWIN: dict[str, Any] = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
MASK2FORMER = {
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_queries": 12,
}


def _stir(network: torch.nn.Module) -> Any:
    """Weights that start at zero or one, and statistics of norms, would hide what was not read."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.add_(0.1 * torch.rand_like(buffer))
    return network.eval()


def _segformer(folder: Path) -> Any:
    network = _stir(
        transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(id2label=NAMES, **SEGFORMER))
    )
    network.save_pretrained(folder)
    return network


def _mask2former(folder: Path) -> Any:
    swin = transformers.SwinConfig(**SWIN, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.Mask2FormerConfig(backbone_config=swin, id2label=NAMES, **MASK2FORMER)
    network = _stir(transformers.Mask2FormerForUniversalSegmentation(config))
    network.save_pretrained(folder)
    return network


def _rtdetr(folder: Path) -> Any:
    resnet = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    config = transformers.RTDetrConfig(
        backbone_config=resnet,
        d_model=32,
        encoder_hidden_dim=32,
        encoder_ffn_dim=32,
        encoder_in_channels=[8, 16, 16],
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=2,
        num_queries=30,
        id2label=dict(enumerate(ROAD_SCENE.detection)),
    )
    network = _stir(transformers.RTDetrForObjectDetection(config))
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize("size", SIZES)
def test_segformer(size: tuple[int, int], tmp_path: Path) -> None:
    original = _segformer(tmp_path)
    model = read_checkpoint(tmp_path)
    assert model.label_set is CITYSCAPES
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        small = original((image - model.mean) / model.std).logits
        expected = torch.nn.functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
        assert (model(image)["semantic"] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_mask2former(size: tuple[int, int], tmp_path: Path) -> None:
    original = _mask2former(tmp_path)
    model = read_checkpoint(tmp_path)
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected = original((image - model.mean) / model.std)
        queries = model(image)["queries"]
    assert (queries["class_logits"] - expected.class_queries_logits).abs().max() < 1e-4
    assert (queries["mask_logits"] - expected.masks_queries_logits).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(160, 192), (224, 160)])
def test_rtdetr(size: tuple[int, int], tmp_path: Path) -> None:
    original = _rtdetr(tmp_path)
    model = read_checkpoint(tmp_path)
    assert model.label_set is ROAD_SCENE
    assert model.head_names == ("detection",)
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected = original(image)
        outputs = model(image)
        decoded = model.decode(outputs)
    assert (outputs["detection"]["logits"] - expected.logits).abs().max() < 1e-4
    assert (outputs["detection"]["boxes"] - expected.pred_boxes).abs().max() < 1e-4
    processor = transformers.RTDetrImageProcessor()
    (found, _) = processor.post_process_object_detection(expected, threshold=0.0, target_sizes=[size] * 2)
    assert torch.allclose(decoded["scores"][0, :30], found["scores"], atol=1e-5)
    own = torch.cat([decoded["boxes"][0], decoded["labels"][0, :, None]], dim=1)
    clipped = found["boxes"].clamp(torch.zeros(4), torch.tensor([size[1], size[0]] * 2).float())
    theirs = torch.cat([clipped, found["labels"][:, None]], dim=1)
    # Equal scores may come in any order: each of theirs is among ours.
    assert torch.cdist(theirs, own, p=1).amin(dim=1).max() < 1e-2


@pytest.mark.parametrize("write", [_segformer, _mask2former, _rtdetr])
def test_what_was_read_is_saved_and_loaded_as_ours(write: Any, tmp_path: Path) -> None:
    import perception
    from perception.models.checkpoint import save

    write(tmp_path / "theirs")
    model = perception.load(tmp_path / "theirs")
    loaded = perception.load(save(model, tmp_path / "ours"))
    image = torch.rand(1, 3, 65, 97)
    with torch.inference_mode():
        for name, expected in model.decode(model(image)).items():
            assert torch.equal(loaded.decode(loaded(image))[name], expected)
    assert loaded.label_set == model.label_set


def test_encoders_start_models(tmp_path: Path) -> None:
    original = transformers.SegformerForImageClassification(transformers.SegformerConfig(**SEGFORMER)).eval()
    original.save_pretrained(tmp_path)
    model = SegFormer(ROAD_SCENE, "b0", pretrained=str(tmp_path), config=SEGFORMER).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = original.segformer(image).last_hidden_state
        assert torch.equal(model.network.segformer(image).last_hidden_state, expected)
    with pytest.raises(InputError, match=r"cannot be read|does not fit"):
        SegFormer(ROAD_SCENE, "b0", pretrained=str(tmp_path))


def test_class_names_find_their_label_set() -> None:
    spaced = {str(i): name.replace("_", " ").title() for i, name in NAMES.items()}
    assert label_set_of(spaced, "x") is CITYSCAPES
    own = label_set_of({0: "cat", 1: "dog", 2: "cat"}, "someone/pets")
    assert own.name == "pets"
    assert own.classes == ("cat 0", "dog", "cat 2")
    assert label_set_of({0: "cat"}, "pets", boxes=True).detection == ("cat",)
    assert label_set_of(dict(enumerate(ROAD_SCENE.detection)), "x", boxes=True) is ROAD_SCENE


def test_unsafe_foreign_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    network = _segformer(tmp_path / "good")
    weights = tmp_path / "good" / "model.safetensors"
    torch.save(network.state_dict(), tmp_path / "good" / "pytorch_model.bin")
    whole = weights.read_bytes()
    weights.unlink()
    with pytest.raises(InputError, match="cannot be read"):  # a pickle lies there, and is not touched
        read_checkpoint(tmp_path / "good")
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "good")
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match="is a bert model; segformer, mask2former, rt_detr can be read"):
        read_checkpoint(tmp_path / "bert")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "empty")

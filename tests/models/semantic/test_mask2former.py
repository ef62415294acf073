"""Mask2Former against transformers' own, its post-processing by hand, and its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from perception.errors import InputError
from perception.models.semantic.mask2former import Mask2Former, class_scores
from perception.models.semantic.mask2former_segments import instances, panoptic
from perception.taxonomy import ROAD_SCENE
from perception.types import Batch

transformers = pytest.importorskip("transformers")

CONFIG: dict[str, Any] = {
    "hidden_dim": 32,
    "feature_size": 32,
    "mask_feature_size": 32,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 4,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "num_queries": 12,
    "train_num_points": 200,
}
SWIN: dict[str, Any] = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
RESNET: dict[str, Any] = {"channels": (8, 16, 24, 32)}


def _small(backbone: str = "swin_tiny", **options: Any) -> Mask2Former:
    size = SWIN if backbone.startswith("swin") else RESNET
    torch.manual_seed(0)
    return Mask2Former(ROAD_SCENE, backbone, config=CONFIG, backbone_options=size, **options)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_swin_equals_transformers(size: tuple[int, int]) -> None:
    model = _small().eval()
    swin = transformers.SwinConfig(**SWIN, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.Mask2FormerConfig(backbone_config=swin, num_labels=20, **CONFIG)
    original = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    missing, unknown = original.load_state_dict(model.network.state_dict(), strict=False)
    assert not unknown
    assert all("swin.layernorm" in key for key in missing)
    _assert_equal(model, original, size)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_resnet_equals_transformers(size: tuple[int, int]) -> None:
    model = Mask2Former(ROAD_SCENE, "resnet18", config=CONFIG).eval()
    timm = transformers.TimmBackboneConfig(backbone="resnet18", out_indices=(1, 2, 3, 4), use_pretrained_backbone=False)
    config = transformers.Mask2FormerConfig(backbone_config=timm, num_labels=20, **CONFIG)
    original = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    weights = {
        key.replace("encoder.backbone.features.", "encoder._backbone."): value
        for key, value in model.network.state_dict().items()
    }
    original.load_state_dict(weights)
    _assert_equal(model, original, size)


def _assert_equal(model: Mask2Former, original: Any, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected = original((image - model.mean) / model.std)
        outputs = model(image)
    queries = outputs["queries"]
    assert (queries["class_logits"] - expected.class_queries_logits).abs().max() < 1e-4
    assert (queries["mask_logits"] - expected.masks_queries_logits).abs().max() < 1e-4
    processor = transformers.Mask2FormerImageProcessor()
    maps = processor.post_process_semantic_segmentation(expected, target_sizes=[size] * 2)
    own = outputs["semantic"].argmax(dim=1)
    # transformers goes through 384 x 384, which moves borders by a pixel.
    assert (own == torch.stack(maps)).float().mean() > 0.9


def test_semantic_is_the_log_of_the_evidence() -> None:
    model = _small().eval()
    with torch.inference_mode():
        outputs = model(torch.rand(1, 3, 64, 64))
    queries = outputs["queries"]
    classes = queries["class_logits"][0].double().softmax(-1)[:, :-1].numpy()
    masks = 1 / (1 + np.exp(-queries["mask_logits"][0].double().numpy()))
    expected = np.tensordot(classes.T, masks, axes=1)  # (C, h, w)
    found = class_scores(queries["class_logits"], queries["mask_logits"])[0].numpy()
    assert np.abs(found - expected).max() < 1e-5
    # Bilinear upsampling by 4 keeps the mean of the inner cells.
    full = outputs["semantic"][0].exp()
    assert full.shape == (20, 64, 64)
    corner = expected[:, 0, 0]  # the outermost pixel of a corner repeats the cell's value
    assert np.abs(full[:, 0, 0].numpy() - corner).max() < 1e-5


@pytest.mark.parametrize("size", [(65, 97), (50, 70)])
@pytest.mark.parametrize("backbone", ["swin_tiny", "resnet18"])
def test_any_size_and_segments(backbone: str, size: tuple[int, int]) -> None:
    model = _small(backbone, score_threshold=0.0, overlap_threshold=0.1).eval()
    with torch.inference_mode():
        outputs = model(torch.rand(2, 3, *size))
        decoded = model.decode(outputs)
        objects = model.instances(outputs, top_k=5)
    assert outputs["semantic"].shape == (2, 20, *size)
    assert decoded["segments"].shape == (2, *size)
    assert decoded["segment_labels"].shape == decoded["segment_scores"].shape == (2, 12)
    for image in range(2):
        for query in decoded["segments"][image].unique().tolist():
            assert query == -1 or decoded["segment_labels"][image, query] >= 0
    assert all(found.masks.shape[1:] == size and len(found.masks) <= 5 for found in objects)


def test_panoptic_of_literal_queries() -> None:
    sure, none = 9.0, 9.0
    class_logits = torch.tensor(
        [
            [sure, 0, 0],  # stuff, left half
            [sure, 0, 0],  # the same stuff, top right
            [0, sure, 0],  # thing, bottom right
            [0, 0, none],  # no object
            [0.1, 0, 0],  # unsure
            [0, 5.0, 0],  # thing hidden behind the surer one
        ]
    )
    masks = torch.full((6, 4, 4), -9.0)
    masks[0, :, :2] = 9
    masks[1, :2, 2:] = 9
    masks[2, 2:, 2:] = 9
    masks[3] = 20
    masks[4] = 20
    masks[5, 2:, 2:] = 9
    segments, labels, scores = panoptic(class_logits, masks, things=[1])
    assert segments.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]]
    assert labels.tolist() == [0, -1, 1, -1, -1, -1]
    assert scores[0] > 0.99
    assert scores[1] == 0
    apart, labels, _ = panoptic(class_logits, masks, things=[0, 1])
    assert apart[0].tolist() == [0, 0, 1, 1]
    assert labels.tolist() == [0, 0, 1, -1, -1, -1]
    nothing, labels, _ = panoptic(class_logits[3:5], masks[3:5], things=[1])
    assert (nothing == -1).all()
    assert (labels == -1).all()


def test_instances_score_class_times_mask() -> None:
    class_logits = torch.tensor([[0.0, 3.0, 0.0], [0.0, 1.0, 0.0], [4.0, 0.0, 0.0]])
    masks = torch.full((3, 2, 2), -5.0)
    masks[0, 0] = 1.0
    masks[1, 1] = 4.0
    found = instances(class_logits, masks, things=[1], top_k=3)
    probability = class_logits.softmax(-1)[:, 1]
    assert found.labels.tolist() == [1, 1]  # the third query's mask is empty
    expected = [probability[0] * torch.tensor(1.0).sigmoid(), probability[1] * torch.tensor(4.0).sigmoid()]
    assert found.scores.tolist() == pytest.approx([float(value) for value in expected])
    assert found.masks[0].tolist() == [[True, True], [False, False]]


def test_loss_is_that_of_transformers_and_skips_images_without_labels() -> None:
    model = _small().train()
    image = torch.rand(2, 3, 64, 96)
    target = torch.full((2, 64, 96), 255)
    target[0, :32], target[0, 32:60] = 0, 13
    outputs = model(image)
    torch.manual_seed(3)
    found = model.loss(outputs, Batch(image, ["a", "b"], semantic=target))["semantic"]
    masks = torch.stack([target[0] == 0, target[0] == 13]).float()
    queries = outputs["queries"]
    aux = [{key: value[:1] for key, value in layer.items()} for layer in queries["aux"]]
    torch.manual_seed(3)
    parts = model.network.get_loss_dict(
        queries["mask_logits"][:1], queries["class_logits"][:1], [masks], [torch.tensor([0, 13])], aux
    )
    assert found.item() == pytest.approx(sum(part.item() for part in parts.values()), rel=1e-5)
    assert len(aux) == 2  # of three predictions; the last is the result
    empty = model.loss(outputs, Batch(image, ["a", "b"], semantic=torch.full((2, 64, 96), 255)))["semantic"]
    assert empty.item() == 0
    empty.backward()
    assert model.loss(outputs, Batch(image, ["a", "b"])) == {}


def test_labels_of_padded_images_stay_where_they_are() -> None:
    """A mask that fits the labels perfectly costs nothing, also where the image was padded."""
    model = _small().eval()
    with torch.inference_mode():
        outputs = model(torch.rand(1, 3, 50, 70))  # padded to 64 x 96
    target = torch.full((1, 50, 70), 7)
    target[0, :, 36:] = 2
    queries = outputs["queries"]
    queries["mask_logits"] = torch.full_like(queries["mask_logits"], -30.0)
    queries["class_logits"] = torch.zeros_like(queries["class_logits"])
    queries["class_logits"][..., -1] = 30
    for query, name, columns in ((0, 7, slice(0, 9)), (1, 2, slice(9, 18))):
        queries["mask_logits"][0, query, :13, columns] = 30.0
        queries["class_logits"][0, query] = 0
        queries["class_logits"][0, query, name] = 30.0
    right = model.loss(outputs, Batch(torch.rand(1, 3, 50, 70), ["a"], semantic=target))["semantic"].item()
    queries["mask_logits"] = queries["mask_logits"].roll(6, dims=3)
    wrong = model.loss(outputs, Batch(torch.rand(1, 3, 50, 70), ["a"], semantic=target))["semantic"].item()
    assert right < 0.15 * wrong


def test_things_come_from_the_label_set() -> None:
    assert [ROAD_SCENE.classes[i] for i in _small().thing_classes] == ["car", "truck", "bus", "motorcycle", "bicycle"]
    with pytest.raises(ValueError, match="no class 'unicorn'"):
        _small(things=["unicorn"])


def test_backbones_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="reads strides 4 to 32"):
        Mask2Former(ROAD_SCENE, "vgg11", config=CONFIG, backbone_options={"out_indices": (0, 1)})

"""The head of queries, against transformers' RT-DETR with the same weights, and in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import perception
from perception.errors import InputError
from perception.losses.hungarian import query_loss
from perception.models.heads.detr import DetrHead, anchor_logits, decode_queries
from perception.models.zoo import create_model

transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {"queries": 30, "layers": 2}
OPTIONS: dict[str, Any] = {
    "heads": ["semantic", "detection"],
    "detection_head": "detr",
    "channels": 32,
    "head_channels": 32,
    "detection_options": SMALL,
}


@pytest.mark.parametrize("size", [(64, 96), (128, 64)])
def test_equals_rt_detr_with_the_same_weights(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    config = transformers.RTDetrConfig(
        d_model=32,
        encoder_hidden_dim=32,
        decoder_in_channels=[32, 32, 32],
        decoder_layers=2,
        decoder_ffn_dim=128,
        num_queries=30,
        num_labels=5,
        num_denoising=0,
        backbone_config=transformers.RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
        ),
        encoder_in_channels=[8, 8, 8],
    )
    original = transformers.RTDetrForObjectDetection(config).eval()
    head = DetrHead(32, 5, 32, **SMALL).eval()
    body = original.model
    for own, other in (
        (head.project, body.decoder_input_proj),
        (head.select, body.enc_output),
        (head.select_class, body.enc_score_head),
        (head.select_box, body.enc_bbox_head),
        (head.decoder, body.decoder),
    ):
        for parameter in other.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))  # some start at exactly zero
        own.load_state_dict(other.state_dict())
    maps = {stride: torch.randn(2, 32, size[0] // stride, size[1] // stride) for stride in (8, 16, 32)}
    with torch.inference_mode():
        expected = original(
            torch.zeros(2, 3, *size), encoder_outputs=transformers.modeling_outputs.BaseModelOutput(list(maps.values()))
        )
        found = head(maps)
    assert (found["logits"] - expected.logits).abs().max() < 1e-4
    assert (found["boxes"] - expected.pred_boxes).abs().max() < 1e-4
    assert found["extent"].tolist() == list(size)


def test_anchors_are_centres_of_cells_and_doubled_sides() -> None:
    logits, valid = anchor_logits([(2, 4), (1, 2)], torch.device("cpu"), torch.float32)
    boxes = logits.sigmoid()[0]
    assert torch.allclose(boxes[5], torch.tensor([0.375, 0.75, 0.05, 0.05]), atol=1e-6)
    assert torch.allclose(boxes[9], torch.tensor([0.75, 0.5, 0.1, 0.1]), atol=1e-6)
    assert valid.all()
    far, inside = anchor_logits([(60, 60)], torch.device("cpu"), torch.float32)
    assert not inside[0, 0].item()  # its centre is nearer than a hundredth to the border
    assert inside[0, 61].item()
    assert torch.isfinite(far).all()


def test_decode_gives_pixels_of_the_image() -> None:
    logits = torch.full((1, 3, 2), -9.0)
    logits[0, 1, 1], logits[0, 2, 0] = 4.0, 3.0
    boxes = torch.tensor([[[0.5, 0.5, 0.1, 0.1], [0.25, 0.5, 0.5, 1.0], [0.9, 0.9, 0.4, 0.4]]])
    found = decode_queries(logits, boxes, torch.tensor([64, 128]), (60, 120), top_k=4)
    assert found["boxes"].shape == (1, 4, 4)
    assert found["labels"][0, :2].tolist() == [1, 0]
    assert found["boxes"][0, 0].tolist() == pytest.approx([0, 0, 64, 60])
    assert found["boxes"][0, 1].tolist() == pytest.approx([89.6, 44.8, 120, 60], abs=1e-3)
    assert (found["scores"][0].diff() <= 0).all()


@pytest.mark.parametrize("size", [(65, 97), (50, 130)])
def test_in_the_multi_task_model_at_odd_sizes(size: tuple[int, int], tmp_path) -> None:
    from perception.models.checkpoint import save

    model = create_model("multitask_resnet18_slim", **OPTIONS).eval()
    with torch.inference_mode():
        decoded = model.decode(model(torch.rand(2, 3, *size)))
        assert decoded["boxes"].shape == (2, 100, 4)
        assert decoded["scores"].shape == decoded["labels"].shape == (2, 100)
        assert decoded["labels"].max() < len(model.label_set.detection)
        assert (decoded["boxes"] >= 0).all()
        assert decoded["boxes"][..., 0::2].max() <= size[1]
        assert decoded["boxes"][..., 1::2].max() <= size[0]
        loaded = perception.load(save(model, tmp_path / "model"))
        image = torch.rand(1, 3, *size)
        assert torch.equal(model(image)["detection"]["logits"], loaded(image)["detection"]["logits"])


def test_every_parameter_learns_and_the_loss_falls() -> None:
    torch.manual_seed(0)
    model = create_model("multitask_resnet18_slim", **{**OPTIONS, "heads": ["detection"]}).train()
    image = torch.rand(2, 3, 64, 96)
    truth = torch.tensor([[[8.0, 8, 40, 40]], [[50.0, 20, 90, 60]]]), torch.tensor([[0], [5]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(6):
        loss = query_loss(model(image)["detection"], *truth, torch.tensor([True, True]))
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            unreached = [name for name, value in model.named_parameters() if value.grad is None]
            assert not unreached
        optimizer.step()
        losses.append(loss.item())
    assert losses[5] < losses[0]


def test_bad_options_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="unknown detection_head 'yolo'; use one of center, detr"):
        create_model("multitask_resnet18_slim", detection_head="yolo")
    with pytest.raises(InputError, match="width 36 is not a multiple of 8"):
        create_model("multitask_resnet18_slim", detection_head="detr", head_channels=36)

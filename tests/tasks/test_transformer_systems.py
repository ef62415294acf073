"""Transformer systems in the training task: their own losses, auxiliary outputs, and evaluation at another size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_zoo import QUERIES, VIT

from perception.tasks.multitask import MultiTask
from perception.types import Batch

pytest.importorskip("transformers")

SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "setr": ("setr_mla_vit_large", {"image_size": 64, "taps": (1, 2, 3, 4), "channels": 16, "vit_options": VIT}),
    "segmenter": ("segmenter_mask_vit_tiny", {"image_size": 64, "vit_options": VIT}),
    "segformer": (
        "segformer_b0",
        {"config": {"hidden_sizes": [8, 16, 40, 64], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}},
    ),
    "mask2former": (
        "mask2former_resnet50",
        {"config": QUERIES, "backbone_options": {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 32)}},
    ),
    "mask2former_swin": (
        "mask2former_swin_tiny",
        {"config": QUERIES, "backbone_options": {"embed_dim": 16, "depths": [1] * 4, "num_heads": [1, 2, 4, 8]}},
    ),
    "detr": (
        "multitask_resnet18_slim",
        {"detection_head": "detr", "head_channels": 32, "detection_options": {"queries": 30, "layers": 2}},
    ),
}


def _task(name: str, **options: Any) -> MultiTask:
    torch.manual_seed(0)
    model, model_options = SYSTEMS[name]
    return MultiTask(model=model, label_set="road_scene", model_options=model_options, **options)


def _batch() -> Batch:
    image = torch.rand(2, 3, 64, 96)
    semantic = torch.randint(0, 20, (2, 8, 12)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    semantic[1, :10] = 255
    return Batch(
        image,
        ["a", "b"],
        semantic=semantic,
        drivable=(semantic == 0).long(),
        lane=(semantic == 19).long(),
        boxes=torch.tensor([[[8.0, 8, 40, 40]], [[50.0, 20, 90, 60]]]),
        box_labels=torch.tensor([[0], [5]]),
        has_boxes=torch.tensor([True, True]),
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_losses_of_the_task_reach_the_model(name: str) -> None:
    task = _task(name).train()
    batch = _batch()
    losses = task.losses(task(batch.image), batch)
    assert set(losses) == set(task.model.head_names)
    task.balance(losses).backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_models_own_loss_takes_the_place_of_cross_entropy() -> None:
    task = _task("mask2former").train()
    batch = _batch()
    outputs = task(batch.image)
    torch.manual_seed(5)
    found = task.losses(outputs, batch)["semantic"]
    torch.manual_seed(5)
    assert found.item() == task.model.loss(outputs, batch)["semantic"].item()


def test_auxiliary_outputs_weigh_into_the_loss() -> None:
    task, batch = _task("setr", aux_weight=0.4).train(), _batch()
    outputs = task(batch.image)
    whole = task.losses(outputs, batch)["semantic"]
    task.aux_weight = 0.0
    alone = task.losses(outputs, batch)["semantic"]
    task.aux_weight = 0.4
    outputs["semantic_aux"] = outputs["semantic_aux"][:1]
    one = task.losses(outputs, batch)["semantic"]
    assert alone < one < whole


@pytest.mark.parametrize("name", SYSTEMS)
def test_evaluation_at_another_size_comes_back_to_the_images(name: str) -> None:
    task = _task(name, eval_size=[48, 80]).eval()
    with torch.inference_mode():
        decoded = task.evaluate(_batch())
    assert decoded["semantic"].shape == (2, 64, 96)
    if name.startswith("mask2former"):
        assert decoded["segments"].shape == (2, 64, 96)
    if "boxes" in decoded:
        assert decoded["boxes"][..., 0::2].max() <= 96.001

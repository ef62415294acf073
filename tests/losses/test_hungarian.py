"""The loss of queries, against transformers' own for RT-DETR and by hand."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_convert

from perception.losses.hungarian import match, query_loss

transformers = pytest.importorskip("transformers")

QUERIES, CLASSES, LAYERS = 20, 5, 2
HEIGHT, WIDTH = 64, 96


def _outputs(images: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (images, QUERIES)
    return {
        "logits": torch.randn(*shape, CLASSES, generator=generator),
        "boxes": torch.rand(*shape, 4, generator=generator) * 0.5 + 0.2,
        "layer_logits": torch.randn(images, LAYERS, QUERIES, CLASSES, generator=generator),
        "layer_boxes": torch.rand(images, LAYERS, QUERIES, 4, generator=generator) * 0.5 + 0.2,
        "extent": torch.tensor([HEIGHT, WIDTH]),
    }


def _truth() -> tuple[torch.Tensor, torch.Tensor]:
    boxes = torch.tensor(
        [[[4.0, 6, 30, 40], [50, 10, 90, 60], [0, 0, 8, 8]], [[10.0, 10, 20, 30], [0, 0, 0, 0], [0, 0, 0, 0]]]
    )
    return boxes, torch.tensor([[1, 4, 0], [2, -1, -1]])


def test_equals_the_loss_of_transformers() -> None:
    from transformers.loss.loss_rt_detr import RTDetrLoss

    outputs = _outputs(2)
    boxes, labels = _truth()
    scale = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    targets = [
        {"class_labels": names[names >= 0], "boxes": box_convert(corners[names >= 0], "xyxy", "cxcywh") / scale}
        for corners, names in zip(boxes, labels, strict=True)
    ]
    reference = RTDetrLoss(transformers.RTDetrConfig(num_labels=CLASSES))
    layers = [
        {"logits": outputs["layer_logits"][:, i], "pred_boxes": outputs["layer_boxes"][:, i]} for i in range(LAYERS)
    ]
    parts = reference(
        {"logits": outputs["logits"], "pred_boxes": outputs["boxes"], "auxiliary_outputs": layers}, targets
    )
    found = query_loss(outputs, boxes, labels, torch.tensor([True, True]))
    assert found.item() == pytest.approx(sum(part.item() for part in parts.values()), rel=1e-4)


def test_match_is_the_cheapest_of_all_assignments() -> None:
    from itertools import permutations

    outputs = _outputs(1, seed=3)
    logits, boxes = outputs["logits"][0, :5], outputs["boxes"][0, :5]
    true_boxes, true_labels = outputs["layer_boxes"][0, 0, :3], torch.tensor([0, 3, 3])
    single = torch.zeros(5, 3)  # cost of each pair, from the loss of matching it alone
    for thing in range(3):
        order = []
        left = torch.arange(5)
        while len(left):  # the matcher's own ranking of queries for one object
            query, _ = match(logits[left], boxes[left], true_boxes[thing : thing + 1], true_labels[thing : thing + 1])
            order.append(left[query].item())
            left = left[left != order[-1]]
        single[order, thing] = torch.arange(5).float()
    query, thing = match(logits, boxes, true_boxes, true_labels)
    ranks = single[query, thing]
    # No other assignment is at least as good for every object and better for one.
    for other in permutations(range(5), 3):
        better = single[list(other), torch.arange(3)]
        mine = torch.empty(3).index_copy(0, thing, ranks)
        assert not ((better <= mine).all() and (better < mine).any())


def test_right_boxes_cost_next_to_nothing() -> None:
    boxes, labels = _truth()
    outputs = _outputs(2)
    scale = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    outputs["logits"].fill_(-20.0)
    for image in range(2):
        for i in torch.nonzero(labels[image] >= 0).flatten().tolist():
            outputs["boxes"][image, i] = box_convert(boxes[image, i], "xyxy", "cxcywh") / scale
            outputs["logits"][image, i, labels[image, i]] = 20.0
    last = {name: outputs[name] for name in ("logits", "boxes", "extent")}
    assert query_loss(last, boxes, labels, torch.tensor([True, True])).item() < 1e-3
    assert query_loss(last, boxes.flip(2), labels, torch.tensor([True, True])).item() > 1.0


def test_unlabelled_images_and_classes_do_not_count() -> None:
    boxes, labels = _truth()
    outputs = _outputs(2)
    first = {name: value if name == "extent" else value[:1] for name, value in outputs.items()}
    alone = query_loss(first, boxes[:1], labels[:1], torch.tensor([True]))
    assert query_loss(outputs, boxes, labels, torch.tensor([True, False])).item() == pytest.approx(alone.item())
    known = torch.ones(1, CLASSES, dtype=torch.bool)
    known[0, 3] = False  # no object has it
    masked = query_loss(first, boxes[:1], labels[:1], torch.tensor([True]), known)
    first["logits"][..., 3] = 5.0
    first["layer_logits"][..., 3] = 5.0
    # Only the matching may change with other logits, and that of class 3 is none of the costs.
    again = query_loss(first, boxes[:1], labels[:1], torch.tensor([True]), known)
    assert again.item() == pytest.approx(masked.item(), rel=1e-5)
    assert masked.item() < alone.item()


def test_without_objects_there_is_a_loss_with_gradients() -> None:
    outputs = {name: value if name == "extent" else value.requires_grad_() for name, value in _outputs(2).items()}
    boxes, labels = torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64)
    query_loss(outputs, boxes, labels, torch.tensor([True, True])).backward()
    assert outputs["logits"].grad.abs().sum() > 0
    outputs = {name: value if name == "extent" else value.requires_grad_() for name, value in _outputs(2).items()}
    nothing = query_loss(outputs, boxes, labels, torch.tensor([False, False]))
    nothing.backward()
    assert nothing.item() == 0
    assert outputs["boxes"].grad.abs().sum() == 0

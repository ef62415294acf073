from __future__ import annotations

import pytest
import torch
from torch import Tensor

from perception.errors import InputError
from perception.models.checkpoint import load_matching
from perception.models.heads.center import CenterHead
from perception.models.zoo import create_model
from perception.taxonomy import get_label_set
from tests.tiny_zoo import SLIM

CLASSES = get_label_set("road_scene").detection


def _model(**options: object):
    torch.manual_seed(0)
    return create_model("multitask_resnet18_slim", "road_scene", **{**SLIM, **options}).eval()


def _seen_by_a_cell(outputs: Tensor, inputs: Tensor) -> list[int]:
    """Rows and columns of the input that the middle cell depends on: first and last."""
    height, width = outputs.shape[-2:]
    outputs[0, :, height // 2, width // 2].sum().backward()
    assert inputs.grad is not None
    seen = inputs.grad.abs().sum(dim=(0, 1)).nonzero()
    return [*seen.min(dim=0).values.tolist(), *seen.max(dim=0).values.tolist()]


@pytest.mark.parametrize("refinements", [0, 1, 2])
def test_each_refinement_looks_one_cell_further(refinements: int) -> None:
    head = CenterHead(4, 3, hidden_channels=16, refinements=refinements).eval()
    for layer in head.refine:
        torch.nn.init.ones_(layer.norm.weight)
    x = torch.rand(1, 4, 16, 20, requires_grad=True)
    far = 1 + refinements
    assert _seen_by_a_cell(head(x)["box"], x) == [8 - far, 10 - far, 8 + far, 10 + far]


def test_a_trained_head_that_gets_refinements_starts_as_it_was() -> None:
    trained, larger = CenterHead(4, 3), CenterHead(4, 3, refinements=2)
    assert load_matching(larger, trained.state_dict())[1]
    x = torch.randn(2, 4, 16, 20)
    for name in ("heatmap", "box"):
        assert torch.equal(larger(x)[name], trained(x)[name])


def test_a_pyramid_of_its_own_starts_from_the_shared_one() -> None:
    plain, model = _model(context=False), _model(detection_pyramid=True, context=False)
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)
    fresh = load_matching(model, plain.state_dict())[1]
    assert all("refine" in key for key in fresh)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model(image)["detection"]["heatmap"], plain(image)["detection"]["heatmap"])


def test_norms_per_scale_of_a_pyramid_of_its_own_start_from_the_plain_shared_ones() -> None:
    plain, ladder = _model(context=False), _model(detection_pyramid=True, context=False, scales=[0.5, 1.0])
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean)
    fresh = load_matching(ladder, plain.state_dict())[1]
    assert fresh
    assert all("refine" in key for key in fresh)


def test_further_maps_of_boxes_start_from_the_only_one() -> None:
    options = {"detection_options": {"box_groups": [["pedestrian"], ["motorcycle", "bicycle"]]}}
    plain, model = _model(), _model(**options)
    head = model.heads["detection"]
    assert head.box_map.tolist() == [{"pedestrian": 1, "motorcycle": 2, "bicycle": 2}.get(name, 0) for name in CLASSES]
    assert load_matching(model, plain.state_dict())[1] == []
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        outputs = model(image)
        assert outputs["detection"]["box"].shape == (1, 12, 16, 24)
        before, after = plain.decode(plain(image)), model.decode(outputs)
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(before[name], after[name])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["person"]], "'person' is no box class of label set road_scene; use car, "),
        ([["bicycle"], ["bicycle"]], "must name each class once"),
        ([[]], "at least one a group"),
        (["pedestrian", "bicycle"], "must be a list of lists of classes"),
    ],
)
def test_groups_of_boxes_must_be_box_classes(groups: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _model(detection_options={"box_groups": groups})


@pytest.mark.parametrize(("options", "changes"), [({"detection_pyramid": True}, False), ({}, True)])
def test_with_a_pyramid_of_its_own_what_is_far_away_changes_no_box(options: dict, changes: bool) -> None:
    model = _model(**options)
    image = torch.rand(1, 3, 64, 1536)
    other = image.clone()
    other[..., 1024:] = torch.rand(1, 3, 64, 512)
    near = slice(0, 256 // 4)
    with torch.no_grad():
        first, second = model(image), model(other)
    for name in ("heatmap", "box"):
        same = torch.equal(first["detection"][name][..., near], second["detection"][name][..., near])
        assert same is not changes
    assert not torch.equal(first["semantic"][..., :256], second["semantic"][..., :256])


def test_a_pyramid_of_its_own_is_part_of_the_detection_head() -> None:
    model = _model(detection_pyramid=True)
    own = {id(parameter) for parameter in model.detection_neck.parameters()}
    parts = {name: {id(parameter) for parameter in part.parameters()} for name, part in model.parts().items()}
    assert own <= parts["detection"]
    assert set.union(*parts.values()) == {id(parameter) for parameter in model.parameters()}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values()))


def test_boxes_of_a_pyramid_of_their_own_leave_the_masks_alone() -> None:
    model = _model(detection_pyramid=True)
    plain = _model()
    load_matching(plain, {key: value for key, value in model.state_dict().items() if "detection" not in key})
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for name in ("semantic", "drivable", "lane"):
            assert torch.equal(model(image)[name], plain(image)[name])
    for parameter in model.parameters():
        parameter.grad = None
    model(image)["detection"]["heatmap"].sum().backward()
    assert all(parameter.grad is None for parameter in model.neck.parameters())
    assert all(parameter.grad is not None for parameter in model.detection_neck.parameters())


def test_an_idle_head_does_not_run_its_pyramid() -> None:
    model = _model(detection_pyramid=True).train()
    model.idle_heads = frozenset({"detection"})
    maps = model.pyramid(torch.rand(2, 3, 64, 96))
    assert maps.boxes is None
    assert "detection" not in model.predict(maps, (64, 96))


def test_boxes_alone() -> None:
    model = _model(detection_pyramid=True, heads=["detection"])
    decoded = model.decode(model(torch.rand(1, 3, 64, 96)))
    assert decoded["boxes"].shape == (1, 100, 4)


def test_a_pyramid_of_its_own_is_for_the_centre_head() -> None:
    with pytest.raises(InputError, match="detection_pyramid is for detection_head center"):
        _model(detection_pyramid=True, detection_head="detr")

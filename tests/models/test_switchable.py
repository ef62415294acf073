"""Batch norms with statistics per scale."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import perception
from perception.errors import InputError
from perception.models.checkpoint import load_matching, save
from perception.models.switchable import SwitchableBatchNorm2d, make_switchable, select_scale

SCALES = (0.25, 0.5, 1.0)


def test_every_scale_starts_as_the_norm_that_is_replaced_and_keeps_its_own_statistics() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    norm(torch.randn(8, 4, 5, 5) * 3 + 1)
    switchable = SwitchableBatchNorm2d(norm, 3)
    x = torch.randn(8, 4, 5, 5)
    for position in range(3):
        switchable.active = position
        switchable.eval()
        assert torch.equal(switchable(x), norm.eval()(x))
    switchable.train()
    switchable.active = 1
    switchable(torch.randn(8, 4, 5, 5) + 10)
    means = [float(part.running_mean.mean()) for part in switchable.norms]  # type: ignore[union-attr, operator]
    assert means[0] == means[2]
    assert means[1] > means[0] + 0.5


@pytest.mark.parametrize("backbone", ["multitask_resnet18_slim", "multitask_mobilenetv4_small"])
def test_a_switchable_model_answers_as_the_plain_one_until_it_is_trained(backbone: str) -> None:
    torch.manual_seed(0)
    plain = perception.create_model(backbone, heads=["semantic"]).eval()
    torch.manual_seed(0)
    model = perception.create_model(backbone, heads=["semantic"], scales=SCALES).eval()
    x = torch.rand(1, 3, 64, 96)
    for scale in SCALES:
        model.select_scale(scale)
        assert torch.allclose(model(x)["semantic"], plain(x)["semantic"], atol=1e-5)


def test_the_nearest_scale_by_ratio_is_selected() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    make_switchable(model, SCALES)
    assert [select_scale(model, SCALES, scale) for scale in (0.01, 0.25, 0.34, 0.36, 0.7, 0.72, 1.0, 2.0)] == [
        0, 0, 0, 1, 1, 2, 2, 2,
    ]  # fmt: skip
    assert model[1].active == 2  # type: ignore[union-attr]


def test_a_saved_model_keeps_its_scales(tmp_path: object) -> None:
    model = perception.create_model("multitask_resnet18_slim", heads=["semantic"], scales=list(SCALES)).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, SwitchableBatchNorm2d):
                module.norms[0].bias.add_(1.0)  # type: ignore[operator, union-attr]
    again = perception.load(str(save(model, str(tmp_path))))
    x = torch.rand(1, 3, 64, 64)
    answers = []
    for scale in (0.25, 1.0):
        for each in (model, again):
            each.select_scale(scale)
            answers.append(each(x)["semantic"])
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[2], answers[3])
    assert not torch.allclose(answers[0], answers[2])


@pytest.mark.parametrize("name", ["multitask_resnet18_slim", "multitask_mobilenetv4_small"])
def test_plain_weights_start_every_scale(name: str) -> None:
    plain = perception.create_model(name, heads=["semantic"]).eval()
    with torch.no_grad():
        for module in plain.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
    model = perception.create_model(name, heads=["semantic"], scales=SCALES).eval()
    copied, fresh = load_matching(model, plain.state_dict())
    assert copied
    assert fresh == []
    x = torch.rand(1, 3, 64, 64)
    for scale in SCALES:
        model.select_scale(scale)
        assert torch.allclose(model(x)["semantic"], plain(x)["semantic"], atol=1e-5)


@pytest.mark.parametrize("scales", [[], [0.5, 0.25], [0.5, 0.5], [0.0, 1.0], [0.5, 1.5]])
def test_bad_scales(scales: list[float]) -> None:
    with pytest.raises(InputError, match="must ascend"):
        perception.create_model("multitask_resnet18_slim", scales=scales)


def test_a_network_without_batch_norms_is_refused() -> None:
    with pytest.raises(InputError, match="batch norms"):
        make_switchable(nn.Sequential(nn.Conv2d(1, 1, 1), nn.LayerNorm(3)), SCALES)

"""Batch-norm statistics measured on whole pictures, against numpy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perception.errors import InputError
from perception.models.norm_statistics import recalibrate
from perception.models.switchable import SwitchableBatchNorm2d
from perception.models.zoo import create_model


def first_norms(model: nn.Module) -> nn.BatchNorm2d | SwitchableBatchNorm2d:
    return next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d | SwitchableBatchNorm2d))


def measured(model: nn.Module, pictures: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over the pictures of each one's channel means and unbiased variances, at the input of the first norm."""
    seen: list[torch.Tensor] = []
    handle = first_norms(model).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].double()))
    with torch.no_grad():
        for picture in pictures:
            model(picture[None])
    handle.remove()
    flat = [x.permute(1, 0, 2, 3).flatten(1) for x in seen]
    return torch.stack([x.mean(1) for x in flat]).mean(0), torch.stack([x.var(1) for x in flat]).mean(0)


def test_statistics_are_averages_over_the_pictures() -> None:
    torch.manual_seed(0)
    model = create_model("multitask_resnet18_slim", heads=("semantic",)).train()
    pictures = [torch.rand(3, 64, 96) for _ in range(3)]
    weights = {name: value.clone() for name, value in model.named_parameters()}
    mean, variance = measured(model, pictures)
    recalibrate(model, pictures)
    norm = first_norms(model)
    assert torch.allclose(norm.running_mean.double(), mean, atol=1e-5)
    assert torch.allclose(norm.running_var.double(), variance, rtol=1e-4)
    assert norm.momentum == 0.1
    assert model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_each_scale_has_the_statistics_of_its_own_size() -> None:
    torch.manual_seed(0)
    model = create_model("multitask_resnet18_slim", heads=("semantic",), scales=(0.5, 1.0)).eval()
    pictures = [torch.rand(3, 64, 128)]
    recalibrate(model, pictures)
    assert not any(module.training for module in model.modules())
    norm = first_norms(model)
    assert isinstance(norm, SwitchableBatchNorm2d)
    small = [F.interpolate(p[None], size=(32, 64), mode="bilinear", antialias=True)[0] for p in pictures]
    for position, shown in enumerate((small, pictures)):
        model.select_scale((0.5, 1.0)[position])
        mean, _ = measured(model, shown)
        assert torch.allclose(norm.norms[position].running_mean.double(), mean, atol=1e-5)
    assert not torch.allclose(norm.norms[0].running_var, norm.norms[1].running_var)


def test_nothing_to_measure_on() -> None:
    model = create_model("multitask_resnet18_slim", heads=("semantic",))
    with pytest.raises(InputError, match="no pictures"):
        recalibrate(model, [])

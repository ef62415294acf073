from __future__ import annotations

import pytest
import torch

from perception.errors import InputError
from perception.models.heads.dense import SEMANTIC_HEADS
from perception.models.zoo import create_model


@pytest.mark.parametrize("name", SEMANTIC_HEADS)
def test_the_multitask_model_takes_every_head(name: str) -> None:
    torch.manual_seed(0)
    model = create_model("multitask_resnet18_slim", semantic_head=name, heads=["semantic", "drivable"], num_classes=5)
    for size in ((64, 96), (65, 97)):
        outputs = model(torch.rand(2, 3, *size))
        assert outputs["semantic"].shape == (2, 5, *size)
        assert outputs["drivable"].shape == (2, 1, *size)
    (outputs["semantic"].square().mean() + outputs["drivable"].square().mean()).backward()
    assert not [key for key, value in model.named_parameters() if value.grad is None]


def test_training_stride_holds_for_every_head() -> None:
    for name in SEMANTIC_HEADS:
        model = create_model("multitask_resnet18_slim", semantic_head=name, heads=["semantic"]).train()
        model.train_stride = 2
        assert model(torch.rand(2, 3, 64, 96))["semantic"].shape[-2:] == (32, 48)


def test_every_scale_has_norms_of_its_own() -> None:
    options = {"semantic_head": "deeplabv3plus", "heads": ["semantic"], "scales": [0.5, 1.0]}
    model = create_model("multitask_resnet18_slim", **options).train()
    model.select_scale(0.5)
    model(torch.rand(1, 3, 64, 96))["semantic"].mean().backward()


def test_unknown_head_is_refused() -> None:
    with pytest.raises(InputError, match="unknown semantic_head 'wing'; use one of fcn"):
        create_model("multitask_resnet18_slim", semantic_head="wing")

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn

from perception.callbacks import RecalibrateNorms
from perception.datamodules.base import DrivingDataModule, TransformedDataset
from perception.errors import InputError
from perception.models.zoo import create_model
from perception.taxonomy import ROAD_SCENE
from perception.types import Sample


class Pictures:
    """Training pictures of one brightness each, as stored."""

    label_set = ROAD_SCENE

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 9

    def read(self, index: int) -> Sample:
        self.asked.append(index)
        return Sample(torch.full((3, 64, 96), 20 * index, dtype=torch.uint8), str(index))


class Data(DrivingDataModule):
    label_set = ROAD_SCENE

    def build_dataset(self, stage: str) -> Pictures:
        return Pictures()


def validate(
    callback: RecalibrateNorms, sanity: bool = False, fn: TrainerFn = TrainerFn.FITTING, **task: bool
) -> tuple:
    torch.manual_seed(0)
    data = Data([64, 96])
    pictures = Pictures()
    data.datasets["train"] = TransformedDataset(pictures, lambda sample: pytest.fail("training transform"))
    model = create_model("multitask_resnet18_slim", heads=("semantic",)).eval()
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    trainer = SimpleNamespace(
        datamodule=data, sanity_checking=sanity, state=SimpleNamespace(fn=fn),
        precision_plugin=SimpleNamespace(forward_context=nullcontext),
    )  # fmt: skip
    callback.on_validation_epoch_start(trainer, SimpleNamespace(model=model, device="cpu", **task))  # type: ignore[arg-type]
    return pictures.asked, not torch.equal(norm.running_mean, before)


def test_pictures_are_spread_over_the_training_data_and_not_augmented() -> None:
    assert validate(RecalibrateNorms(3)) == ([0, 4, 8], True)
    assert validate(RecalibrateNorms(100)) == (list(range(9)), True)


def test_nothing_is_measured_outside_of_training() -> None:
    assert validate(RecalibrateNorms(3), sanity=True) == ([], False)
    assert validate(RecalibrateNorms(3), fn=TrainerFn.VALIDATING) == ([], False)
    assert validate(RecalibrateNorms(3), fixed_norms=True) == ([], False)
    with pytest.raises(InputError, match="at least 1"):
        RecalibrateNorms(0)

"""The data modules of the public data sets, each by one training step and one evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_frames import WRITERS

from perception.datamodules import (
    ADE20KDataModule,
    BDD100KDataModule,
    CityscapesDataModule,
    COCODataModule,
    FolderDataModule,
    VOCDataModule,
)
from perception.errors import InputError
from perception.tasks.multitask import MultiTask

MODULES: dict[str, tuple[Any, list[str]]] = {
    "cityscapes": (CityscapesDataModule, ["semantic", "drivable", "detection"]),
    "bdd100k": (BDD100KDataModule, ["drivable", "lane", "detection"]),
    "coco": (COCODataModule, ["semantic", "detection"]),
    "voc": (VOCDataModule, ["semantic", "detection"]),
    "ade20k": (ADE20KDataModule, ["semantic"]),
    "folder": (FolderDataModule, ["semantic", "drivable"]),
}
SMALL = {"size": [32, 32], "base_size": [32, 48], "batch_size": 2, "num_workers": 0}


@pytest.mark.parametrize("name", MODULES)
def test_a_step_and_an_evaluation(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path / name)
    build, heads = MODULES[name]
    data = build(str(root), **SMALL)
    data.setup("fit")
    label_set = str(root / "classes.yaml") if name == "folder" else data.label_set.name
    task = MultiTask("multitask_resnet18_slim", label_set, heads=heads)
    assert task.model.label_set == data.label_set
    batch = next(iter(data.train_dataloader()))
    losses = task.losses(task(batch.image), batch)
    assert set(losses) == set(heads)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    task.eval()
    for batch in data.val_dataloader():
        with torch.inference_mode():
            task.val_metrics.update(task.evaluate(batch), batch)
    assert {key.split("/")[0] for key in task.val_metrics.compute()} == set(heads)
    data.setup("predict")
    assert len(data.predict_dataloader()) > 0


def test_bdd100k_images_with_semantic_masks(tmp_path: Path) -> None:
    root = WRITERS["bdd100k"](tmp_path / "data")
    data = BDD100KDataModule(str(root), images="10k", **SMALL)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.semantic is not None
    assert batch.boxes is batch.lane is None


def test_coco_stuff_is_another_label_set(tmp_path: Path) -> None:
    root = WRITERS["coco"](tmp_path / "data")
    data = COCODataModule(str(root), semantic_from="stuff", **SMALL)
    assert data.label_set.name == "coco_stuff"
    data.setup("validate")
    assert next(iter(data.val_dataloader())).semantic is not None


def test_cityscapes_test_images_have_no_labels(tmp_path: Path) -> None:
    root = WRITERS["cityscapes"](tmp_path / "data")
    (root / "leftImg8bit" / "val").rename(root / "leftImg8bit" / "test")
    data = CityscapesDataModule(str(root), test_split="test", **SMALL)
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()))
    assert batch.semantic is batch.boxes is None
    assert batch.speed_mps == [None]
    with pytest.raises(InputError, match="split 'val'"):
        data.setup("validate")

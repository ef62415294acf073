from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.datamodules.camvid import CamVidDataModule
from perception.datamodules.collate import collate
from perception.errors import InputError
from perception.types import Boxes, Sample


def _sample(**targets) -> Sample:
    return Sample(image=torch.full((3, 4, 6), 255, dtype=torch.uint8), name="s", **targets)


def test_missing_targets_become_ignored() -> None:
    batch = collate([_sample(semantic=torch.ones(4, 6, dtype=torch.int64)), _sample()])
    assert batch.image.dtype == torch.float32
    assert batch.image.max() == 1
    assert (batch.semantic[0] == 1).all()
    assert (batch.semantic[1] == 255).all()
    assert batch.lane is None
    assert batch.boxes is None


def test_boxes_are_padded_and_an_empty_list_is_a_label() -> None:
    boxes = Boxes(np.array([[0, 0, 2, 2], [1, 1, 4, 4]]), np.array([3, 0]))
    batch = collate([_sample(boxes=boxes), _sample(boxes=Boxes.empty()), _sample()])
    assert batch.boxes.shape == (3, 2, 4)
    assert batch.box_labels.tolist() == [[3, 0], [-1, -1], [-1, -1]]
    assert batch.has_boxes.tolist() == [True, True, False]


def test_sizes_must_agree() -> None:
    other = Sample(image=torch.zeros(3, 8, 8, dtype=torch.uint8), name="t")
    with pytest.raises(InputError, match="4x6, 8x8"):
        collate([_sample(), other])


def test_batches_move_between_devices() -> None:
    batch = collate([_sample(semantic=torch.ones(4, 6, dtype=torch.int64))]).to("meta")
    assert batch.image.device.type == batch.semantic.device.type == "meta"
    assert batch.names == ["s"]


def test_camvid_loaders(camvid) -> None:
    data = CamVidDataModule(str(camvid), size=[32, 32], batch_size=2, num_workers=0, cache=True)
    data.setup("fit")
    first = list(data.train_dataloader())
    assert [tuple(batch.image.shape) for batch in first] == [(2, 3, 32, 32)] * 2
    assert len(data.datasets["train"].cache) == 4
    (validation, *_) = data.val_dataloader()
    assert validation.image.shape == (1, 3, 48, 64)
    assert validation.names == ["0016E5_00000"]


def test_a_kept_sample_is_the_one_that_was_read(camvid) -> None:
    data = CamVidDataModule(str(camvid), size=[32, 32], num_workers=0, cache=True)
    data.setup("fit")
    kept = data.datasets["train"]
    first, again = kept.read(0), kept.read(0)
    wanted = kept.dataset.read(0)
    assert kept.cache[0].semantic.dtype == torch.uint8
    for sample in (first, again):
        assert sample.semantic.dtype == torch.int64
        assert torch.equal(sample.semantic, wanted.semantic)
        assert torch.equal(sample.image, wanted.image)
        assert sample.name == wanted.name


def test_a_held_out_drive_is_never_trained_on(camvid) -> None:
    data = CamVidDataModule(str(camvid), hold_out="0006R0", size=[32, 32], batch_size=2, num_workers=0)
    data.setup("fit")
    assert all(name.startswith("0016E5") for name in data.datasets["train"].dataset.names)
    assert all(name.startswith("0006R0") for name in data.datasets["val"].dataset.names)


def test_a_batch_larger_than_the_data_is_refused(camvid) -> None:
    data = CamVidDataModule(str(camvid), size=[32, 32], batch_size=5, num_workers=0)
    data.setup("fit")
    with pytest.raises(InputError, match="4 training frames are fewer than batch_size 5"):
        data.train_dataloader()

from __future__ import annotations

import numpy as np
import pytest
from conftest import real_data
from PIL import Image

from perception.datasets.camvid import CamVidDataset, component_boxes
from perception.errors import InputError
from perception.taxonomy import CAMVID


def test_reads_frames_masks_and_derived_boxes(camvid) -> None:
    dataset = CamVidDataset(camvid, "train")
    assert len(dataset) == 4
    sample = dataset[1]
    assert sample.name == "0006R0_00001"
    assert sample.image.shape == (3, 48, 64)
    assert set(np.unique(sample.semantic)) == {0, 3, 8, 255}
    assert (sample.semantic[-2:] == 255).all()
    assert (sample.drivable == (sample.semantic == 3)).numpy()[:-2].all()
    assert (sample.drivable[-2:] == 255).all()
    assert sample.lane is None
    assert sample.boxes.xyxy.tolist() == [[5, 24, 25, 36]]
    assert [CAMVID.detection[i] for i in sample.boxes.labels] == ["car"]


def test_sequences_select_drives(camvid) -> None:
    assert len(CamVidDataset(camvid, "train", sequences=["0006R0"])) == 2
    assert CamVidDataset(camvid, "train", exclude=["0006R0"]).names == ["0016E5_00000", "0016E5_00002"]


def test_components_touching_at_a_corner_are_one_and_specks_none() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[0:8, 0:8] = labels[8:16, 8:16] = CAMVID.index("pedestrian")
    labels[30:32, 30:32] = CAMVID.index("car")
    boxes = component_boxes(labels)
    assert boxes.xyxy.tolist() == [[0, 0, 16, 16]]
    assert boxes.labels.tolist() == [CAMVID.detection.index("pedestrian")]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "train" / "0016E5_00000.png").write_bytes(b"\x89PNG broken"), "does not decode"),
        (lambda root: (root / "train" / "0016E5_00000.png").unlink(), "does not exist"),
        (
            lambda root: Image.fromarray(np.full((48, 64), 77, np.uint8)).save(
                root / "trainannot" / "0016E5_00000.png"
            ),
            "has value 77; CamVid has classes 0..10",
        ),
        (
            lambda root: Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "trainannot" / "0016E5_00000.png"),
            r"is \(8, 8\) but its image is \(48, 64\)",
        ),
        (
            lambda root: Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(
                root / "trainannot" / "0016E5_00000.png"
            ),
            "expected one channel",
        ),
    ],
)
def test_bad_files_are_named(camvid, damage, message) -> None:
    damage(camvid)
    with pytest.raises(InputError, match=message) as caught:
        CamVidDataset(camvid, "train")[0]
    assert "0016E5_00000" in str(caught.value)


def test_missing_folders_and_empty_splits_are_named(camvid, tmp_path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        CamVidDataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="split 'test'"):
        CamVidDataset(camvid, "test")
    with pytest.raises(InputError, match="has no frames"):
        CamVidDataset(camvid, "train", sequences=["none"])


def test_names_cannot_leave_the_folder(camvid) -> None:
    (camvid / "train.txt").write_text("../../secret\n")
    with pytest.raises(InputError, match="outside the data folder"):
        CamVidDataset(camvid, "train")[0]


def test_real_camvid_has_its_published_counts() -> None:
    root = real_data("camvid")
    assert (len(CamVidDataset(root, "train")), len(CamVidDataset(root, "val"))) == (367, 101)
    sample = CamVidDataset(root, "val")[0]
    assert sample.image.shape == (3, 360, 480)
    assert sample.boxes is not None
    assert len(sample.boxes) > 3

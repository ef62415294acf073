"""Faults of a CamVid folder are found, laid to their frame, and left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception.cli import main
from perception.datamodules import CamVidDataModule
from perception.datasets.camvid import CamVidDataset
from perception.errors import InputError


def missing_mask(root: Path, name: str) -> None:
    (root / "trainannot" / f"{name}.png").unlink()


def missing_image(root: Path, name: str) -> None:
    (root / "train" / f"{name}.png").unlink()


def other_size(root: Path, name: str) -> None:
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(root / "trainannot" / f"{name}.png")


def out_of_range(root: Path, name: str) -> None:
    path = root / "trainannot" / f"{name}.png"
    labels = np.array(Image.open(path))
    labels[3, 4] = 77
    Image.fromarray(labels).save(path)


def colours(root: Path, name: str) -> None:
    path = root / "trainannot" / f"{name}.png"
    Image.open(path).convert("RGB").save(path)


def cut_off(root: Path, name: str) -> None:
    path = root / "train" / f"{name}.png"
    path.write_bytes(path.read_bytes()[:-60])


FAULTS = (missing_mask, missing_image, other_size, out_of_range, colours, cut_off)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_and_left_out(fault: Callable[[Path, str], None], camvid: Path) -> None:
    assert main(["check", str(camvid), "--full", "true"]) == 0
    assert not (camvid / "quarantine.json").exists()
    name = (camvid / "train.txt").read_text().split()[1]
    fault(camvid, name)
    dataset = CamVidDataset(camvid)
    with pytest.raises(InputError, match=f"frame {name} of train.*perception check"):
        dataset.read(1)
    assert main(["check", str(camvid), "--full", "true"]) == 1
    listed = json.loads((camvid / "quarantine.json").read_text())["records"]
    assert [(row["table"], row["token"]) for row in listed] == [("train", name)]
    kept = CamVidDataset(camvid)
    assert len(kept) == len(dataset) - 1
    assert [kept.read(i).name for i in range(len(kept))] == [n for n in dataset.names if n != name]
    data = CamVidDataModule(str(camvid), quarantine="off")
    assert len(data.build_dataset("train")) == len(dataset)
    assert len(data.build_dataset("val")) == 4


def test_frames_that_are_listed_twice_are_kept(camvid: Path) -> None:
    listing = camvid / "train.txt"
    names = listing.read_text().split()
    listing.write_text("\n".join([*names, names[0]]))
    assert main(["check", str(camvid)]) == 1
    assert len(CamVidDataset(camvid)) == len(names) + 1


def test_a_folder_without_splits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert main(["check", str(tmp_path / "data"), "--format", "camvid"]) == 2

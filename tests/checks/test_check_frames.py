"""Faults of the data sets that are a list of frames are found, laid to their frame, and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_frames import WRITERS, halves, save

from perception.checks.frames import guess
from perception.cli import main
from perception.commands.check import find_format
from perception.datasets.ade20k import ADE20KDataset
from perception.datasets.bdd100k import BDD100KDataset
from perception.datasets.cityscapes import CityscapesDataset
from perception.datasets.coco import COCODataset
from perception.datasets.folder import FolderDataset
from perception.datasets.voc import VOCDataset

SPLITS = {"coco": "train2017"}
OPENERS: dict[str, Any] = {
    "cityscapes": CityscapesDataset,
    "bdd100k": BDD100KDataset,
    "coco": COCODataset,
    "voc": VOCDataset,
    "ade20k": ADE20KDataset,
    "folder": FolderDataset,
}


def edit(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


FAULTS = [
    ("cityscapes", "leftImg8bit/train/*/*.png", "cut", False),
    ("cityscapes", "gtFine/train/*/*labelIds.png", halves(23, 60), True),
    ("cityscapes", "camera/train/*/*.json", "[]", False),
    ("bdd100k", "images/100k/train/*.jpg", "cut", False),
    ("bdd100k", "labels/lane/masks/train/*.png", halves(0, 0, (4, 4)), False),
    ("coco", "train2017/*.jpg", None, False),
    ("coco", "annotations/panoptic_train2017/*.png", None, False),
    ("voc", "SegmentationClass/*32.png", None, False),
    ("voc", "SegmentationClass/*32.png", halves(0, 30), True),
    ("voc", "Annotations/*32.xml", "<annotation>", False),
    ("ade20k", "annotations/training/*.png", halves(0, 200), True),
    ("folder", "masks/train/b/*.png", np.full((32, 48, 3), 9, np.uint8), True),
]


@pytest.mark.parametrize(("kind", "pattern", "content", "full"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_is_found_and_left_out(
    kind: str, pattern: str, content: Any, full: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = WRITERS[kind](tmp_path / "data")
    command = ["check", str(root), "--full", str(full).lower()]
    assert find_format(root, "auto") == kind
    assert main(command) == 0
    assert not (root / "quarantine.json").exists()
    path = min(root.glob(pattern))
    if content is None:
        path.unlink()
    elif isinstance(content, np.ndarray):
        save(path, content)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-70])
    else:
        path.write_text(content)
    split = SPLITS.get(kind, "train")
    whole = OPENERS[kind](root, split)
    assert main(command) == 1
    assert len(json.loads((root / "quarantine.json").read_text())["records"]) >= 1
    kept = OPENERS[kind](root, split)
    assert len(kept) == len(whole) - 1
    (lost,) = set(whole.frame_names) - set(kept.frame_names)
    assert lost.split("/")[-1].split("_gtFine")[0] in str(path) or path.stem.startswith(lost)
    for i in range(len(kept)):
        kept.read(i)
    assert len(OPENERS[kind](root, split, quarantine="off")) == len(whole)
    capsys.readouterr()


def test_boxes_that_are_no_numbers_are_found(tmp_path: Path) -> None:
    root = WRITERS["coco"](tmp_path / "data")
    edit(root / "annotations/instances_train2017.json", lambda c: c["annotations"][0].update(bbox=[1, 2, "wide", 4]))
    assert main(["check", str(root)]) == 1
    assert COCODataset(root).frame_names == ["000000000002", "000000000003"]


def test_a_broken_table_is_one_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = WRITERS["bdd100k"](tmp_path / "data")
    (root / "labels/det_20/det_val.json").write_text("[")
    assert main(["check", str(root), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["format"] == "bdd100k"
    lists = next(row for row in result["checks"] if row["check"] == "lists")
    assert "det_val.json does not parse" in lists["example"]
    images = next(row for row in result["checks"] if row["check"] == "images")
    assert images["count"] == 3 + 2  # of both image sets, whose validation splits cannot be listed
    assert images["broken"] == 0


def test_links_that_lead_outside_are_found(tmp_path: Path) -> None:
    root = WRITERS["ade20k"](tmp_path / "data")
    mask = min(root.glob("annotations/training/*.png"))
    mask.rename(tmp_path / "elsewhere.png")
    mask.symlink_to(tmp_path / "elsewhere.png")
    assert main(["check", str(root)]) == 1
    assert len(ADE20KDataset(root)) == 1


def test_a_folder_of_none_of_the_formats_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guess(tmp_path) is None
    assert main(["check", str(tmp_path)]) == 2
    assert "name it with --format" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--format", "cityscapes"]) == 2
    assert "no split in the layout of cityscapes" in capsys.readouterr().err

"""Faults of a nuImages data set are found, laid to their record, and left out by the reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_nuimages import write_nuimages

from perception.checks.nuimages import check_nuimages
from perception.cli import main
from perception.datasets.nuimages import NuImagesDataset

VERSION = "v1.0-mini"
Rows = list[dict[str, Any]]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_nuimages(tmp_path / "data")


def edit(table: str, change: Callable[[Rows], None]) -> Callable[[Path], None]:
    def fault(root: Path) -> None:
        path = root / VERSION / f"{table}.json"
        rows = json.loads(path.read_text())
        change(rows)
        path.write_text(json.dumps(rows))

    return fault


def set_field(table: str, name: str, value: Any) -> Callable[[Path], None]:
    return edit(table, lambda rows: rows[-1].update({name: value}))


def cut_image(root: Path) -> None:
    path = sorted((root / "samples").rglob("*.png"))[0]
    path.write_bytes(path.read_bytes()[:-30])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "image": (cut_image, "sample_data"),
    "missing": (lambda root: sorted((root / "samples").rglob("*.png"))[0].unlink(), "sample_data"),
    "outside": (
        edit("sample_data", lambda rows: next(r for r in rows if r["token"] == "key-0").update(filename="../x.png")),
        "sample_data",
    ),
    "category": (set_field("object_ann", "category_token", "nothing"), "object_ann"),
    "image token": (set_field("surface_ann", "sample_data_token", "nothing"), "surface_ann"),
    "mask": (edit("object_ann", lambda rows: rows[0].update(mask={"size": [3, 3], "counts": "AA=="})), "object_ann"),
    "box": (set_field("object_ann", "bbox", [5, 5, 1, 9]), "object_ann"),
    "speed": (set_field("ego_pose", "speed", float("nan")), "ego_pose"),
    "rotation": (set_field("ego_pose", "rotation", [1, 1, 0, 0]), "ego_pose"),
    "pose": (edit("ego_pose", lambda rows: rows[1].pop("translation")), "ego_pose"),
    "log": (set_field("sample", "log_token", "nothing"), "sample"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_left_out(name: str, own: Path) -> None:
    assert check_nuimages(own, full=True).broken == []
    fault, table = FAULTS[name]
    fault(own)
    assert main(["check", str(own), "--full", "true"]) == 1
    listed = json.loads((own / "quarantine.json").read_text())
    assert listed["format"] == "nuimages"
    assert listed["records"][0]["table"] == table
    dataset = NuImagesDataset(own)
    for i in range(len(dataset)):
        dataset.read(i)
    assert len(dataset) >= 3


def test_images_and_masks_are_counted(own: Path) -> None:
    report = check_nuimages(own, full=True)
    rows = {name: json.loads((own / VERSION / f"{name}.json").read_text()) for name in ("object_ann", "surface_ann")}
    assert report.counts["images"] == len(NuImagesDataset(own))
    assert report.counts["masks"] == sum(row["mask"] is not None for table in rows.values() for row in table)
    assert report.counts["boxes"] == len(rows["object_ann"])

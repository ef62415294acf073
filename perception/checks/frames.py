"""All checks of the data sets that are a list of frames: their lists and tables, images, label images and boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from perception.checks.file_faults import Root, fault_of_image
from perception.checks.measurements import Findings, run_in_threads
from perception.checks.report import Report
from perception.checks.tables import Record
from perception.datasets.ade20k import FOLDERS as ADE20K_FOLDERS
from perception.datasets.ade20k import ADE20KDataset
from perception.datasets.bdd100k import IMAGE_SETS as BDD100K_IMAGES
from perception.datasets.bdd100k import SPLITS as BDD100K_SPLITS
from perception.datasets.bdd100k import BDD100KDataset
from perception.datasets.cityscapes import IMAGE, CityscapesDataset
from perception.datasets.cityscapes import SPLITS as CITYSCAPES_SPLITS
from perception.datasets.coco import COCODataset
from perception.datasets.folder import FolderDataset
from perception.datasets.frames import Frame, FrameDataset
from perception.datasets.quarantine import OFF, Broken
from perception.datasets.voc import LISTS as VOC_LISTS
from perception.datasets.voc import VOCDataset
from perception.errors import InputError

LISTS, IMAGES, LABELS, BOXES = "lists", "images", "labels", "boxes"
Split = tuple[str, Callable[[], FrameDataset]]


def check_frames(root: Path, kind: str, full: bool = False, workers: int = 4) -> Report:
    """Every frame has an image, labels of its size and boxes of numbers; with ``full`` all of it is read as training
    reads it.

    Args:
        kind: one of :data:`KINDS`.

    Raises:
        InputError: for a folder without any split of that format.
    """
    report = Report()
    found = KINDS[kind](root)
    if not found:
        raise InputError(f"data folder {root} has no split in the layout of {kind}")
    paths = Root(root)
    for split, opener in found:
        report.count(LISTS, 1)
        try:
            dataset = opener()
        except InputError as error:
            report.add(Broken(LISTS, split, "", str(error), file=""))
            continue
        _check_split(dataset, split, paths, report, full, workers)
    return report


def _check_split(dataset: FrameDataset, split: str, paths: Root, report: Report, full: bool, workers: int) -> None:
    frames = {frame.name: frame for frame in dataset.frames}
    rows: list[Record] = [{"name": name} for name in frames]

    def test(chunk: Sequence[Record]) -> Findings:
        counts = {IMAGES: len(chunk), LABELS: 0, BOXES: 0}
        broken = []
        for row in chunk:
            frame = frames[row["name"]]
            counts[LABELS] += len(frame.labels)
            counts[BOXES] += 1
            broken += _faults(dataset, split, frame, paths, full)
        return counts, broken

    run_in_threads(test, rows, split, report, workers)


def _faults(dataset: FrameDataset, split: str, frame: Frame, paths: Root, full: bool) -> list[Broken]:
    image, fault = paths.find(frame.image)
    fault = fault or fault_of_image(image, None, full)
    if fault:
        return [Broken(IMAGES, split, frame.name, fault, file=frame.image)]
    with Image.open(image) as opened:
        size = (opened.height, opened.width)
    for file in frame.labels.values():
        labels, fault = paths.find(file)
        fault = fault or fault_of_image(labels, size, full)
        if fault:
            return [Broken(LABELS, split, frame.name, fault, file=file)]
    try:
        dataset.boxes(frame, size)
        dataset.facts(frame, size)
    except (ValueError, OSError) as error:
        return [Broken(BOXES, split, frame.name, str(error))]
    if full:
        try:
            dataset.masks(frame, size)
        except (ValueError, OSError) as error:
            return [Broken(LABELS, split, frame.name, str(error), file=next(iter(frame.labels.values()), ""))]
    return []


def _cityscapes(root: Path) -> list[Split]:
    found: list[Split] = []
    for split in CITYSCAPES_SPLITS:
        if (root / IMAGE / split).is_dir():
            ground = {name: root / f"gt{name.capitalize()}" / split for name in ("fine", "coarse")}
            labels = next((name for name, folder in ground.items() if folder.is_dir()), "none")
            found.append((split, partial(CityscapesDataset, root, split, labels=labels, quarantine=OFF)))
    return found


def _bdd100k(root: Path) -> list[Split]:
    pairs = [(split, images) for images in BDD100K_IMAGES for split in BDD100K_SPLITS]
    return [
        (split, partial(BDD100KDataset, root, split, images=images, quarantine=OFF))
        for split, images in pairs
        if (root / "images" / images / split).is_dir()
    ]


def _coco(root: Path) -> list[Split]:
    found: list[Split] = []
    annotations = root / "annotations"
    files = [*annotations.glob("instances_*.json"), *annotations.glob("panoptic_*.json")]
    for split in sorted({path.stem.partition("_")[2] for path in files}):
        panoptic = (annotations / f"panoptic_{split}.json").is_file()
        boxes = (annotations / f"instances_{split}.json").is_file()
        semantic = "panoptic" if panoptic else "none"
        found.append((split, partial(COCODataset, root, split, None, semantic, boxes, quarantine=OFF)))
    return found


def _voc(root: Path) -> list[Split]:
    return [
        (split, partial(VOCDataset, root, split, task=task, difficult=True, quarantine=OFF))
        for task, folder in VOC_LISTS.items()
        for split in ("train", "val", "trainaug", "test")
        if (root / "ImageSets" / folder / f"{split}.txt").is_file()
    ]


def _ade20k(root: Path) -> list[Split]:
    present = [split for split, folder in ADE20K_FOLDERS.items() if (root / "images" / folder).is_dir()]
    return [(split, partial(ADE20KDataset, root, split, quarantine=OFF)) for split in present]


def _folder(root: Path) -> list[Split]:
    images = root / "images"
    present = sorted(path.name for path in images.iterdir() if path.is_dir()) if images.is_dir() else []
    return [(split, partial(FolderDataset, root, split, quarantine=OFF)) for split in present]


KINDS: dict[str, Callable[[Path], list[Split]]] = {
    "cityscapes": _cityscapes,
    "bdd100k": _bdd100k,
    "coco": _coco,
    "voc": _voc,
    "ade20k": _ade20k,
    "folder": _folder,
}
"""Format to the splits that a data folder has, and what opens each."""


def guess(root: Path) -> str | None:
    """The format that a data folder looks like."""
    marks = {
        "cityscapes": IMAGE,
        "voc": "JPEGImages",
        "bdd100k": "images/100k",
        "ade20k": "annotations/training",
        "folder": "classes.yaml",
    }
    if any(root.glob("annotations/*_*.json")):
        return "coco"
    return next((kind for kind, mark in marks.items() if (root / mark).exists()), None)

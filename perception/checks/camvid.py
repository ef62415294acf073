"""All checks of a CamVid folder: ``<split>/``, ``<split>annot/`` and, where it is there, ``<split>.txt``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from perception.checks.file_faults import Root, fault_of_image, fault_of_labels
from perception.checks.measurements import Findings, run_in_threads
from perception.checks.report import Report
from perception.checks.tables import Record
from perception.datasets.camvid import VOID
from perception.datasets.quarantine import Broken
from perception.errors import InputError
from perception.files import require_dir

SPLITS = ("train", "val", "test")
LISTS, IMAGES, LABELS = "lists", "images", "labels"


def check_camvid(root: Path, full: bool = False, workers: int = 4) -> Report:
    """Every frame has an image and labels of its size; with ``full`` all of both decode and labels are in range.

    Raises:
        InputError: for a folder without a split.
    """
    require_dir(root, "CamVid folder")
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if not splits:
        raise InputError(f"CamVid folder {root} has none of the folders {', '.join(SPLITS)}")
    report = Report()
    rows: list[Record] = []
    for split in splits:
        rows += [{"split": split, "name": name} for name in _names(root, split, report)]
    paths = Root(root)

    def test(chunk: Sequence[Record]) -> Findings:
        broken = []
        for row in chunk:
            broken += _faults(paths, row["split"], row["name"], full)
        return {IMAGES: len(chunk), LABELS: len(chunk)}, broken

    run_in_threads(test, rows, "frames", report, workers)
    return report


def _names(root: Path, split: str, report: Report) -> list[str]:
    """Frames of a split: those listed, else all images; labels without an image are frames, too."""
    listing = root / f"{split}.txt"
    images = {path.stem for path in (root / split).glob("*.png")}
    labels = {path.stem for path in (root / f"{split}annot").glob("*.png")}
    if not listing.is_file():
        return sorted(images | labels)
    report.count(LISTS, 1)
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        report.add(Broken(LISTS, split, "", f"it does not read: {error}", file=listing.name))
        return sorted(images | labels)
    names = [line.strip() for line in lines if line.strip()]
    for name in (name for name, times in Counter(names).items() if times > 1):
        report.add(Broken(LISTS, split, name, "the frame is listed twice", file=listing.name, leave_out=False))
    return list(dict.fromkeys(names))


def _faults(paths: Root, split: str, name: str, full: bool) -> list[Broken]:
    image_file, label_file = f"{split}/{name}.png", f"{split}annot/{name}.png"
    image, fault = paths.find(image_file)
    fault = fault or fault_of_image(image, None, full)
    if fault:
        return [Broken(IMAGES, split, name, fault, split, image_file)]
    labels, fault = paths.find(label_file)
    if not fault:
        with Image.open(image) as opened:
            size = (opened.height, opened.width)
        fault = fault_of_labels(labels, size, full, VOID + 1)
    return [Broken(LABELS, split, name, fault, split, label_file)] if fault else []

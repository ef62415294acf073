"""BDD100K in its official layout: boxes, drivable area, lane markings, semantic masks.

Paper: BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning - arXiv 1805.04687
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.frames import Frame, FrameDataset, Size, allowed, make_boxes, read_json
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import require_dir
from perception.taxonomies.bdd100k import (
    BDD100K_NOT_EVALUATED,
    BDD100K_OLD_NAMES,
    LANE_BACKGROUND,
    LANE_CATEGORIES,
    LANE_VERTICAL,
)
from perception.taxonomy import BDD100K
from perception.types import IGNORE_INDEX, Boxes, Sample

SPLITS = ("train", "val", "test")
IMAGE_SETS = ("100k", "10k")
MASKS = {"semantic": "sem_seg", "drivable": "drivable", "lane": "lane"}
"""Target to the folder of its masks below ``labels/``."""
ATTRIBUTES = ("weather", "scene", "timeofday")
LANES = tuple(name for name in LANE_CATEGORIES if name not in ("crosswalk", "road_curb"))
DIRECT, ALTERNATIVE, NOT_DRIVABLE = 0, 1, 2
"""Values of drivable masks."""


class BDD100KDataset(FrameDataset):
    """Images of ``images/100k/<split>`` or ``images/10k/<split>`` with the labels that are there.

    A target whose file is missing is ``None`` for that frame: semantic masks exist for the 10k images, the others for
    the 100k ones. Weather, scene and time of day of the box labels are in ``frames[i].record["attributes"]``.

    Args:
        root: folder with ``images/`` and ``labels/``.
        split: ``train``, ``val`` or ``test``, which has no labels.
        transform: applied to each sample.
        images: ``100k`` or ``10k``.
        alternative: count alternative lanes, which the car could move to, as drivable, besides its own.
        lanes: categories of lane markings that are ``lane``, of :data:`LANE_CATEGORIES`; by default all but crosswalks
            and road curbs.
        across: count markings that run across the lane, such as stop lines, too.
        attributes: keep only frames whose attribute is one of these, such as ``{"timeofday": ["night"]}``.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder, an unknown split, category or attribute, or a list of labels of another form;
            when read, for a broken file.
    """

    title = "BDD100K"
    label_set = BDD100K

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        images: str = "100k",
        alternative: bool = True,
        lanes: Sequence[str] = LANES,
        across: bool = True,
        attributes: Mapping[str, Sequence[str]] | None = None,
        quarantine: str = AUTO,
    ) -> None:
        for value, allowed_values, what in (
            *((value, LANE_CATEGORIES, "lane category") for value in lanes),
            *((value, ATTRIBUTES, "attribute") for value in attributes or ()),
            (split, SPLITS, "split"),
            (images, IMAGE_SETS, "images"),
        ):
            if value not in allowed_values:
                raise InputError(f"unknown BDD100K {what} {value!r}; use {', '.join(allowed_values)}")
        home = require_dir(root, "BDD100K folder")
        self.images = images
        self._lane = lane_table(lanes, across)
        self._drivable = np.full(256, IGNORE_INDEX, np.uint8)
        self._drivable[[DIRECT, ALTERNATIVE, NOT_DRIVABLE]] = (1, int(alternative), 0)
        self._semantic = np.full(256, IGNORE_INDEX, np.uint8)
        self._semantic[: len(BDD100K.classes)] = np.arange(len(BDD100K.classes))
        frames = self._list(home, split)
        if attributes:
            frames = (frame for frame in frames if _has(frame, attributes))
        super().__init__(home, split, frames, transform, quarantine)

    def _list(self, root: Path, split: str) -> Iterator[Frame]:
        folder = f"images/{self.images}/{split}"
        require_dir(root / folder, f"BDD100K images of split {split!r}")
        records = detections(root, split)
        for path in sorted((root / folder).glob("*.jpg")):
            labels = {}
            for target, kind in MASKS.items():
                file = f"labels/{kind}/masks/{split}/{path.stem}.png"
                if (root / file).is_file():
                    labels[target] = file
            yield Frame(path.stem, f"{folder}/{path.name}", labels, records.get(path.name, {}))

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        tables = {
            "semantic": (self._semantic, allowed(range(len(BDD100K.classes))), "classes 0..18, 255 is ignored"),
            "drivable": (self._drivable, allowed(range(3)), "drivable areas 0..2"),
            "lane": (self._lane, np.ones(256, bool), "any"),
        }
        return {target: self.read_classes(frame, target, size, *tables[target]) for target in frame.labels}

    def boxes(self, frame: Frame, size: Size) -> Boxes | None:
        if "labels" not in frame.record:
            return None
        rows = []
        for item in frame.record["labels"] or ():  # null where nothing is in view
            try:
                name, box = item["category"], item.get("box2d")
                if box is None:
                    continue
                name = BDD100K_OLD_NAMES.get(name, name).replace(" ", "_")
                if name in BDD100K_NOT_EVALUATED:
                    continue
                # The far corner is the last pixel inside.
                edges = (box["x1"], box["y1"], box["x2"] + 1, box["y2"] + 1)
            except (AttributeError, KeyError, TypeError) as error:
                raise InputError(f"box of {frame.name} has another form: {type(error).__name__}: {error}") from error
            if name not in BDD100K.detection:
                raise InputError(f"box of {frame.name} has category {name!r}; {', '.join(BDD100K.detection)} are known")
            rows.append((edges, BDD100K.detection.index(name)))
        return make_boxes(rows, size)


def lane_table(categories: Sequence[str], across: bool = True) -> np.ndarray:
    """``(256,)`` uint8 table from a value of a lane mask to 1 on a marking of the categories, 0 elsewhere.

    >>> lane_table(["single_white"])[[6, 6 + 16, 4, 255]].tolist()
    [1, 1, 0, 0]
    """
    values = np.arange(256)
    chosen = [LANE_CATEGORIES.index(name) for name in categories]
    lane = (values & LANE_BACKGROUND == 0) & np.isin(values & 7, chosen)
    if not across:
        lane &= values & LANE_VERTICAL == 0
    return lane.astype(np.uint8)


def detections(root: Path, split: str) -> dict[str, dict[str, Any]]:
    """Records of ``labels/det_20/det_<split>.json`` by image name; none where there is no such file.

    Raises:
        InputError: for a file of another form.
    """
    path = root / f"labels/det_20/det_{split}.json"
    if not path.is_file():
        return {}
    records = {}
    for place, row in enumerate(read_json(path, list, "list of boxes")):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise InputError(f"list of boxes {path}: entry {place} has no 'name'")
        if not isinstance(row.get("labels"), list | None) or not isinstance(row.get("attributes"), dict | None):
            raise InputError(f"list of boxes {path}: entry {row['name']} has labels or attributes of another form")
        records[row["name"]] = {"labels": row.get("labels"), "attributes": row.get("attributes") or {}}
    return records


def _has(frame: Frame, attributes: Mapping[str, Sequence[str]]) -> bool:
    own = frame.record.get("attributes", {})
    return all(own.get(name) in values for name, values in attributes.items())

"""COCO: boxes of the instance annotations, semantic masks of the panoptic or of the COCO-Stuff ones.

Papers: Microsoft COCO: Common Objects in Context - arXiv 1405.0312; Panoptic Segmentation - arXiv 1801.00868;
COCO-Stuff - arXiv 1612.03716
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.datasets.frames import Frame, FrameDataset, Size, allowed, make_boxes, read_json
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import inside, read_image, require_dir
from perception.taxonomies.coco import COCO_PANOPTIC_IDS, COCO_STUFF_IDS, COCO_THINGS
from perception.taxonomy import COCO, COCO_STUFF
from perception.types import IGNORE_INDEX, Boxes, Sample, Segment

SEMANTIC = ("panoptic", "stuff", "none")


class COCODataset(FrameDataset):
    """Images of a split such as ``train2017`` with boxes and semantic masks.

    Boxes come from ``annotations/instances_<split>.json``. Semantic masks come from
    ``annotations/panoptic_<split>.json`` and the PNGs of ``annotations/panoptic_<split>/`` (133 classes), or from the
    pixel maps of COCO-Stuff, ``stuffthingmaps/<split>/`` (171 classes). Groups that nobody divided (``iscrowd``) are no
    boxes.

    Args:
        root: folder with ``annotations/`` and the images in ``<split>/`` or ``images/<split>/``.
        split: such as ``train2017``.
        transform: applied to each sample.
        semantic_from: ``panoptic``, ``stuff`` or ``none``.
        boxes: read boxes; without, images need no record of instances.
        segments: also give the panoptic segments, for evaluation.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder, or annotations of another form; when read, for a broken file.
    """

    title = "COCO"

    def __init__(
        self,
        root: str | Path,
        split: str = "train2017",
        transform: Callable[[Sample], Sample] | None = None,
        semantic_from: str = "panoptic",
        boxes: bool = True,
        segments: bool = False,
        quarantine: str = AUTO,
    ) -> None:
        if semantic_from not in SEMANTIC:
            raise InputError(f"unknown semantic_from {semantic_from!r}; use one of {', '.join(SEMANTIC)}")
        if semantic_from == "none" and not boxes:
            raise InputError("semantic_from: none and boxes: false leave no label; choose one")
        if segments and semantic_from != "panoptic":
            raise InputError(
                f"segments come from the panoptic annotations; set semantic_from: panoptic, not {semantic_from}"
            )
        home = require_dir(root, "COCO folder")
        self.with_segments = segments
        self.semantic_from = semantic_from
        self.label_set = COCO_STUFF if semantic_from == "stuff" else COCO
        self.with_boxes = boxes
        names = COCO_STUFF_IDS if semantic_from == "stuff" else COCO_PANOPTIC_IDS
        # Pixel maps hold the category id less one, segments the id itself.
        shift = 1 if semantic_from == "stuff" else 0
        self._classes = np.full(256, IGNORE_INDEX, np.uint8)
        for place, number in enumerate(names):
            self._classes[number - shift] = place
        self._valid = allowed(number - shift for number in names)
        super().__init__(home, split, self._list(home, split), transform, quarantine)

    def _list(self, root: Path, split: str) -> Iterator[Frame]:
        folder = split if (root / split).is_dir() else f"images/{split}"
        require_dir(inside(root, folder), f"COCO images of split {split!r}")
        panoptic: dict[Any, Any] = {}
        tables = []
        if self.with_boxes:
            tables.append(_table(root, f"annotations/instances_{split}.json"))
        if self.semantic_from == "panoptic":
            tables.append(_table(root, f"annotations/panoptic_{split}.json"))
            panoptic = {row["image_id"]: row for row in tables[-1]["annotations"]}
        boxes: dict[Any, list[Any]] = {}
        for row in tables[0]["annotations"] if self.with_boxes else ():
            boxes.setdefault(row["image_id"], []).append(row)
        for image in tables[0]["images"] if tables else _images(root, folder):
            name = Path(image["file_name"]).stem
            labels, record = {}, {"id": image["id"], "boxes": boxes.get(image["id"], []) if self.with_boxes else None}
            if self.semantic_from == "stuff":
                labels["semantic"] = f"stuffthingmaps/{split}/{name}.png"
            elif image["id"] in panoptic:
                row = panoptic[image["id"]]
                labels["panoptic"] = f"annotations/panoptic_{split}/{row['file_name']}"
                record["segments"] = row["segments_info"]
            yield Frame(name, f"{folder}/{image['file_name']}", labels, record)

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        if "semantic" in frame.labels:
            said = "things and stuff 0..181, 255 is ignored"
            return {"semantic": self.read_classes(frame, "semantic", size, self._classes, self._valid, said)}
        if "panoptic" not in frame.labels:
            return {}
        numbers, segments = self.panoptic(frame, size)
        semantic = np.full(size, IGNORE_INDEX, np.uint8)
        for segment in segments:
            semantic[numbers == segment.number] = segment.label
        return {"semantic": semantic}

    def facts(self, frame: Frame, size: Size) -> dict[str, Any]:
        if not self.with_segments or "panoptic" not in frame.labels:
            return {}
        numbers, segments = self.panoptic(frame, size)
        return {"panoptic": torch.from_numpy(numbers), "segments": segments}

    def panoptic(self, frame: Frame, size: Size) -> tuple[np.ndarray, list[Segment]]:
        """``(H, W)`` int64 segment numbers, 0 where there is none, and what the segments are.

        Raises:
            InputError: where the picture and its record contradict each other.
        """
        path = inside(self.root, frame.labels["panoptic"])
        picture = read_image(path).astype(np.int64)
        if picture.shape[:2] != size:
            raise InputError(f"label {path} is {picture.shape[:2]} but its image is {size}")
        numbers = picture @ np.array([1, 256, 65536])
        segments = []
        for row in frame.record["segments"]:
            try:
                number, category, crowd = int(row["id"]), int(row["category_id"]), bool(row.get("iscrowd", 0))
            except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
                raise InputError(f"segment of {frame.name}: {type(error).__name__}: {error}") from error
            if category not in COCO_PANOPTIC_IDS or not 0 < number < 1 << 24:
                raise InputError(f"segment {number} of {frame.name}: category {category} or the number is unknown")
            segments.append(Segment(number, int(self._classes[category]), category in COCO_THINGS, crowd))
        unknown = np.setdiff1d(numbers, [0, *(segment.number for segment in segments)])
        if len(unknown):
            raise InputError(f"label {path} has segment {unknown[0]}, which its record does not name")
        return numbers, segments

    def boxes(self, frame: Frame, size: Size) -> Boxes | None:
        rows = []
        if frame.record["boxes"] is None:
            return None
        for item in frame.record["boxes"]:
            try:
                if item.get("iscrowd"):
                    continue
                left, top, width, height = item["bbox"]
                name = COCO_THINGS[item["category_id"]]
                rows.append(((left, top, left + width, top + height), COCO.detection.index(name)))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise InputError(f"box of {frame.name} has another form: {type(error).__name__}: {error}") from error
        return make_boxes(rows, size)


def _table(root: Path, file: str) -> dict[str, Any]:
    """Annotations whose lists have what is looked up in them.

    Raises:
        InputError: for a file of another form.
    """
    path = inside(root, file)
    content = read_json(path, dict, "annotations")
    fields = {"images": ("id", "file_name"), "annotations": ("image_id",)}
    if "panoptic" in file:
        fields["annotations"] = ("image_id", "file_name", "segments_info")
    types = {"file_name": str, "segments_info": list, "id": int | str, "image_id": int | str}
    for name, keys in fields.items():
        if not isinstance(content.get(name), list):
            raise InputError(f"annotations {path} have no list {name!r}")
        for place, row in enumerate(content[name]):
            for key in keys:
                if not isinstance(row, dict) or not isinstance(row.get(key), types[key]):
                    raise InputError(f"annotations {path}: {name}[{place}] has no {key!r}")
    return content


def _images(root: Path, folder: str) -> list[dict[str, Any]]:
    names = sorted(path.name for path in (root / folder).glob("*.jpg"))
    return [{"id": name, "file_name": name} for name in names]

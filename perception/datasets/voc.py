"""PASCAL VOC 2012 in its official layout, with the further masks of SBD where they are there.

Everingham et al.: The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015; Hariharan et al.: Semantic
Contours from Inverse Detectors, ICCV 2011 (SBD)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from perception.datasets.frames import Frame, FrameDataset, Size, allowed, make_boxes, read_list
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import inside, require_dir
from perception.taxonomy import VOC
from perception.types import IGNORE_INDEX, Boxes, Sample

LISTS = {"segmentation": "Segmentation", "detection": "Main"}
AUGMENTED = "SegmentationClassAug"
MAX_XML_BYTES = 1_000_000


class VOCDataset(FrameDataset):
    """Images of ``JPEGImages`` with class masks and boxes.

    The border of objects, which the masks leave open, is 255. ``Annotations`` gives the boxes; frames without such a
    file have none.

    Args:
        root: folder with ``JPEGImages/`` (``VOCdevkit/VOC2012``).
        split: a list of ``ImageSets``: ``train``, ``val``, ``trainval``, ``test``, or ``trainaug``, the 10,582 frames
            of SBD and VOC, whose masks are in ``SegmentationClassAug/``.
        transform: applied to each sample.
        task: ``segmentation`` reads the lists of that task, all of whose frames have masks; ``detection`` those of
            ``ImageSets/Main``.
        difficult: keep boxes that are marked as difficult.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder or list; when read, for a broken file.
    """

    title = "VOC"
    label_set = VOC

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        task: str = "segmentation",
        difficult: bool = False,
        quarantine: str = AUTO,
    ) -> None:
        if task not in LISTS:
            raise InputError(f"unknown VOC task {task!r}; use one of {', '.join(LISTS)}")
        home = require_dir(root, "VOC folder")
        require_dir(home / "JPEGImages", "VOC images")
        self.task = task
        self.difficult = difficult
        self._table = np.arange(256, dtype=np.uint8)
        super().__init__(home, split, self._list(home, split), transform, quarantine)

    def _list(self, root: Path, split: str) -> Iterator[Frame]:
        listing = inside(root, f"ImageSets/{LISTS[self.task]}/{split}.txt")
        folder = AUGMENTED if split.endswith("aug") else "SegmentationClass"
        for line in read_list(listing, f"VOC list of split {split!r}"):
            name = line.split()[0]
            mask, boxes = f"{folder}/{name}.png", f"Annotations/{name}.xml"
            labels = {"semantic": mask} if self.task == "segmentation" or (root / mask).is_file() else {}
            yield Frame(name, f"JPEGImages/{name}.jpg", labels, {"boxes": boxes})

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        if "semantic" not in frame.labels:
            return {}
        count = len(VOC.classes)
        said = f"classes 0..{count - 1}, {IGNORE_INDEX} is ignored"
        return {"semantic": self.read_classes(frame, "semantic", size, self._table, allowed(range(count)), said)}

    def boxes(self, frame: Frame, size: Size) -> Boxes | None:
        path = inside(self.root, frame.record["boxes"])
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_XML_BYTES:
            raise InputError(f"annotation {path} has {path.stat().st_size} bytes; {MAX_XML_BYTES} are the limit")
        return parse_boxes(path.read_bytes(), size, str(path), self.difficult)


def parse_boxes(content: bytes, size: Size, where: str, difficult: bool = False) -> Boxes:
    """Boxes of an annotation in XML, whose pixels count from 1 and whose far edges are inside the box.

    Raises:
        InputError: for content that is no XML, or whose objects lack a name or numbers.
    """
    try:
        tree = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"annotation {where} is not XML: {error}") from error
    rows = []
    for item in tree.iter("object"):
        name = (item.findtext("name") or "").strip()
        if name not in VOC.detection:
            raise InputError(f"annotation {where} has object {name!r}; VOC has {', '.join(VOC.detection)}")
        if not difficult and (item.findtext("difficult") or "0").strip() == "1":
            continue
        try:
            left, top, right, bottom = (float(item.findtext(f"bndbox/{key}") or "") for key in EDGES)
        except ValueError as error:
            raise InputError(f"annotation {where}: object {name!r} has no box of numbers") from error
        rows.append(((left - 1, top - 1, right, bottom), VOC.detection.index(name)))
    return make_boxes(rows, size)


EDGES = ("xmin", "ymin", "xmax", "ymax")

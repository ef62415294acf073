"""CamVid, 11 classes, in the folder layout that SegNet introduced.

Brostow, Shotton, Fauqueur, Cipolla: Segmentation and Recognition Using Structure from Motion Point Clouds,
ECCV 2008. The data set has no boxes: those given here are derived from connected components of a class, so
objects that touch share one box.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch.utils.data import Dataset

from perception.datasets.quarantine import AUTO, open_quarantine, remedy, say_left_out
from perception.errors import InputError
from perception.files import inside, read_image, read_labels, require_dir
from perception.taxonomy import CAMVID
from perception.types import IGNORE_INDEX, Boxes, Sample

VOID = 11
"""Index of unlabelled pixels in the files."""

MIN_COMPONENT_PX = 30
"""Components smaller than this are label noise rather than objects."""


def component_boxes(semantic: np.ndarray, min_pixels: int = MIN_COMPONENT_PX) -> Boxes:
    """Boxes around the 8-connected components of each detection class of CamVid.

    Args:
        semantic: ``(H, W)`` class indices.
    """
    xyxy, labels = [], []
    for label, name in enumerate(CAMVID.detection):
        components, _ = ndimage.label(semantic == CAMVID.index(name), structure=np.ones((3, 3)))
        sizes = np.bincount(components.ravel())
        for number, found in enumerate(ndimage.find_objects(components), start=1):
            if found is None or sizes[number] < min_pixels:
                continue
            rows, columns = found
            xyxy.append((columns.start, rows.start, columns.stop, rows.stop))
            labels.append(label)
    return Boxes(np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels, np.int64))


class CamVidDataset(Dataset[Sample]):
    """CamVid frames with semantic and drivable masks and boxes from connected components.

    Args:
        root: folder with ``<split>/``, ``<split>annot/`` and ``<split>.txt`` (file stems, one a line; without
            it every image of the folder is used).
        split: ``train``, ``val`` or ``test``.
        transform: applied to each :class:`Sample`.
        sequences: keep only frames whose name starts with one of these, such as ``["0006R0"]``.
        exclude: leave out frames whose name starts with one of these.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Raises:
        InputError: for a missing folder, an empty split, or (when read) a bad image or label.
    """

    label_set = CAMVID

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        sequences: list[str] | None = None,
        exclude: list[str] | None = None,
        quarantine: str = AUTO,
    ) -> None:
        self.root = require_dir(root, "CamVid folder")
        self.split = split
        self.transform = transform
        images = require_dir(self.root / split, f"CamVid split {split!r}")
        require_dir(self.root / f"{split}annot", f"CamVid labels of split {split!r}")
        listing = self.root / f"{split}.txt"
        if listing.is_file():
            names = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            names = sorted(path.stem for path in images.glob("*.png"))
        if sequences is not None:
            names = [name for name in names if name.startswith(tuple(sequences))]
        if exclude is not None:
            names = [name for name in names if not name.startswith(tuple(exclude))]
        left_out = open_quarantine(self.root, quarantine)
        if left_out.path is not None and (count := len(left_out.of(split) & set(names))):
            names = [name for name in names if name not in left_out.of(split)]
            say_left_out(left_out.path, count)
        if not names:
            raise InputError(f"CamVid split {split!r} of {self.root} has no frames (sequences={sequences})")
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Sample:
        """The sample before the transform; its image is uint8.

        Raises:
            InputError: for a broken file; it names the file, the frame and what to do.
        """
        name = self.names[index]
        try:
            return self._read(name)
        except (ValueError, OSError) as error:
            raise InputError(f"{error} (frame {name} of {self.split}); {remedy(self.root)}") from error

    def _read(self, name: str) -> Sample:
        image = read_image(inside(self.root, f"{self.split}/{name}.png"))
        path = inside(self.root, f"{self.split}annot/{name}.png")
        labels = read_labels(path)
        if labels.shape != image.shape[:2]:
            raise InputError(f"label {path} is {labels.shape} but its image is {image.shape[:2]}")
        if labels.max() > VOID and labels[labels > VOID].min() != IGNORE_INDEX:
            bad = int(labels[(labels > VOID) & (labels != IGNORE_INDEX)].min())
            raise InputError(f"label {path} has value {bad}; CamVid has classes 0..10, {VOID} and 255 are void")
        semantic = np.where(labels >= VOID, IGNORE_INDEX, labels).astype(np.uint8)
        drivable = CAMVID.membership(CAMVID.drivable)[semantic]
        return Sample(
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            name=name,
            semantic=torch.from_numpy(semantic).long(),
            drivable=torch.from_numpy(drivable).long(),
            boxes=component_boxes(semantic),
        )

    def __getitem__(self, index: int) -> Sample:
        sample = self.read(index)
        return self.transform(sample) if self.transform else sample

"""A folder of images and a folder of masks, with the classes in a YAML file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from perception.datasets.frames import Frame, FrameDataset, Size, allowed
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import IMAGE_SUFFIXES, inside, read_image, require_dir
from perception.taxonomies.label_set import LabelSet
from perception.taxonomies.reading import read_label_set
from perception.types import IGNORE_INDEX, Sample


class FolderDataset(FrameDataset):
    """Images, and masks of class indices or of colours, in folders of any names.

    The class list is a YAML file::

        name: yard
        classes: {ground: [128, 64, 128], person: [220, 20, 60]}   # or a list of names, for masks of indices
        drivable: [ground]                                         # optional

    A mask with one channel, or a palette, holds class indices and 255 for ignored pixels. A mask with colours is read
    by the colours of the classes; every other colour must be that of ``ignored``.

    Args:
        root: data folder.
        split: put in the place of ``{split}`` in the patterns.
        transform: applied to each sample.
        classes: path of the class list, relative to ``root`` or absolute.
        images: folder of the images, relative to ``root``; folders below it are searched, too.
        masks: folder of the masks.
        mask_name: path of a mask below ``masks``; ``{stem}`` stands for that of its image.
        ignored: colours that no class has and that may occur.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder, a class list or pattern of another form; when read, for a broken file.
    """

    title = "folder"

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        classes: str = "classes.yaml",
        images: str = "images/{split}",
        masks: str = "masks/{split}",
        mask_name: str = "{stem}.png",
        ignored: Sequence[Sequence[int]] = ((0, 0, 0), (255, 255, 255)),
        quarantine: str = AUTO,
    ) -> None:
        home = require_dir(root, "data folder")
        self.label_set: LabelSet = read_label_set(home / classes)
        if "{stem}" not in mask_name:
            raise InputError(f"mask_name {mask_name!r} must have a {{stem}}")
        self._colors = {color_code(color): IGNORE_INDEX for color in np.array(ignored, np.int64).reshape(-1, 3)}
        self._colors |= {color_code(np.array(color)): i for i, color in enumerate(self.label_set.colors)}
        self._drivable = self.label_set.membership(self.label_set.drivable) if self.label_set.drivable else None
        self._lane = self.label_set.membership(self.label_set.lane) if self.label_set.lane else None
        images, masks = images.replace("{split}", split), masks.replace("{split}", split)
        super().__init__(home, split, self._list(home, images, masks, mask_name), transform, quarantine)

    def _list(self, root: Path, images: str, masks: str, mask_name: str) -> Iterator[Frame]:
        home = root.resolve()
        folder = require_dir(inside(root, images), "folder of images")
        require_dir(inside(root, masks), "folder of masks")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
                continue
            stem = path.relative_to(folder).with_suffix("").as_posix()
            mask = f"{masks}/{mask_name.replace('{stem}', stem)}"
            yield Frame(stem, path.relative_to(home).as_posix(), {"semantic": mask})

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        path = inside(self.root, frame.labels["semantic"])
        if _has_colors(path):
            semantic = self._from_colors(path, size)
        else:
            count = len(self.label_set.classes)
            said = f"classes 0..{count - 1}, {IGNORE_INDEX} is ignored"
            table = np.arange(256, dtype=np.uint8)
            semantic = self.read_classes(frame, "semantic", size, table, allowed(range(count)), said)
        masks = {"semantic": semantic}
        for name, inside_of in (("drivable", self._drivable), ("lane", self._lane)):
            if inside_of is not None:
                masks[name] = inside_of[semantic]
        return masks

    def _from_colors(self, path: Path, size: Size) -> np.ndarray:
        codes = color_code(read_image(path))
        if codes.shape != size:
            raise InputError(f"label {path} is {codes.shape} but its image is {size}")
        present, places = np.unique(codes, return_inverse=True)
        unknown = [code for code in present.tolist() if code not in self._colors]
        if unknown:
            color = [unknown[0] >> 16, unknown[0] >> 8 & 255, unknown[0] & 255]
            raise InputError(f"label {path} has colour {color}, which is that of no class; name it in ignored")
        values = np.array([self._colors[code] for code in present.tolist()], np.uint8)
        return values[places.reshape(size)]


def color_code(color: np.ndarray) -> np.ndarray:
    """``(...)`` int64 number of each ``(..., 3)`` RGB colour.

    >>> int(color_code(np.array([1, 0, 2])))
    65538
    """
    return np.asarray(color, np.int64) @ np.array([1 << 16, 1 << 8, 1])


def _has_colors(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.mode in ("RGB", "RGBA")
    except OSError:
        return False  # the reader of indices says what is wrong

"""ADE20K in the layout of the scene-parsing benchmark (``ADEChallengeData2016``).

Paper: Semantic Understanding of Scenes through the ADE20K Dataset - arXiv 1608.05442
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from perception.datasets.frames import Frame, FrameDataset, Size, allowed
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import require_dir
from perception.taxonomy import ADE20K
from perception.types import IGNORE_INDEX, Sample

FOLDERS = {"train": "training", "val": "validation"}


class ADE20KDataset(FrameDataset):
    """Images with masks of 150 classes; what is none of them is 255.

    Args:
        root: folder with ``images/`` and ``annotations/``.
        split: ``train`` or ``val``.
        transform: applied to each sample.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder or an unknown split; when read, for a broken file.
    """

    title = "ADE20K"
    label_set = ADE20K

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        quarantine: str = AUTO,
    ) -> None:
        if split not in FOLDERS:
            raise InputError(f"unknown ADE20K split {split!r}; use one of {', '.join(FOLDERS)}")
        home = require_dir(root, "ADE20K folder")
        count = len(ADE20K.classes)
        self._table = np.full(256, IGNORE_INDEX, np.uint8)
        self._table[1 : count + 1] = np.arange(count)
        super().__init__(home, split, self._list(home, FOLDERS[split]), transform, quarantine)

    def _list(self, root: Path, folder: str) -> Iterator[Frame]:
        images = require_dir(root / "images" / folder, "ADE20K images")
        for path in sorted(images.glob("*.jpg")):
            mask = f"annotations/{folder}/{path.stem}.png"
            yield Frame(path.stem, f"images/{folder}/{path.name}", {"semantic": mask})

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        count = len(ADE20K.classes)
        said = f"labels 0..{count}, 0 is no class"
        return {"semantic": self.read_classes(frame, "semantic", size, self._table, allowed(range(count + 1)), said)}

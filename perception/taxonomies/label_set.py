"""What a label set is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from perception.types import IGNORE_INDEX

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """The classes of one data set.

    Args:
        name: short name, as used in configs and file metadata.
        classes: semantic class names; the position is the index in the masks.
        colors: one RGB colour per class.
        drivable: classes that are drivable area; empty where the data set cannot say.
        lane: classes that are lane markings; empty where the data set has none.
        detection: names of the box classes; the position is the box label.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[RGB, ...]
    drivable: tuple[str, ...] = ()
    lane: tuple[str, ...] = ()
    detection: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.colors):
            raise ValueError(f"label set {self.name}: {len(self.classes)} classes but {len(self.colors)} colours")
        if len(self.classes) > IGNORE_INDEX:
            raise ValueError(f"label set {self.name}: {len(self.classes)} classes; masks hold {IGNORE_INDEX} at most")

    def index(self, name: str) -> int:
        """Index of a class.

        >>> LabelSet("two", ("road", "sky"), ((0, 0, 0), (9, 9, 9))).index("sky")
        1
        """
        try:
            return self.classes.index(name)
        except ValueError:
            raise ValueError(f"label set {self.name} has no class {name!r}; it has {', '.join(self.classes)}") from None

    def indices(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.index(name) for name in names)

    def membership(self, names: tuple[str, ...]) -> np.ndarray:
        """``(256,)`` uint8 table from a class index to 1 inside ``names``, 0 outside, 255 ignored."""
        table = np.full(256, IGNORE_INDEX, np.uint8)
        table[: len(self.classes)] = 0
        table[list(self.indices(names))] = 1
        return table

    def palette(self) -> np.ndarray:
        """``(256, 3)`` uint8 colours; indices without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.colors)] = self.colors
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, from which :func:`perception.taxonomy.get_label_set` makes an equal label set."""
        return {
            key: [list(item) if isinstance(item, tuple) else item for item in value]
            if isinstance(value, tuple)
            else value
            for key, value in asdict(self).items()
        }


def voc_colors(count: int) -> tuple[RGB, ...]:
    """The first colours of the PASCAL VOC map: the bits of the index, spread over the three channels.

    >>> voc_colors(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """
    colors = []
    for index in range(count):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colors.append((channels[0], channels[1], channels[2]))
    return tuple(colors)

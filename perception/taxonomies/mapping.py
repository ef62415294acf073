"""From one label set to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.taxonomies.label_set import LabelSet
from perception.types import IGNORE_INDEX


@dataclass(frozen=True)
class LabelMapping:
    """Which class of ``target`` each class of ``source`` becomes.

    Args:
        classes: semantic class of the source to that of the target; a class without an entry is ignored (255).
        detection: box class of the source to that of the target; boxes of classes without an entry are left out.

    Raises:
        InputError: for names that the label sets do not have.
    """

    source: LabelSet
    target: LabelSet
    classes: Mapping[str, str]
    detection: Mapping[str, str]

    def __post_init__(self) -> None:
        for kind in ("classes", "detection"):
            pairs: Mapping[str, str] = getattr(self, kind)
            for labels, names in ((self.source, pairs), (self.target, pairs.values())):
                unknown = [name for name in names if name not in getattr(labels, kind)]
                if unknown:
                    raise InputError(
                        f"mapping of {self.source.name} to {self.target.name}: {labels.name} has no {unknown[0]!r} "
                        f"among its {kind}"
                    )

    @property
    def total(self) -> bool:
        """Whether no semantic class of the source is ignored."""
        return len(self.classes) == len(self.source.classes)

    @property
    def lossless(self) -> bool:
        """Whether the semantic classes of the source can be told apart after the mapping."""
        return self.total and len(set(self.classes.values())) == len(self.classes)

    def table(self) -> np.ndarray:
        """``(256,)`` uint8 table from an index of the source to that of the target; 255 where ignored."""
        table = np.full(256, IGNORE_INDEX, np.uint8)
        for source, target in self.classes.items():
            table[self.source.index(source)] = self.target.index(target)
        return table

    def box_table(self) -> np.ndarray:
        """``(box classes of the source,)`` int64 table from a box label to that of the target; -1 where left out."""
        place = {name: label for label, name in enumerate(self.target.detection)}
        return np.array([place.get(self.detection.get(n, ""), -1) for n in self.source.detection], np.int64)

    def known_boxes(self) -> np.ndarray:
        """``(box classes of the target,)`` bool: the classes whose absence from a labelled image means that there is
        none, because the source labels them."""
        names = set(self.detection.values())
        return np.array([name in names for name in self.target.detection], bool)

    def inverse(self) -> LabelMapping:
        """From the target back to the source. Classes that the source does not have are ignored.

        Raises:
            InputError: where classes were merged or ignored, so that there is no way back.
        """
        if not self.lossless:
            counts: dict[str, list[str]] = {}
            for source, target in self.classes.items():
                counts.setdefault(target, []).append(source)
            merged = [names for names in counts.values() if len(names) > 1]
            lost = [name for name in self.source.classes if name not in self.classes]
            said = f"{' and '.join(merged[0])} became one class" if merged else f"{lost[0]} is ignored"
            raise InputError(f"{self.target.name} cannot be mapped back to {self.source.name}: {said}")
        boxes = {target: source for source, target in self.detection.items()}
        return LabelMapping(self.target, self.source, {t: s for s, t in self.classes.items()}, boxes)

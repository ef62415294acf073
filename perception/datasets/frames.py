"""What data sets of single images with label files have in common."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from perception.datasets.quarantine import AUTO, open_quarantine, remedy, say_left_out
from perception.errors import InputError
from perception.files import inside, read_image, read_labels
from perception.taxonomy import LabelSet
from perception.types import IGNORE_INDEX, Boxes, Sample

Size = tuple[int, int]
FAR_PX = 1e9
"""No edge of a box lies so far out; numbers of JSON have no limit."""


@dataclass(frozen=True)
class Frame:
    """One image and what belongs to it.

    Args:
        name: unique within its split.
        image: path relative to the data folder.
        labels: kind of label image to its path relative to the data folder.
        record: what tables say about it.
    """

    name: str
    image: str
    labels: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)


class FrameDataset(Dataset[Sample]):
    """Base of the data sets that are a list of frames: subclasses list them and read their labels.

    Args:
        root: data folder; no path leads out of it.
        split: name of the split.
        frames: of the split.
        transform: applied to each sample.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Raises:
        InputError: for a split without frames; when read, for a broken file, naming the frame and what to do.
    """

    title: str
    label_set: LabelSet

    def __init__(
        self,
        root: Path,
        split: str,
        frames: Iterable[Frame],
        transform: Callable[[Sample], Sample] | None = None,
        quarantine: str = AUTO,
    ) -> None:
        self.root = root
        self.split = split
        self.transform = transform
        self.frames = list(frames)
        if not self.frames:
            raise InputError(f"{self.title} split {split!r} of {root} has no frames")
        left_out = open_quarantine(root, quarantine)
        if left_out.path is not None:
            broken = left_out.of(split)
            kept = [frame for frame in self.frames if frame.name not in broken]
            if len(kept) < len(self.frames):
                say_left_out(left_out.path, len(self.frames) - len(kept))
            if not kept:
                raise InputError(f"{self.title} split {split!r}: {left_out.path} leaves no frame; set quarantine: off")
            self.frames = kept

    @abstractmethod
    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        """``(H, W)`` uint8 masks by target (``semantic``, ``drivable``, ``lane``); only those that the frame has."""

    def boxes(self, frame: Frame, size: Size) -> Boxes | None:
        """Boxes of a frame; ``None`` where nobody drew any."""
        return None

    def facts(self, frame: Frame, size: Size) -> dict[str, Any]:
        """Further fields of the sample, such as its camera."""
        return {}

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frame_names(self) -> list[str]:
        return [frame.name for frame in self.frames]

    def __getitem__(self, index: int) -> Sample:
        sample = self.read(index)
        return self.transform(sample) if self.transform else sample

    def read(self, index: int) -> Sample:
        """The sample before the transform; its image is uint8.

        Raises:
            InputError: for a broken file; it names the file, the frame and what to do.
        """
        frame = self.frames[index]
        try:
            return self.sample(frame)
        except (ValueError, OSError) as error:
            raise InputError(f"{error} (frame {frame.name} of {self.split}); {remedy(self.root)}") from error

    def sample(self, frame: Frame) -> Sample:
        image = read_image(inside(self.root, frame.image))
        size = (image.shape[0], image.shape[1])
        masks: dict[str, Any] = {n: torch.from_numpy(mask).long() for n, mask in self.masks(frame, size).items()}
        return Sample(
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            name=frame.name,
            boxes=self.boxes(frame, size),
            **masks,
            **self.facts(frame, size),
        )

    def read_indices(self, frame: Frame, kind: str, size: Size) -> np.ndarray:
        """``(H, W)`` label image as stored.

        Raises:
            InputError: where it has another size than the image.
        """
        path = inside(self.root, frame.labels[kind])
        labels = read_labels(path)
        if labels.shape != size:
            raise InputError(f"label {path} is {labels.shape} but its image is {size}")
        return labels

    def read_classes(
        self, frame: Frame, kind: str, size: Size, table: np.ndarray, valid: np.ndarray, said: str
    ) -> np.ndarray:
        """``(H, W)`` label image through a table.

        Args:
            table: ``(256,)`` uint8.
            valid: ``(256,)`` bool, the values that the format allows.
            said: which they are, for the error.

        Raises:
            InputError: for a value that the format does not have.
        """
        labels = self.read_indices(frame, kind, size)
        present = np.unique(labels)
        wrong = present[(present < 0) | (present > IGNORE_INDEX)]
        if not len(wrong):
            wrong = present[~valid[present]]
        if len(wrong):
            raise InputError(f"label {self.root / frame.labels[kind]} has value {wrong[0]}; {self.title} has {said}")
        return table[labels]


def allowed(values: Iterable[int]) -> np.ndarray:
    """``(256,)`` bool, true at the values and at 255.

    >>> allowed(range(3))[[0, 2, 3, 255]]
    array([ True,  True, False,  True])
    """
    table = np.zeros(256, bool)
    table[[*values, IGNORE_INDEX]] = True
    return table


def read_json(path: Path, kind: type, what: str) -> Any:
    """A JSON file that holds a ``list`` or a ``dict``.

    Raises:
        InputError: for a file that is missing, does not parse, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} does not parse: {error}") from error
    if not isinstance(content, kind):
        raise InputError(f"{what} {path} must hold a {kind.__name__}, it holds a {type(content).__name__}")
    return content


def read_list(path: Path, what: str) -> list[str]:
    """The lines of a text file, without blanks and empty ones.

    Raises:
        InputError: for a file that is missing or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def make_boxes(rows: Sequence[tuple[Sequence[Any], int]], size: Size) -> Boxes:
    """Boxes clipped to the image; what has no area is left out.

    Args:
        rows: ``(x_min, y_min, x_max, y_max)`` in pixels, with exclusive far edges, and the label.

    Raises:
        InputError: for edges that are not finite numbers.
    """
    xyxy, labels = [], []
    limit = np.array([size[1], size[0]] * 2, np.float64)
    for edges, label in rows:
        if len(edges) != 4 or not all(_number(edge) for edge in edges):
            raise InputError(f"box {list(edges)!r} must be four finite numbers")
        box = np.clip(np.array(edges, np.float64), 0, limit)
        if (box[2:] > box[:2]).all():
            xyxy.append(box)
            labels.append(label)
    return Boxes(np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels, np.int64))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FAR_PX

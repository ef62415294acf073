"""What is wrong with a single file. Each test returns the reason in words, or "" for a file that is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from perception.datasets.nuscenes_lidar import COLUMNS

POINT_BYTES = 4 * COLUMNS
TAIL_BYTES = 64
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
"""What the last bytes of a complete file hold."""


ABSENT = "the file does not exist"


class Root:
    """Paths inside a data folder; folders are resolved once."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._folders: dict[str, Path] = {}

    def find(self, relative: str) -> tuple[Path, str]:
        """The path, and why it cannot be read: it leads outside, through ``..`` or a link, or is no file."""
        if "\0" in relative:
            return self.root, "the path has a zero byte"
        head, tail = os.path.split(relative)
        try:
            folder = self._folders.get(head)
            if folder is None:
                folder = self._folders[head] = (self.root / head).resolve()
            path = folder / tail
            if tail in ("", ".", "..") or path.is_symlink():
                path = path.resolve()
            if not path.is_relative_to(self.root):
                return path, "the path leads outside the data folder"
            if not path.is_file():
                return path, "it is not a file" if path.exists() else ABSENT
        except (OSError, RuntimeError) as error:  # a path that is too long, a circle of links
            return self.root, f"the path cannot be followed: {error}"
        return path, ""


@contextmanager
def any_size() -> Iterator[None]:
    """Within the block images may be as large as masks of maps are: kilometres at 0.1 m a pixel. For one thread."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def fault_of_image(path: Path, size: tuple[int, int] | None, full: bool) -> str:
    """Header, size and end of an image, or with ``full`` all of it.

    Args:
        size: ``(height, width)`` that it must have; ``None`` for any.
    """
    try:
        with Image.open(path) as image:
            if size is not None and (image.height, image.width) != size:
                return f"it is {image.height}x{image.width}, its record says {size[0]}x{size[1]}"
            end = ENDS.get(image.format or "")
            if full:
                image.load()
        if end is not None and end not in tail(path):
            return "it is cut off"
    except Exception as error:  # decoders raise what they like
        return f"it does not decode: {_line(error)}"
    return ""


def fault_of_labels(path: Path, size: tuple[int, int] | None, full: bool, classes: int | None) -> str:
    """A label image; with ``full`` its values are below ``classes`` or 255."""
    reason = fault_of_image(path, size, full)
    if reason or not full or classes is None:
        return reason
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                return f"mode {image.mode} is not one channel of class indices"
            present = np.unique(np.array(image))
    except Exception as error:  # decoders raise what they like
        return f"it does not decode: {_line(error)}"
    wrong = present[(present >= classes) & (present != 255)]
    return f"value {wrong[0]} is out of range; classes are 0..{classes - 1}, 255 is ignored" if len(wrong) else ""


def fault_of_points(path: Path) -> str:
    """A LiDAR sweep: whole points, all of them finite."""
    try:
        size = path.stat().st_size
        if size == 0 or size % POINT_BYTES:
            return f"{size} bytes are not a positive multiple of {POINT_BYTES} (5 float32 a point); it is cut off"
        points = np.fromfile(path, dtype="<f4").reshape(-1, COLUMNS)
    except (OSError, ValueError) as error:
        return f"it does not read: {_line(error)}"
    broken = ~np.isfinite(points).all(axis=1)
    return f"{int(broken.sum())} of {len(points)} points are not finite" if broken.any() else ""


def fault_of_point_labels(path: Path, sweep: Path, highest: int) -> str:
    """Labels of a sweep: as many as it has points, none above the highest index of a category."""
    try:
        labels = np.fromfile(path, dtype=np.uint8)
        points = sweep.stat().st_size // POINT_BYTES
    except OSError as error:
        return f"it does not read: {_line(error)}"
    if len(labels) != points:
        return f"{len(labels)} labels for a sweep of {points} points"
    if len(labels) and labels.max() > highest:
        return f"label {labels.max()} is above {highest}, the highest index of a category"
    return ""


def fault_of_radar(path: Path) -> str:
    """A radar file begins with the header of the point cloud library."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        return f"it does not read: {_line(error)}"
    return "" if b".PCD" in head else "it has no PCD header"


def fault_of_json(path: Path) -> str:
    """A JSON file with a list or an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"it does not parse: {_line(error)}"
    return "" if isinstance(content, list | dict) else "it holds neither a list nor an object"


def tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

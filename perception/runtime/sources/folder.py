"""A folder of images, in natural order, at a fixed rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from perception.errors import InputError
from perception.files import IMAGE_SUFFIXES, read_image, require_dir
from perception.runtime.source import Frame


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which runs of digits compare as numbers.

    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural_key)
    ['F1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part]


class FolderSource:
    """The images of a folder (not of its subfolders), or one image.

    Args:
        path: folder or image file.
        fps: the rate at which the frames were taken; their timestamps follow from it.

    Raises:
        InputError: if there is no image.
    """

    channels = ("camera",)
    has_speed = False
    rendered = False

    def __init__(self, path: str | Path, fps: float) -> None:
        path = Path(path)
        self.name = str(path)
        self.interval_s = 1.0 / fps
        if path.is_file():
            self._files = [path]
        else:
            require_dir(path, "source folder")
            files = [f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".")]
            self._files = sorted((f for f in files if f.is_file()), key=lambda f: (natural_key(f.name), f.name))
            if not self._files:
                raise InputError(_nothing_found(path))
        self.total: int | None = len(self._files)

    def __iter__(self) -> Iterator[Frame]:
        for index, file in enumerate(self._files):
            timestamp_us = round(index * self.interval_s * 1e6)
            try:
                yield Frame(read_image(file), file.name, timestamp_us, self.channels[0])
            except InputError as error:
                yield Frame(None, file.name, timestamp_us, self.channels[0], error=str(error))


def _nothing_found(path: Path) -> str:
    if any(child.is_dir() and child.name.startswith("v1.0-") for child in path.iterdir()):
        return f"source folder {path} is a nuScenes data set; write nuscenes:{path}"
    message = f"source folder {path} has no images ({', '.join(IMAGE_SUFFIXES)})"
    for child in sorted(path.iterdir()):
        if child.is_dir() and any(f.suffix.lower() in IMAGE_SUFFIXES for f in child.iterdir()):
            return f"{message}; its subfolder {child.name} has"
    return message

"""Reading and writing files: images checked, paths kept inside their root, outputs never half-written."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from perception.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that is renamed onto it when the block succeeds and removed otherwise."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that any reader accepts: NaN and infinity are refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def inside(root: str | Path, relative: str | Path) -> Path:
    """``root / relative``, resolved.

    Raises:
        InputError: if the result lies outside ``root``, or cannot be followed.
    """
    root = Path(root).resolve()
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, names that are too long or hold a zero
        raise InputError(f"path {str(relative)!r} cannot be followed: {error}") from error
    if not path.is_relative_to(root):
        raise InputError(
            f"path {str(relative)!r} leads outside the data folder {root}; links out of it are not followed, "
            "mount what lies elsewhere inside it"
        )
    return path


def require_dir(path: str | Path, what: str) -> Path:
    """The path as a readable folder.

    Raises:
        InputError: if it is missing, not a folder or not readable.
    """
    path = Path(path)
    if not path.is_dir():
        state = "is not a folder" if path.exists() else "does not exist"
        raise InputError(f"{what} {path} {state}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"{what} {path} is not readable; check its permissions")
    return path


def read_image(path: str | Path | BinaryIO) -> np.ndarray:
    """``(H, W, 3)`` uint8 RGB, of a file or of an open one, such as ``io.BytesIO`` of its bytes.

    Raises:
        InputError: for a file that is missing or does not decode.
    """
    return np.array(_decode(path, "RGB"))


def read_labels(path: str | Path) -> np.ndarray:
    """``(H, W)`` array of an index or 16-bit PNG, as stored.

    Raises:
        InputError: for a file that is missing, does not decode, or has colour channels.
    """
    image = _decode(path, None)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "P", "I", "I;16"):
        raise InputError(f"label image {path} has mode {image.mode}; expected one channel of class indices")
    return np.array(image)


def _decode(path: str | Path | BinaryIO, mode: str | None) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image.convert(mode) if mode else image
    except FileNotFoundError:
        raise InputError(f"image {path} does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"image {path} does not decode: {error}") from error


def write_png(path: str | Path, array: np.ndarray, palette: np.ndarray | None = None, compress: int = 3) -> None:
    """Write ``(H, W, 3)`` uint8 RGB, ``(H, W)`` uint8 or ``(H, W)`` uint16; ``palette`` is ``(256, 3)`` uint8."""
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", compress_level=compress)

"""Reading and writing files: images checked, paths kept inside their root, outputs never half-written."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from perception.errors import InputError
from perception.opencv import opencv

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
JPEG_QUALITY = 80
"""Of the pictures of nuScenes: their quantisation tables are those of this quality."""
_JPEG_SEGMENTS = {0xC4, 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Huffman tables, scan, quantisation tables, restart interval, applications' data, comment."""
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Within pixels 0xFF is followed by 0, a restart's number, or another of its kind; anything else ends them."""


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

    Plain JPEG files are decoded by OpenCV, in half of Pillow's time and to the same pixels. The orientation in a
    photograph's EXIF data is not applied.

    Raises:
        InputError: for a file that is missing or does not decode.
    """
    data = _bytes(path)
    if _is_plain_jpeg(data):
        cv2 = opencv()
        with suppress(cv2.error):
            # Without the flag a photograph that says so is turned, which its labels are not.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None:
                return image
    return np.array(_decode(io.BytesIO(data), path, "RGB"))


def read_labels(path: str | Path) -> np.ndarray:
    """``(H, W)`` array of an index or 16-bit PNG, as stored.

    Raises:
        InputError: for a file that is missing, does not decode, or has colour channels.
    """
    image = _decode(io.BytesIO(_bytes(path)), path, None)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "P", "I", "I;16"):
        raise InputError(f"label image {path} has mode {image.mode}; expected one channel of class indices")
    return np.array(image)


def _bytes(path: str | Path | BinaryIO) -> bytes:
    try:
        if isinstance(path, (str, Path)):
            return Path(path).read_bytes()
        path.seek(0)
        return path.read()
    except FileNotFoundError:
        raise InputError(f"image {path} does not exist") from None
    except (OSError, ValueError) as error:
        raise InputError(f"image {path} does not decode: {error}") from error


def _is_plain_jpeg(data: bytes) -> bool:
    """Whether it is a baseline or progressive JPEG of 8-bit grey or three-channel colour, whole from end to end.

    OpenCV decodes whatever there is of a picture that was cut off or broken, and CMYK to other colours than Pillow;
    such files are Pillow's, which refuses the former. So are those that are larger than Pillow takes for honest.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    at, framed = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2) and not framed:  # a frame: baseline, extended or progressive, Huffman-coded
            if at + 10 > len(data):
                return False
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            limit = Image.MAX_IMAGE_PIXELS
            framed = bits == 8 and channels in (1, 3) and (limit is None or height * width <= limit)
            if not framed:
                return False
        elif marker not in _JPEG_SEGMENTS:
            return False
        at += 2 + length
        if marker == 0xDA:  # a scan: its pixels go on to the next marker
            found = _JPEG_MARKER.search(data, at)
            if not framed or found is None:
                return False
            at = found.start()
            if data[at + 1] == 0xD9:
                return True
    return False


def _decode(file: BinaryIO, name: object, mode: str | None) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return image.convert(mode) if mode else image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"image {name} does not decode: {error}") from error


def encode_jpeg(image: np.ndarray) -> bytes:
    """A JPEG file of ``(H, W, 3)`` uint8 RGB, compressed as nuScenes' pictures are: :data:`JPEG_QUALITY`, 4:2:0."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    return file.getvalue()


def write_png(path: str | Path, array: np.ndarray, palette: np.ndarray | None = None, compress: int = 3) -> None:
    """Write ``(H, W, 3)`` uint8 RGB, ``(H, W)`` uint8 or ``(H, W)`` uint16; ``palette`` is ``(256, 3)`` uint8."""
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", compress_level=compress)

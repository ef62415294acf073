"""Predictions on disk, so that a long drive can be drawn after its end without having held it in memory."""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from perception.types import Boxes, Prediction

MASKS = ("semantic", "drivable", "lane")


@dataclass(frozen=True)
class _Piece:
    """An array in the file."""

    offset: int
    length: int
    dtype: str
    shape: tuple[int, ...]


class PredictionSpool:
    """A temporary file of compressed predictions, gone when it is closed.

    Args:
        folder: where the file lies; the system's temporary folder by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the object is the context
        self._index: list[dict[str, _Piece]] = []
        self._end = 0

    def __len__(self) -> int:
        return len(self._index)

    @property
    def size_bytes(self) -> int:
        return self._end

    def append(self, prediction: Prediction) -> int:
        """Write one prediction, and return its place for :meth:`read`."""
        pieces = {name: self._write(mask) for name in MASKS if (mask := getattr(prediction, name)) is not None}
        if prediction.boxes is not None:
            columns = {item.name: getattr(prediction.boxes, item.name) for item in fields(prediction.boxes)}
            pieces |= {f"boxes.{name}": self._write(column) for name, column in columns.items() if column is not None}
        self._index.append(pieces)
        return len(self._index) - 1

    def read(self, place: int) -> Prediction:
        arrays = {name: self._read(piece) for name, piece in self._index[place].items()}
        columns = {name.removeprefix("boxes."): array for name, array in arrays.items() if name.startswith("boxes.")}
        masks = {name: array for name, array in arrays.items() if name in MASKS}
        return Prediction(**masks, boxes=Boxes(**columns) if columns else None)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> PredictionSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, array: np.ndarray) -> _Piece:
        data = zlib.compress(np.ascontiguousarray(array).data, 1)
        piece = _Piece(self._end, len(data), array.dtype.str, array.shape)
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)
        return piece

    def _read(self, piece: _Piece) -> np.ndarray:
        self._file.seek(piece.offset)
        data = zlib.decompress(self._file.read(piece.length))
        return np.frombuffer(data, piece.dtype).reshape(piece.shape).copy()

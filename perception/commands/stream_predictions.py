"""Predictions of labelled drives: each frame runs once under each plan, and what came out is kept, packed."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import perception
from perception.commands.stream_drives import Drive
from perception.errors import InputError
from perception.files import atomic_path, inside
from perception.runtime.engine import RUNS, Engine
from perception.runtime.plan import Plan
from perception.types import Boxes, Prediction


@dataclass(frozen=True)
class _Packed:
    """A prediction in little memory: masks are mostly runs of one value."""

    shape: tuple[int, int]
    masks: dict[str, bytes]
    boxes: Boxes | None

    @classmethod
    def of(cls, prediction: Prediction) -> _Packed:
        if prediction.semantic is None:
            raise InputError("the model has no semantic head, which streaming evaluation scores")
        masks = {"semantic": prediction.semantic, "drivable": prediction.drivable}
        shape = (prediction.semantic.shape[0], prediction.semantic.shape[1])
        kept = {name: zlib.compress(mask.tobytes(), 1) for name, mask in masks.items() if mask is not None}
        return cls(shape, kept, prediction.boxes)

    def unpack(self) -> Prediction:
        masks: dict[str, Any] = {
            name: np.frombuffer(zlib.decompress(data), np.uint8).reshape(self.shape)
            for name, data in self.masks.items()
        }
        return Prediction(**masks, boxes=self.boxes)


class Predictor:
    """What the engine says to the frames of a drive under plans; each pair runs once.

    Predictions stay in memory until a drive of another name comes.

    Args:
        engine: runs the network.
        folder: where predictions are kept on disk for later runs; it must belong to this model, its settings and
            this data set, see :func:`cache_folder`.
    """

    def __init__(self, engine: Engine, folder: Path | None = None) -> None:
        self._engine, self._folder = engine, folder
        self._packed: dict[tuple[str, Plan], _Packed] = {}
        self._drive = ""
        self.ran = 0

    def __call__(self, drive: Drive, tick: int, plan: Plan) -> Prediction:
        """The prediction for one frame, at the plan's ``output_size``."""
        if drive.name != self._drive:
            self._packed.clear()
            self._drive = drive.name
        key = (drive.names[tick], plan)
        if key not in self._packed:
            packed = self._load(*key)
            if packed is None:
                packed = _Packed.of(self._engine(drive.picture(tick), plan))
                self.ran += 1
                self._save(*key, packed)
            self._packed[key] = packed
        return self._packed[key].unpack()

    def _file(self, name: str, plan: Plan) -> Path | None:
        if self._folder is None:
            return None
        window = None if plan.fovea is None else plan.fovea.window
        at = "" if window is None else f"_from_{window.top}_{window.left}"  # the name says how large it is alone
        return inside(self._folder, f"{plan.name}{at}/{name}.npz")

    def _load(self, name: str, plan: Plan) -> _Packed | None:
        path = self._file(name, plan)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                masks = {k: arrays[k].tobytes() for k in ("semantic", "drivable") if k in arrays}
                shape = (int(arrays["shape"][0]), int(arrays["shape"][1]))
                boxes = Boxes(arrays["boxes"], arrays["labels"], arrays["scores"]) if "boxes" in arrays else None
            packed = _Packed(shape, masks, boxes)
            packed.unpack()
        except (ValueError, KeyError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"kept prediction {path} is damaged ({error}); remove its folder") from None
        return packed

    def _save(self, name: str, plan: Plan, packed: _Packed) -> None:
        path = self._file(name, plan)
        if path is None:
            return
        arrays: dict[str, np.ndarray] = {key: np.frombuffer(data, np.uint8) for key, data in packed.masks.items()}
        if packed.boxes is not None:
            scores = packed.boxes.scores
            ones = np.ones(len(packed.boxes), np.float32)
            arrays |= {
                "boxes": packed.boxes.xyxy, "labels": packed.boxes.labels, "scores": ones if scores is None else scores,
            }  # fmt: skip
        with atomic_path(path) as temporary:
            np.savez(temporary, shape=np.array(packed.shape), **arrays)


def cache_folder(root: Path, model: str, data: str | Path, facts: Mapping[str, Any]) -> Path | None:
    """A folder below ``root`` for this model, its settings, this data set and this version of the library.

    ``None`` for random weights.

    Weights that lie beside an exported file under its name (``.bin`` of OpenVINO, ``.onnx.data``) count as the model's.
    """
    path = Path(model)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    elif path.is_file():
        beside = path.parent.iterdir() if path.suffix in RUNS else ()
        names = (f"{path.stem}.bin", f"{path.name}.", f"{path.name}_")
        files = [path, *sorted(file for file in beside if file.is_file() and file.name.startswith(names))]
    else:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    facts = {**facts, "version": perception.__version__}
    digest.update(str(Path(data).resolve()).encode() + repr(sorted(facts.items())).encode())
    return root / digest.hexdigest()[:24]

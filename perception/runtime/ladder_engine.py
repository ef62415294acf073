"""Runs a ladder of exported files, one for each scale that a network has norms for; torch is not needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import inside, write_json
from perception.geometry.size import nearest_scale
from perception.runtime.engine import LADDER
from perception.runtime.exported_engine import ExportedEngine, PictureEngine
from perception.runtime.exported_file import FileInfo
from perception.taxonomy import LabelSet
from perception.types import Prediction

FORMAT = 1
RUNTIMES = ("openvino", "onnxruntime")


@dataclass(frozen=True)
class Rung:
    """One file of a ladder.

    Args:
        scale: share of the camera's resolution whose norms it holds.
        file: its path inside the folder.
        digest: that it was written with.
    """

    scale: float
    file: str
    digest: str


def write_ladder(folder: Path, rungs: Sequence[Rung]) -> None:
    """Write ``ladder.json``; the files must be there already."""
    write_json(folder / LADDER, {"format": FORMAT, "rungs": [asdict(rung) for rung in rungs]})


def read_ladder(folder: Path) -> tuple[Rung, ...]:
    """The files of a ladder by ascending scale.

    Raises:
        InputError: for a ``ladder.json`` that is missing or not what :func:`write_ladder` writes.
    """
    path = folder / LADDER
    again = "write it again with perception export --scale all"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}); {again}") from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise InputError(f"{path} is of ladder format {found!r}, this version reads {FORMAT}; {again}")
    try:
        rungs = tuple(Rung(float(rung["scale"]), str(rung["file"]), str(rung["digest"])) for rung in values["rungs"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); {again}") from None
    scales = [rung.scale for rung in rungs]
    if not scales or scales != sorted(set(scales)) or not 0 < scales[0] <= scales[-1] <= 1:
        raise InputError(f"{path} has scales {scales}, which must ascend within 0..1; {again}")
    return rungs


class LadderEngine(PictureEngine):
    """Each view of a plan in the file whose scale is nearest by ratio to the view's share of the camera's resolution.

    Args:
        folder: of ``perception export --scale all``.
        engine: ``openvino`` or ``onnxruntime``, which runs the files.
        device, precision, score: as for the engine of one file.

    Raises:
        MissingExtra: without the runtime.
        InputError: for a folder whose files are missing, damaged or of different exports, or what the runtime refuses.
    """

    def __init__(
        self, folder: str | Path, engine: str = "openvino", device: str = "auto", precision: str = "auto",
        score: float = 0.3,
    ) -> None:  # fmt: skip
        if engine not in RUNTIMES:
            raise InputError(f"ladders of exported files run on {' or '.join(RUNTIMES)}, not on {engine}")
        self.folder = Path(folder)
        rungs = read_ladder(self.folder)
        self.scales = tuple(rung.scale for rung in rungs)
        self._files: list[ExportedEngine] = []
        for rung in rungs:
            file = _open(inside(self.folder, rung.file), engine, device, precision, score)
            self._check(rung, file.described)
            self._files.append(file)

    def _check(self, rung: Rung, described: FileInfo) -> None:
        """
        Raises:
            InputError: for a file that is not that of the ladder, or does not go with the first one.
        """
        again = "export the ladder again"
        if described.digest != rung.digest or described.scale != rung.scale:
            raise InputError(f"{rung.file} in {self.folder} is of another export than its {LADDER} says; {again}")
        if self._files:
            first = self._files[0].described
            names = ("model", "options", "label_set", "classes", "detection", "heads")
            for name in names:
                if getattr(first, name) != getattr(described, name):
                    raise InputError(f"files in {self.folder} are of different models: their {name} differ; {again}")

    @property
    def labels(self) -> LabelSet:
        return self._files[0].labels

    @property
    def info(self) -> dict[str, Any]:
        kinds = [[scale, file.described.kind_digest()] for scale, file in zip(self.scales, self._files, strict=True)]
        # Of one file alone, because OpenVINO compiles a file to say its threads.
        return self._files[0].info | {
            "precision": "+".join(sorted({file.precision for file in self._files})),
            "digest": hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:12],
            "scales": list(self.scales),
        }

    def predict(self, view: np.ndarray, share: float) -> Prediction:
        return self._files[nearest_scale(self.scales, share)].predict(view, share)


def _open(path: Path, engine: str, device: str, precision: str, score: float) -> ExportedEngine:
    if engine == "openvino":
        from perception.runtime.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(path, device, precision, score)
    if path.suffix != ".onnx":
        raise InputError(f"{path.name} runs on openvino, not on onnxruntime; export the ladder with --format onnx")
    from perception.runtime.onnx_engine import OnnxEngine

    return OnnxEngine(path, device, score)

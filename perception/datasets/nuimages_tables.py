"""The tables of nuImages, read from their JSON files and joined by token.

The devkit's ``NuImages`` searches all annotations for each image; here they are sorted by image once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perception.datasets.quarantine import AUTO, open_quarantine
from perception.errors import InputError
from perception.files import require_dir

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "log", "object_ann", "sample", "sample_data", "sensor",
    "surface_ann",
)  # fmt: skip

Row = dict[str, Any]


class NuImagesTables:
    """The tables of one version.

    Only camera keyframes and what belongs to them is kept: the other twelve images of each sample have no labels.

    Args:
        root: data folder.
        version: folder of the tables.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Attributes:
        keyframes: ``sample_data`` records of camera keyframes, by time.
        category: records; ``category_names``: token to name.
        channels: ``calibrated_sensor`` token to channel, cameras only.
        logs: names of the log files of the keyframes.
        annotated: whether there are any annotations.

    Raises:
        InputError: for a missing folder or table, or tables that do not fit together.
    """

    def __init__(self, root: Path, version: str, quarantine: str = AUTO) -> None:
        root = require_dir(root, "nuImages data folder")
        self.folder = root / version
        if not self.folder.is_dir():
            present = sorted(path.parent.name for path in root.glob("*/object_ann.json"))
            hint = f"it has {', '.join(present)}" if present else "no folder in it has an object_ann.json"
            raise InputError(f"nuImages data folder {root} has no version {version!r}; {hint}")
        missing = [name for name in TABLES if not (self.folder / f"{name}.json").is_file()]
        if missing:
            raise InputError(f"{self.folder} lacks the nuImages table {', '.join(f'{name}.json' for name in missing)}")
        self._left_out = open_quarantine(root, quarantine)
        try:
            self._join()
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the nuImages tables in {self.folder} do not fit together: {type(error).__name__}: {error}"
            ) from error

    def _read(self, name: str) -> list[Row]:
        path = self.folder / f"{name}.json"
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not JSON or is cut off: {error}") from error
        if not isinstance(rows, list):
            raise InputError(f"{path} is not a list of records")
        broken = self._left_out.of(name)
        return [row for row in rows if row["token"] not in broken] if broken else rows

    def _join(self) -> None:
        self.category = self._read("category")
        self.category_names = {row["token"]: str(row["name"]) for row in self.category}
        sensors = {row["token"]: row for row in self._read("sensor")}
        self._sensors = {row["token"]: row for row in self._read("calibrated_sensor")}
        self.channels = {
            token: str(sensors[row["sensor_token"]]["channel"])
            for token, row in self._sensors.items()
            if sensors[row["sensor_token"]]["modality"] == "camera"
        }
        self.keyframes = sorted(
            (
                row
                for row in self._read("sample_data")
                if row["is_key_frame"] and row["calibrated_sensor_token"] in self.channels
            ),
            key=lambda row: (row["timestamp"], row["token"]),
        )
        wanted = {row["ego_pose_token"] for row in self.keyframes}
        self._poses = {row["token"]: row for row in self._read("ego_pose") if row["token"] in wanted}
        logfiles = {row["token"]: str(row["logfile"]) for row in self._read("log")}
        self._log_of = {row["token"]: logfiles[row["log_token"]] for row in self._read("sample")}
        self.logs = sorted({self.logfile(row) for row in self.keyframes})
        for row in self.keyframes:
            self._poses[row["ego_pose_token"]]["speed"]
        tokens = {row["token"] for row in self.keyframes}
        self._objects = self._by_image("object_ann", tokens)
        self._surfaces = self._by_image("surface_ann", tokens)
        self.annotated = bool(self._objects or self._surfaces)

    def _by_image(self, name: str, tokens: set[str]) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self._read(name):
            if row["sample_data_token"] in tokens:
                self.category_names[row["category_token"]]
                found.setdefault(row["sample_data_token"], []).append(row)
        return found

    def logfile(self, row: Row) -> str:
        return self._log_of[row["sample_token"]]

    def channel(self, row: Row) -> str:
        return self.channels[row["calibrated_sensor_token"]]

    def sensor(self, row: Row) -> Row:
        return self._sensors[row["calibrated_sensor_token"]]

    def pose(self, row: Row) -> Row:
        return self._poses[row["ego_pose_token"]]

    def annotations(self, row: Row) -> tuple[list[Row], list[Row]]:
        """Surfaces in the order of the table, and objects in the order of their tokens: the order of painting."""
        objects = sorted(self._objects.get(row["token"], []), key=lambda ann: ann["token"])
        return self._surfaces.get(row["token"], []), objects

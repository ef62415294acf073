"""The tables of a nuScenes data set as plain records, each with the fields that the schema asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception.checks.report import Report
from perception.console import track
from perception.datasets.quarantine import Broken
from perception.errors import InputError
from perception.files import require_dir

Record = dict[str, Any]

RECORDS = "records"
LARGEST = 1e18
"""Numbers beyond it are no measurement, and would not fit the types that they are read into."""


def is_number(value: Any) -> bool:
    """A JSON number; NaN and infinity are numbers here, the checks of values refuse them."""
    return isinstance(value, float) or (is_integer(value))


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_token(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_token, value))


def numbers(count: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(map(is_number, value))

    return check


def is_intrinsic(value: Any) -> bool:
    """A 3x3 matrix, or an empty list for what is no camera."""
    return value == [] or (isinstance(value, list) and len(value) == 3 and all(map(numbers(3), value)))


POSE = {"translation": numbers(3), "rotation": numbers(4)}
LINKS = {"prev": is_text, "next": is_text}

OPTIONAL = ("lidarseg",)
Schema = dict[str, dict[str, Callable[[Any], bool]]]

SCHEMA: Schema = {
    "attribute": {"name": is_token},
    "calibrated_sensor": {"sensor_token": is_token, **POSE, "camera_intrinsic": is_intrinsic},
    "category": {"name": is_token},
    "ego_pose": {"timestamp": is_integer, **POSE},
    "instance": {
        "category_token": is_token,
        "nbr_annotations": is_integer,
        "first_annotation_token": is_token,
        "last_annotation_token": is_token,
    },
    "lidarseg": {"sample_data_token": is_token, "filename": is_token},
    "log": {"location": is_text},
    "map": {"log_tokens": is_tokens, "filename": is_token},
    "sample": {"timestamp": is_integer, "scene_token": is_token, **LINKS},
    "sample_annotation": {
        "sample_token": is_token,
        "instance_token": is_token,
        "visibility_token": is_text,
        "attribute_tokens": is_tokens,
        **POSE,
        "size": numbers(3),
        "num_lidar_pts": is_integer,
        "num_radar_pts": is_integer,
        **LINKS,
    },
    "sample_data": {
        "sample_token": is_token,
        "ego_pose_token": is_token,
        "calibrated_sensor_token": is_token,
        "timestamp": is_integer,
        "is_key_frame": is_flag,
        "height": is_integer,
        "width": is_integer,
        "filename": is_token,
        **LINKS,
    },
    "scene": {
        "name": is_token,
        "log_token": is_token,
        "nbr_samples": is_integer,
        "first_sample_token": is_token,
        "last_sample_token": is_token,
    },
    "sensor": {"channel": is_token, "modality": is_token},
    "visibility": {"level": is_token},
}
"""What a record needs, besides its token, to be read."""


class Tables:
    """Records that have the fields of the schema, by table.

    Args:
        root: of the data set.
        version: the tables' folder.
        schema: the fields of each table and what their values must be.

    Attributes:
        rows: whole records, by table.
        tokens: of all records, whole or not, so that one broken record does not break those that refer to it.
    """

    def __init__(self, root: Path, version: str, report: Report, schema: Schema | None = None) -> None:
        self.schema = SCHEMA if schema is None else schema
        self.root, self.version = root, version
        self.folder = root / version
        self.rows: dict[str, list[Record]] = {}
        self.tokens: dict[str, set[str]] = {}
        self.index: dict[str, dict[str, Record]] = {}
        self.unreadable: set[str] = set()
        names = [name for name in self.schema if name not in OPTIONAL or (self.folder / f"{name}.json").is_file()]
        for name in track(names, "tables"):
            self._load(name, report)

    def _load(self, name: str, report: Report) -> None:
        self.rows[name], self.tokens[name], self.index[name] = [], set(), {}
        file = f"{self.version}/{name}.json"
        try:
            content = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            if not isinstance(content, list):
                raise ValueError("it must be a list of records")
        except FileNotFoundError:
            return self._refuse(report, name, file, "the table does not exist")
        except (OSError, ValueError, RecursionError) as error:
            return self._refuse(report, name, file, f"the table does not parse: {' '.join(str(error).split())}")
        report.count(RECORDS, len(content))
        schema = self.schema[name].items()
        for place, row in enumerate(content):
            token = row.get("token") if isinstance(row, dict) else None
            if not isinstance(token, str) or not token:
                report.add(Broken(RECORDS, name, "", f"record {place} has no token", file=file))
                continue
            if token in self.tokens[name]:
                report.add(Broken(RECORDS, name, token, "the token is there twice", file=file))
                continue
            self.tokens[name].add(token)
            wrong = [field for field, fits in schema if field not in row or not fits(row[field])]
            if wrong:
                value = repr(row.get(wrong[0], "nothing"))[:60]
                report.add(Broken(RECORDS, name, token, f"{wrong[0]} is {value}", file=file))
                continue
            self.rows[name].append(row)
            self.index[name][token] = row

    def _refuse(self, report: Report, name: str, file: str, reason: str) -> None:
        self.unreadable.add(name)
        report.count(RECORDS, 1)
        report.add(Broken(RECORDS, name, "", reason, file=file))

    def get(self, table: str, token: str) -> Record | None:
        """A whole record, else ``None``."""
        return self.index[table].get(token)

    def channel(self, measurement: Record) -> str:
        """Channel of a ``sample_data`` record, "" where its links are broken."""
        return self._sensor(measurement).get("channel", "")

    def modality(self, measurement: Record) -> str:
        """``camera``, ``lidar`` or ``radar``, by the sensor's record, "" where the links are broken."""
        return self._sensor(measurement).get("modality", "")

    def scene_of(self, measurement: Record) -> str:
        """Token of the scene of a ``sample_data`` or ``sample_annotation`` record, "" where the links are broken."""
        sample = self.get("sample", measurement["sample_token"])
        return sample["scene_token"] if sample else ""

    def _sensor(self, measurement: Record) -> Record:
        calibrated = self.get("calibrated_sensor", measurement["calibrated_sensor_token"])
        return (self.get("sensor", calibrated["sensor_token"]) if calibrated else None) or {}


def find_version(root: Path, version: str, what: str = "nuScenes") -> str:
    """The folder of the tables.

    Args:
        version: its name, or ``auto`` for the only one there is.

    Raises:
        InputError: where there is none, or ``auto`` would have to choose.
    """
    require_dir(root, f"{what} data folder")
    present = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
    if version != "auto":
        if not (root / version).is_dir():
            hint = f"it has {', '.join(present)}" if present else "no folder in it has a sample_data.json"
            raise InputError(f"{what} data folder {root} has no version {version!r}; {hint}")
        return version
    if len(present) != 1:
        found = f"several versions: {', '.join(present)}" if present else "no folder with a sample_data.json"
        raise InputError(f"{what} data folder {root} has {found}; say which with --version")
    return present[0]

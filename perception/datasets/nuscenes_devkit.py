"""The official devkit's tables without the records of a quarantine list. Importing this needs nuscenes-devkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nuscenes import NuScenes

from perception.datasets.quarantine import Quarantine

Record = dict[str, Any]

REFERENCES: dict[str, dict[str, str]] = {
    "instance": {"category_token": "category"},
    "calibrated_sensor": {"sensor_token": "sensor"},
    "scene": {"log_token": "log"},
    "sample": {"scene_token": "scene"},
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
    },
    "sample_annotation": {"sample_token": "sample", "instance_token": "instance", "visibility_token": "visibility"},
    "lidarseg": {"sample_data_token": "sample_data"},
}
"""Fields whose token must be a record of another table, which the devkit loads first. Without it a record has no
meaning; ``visibility_token`` may be empty."""

CHAINED = ("sample", "sample_data", "sample_annotation")
"""Tables whose records are linked by ``prev`` and ``next``."""
LABELS = ("lidarseg", "panoptic")


class QuarantinedNuScenes(NuScenes):
    """``NuScenes`` that never sees the records of a list, nor those that hang on them.

    Chains of ``prev`` and ``next`` skip what is left out. A map record stays, since logs need one, but its mask cannot
    be asked for. With an empty list this is ``NuScenes``.
    """

    def __init__(self, version: str, dataroot: str, quarantine: Quarantine) -> None:
        self.quarantine = quarantine
        self.left_out = 0
        self._kept: dict[str, set[str]] = {}
        super().__init__(version=version, dataroot=dataroot, verbose=False)
        for name in LABELS:
            if quarantine and name in self.table_names:
                rows = self._without(name, getattr(self, name))
                setattr(self, name, rows)
                self._token2ind[name] = {row["token"]: i for i, row in enumerate(rows)}

    def __load_table__(self, table_name: str) -> Any:
        rows = super().__load_table__(table_name)
        if not self.quarantine or not isinstance(rows, list):
            return rows
        if table_name in LABELS:
            # The devkit counts label files against records before anything else, so only what has no file goes here.
            return [row for row in rows if isinstance(row, dict) and self._is_file(row.get("filename"))]
        if table_name == "map":
            rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("token"), str)]
            broken = self.quarantine.of("map")
            self.left_out += sum(row["token"] in broken for row in rows)
            # The mask of such a map is never read; the devkit wants a file that exists.
            there = f"{self.version}/map.json"
            return [{**row, "filename": there} if row["token"] in broken else row for row in rows]
        return self._without(table_name, rows)

    def _without(self, table: str, rows: list[Any]) -> list[Record]:
        broken = self.quarantine.of(table)
        references = REFERENCES.get(table, {})
        kept: list[Record] = []
        gone: dict[str, Record] = {}
        for row in rows:
            token = row.get("token") if isinstance(row, dict) else None
            if isinstance(token, str) and token not in broken and self._hangs_on_kept(row, references):
                kept.append(row)
            elif isinstance(token, str):
                gone[token] = row
        self._kept[table] = {row["token"] for row in kept}
        self.left_out += len(rows) - len(kept)
        if table in CHAINED:
            for row in kept:
                for link in ("prev", "next"):
                    row[link] = self._surviving(table, row[link], link, gone)
        return kept

    def _hangs_on_kept(self, row: Record, references: dict[str, str]) -> bool:
        for name, table in references.items():
            token = row.get(name)
            if not isinstance(token, str) or (token not in self._kept[table] and (token or name != "visibility_token")):
                return False
        return True

    def _surviving(self, table: str, token: Any, link: str, gone: dict[str, Record]) -> str:
        """The first record from ``token`` on along the chain that is kept, "" at its end."""
        passed: set[str] = set()
        while isinstance(token, str) and token in gone and token not in passed:
            passed.add(token)
            token = gone[token].get(link)
        return token if isinstance(token, str) and token in self._kept[table] else ""

    def _is_file(self, filename: Any) -> bool:
        return isinstance(filename, str) and Path(self.dataroot, filename).is_file()


def load(version: str, root: Path, quarantine: Quarantine) -> QuarantinedNuScenes:
    """Load the tables of ``root / version``."""
    return QuarantinedNuScenes(version, str(root), quarantine)

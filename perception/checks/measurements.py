"""The files of a nuScenes data set: images, LiDAR and radar sweeps, labels, maps and CAN bus messages."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from perception.checks.file_faults import (
    ABSENT,
    Root,
    any_size,
    fault_of_image,
    fault_of_json,
    fault_of_labels,
    fault_of_point_labels,
    fault_of_points,
    fault_of_radar,
)
from perception.checks.report import Report
from perception.checks.tables import Record, Tables
from perception.console import progress_bar
from perception.datasets.nuscenes import DENSE
from perception.datasets.nuscenes_map import read_expansion
from perception.datasets.quarantine import Broken
from perception.errors import InputError
from perception.taxonomy import LABEL_SETS

PATHS, IMAGES, LIDAR, RADAR, LIDARSEG, MAPS, CAN_BUS = (
    "paths", "images", "lidar sweeps", "radar sweeps", "lidarseg", "maps", "can bus",
)  # fmt: skip
DENSE_LABELS = "dense labels"
DENSE_KINDS = ("semantic", "depth", "instance", "drivable", "lane")
CHUNK = 64
"""Records a thread takes at a time."""

Findings = tuple[dict[str, int], list[Broken]]
"""How many files each check looked at, and what is broken."""


class Measurements:
    """Tests of the files of ``sample_data`` and ``lidarseg`` records.

    Args:
        full: decode every image whole, and look at the values of dense labels.
    """

    def __init__(self, tables: Tables, full: bool) -> None:
        self.tables, self.full = tables, full
        self.root = Root(tables.root)
        self.dense = [kind for kind in DENSE_KINDS if (tables.root / DENSE / kind).is_dir()]
        self.classes = _classes(tables.root)
        indices = [row.get("index") for row in tables.rows["category"]]
        self.highest = max((i for i in indices if isinstance(i, int)), default=255)

    def run(self, report: Report, workers: int) -> None:
        rows = self.tables.rows["sample_data"]
        run_in_threads(self._measured, rows, "files", report, workers)
        run_in_threads(self._labelled, self.tables.rows.get("lidarseg", []), "lidarseg", report, workers)

    def _measured(self, rows: Sequence[Record]) -> Findings:
        counts: dict[str, int] = {PATHS: len(rows)}
        broken: list[Broken] = []
        for row in rows:
            channel = self.tables.channel(row)
            path, fault = self.root.find(row["filename"])
            check = PATHS
            if not fault:
                check, fault = self._content(row, path)
                counts[check] = counts.get(check, 0) + 1
            if fault:
                broken.append(Broken(check, "sample_data", row["token"], fault, channel, row["filename"]))
            elif check == IMAGES:
                for kind in self.dense:
                    file = f"{DENSE}/{kind}/{channel}/{path.stem}.png"
                    looked, fault = self._side_file(kind, file, row)
                    counts[DENSE_LABELS] = counts.get(DENSE_LABELS, 0) + looked
                    if fault:
                        broken.append(Broken(DENSE_LABELS, "sample_data", row["token"], fault, channel, file))
        return counts, broken

    def _content(self, row: Record, path: Path) -> tuple[str, str]:
        modality = self.tables.modality(row)
        if modality == "lidar":
            return LIDAR, fault_of_points(path)
        if modality == "radar":
            return RADAR, fault_of_radar(path)
        if modality == "camera":
            return IMAGES, fault_of_image(path, (row["height"], row["width"]), self.full)
        return PATHS, ""  # the sensor's record is broken, and reported

    def _side_file(self, kind: str, file: str, row: Record) -> tuple[bool, str]:
        """Whether there is such a file, and what is wrong with it."""
        path, fault = self.root.find(file)
        if fault:
            return False, "" if fault == ABSENT else fault
        classes = self.classes if kind == "semantic" else 2 if kind in ("drivable", "lane") else None
        return True, fault_of_labels(path, (row["height"], row["width"]), self.full, classes)

    def _labelled(self, rows: Sequence[Record]) -> Findings:
        broken = []
        for row in rows:
            sweep = self.tables.get("sample_data", row["sample_data_token"])
            path, fault = self.root.find(row["filename"])
            if not fault and sweep is not None:
                points, unreadable = self.root.find(sweep["filename"])
                # A sweep that is broken itself is reported with its own record.
                if not unreadable and not fault_of_points(points):
                    fault = fault_of_point_labels(path, points, self.highest)
            if fault:
                channel = self.tables.channel(sweep) if sweep is not None else ""
                broken.append(Broken(LIDARSEG, "lidarseg", row["token"], fault, channel, row["filename"]))
        return {LIDARSEG: len(rows)}, broken


def check_lidarseg_folder(tables: Tables, report: Report) -> None:
    """The devkit refuses a folder of labels with more or fewer files than records."""
    if "lidarseg" not in tables.rows or "lidarseg" in tables.unreadable:
        return
    folder = tables.root / "lidarseg" / tables.version
    named = {Path(row["filename"]).name for row in tables.rows["lidarseg"]}
    present = {path.name for path in folder.glob("*.bin")} if folder.is_dir() else set()
    report.count(LIDARSEG, 0)
    for name in sorted(present - named):
        reason = "no record of lidarseg names the file; move it away"
        report.add(Broken(LIDARSEG, "lidarseg", "", reason, file=f"lidarseg/{tables.version}/{name}"))


def check_maps(tables: Tables, report: Report, full: bool) -> None:
    """Masks decode, and so do the map expansions of the logs' locations, where there are any."""
    root = Root(tables.root)
    report.count(MAPS, len(tables.rows["map"]))
    for row in tables.rows["map"]:
        path, fault = root.find(row["filename"])
        if not fault:
            with any_size():
                fault = fault_of_image(path, None, full)
        if fault:
            report.add(Broken(MAPS, "map", row["token"], fault, file=row["filename"]))
    for path in sorted((tables.root / "maps" / "expansion").glob("*.json")):
        report.count(MAPS, 1)
        file = path.relative_to(tables.root).as_posix()
        fault = root.find(file)[1]
        if not fault:
            try:
                read_expansion(path)
            except InputError as error:
                fault = str(error)
            except Exception as error:  # values of any type may stand anywhere in the file
                fault = f"it does not read: {type(error).__name__}: {error}"
        if fault:
            report.add(Broken(MAPS, "map", "", fault, file=file))


def check_can_bus(tables: Tables, report: Report) -> None:
    """Messages of the CAN bus parse. Some scenes have none, which is no fault."""
    root = Root(tables.root)
    for path in sorted((tables.root / "can_bus").glob("*.json")):
        report.count(CAN_BUS, 1)
        file = path.relative_to(tables.root).as_posix()
        fault = root.find(file)[1] or fault_of_json(path)
        if fault:
            report.add(Broken(CAN_BUS, "can_bus", "", fault, file=file))


def run_in_threads(
    test: Callable[[Sequence[Record]], Findings], rows: Sequence[Record], what: str, report: Report, workers: int
) -> None:
    """Test records in threads, which suffice: reading, decoding and numpy let go of the interpreter.

    Findings come in the order of the records, whatever the number of threads.
    """
    if not rows:
        return
    with ThreadPoolExecutor(workers) as pool, progress_bar() as progress:
        task = progress.add_task(what, total=len(rows))
        waiting: deque[tuple[Future[Findings], int]] = deque()

        def collect() -> None:
            future, looked = waiting.popleft()
            counts, broken = future.result()
            progress.advance(task, looked)
            for check, number in counts.items():
                report.count(check, number)
            for item in broken:
                report.add(item)

        for chunk in chunks(rows):
            waiting.append((pool.submit(test, chunk), len(chunk)))
            if len(waiting) > 4 * workers:
                collect()
        while waiting:
            collect()


def chunks(rows: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _classes(root: Path) -> int | None:
    """How many classes dense semantic labels have; ``None`` where nothing says so."""
    try:
        described = json.loads((root / DENSE / "label_set.json").read_text(encoding="utf-8"))
        return len(LABEL_SETS[described["label_set"]].classes)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def check_dense_description(tables: Tables, report: Report) -> None:
    """Where there are dense labels, ``dense/label_set.json`` says of which classes."""
    path = tables.root / DENSE / "label_set.json"
    folders: Iterable[Path] = [tables.root / DENSE / kind for kind in DENSE_KINDS]
    if not path.is_file() and not any(folder.is_dir() for folder in folders):
        return
    report.count(DENSE_LABELS, 1)
    if _classes(tables.root) is None:
        reason = f"it must be a JSON object whose 'label_set' is one of {', '.join(LABEL_SETS)}"
        report.add(Broken(DENSE_LABELS, "dense", "", reason, file=f"{DENSE}/label_set.json"))

"""All checks of a nuScenes-format data set."""

from __future__ import annotations

from pathlib import Path

from perception.checks.links import check_chains, check_ends, check_tokens
from perception.checks.measurements import (
    Measurements,
    check_can_bus,
    check_dense_description,
    check_lidarseg_folder,
    check_maps,
)
from perception.checks.report import Report
from perception.checks.tables import Tables, find_version
from perception.checks.values import (
    check_annotated_times,
    check_boxes,
    check_calibrations,
    check_names,
    check_poses,
    check_splits,
    check_times,
)
from perception.console import track


def check_nuscenes(root: Path, version: str = "auto", full: bool = False, workers: int = 4) -> Report:
    """Check tables, links, values and files.

    Each table is gone through a few times; nothing is looked up by searching. Every LiDAR sweep is read whole. Of
    images the header, the size and the last bytes are looked at, which tells files that are missing, replaced or cut
    off.

    Args:
        version: the tables' folder, or ``auto`` for the only one.
        full: also decode every image, and look at all values of dense labels.
        workers: threads that read files.

    Raises:
        InputError: for a folder without tables.
    """
    version = find_version(root, version)
    report = Report()
    tables = Tables(root, version, report)
    steps = (
        check_tokens,
        check_chains,
        check_ends,
        check_poses,
        check_calibrations,
        check_boxes,
        check_annotated_times,
        check_names,
        check_times,
        check_splits,
        check_can_bus,
        check_lidarseg_folder,
        check_dense_description,
    )
    for step in track(steps, "links and values"):
        step(tables, report)
    check_maps(tables, report, full)
    Measurements(tables, full).run(report, workers)
    return report

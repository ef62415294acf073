"""Any single corruption of a data set is found or harmless, and never ends in a traceback."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_nuscenes import VERSION, write_nuscenes

from perception.checks.nuscenes import check_nuscenes
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.quarantine import FILE_NAME, write_quarantine
from perception.errors import InputError

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation",
    "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip

ODD_VALUES = st.one_of(
    st.sampled_from(
        ["", "x", "../x", "\0", -1, 0, 10**30, 1e308, math.nan, math.inf, None, True, [], {}, [[]], [None]]
    ),
    st.integers(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=4),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nuscenes(tmp_path_factory.mktemp("tiny") / "data", keyframes=2, size=(24, 40))


def copy(whole: Path, root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root, copy_function=os.link)
    return root


def opened(root: Path) -> NuScenesDataset:
    return NuScenesDataset(root, split="all", cameras=("CAM_FRONT", "CAM_BACK"), sweeps=True)


def read_all(dataset: NuScenesDataset) -> int:
    """Read every image with its labels; returns how many there were."""
    for i in range(len(dataset)):
        dataset[i]
    return len(dataset)


def found_or_harmless(root: Path, frames: int) -> None:
    """The check finds it, and what it leaves can be read; or it finds nothing, and all can be read."""
    report = check_nuscenes(root, VERSION, full=True, workers=1)
    if not report.broken:
        assert read_all(opened(root)) == frames
        return
    write_quarantine(root / FILE_NAME, "nuscenes", report.broken)
    try:
        dataset = opened(root)
    except InputError:
        # A table may be gone, or a record on which all else hangs. Single measurements and boxes are no such thing.
        single = [item for item in report.broken if item.table in ("sample_data", "sample_annotation") and item.token]
        assert len(single) > 3 or len(single) < len(report.broken), report.broken
    else:
        read_all(dataset)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_value(whole: Path, tmp_path: Path, data: Any) -> None:
    root = copy(whole, tmp_path / "data")
    table = data.draw(st.sampled_from(TABLES))
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    place = data.draw(st.integers(-1, len(rows) - 1)) if rows else -1
    if place < 0:
        rows = data.draw(st.one_of(ODD_VALUES, st.just([*rows, None]), st.just(rows[1:])))
    else:
        name = data.draw(st.sampled_from(sorted(rows[place])))
        action = data.draw(st.sampled_from(["set", "delete", "swap", "double"]))
        if action == "set":
            rows[place][name] = data.draw(ODD_VALUES)
        elif action == "delete":
            del rows[place][name]
        elif action == "swap":
            other = data.draw(st.integers(0, len(rows) - 1))
            rows[place][name], rows[other][name] = rows[other].get(name), rows[place][name]
        else:
            rows.append(rows[place])
    path.unlink()
    path.write_text(json.dumps(rows))
    found_or_harmless(root, 12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_file(whole: Path, tmp_path: Path, data: Any) -> None:
    root = copy(whole, tmp_path / "data")
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    path = root / data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    path.unlink()
    action = data.draw(st.sampled_from(["cut", "remove", "empty", "flip", "folder", "link"]))
    if action == "cut":
        path.write_bytes(content[: data.draw(st.integers(1, len(content))) - 1])
    elif action == "empty":
        path.touch()
    elif action == "flip":
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    elif action == "folder":
        path.mkdir()
    elif action == "link":
        path.symlink_to(path.name if data.draw(st.booleans()) else root.parent / "outside")
    if action == "remove" and path.parent == root / VERSION:
        assert check_nuscenes(root, VERSION).broken
        with pytest.raises(InputError):
            opened(root)
    else:
        found_or_harmless(root, 12)

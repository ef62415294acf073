"""Faults of a nuScenes data set: each is found, laid to its record, left out, and survived by training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import real_data
from faulty_data import (
    FAULTS,
    broken_token,
    measured,
    missing_image,
    path_outside,
    read_table,
    truncated_image,
    write_table,
)
from PIL import Image

from perception.checks.links import check_chains
from perception.checks.nuscenes import check_nuscenes
from perception.checks.report import Report
from perception.checks.tables import Tables, find_version
from perception.checks.values import out_of_order
from perception.cli import main
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_tables import open_tables
from perception.datasets.quarantine import write_quarantine
from perception.errors import InputError

VERSION = "v1.0-mini"


@pytest.fixture
def data(tiny_world: Path, tmp_path: Path) -> Path:
    """A world that may be damaged: unchanged files are shared."""
    root = tmp_path / "data"
    shutil.copytree(tiny_world, root, copy_function=os.link)
    return root


def fit(root: Path, tmp_path: Path, *options: str) -> int:
    config = f"""
model:
  class_path: perception.tasks.MultiTask
  init_args: {{model: multitask_resnet18_slim, label_set: road_scene, heads: [semantic, detection]}}
data:
  class_path: perception.datamodules.NuScenesDataModule
  init_args: {{root: {root}, size: [64, 96], batch_size: 2, num_workers: 0, sweeps: true, train_split: all}}
trainer: {{accelerator: cpu, max_steps: 2, limit_val_batches: 1, num_sanity_val_steps: 0, logger: false,
  enable_checkpointing: false, enable_progress_bar: false, default_root_dir: {tmp_path / "run"}}}
"""
    (tmp_path / "config.yaml").write_text(config)
    return main(["fit", "--config", str(tmp_path / "config.yaml"), *options])


def read_all(root: Path, **options: Any) -> list[str]:
    dataset = NuScenesDataset(root, split="all", sweeps=True, **options)
    for i in range(len(dataset)):
        dataset[i]
    return [frame.token for frame in dataset.frames]


def test_whole_data_is_whole(tiny_world: Path) -> None:
    report = check_nuscenes(tiny_world, full=True)
    assert report.broken == []
    counts = report.counts
    assert counts["lidar sweeps"] == len(read_table(tiny_world, "lidarseg")) == counts["lidarseg"]
    assert counts["images"] == len(measured(tiny_world, "CAM_FRONT", keyframes=False))
    assert counts["dense labels"] > counts["images"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_and_laid_to_its_record(fault: Callable[..., set[str]], data: Path) -> None:
    broken = fault(data)
    assert main(["check", str(data)]) == 1
    listed = json.loads((data / "quarantine.json").read_text())["records"]
    assert {row["token"] for row in listed if row["leave_out"]} == broken
    assert all(row["reason"] and row["table"] for row in listed)
    names = {row["token"]: row["filename"] for row in read_table(data, "sample_data")}
    for row in listed:
        if row["table"] == "sample_data":
            assert row["file"] == names[row["token"]]
            assert row["channel"] in ("CAM_FRONT", "LIDAR_TOP")
    kept = read_all(data)
    assert not broken & set(kept)
    assert broken <= set(names) | {row["token"] for row in read_table(data, "sample_annotation")}
    tables = open_tables(data, VERSION)
    for table in ("sample_data", "sample_annotation"):
        for row in getattr(tables, table):  # every chain holds, around the gap
            if row["next"]:
                assert tables.get(table, row["next"])["prev"] == row["token"]


def test_training_survives_all_faults_together(data: Path, tmp_path: Path) -> None:
    broken = set().union(*(fault(data, place) for place, fault in enumerate(FAULTS)))
    assert main(["check", str(data), "--json"]) == 1
    assert not broken & set(read_all(data))
    assert fit(data, tmp_path, "--data.semantic_from", "lidarseg") == 0


@pytest.mark.parametrize("fault", [missing_image, truncated_image, path_outside])
def test_unlisted_faults_end_training_in_one_line(
    fault: Callable[..., set[str]], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (token,) = fault(data)
    name = next(row["filename"] for row in read_table(data, "sample_data") if row["token"] == token)
    with pytest.raises(InputError, match=f"sample_data {token}, .*perception check") as error:
        read_all(data, quarantine="off")
    assert name in str(error.value)
    assert fit(data, tmp_path, "--trainer.max_steps=-1", "--trainer.max_epochs=1") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert token in lines[0]
    assert "perception check" in lines[0]


def test_an_error_of_a_loader_process_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (token,) = missing_image(data)
    options = ("--trainer.max_steps=-1", "--trainer.max_epochs=1", "--data.num_workers=1")
    assert fit(data, tmp_path, *options) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert f"sample_data {token}" in error


def test_tables_that_do_not_load_name_the_remedy(data: Path) -> None:
    broken_token(data)
    rows = read_table(data, "sample_annotation")
    rows[0]["instance_token"] = "f" * 32
    write_table(data, "sample_annotation", rows)
    with pytest.raises(InputError, match=r"do not load: KeyError.*perception check"):
        NuScenesDataset(data, quarantine="off")


def test_read_only_data_takes_a_list_from_elsewhere(data: Path, tmp_path: Path) -> None:
    (token,) = missing_image(data)
    target = tmp_path / "elsewhere" / "list.json"
    assert main(["check", str(data), "--quarantine", str(target)]) == 1
    assert not (data / "quarantine.json").exists()
    assert token not in read_all(data, quarantine=str(target))
    with pytest.raises(InputError, match="does not exist; write it with perception check"):
        NuScenesDataset(data, quarantine=str(tmp_path / "nowhere.json"))
    target.write_text("[]")
    with pytest.raises(InputError, match="is not a quarantine list"):
        NuScenesDataset(data, quarantine=str(target))


def test_repaired_data_empties_the_list(data: Path) -> None:
    row = measured(data, "CAM_FRONT")[1]
    content = (data / row["filename"]).read_bytes()
    missing_image(data)
    assert main(["check", str(data)]) == 1
    (data / row["filename"]).write_bytes(content)
    assert main(["check", str(data)]) == 0
    assert json.loads((data / "quarantine.json").read_text())["records"] == []
    assert row["token"] in read_all(data)


def test_what_hangs_on_a_broken_record_is_left_out_with_it(data: Path) -> None:
    rows = read_table(data, "scene")
    rows[0]["log_token"] = "f" * 32
    write_table(data, "scene", rows)
    assert main(["check", str(data)]) == 1
    names = {scene["name"] for scene in open_tables(data, VERSION).scene}
    assert names == {row["name"] for row in rows[1:]}
    assert {f.scene for f in NuScenesDataset(data, split="all").frames} == names


def test_bad_input_exits_with_2(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert main(["check", str(data), "--version", "v1.0-trainval"]) == 2
    assert main(["check", str(data), "--format", "kitti"]) == 2
    assert main(["check", str(data), "--workers", "0"]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 5


def _edit(rows: list[dict[str, Any]], token: str) -> dict[str, Any]:
    return next(row for row in rows if row["token"] == token)


def broken_chains(root: Path, edits: list[tuple[str, str, str]]) -> set[str]:
    """Tokens that are blamed after setting fields of ``sample_data`` records: token, field, value."""
    rows = read_table(root, "sample_data")
    for token, name, value in edits:
        _edit(rows, token)[name] = value
    write_table(root, "sample_data", rows)
    report = Report()
    check_chains(Tables(root, find_version(root, "auto"), report), report)
    return {item.token for item in report.broken}


def test_chains_blame_the_record_with_the_wrong_link(data: Path) -> None:
    rows = measured(data, "CAM_FRONT", keyframes=False)[:5]  # one scene: three keyframes and two sweeps
    a, b, c, d, e = (row["token"] for row in rows)
    original = read_table(data, "sample_data")
    for edits, blamed in (
        ([(b, "next", "nowhere")], {b}),
        ([(b, "next", d)], {b}),
        ([(c, "prev", a)], {c}),
        ([(c, "prev", "")], {c}),
        ([(b, "next", ""), (c, "prev", "")], {c}),
        ([(b, "next", b)], {b}),
        ([(a, "prev", e), (e, "next", a)], {a, b, c, d, e}),
    ):
        assert broken_chains(data, edits) == blamed, edits
        write_table(data, "sample_data", original)


def test_out_of_order_is_the_fewest_that_must_go() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        times = random.integers(0, 12, size=8).tolist()
        gone = set(out_of_order(times))
        rest = [time for i, time in enumerate(times) if i not in gone]
        assert rest == sorted(set(rest))
        longest = max(
            bin(mask).count("1")
            for mask in range(1, 256)
            if (kept := [t for i, t in enumerate(times) if mask >> i & 1]) == sorted(set(kept))
        )
        assert len(rest) == longest


def test_a_map_of_kilometres_is_no_fault(data: Path) -> None:
    row = read_table(data, "map")[0]
    (data / row["filename"]).unlink()
    Image.new("1", (20_000, 10_000)).save(data / row["filename"])
    limit = Image.MAX_IMAGE_PIXELS
    assert [item for item in check_nuscenes(data, full=True).broken if item.check == "maps"] == []
    assert limit == Image.MAX_IMAGE_PIXELS
    (data / row["filename"]).write_bytes(b"no picture")
    (broken,) = check_nuscenes(data).broken
    assert (broken.check, broken.token) == ("maps", row["token"])
    write_quarantine(data / "quarantine.json", "nuscenes", [broken])
    assert len(read_all(data)) == len(measured(data, "CAM_FRONT", keyframes=False))


def test_the_real_keyframe_is_whole(tmp_path: Path) -> None:
    root = real_data("nuscenes_keyframe")
    assert main(["check", str(root), "--full", "true", "--quarantine", str(tmp_path / "list.json")]) == 0

"""Points of a keyframe as pictures, and a scene as a recording, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception.cli import main
from perception.submissions.lidarseg import write_lidarseg


def show(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["show", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def submission(tiny_world: Path, tmp_path: Path) -> Path:
    """Predictions for the first keyframe: all driveable surface."""
    from perception.datasets.nuscenes_lidar import LIDAR, read_sweep
    from perception.datasets.nuscenes_tables import open_tables

    tables = open_tables(tiny_world, "v1.0-mini")
    token = tables.sample[0]["data"][LIDAR]
    count = len(read_sweep(tiny_world, tables, token))
    write_lidarseg(tmp_path / "submission", "val", token, np.full(count, 11))
    return tmp_path / "submission"


def test_points_are_drawn_from_above(
    tiny_world: Path, tmp_path: Path, submission: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "top.png"
    result = show(capsys, tiny_world, out, "--view", "top", "--width", 240)
    assert result["colors"] == ["class"]
    assert Image.open(out).width == 240
    assert 0.2 < result["ground_share"] < 0.9
    assert 0 < result["boxes_with_points"] <= result["boxes"]
    assert 0 < sum(result["points_in_boxes"].values()) < result["points"]
    result = show(capsys, tiny_world, out, "--view", "top", "--width", 240, "--predictions", submission)
    assert result["colors"] == ["class", "prediction", "error"]
    assert Image.open(out).width == 3 * 240 + 12
    assert main(["show", str(tiny_world), str(out), "--view", "behind", "--width", "240", "--color", "sanity"]) == 0
    assert "points in boxes:" in capsys.readouterr().out
    assert Image.open(out).size[0] == 240


def test_a_scene_is_recorded(
    tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], submission: Path
) -> None:
    rerun = pytest.importorskip("rerun")
    out = tmp_path / "drive.rrd"
    result = show(capsys, tiny_world, out)
    assert (len(result["scenes"]), result["keyframes"], result["cameras"]) == (1, 3, ["CAM_FRONT"])
    assert result["size_bytes"] == out.stat().st_size > 200_000
    recording = rerun.dataframe.load_recording(out)
    table = recording.view(index="time", contents="/world/ego/lidar").select().read_all()
    positions = next(name for name in table.column_names if name.endswith(":Position3D"))
    assert sum(len(points) for points in table.column(positions).to_pylist()) == result["points"]
    masks = recording.view(index="time", contents="/world/ego/CAM_FRONT/mask").select().read_all()
    assert masks.num_rows == 3
    result = show(capsys, tiny_world, tmp_path / "all.rrd", "--scene", "all")
    assert (len(result["scenes"]), result["keyframes"]) == (4, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--view", "sideways"], "view 'sideways' is unknown"),
        (["a.png", "--color", "class"], "add a view"),
        (["a.png", "--view", "top", "--color", "hue"], "unknown colouring 'hue'"),
        (["a.png", "--view", "top", "--color", "error"], "has no predictions"),
        (["a.png", "--view", "top", "--range_m", "-3"], "range of -3 m is outside"),
        (["a.png", "--scene", "all"], "is for recordings"),
        (["a.rrd", "--view", "top"], "are for pictures"),
        (["a.rrd", "--scene", "scene-9"], "no scene 'scene-9'"),
        (["a.rrd", "--predictions", "nowhere"], "nowhere does not exist"),
        (["a.png", "--viewer", "true"], "needs a display"),
    ],
)
def test_bad_options_are_said_in_one_line(
    tiny_world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    out, *options = arguments
    if out.endswith(".rrd"):
        pytest.importorskip("rerun")
    assert main(["show", str(tiny_world), str(tmp_path / out), *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / out).exists() or "--viewer" in options

"""``perception export`` of a LiDAR network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perception.cli import main
from perception.commands.lidar_sweep import open_sweep
from perception.errors import InputError
from perception.geometry.sweep import spinning_sweep
from perception.models.checkpoint import save
from perception.models.zoo import create_model

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = create_model(
        "frnet_nano", encoder=(8,), embedding=8, stem=(8,), channels=(8,), blocks=(1,), strides=(2,), join=(8,),
        join_kernels=(1,), grid=(8, 32),
    )  # fmt: skip
    return save(model, tmp_path_factory.mktemp("saved") / "lidar")


def write_sweep(path: Path, points: int) -> Path:
    rows = spinning_sweep(points)
    rows[:, 3] = np.round(255 * rows[:, 3])
    rows.astype("<f4").tofile(path)
    return path


def test_a_file_with_its_report(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lidar.onnx"
    sweep = write_sweep(tmp_path / "sweep.pcd.bin", 600)
    arguments = ["export", str(saved), "--out", str(out), "--frames", str(sweep), "--timing", "2"]
    assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["size"] == "600 points"
    assert set(printed["timing"]["engines"]) == {"torch", "torch channels_last", "onnxruntime", "openvino"}
    report = json.loads((tmp_path / "lidar.onnx.parity.json").read_text())
    assert report["digest"] == printed["digest"]
    assert report["source"] == "sweep.pcd.bin"
    assert main([*arguments[:4], "--timing", "0"]) == 0
    assert "same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "64x96"], "--size is for camera models"),
        (["--half", "true"], "--half is for camera models"),
        (["--frames", "nowhere.pcd.bin"], "does not exist"),
    ],
)
def test_bad_options_write_nothing(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["export", str(saved), "--out", str(tmp_path / "lidar.onnx"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_sweeps_of_both_data_sets_have_intensity_up_to_one(tmp_path: Path) -> None:
    rows = spinning_sweep(50)
    rows[:, :4].tofile(tmp_path / "scan.bin")
    scan, name = open_sweep(tmp_path / "scan.bin", 0)
    assert name == "scan.bin"
    np.testing.assert_array_equal(scan, rows)
    sweep, _ = open_sweep(write_sweep(tmp_path / "sweep.pcd.bin", 50), 0)
    np.testing.assert_allclose(sweep[:, 3], rows[:, 3], atol=1 / 255)
    np.full((3, 5), np.nan, "<f4").tofile(tmp_path / "nan.pcd.bin")
    with pytest.raises(InputError, match="no point with finite coordinates"):
        open_sweep(tmp_path / "nan.pcd.bin", 0)
    with pytest.raises(InputError, match=r"no samples/LIDAR_TOP"):
        open_sweep(tmp_path, 0)

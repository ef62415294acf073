from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from perception.cli import main
from perception.commands import bench_lidar
from perception.commands.bench_scatter import WAYS
from perception.geometry.sweep import spinning_sweep


def test_every_way_to_scatter_gives_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(200, 6, generator=generator)
    index = torch.randint(0, 30, (200,), generator=generator)
    for ours, ways in WAYS.values():
        expected = ours(rows, index, 40)
        for name, way in ways.items():
            found = way(rows.T.contiguous(), index, 40).T if "columns" in name else way(rows, index, 40)
            torch.testing.assert_close(found, expected, msg=lambda text, name=name: f"{name}: {text}")


def test_made_up_sweep_is_a_scan() -> None:
    sweep = spinning_sweep(34_000)
    assert sweep.shape == (34_000, 5)
    assert sweep.dtype == np.float32
    distance = np.linalg.norm(sweep[:, :3], axis=1)
    assert np.isfinite(sweep).all()
    assert 0.4 < distance.min() < distance.max() < 110
    elevation = np.rad2deg(np.arcsin(sweep[:, 2] / distance))
    assert -30.1 < elevation.min() < elevation.max() < 10.1
    assert len(np.unique(elevation.round(2))) == 32
    assert sweep[:, 2].min() > -2.0  # nothing below the ground


def test_figures_of_a_small_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_lidar, "SCALING_POINTS", (300, 600))
    monkeypatch.setattr(bench_lidar, "LIDAR_POINTS", 400)
    arguments = ["bench", "lidar", "--models", "[waffleiron_6_64]", "--scaling", "[waffleiron_6_64]"]
    arguments += ["--points", "500", "--repeats", "3"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (network,) = result["networks"]
    assert network["params"] == 74_148
    assert network["points_per_s"] == pytest.approx(500 / network["ms_per_scan"] * 1e3, rel=0.1)
    (scaling,) = result["scaling"]
    assert scaling["points"] == [300, 600]
    assert len(scaling["ms"]) == 2
    assert [part["what"] for part in result["scatter"]] == [
        "sum",
        "sum with gradient",
        "max",
        "max with gradient",
    ]
    for part in result["scatter"]:
        assert part["best other"] in part["ratios"]
        assert all(value > 0 for value in part["ratios"].values())
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "waffleiron_6_64" in shown
    assert "500 points" in shown


def test_a_sweep_of_a_data_set_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "samples" / "LIDAR_TOP"
    folder.mkdir(parents=True)
    rows = spinning_sweep(300)
    rows[:, 3] *= 255
    rows[7, 0] = np.nan
    rows.tofile(folder / "one.pcd.bin")
    arguments = ["bench", "lidar", "--models", "[frnet_nano]", "--scaling", "[]", "--scatter", "false"]
    arguments += ["--repeats", "2", "--precision", "bf16"]
    for data in (tmp_path, folder / "one.pcd.bin"):
        assert main([*arguments, "--data", str(data), "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["source"] == "one.pcd.bin"
        assert result["points"] == 299
        assert result["precision"] == "bf16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "[frnet_micro]"], "not 'frnet_micro'; use one of frnet_nano"),
        (["--models", "[fcn_resnet50]"], "needs a LiDAR model"),
        (["--repeats", "1"], "must be at least 2"),
        (["--points", "3"], "at least 100"),
        (["--threads", "0"], "threads 0"),
        (["--precision", "int2"], "must be fp32 or bf16"),
        (["--device", "tpu"], "must be auto, cpu or cuda"),
        (["--data", "nowhere.pcd.bin"], "does not exist"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "lidar", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

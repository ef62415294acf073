"""``perception export --scale all``: a file for each scale, and what drives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from perception.cli import main
from perception.commands import export_file
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.engine import LADDER
from perception.runtime.exported_file import open_exported
from perception.runtime.ladder_engine import read_ladder

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

OPTIONS = ["--scale", "all", "--size", "90x150", "--free_size", "false", "--masks", "coarse", "--pictures", "1",
           "--timing", "0"]  # fmt: skip


def saved_model(folder: Path, **options: object) -> Path:
    torch.manual_seed(0)
    small = {"channels": 8, "head_channels": 8, "backbone_options": {"channels": (8, 8, 8, 8)}}
    return save(create_model("multitask_resnet18_slim", **small, **options), folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_model(tmp_path_factory.mktemp("saved") / "model", scales=[0.5, 1.0])


def test_export_calibrate_and_drive(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ladder"
    assert main(["export", str(saved), "--out", str(out), *OPTIONS, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["ladder"] == str(out / LADDER)
    # As perception.runtime.plan.ladder has them: multiples of 4, but the camera's own size.
    assert [rung["size"] for rung in printed["rungs"]] == ["44x76", "90x150"]
    rungs = read_ladder(out)
    assert [rung.scale for rung in rungs] == [0.5, 1.0]
    for rung, report in zip(rungs, printed["rungs"], strict=True):
        described = open_exported(out / rung.file)
        assert described.digest == rung.digest == report["digest"]
        assert described.scale == rung.scale == report["scale"]
        assert described.mask_strides == {"semantic": 4, "drivable": 4, "lane": 4}
        assert json.loads((out / f"{rung.file}.parity.json").read_text())["passed"] is True

    table = tmp_path / "table.json"
    arguments = ["calibrate", "--model", str(out), "--out", str(table), "--native", "90x150", "--fovea", "false",
                 "--miss_rate", "0.2", "--frames", "6", "--fps", "100", "--json"]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    calibrated = json.loads(capsys.readouterr().out)
    assert [plan["name"] for plan in calibrated["plans"]] == ["44x76", "90x150"]
    assert calibrated["key"]["engine"] == "openvino"

    drive = ["drive", "--source", "world", "--size", "90x150", "--max_frames", "2", "--video", "false", "--speed", "3",
             "--policy", "adaptive", "--calibration", str(table)]  # fmt: skip
    assert main([*drive, "--model", str(out), "--out", str(tmp_path / "driven")]) == 0, capsys.readouterr().err
    run = json.loads((tmp_path / "driven" / "report.json").read_text())["run"]
    assert run["scales"] == [0.5, 1.0]
    capsys.readouterr()


def test_a_ladder_is_written_once_all_files_may_be_used(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(name, network, out, options, *rest):  # the last file differs
        return {"passed": options.scale < 1, "digest": "", "parity": [], "timing": None, "files": [out.name],
                "report": "", "quantised": None}  # fmt: skip

    monkeypatch.setattr(export_file, "export_file", spoiled)
    assert main(["export", str(saved), "--out", str(tmp_path / "ladder"), *OPTIONS]) == 1
    assert "no ladder was written" in capsys.readouterr().out
    assert not (tmp_path / "ladder" / LADDER).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "aoti"], "ladders are of format onnx or openvino, not aoti"),
        (["--size", "90x150,45x75"], "takes one --size"),
        (["--out", "model.onnx"], "names a file"),
        (["--scale", "most"], "scale"),
        (["--postprocess", "false"], "--masks coarse goes without"),
    ],
)
def test_bad_options_write_nothing(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    options: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(saved), "--out", "ladder", *OPTIONS, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_models_with_one_set_of_norms_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved_model(tmp_path / "model")
    assert main(["export", str(model), "--out", str(tmp_path / "ladder"), *OPTIONS]) == 2
    assert "has one set, leave --scale out" in capsys.readouterr().err

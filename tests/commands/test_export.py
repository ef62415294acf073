"""``perception export`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.cli import main
from perception.models.checkpoint import save
from perception.models.zoo import create_model

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = create_model(
        "multitask_resnet18_slim", channels=8, head_channels=8, backbone_options={"channels": (8, 8, 8, 8)}
    )
    return save(model, tmp_path_factory.mktemp("saved") / "model")


def test_export_drive_and_report(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.onnx"
    options = ["--size", "64x96", "--free_size", "false", "--pictures", "1", "--timing", "1", "--json"]
    assert main(["export", str(saved), "--out", str(out), *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["free_size"] is False
    assert {entry["engine"] for entry in printed["parity"]} == {"onnxruntime", "openvino"}
    assert set(printed["timing"]["engines"]) == {"torch", "torch channels_last", "onnxruntime", "openvino"}
    assert json.loads((tmp_path / "model.onnx.parity.json").read_text())["digest"] == printed["digest"]

    drive = [
        "drive",
        "--source",
        "world",
        "--size",
        "64x96",
        "--max_frames",
        "2",
        "--video",
        "false",
        "--model",
        str(out),
    ]
    for engine in ("own", "openvino"):
        folder = tmp_path / engine
        arguments = [*drive, "--policy", "fixed:64x96", "--engine", engine, "--out", str(folder)]
        assert main(arguments) == 0, capsys.readouterr().err
        report = json.loads((folder / "report.json").read_text())["run"]
        wanted = "onnxruntime" if engine == "own" else "openvino"
        assert report["engine"] == wanted
        assert wanted in report["versions"]
        capsys.readouterr()

    assert main([*drive, "--policy", "fixed:96x128", "--out", str(tmp_path / "other")]) == 2
    assert "takes pictures of 64x96 alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tflite"], "unknown format"),
        (["--out", "model.pt"], "must end in .onnx"),
        (["--free_size", "perhaps"], "unknown free_size"),
        (["--scale", "0.5"], "norms per scale"),
        (["--input", "bgr"], "unknown input"),
        (["--pictures", "0"], "pictures 0"),
    ],
)
def test_bad_options_write_nothing(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(saved), "--out", "model.onnx", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())

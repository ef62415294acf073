"""``perception bench export``."""

from __future__ import annotations

import json

import pytest

from perception.cli import main
from perception.commands import bench_export
from perception.errors import InputError

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")


def test_a_model_of_the_zoo_as_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--models", "[lraspp_mobilenetv3_large]", "--size", "64x96", "--json"]
    assert main(["bench", "export", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    row = result["models"][0]
    assert result["passed"]
    assert row["free_size"]
    assert row["sizes"] == 6
    assert row["agreement"] >= 0.999
    assert 13 < row["megabytes"] < 14  # 3.2 M parameters of four bytes


def test_networks_that_cannot_be_exported_are_listed_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("no such operator")

    monkeypatch.setattr(bench_export, "export_model", refuse)
    assert main(["bench", "export", "--models", "[unet]", "--json"]) == 1
    row = json.loads(capsys.readouterr().out)["models"][0]
    assert not row["passed"]
    assert row["error"] == "no such operator"


def test_detectors_and_lidar_networks_are_exported_too(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["rtdetr_resnet18", "waffleiron_6_64"]
    assert main(["bench", "export", "--models", json.dumps(names), "--size", "64x96", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [row["name"] for row in rows] == names
    assert all(row["passed"] and row["engines"] == ["onnxruntime", "openvino"] for row in rows)


def test_other_models_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "export", "--models", "[resnet]"]) == 2
    assert "no model of the zoo" in capsys.readouterr().err

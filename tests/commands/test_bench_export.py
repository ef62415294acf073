"""``perception bench export``."""

from __future__ import annotations

import json

import pytest

from perception.cli import main

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


def test_networks_without_operators_are_listed_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "export", "--models", "[waffleiron_6_64]", "--json"]) == 1
    row = json.loads(capsys.readouterr().out)["models"][0]
    assert not row["passed"]
    assert "cKDTree" in row["error"]


@pytest.mark.parametrize("name", ["resnet", "multitask_lidar_resnet18_slim"])
def test_other_models_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "export", "--models", f"[{name}]"]) == 2
    assert "no model of the zoo that can be exported" in capsys.readouterr().err

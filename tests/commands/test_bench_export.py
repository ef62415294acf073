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


@pytest.mark.parametrize(("name", "message"), [("resnet", "no camera model"), ("frnet_nano", "no camera model")])
def test_other_models_are_refused(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "export", "--models", f"[{name}]"]) == 2
    assert message in capsys.readouterr().err

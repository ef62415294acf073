"""Networks trained alike: what is kept, shown and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import perception
from perception.cli import main
from perception.models.zoo import list_models

CONFIG = Path(__file__).parents[2] / "configs/camvid/multitask_resnet18_slim_208x288.yaml"


def test_models_are_trained_once_and_compared(camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    out = tmp_path / "compared"
    arguments = ["bench", "compare", "--config", str(CONFIG), "--root", str(camvid), "--out", str(out), "--minutes",
                 "0.02", "--size", "48x64", "--batch_size", "2", "--rounds", "1"]  # fmt: skip
    names = ["multitask_resnet18_slim", "smp_fpn_resnet18"]
    assert main([*arguments, "--models", json.dumps(names), "--json"]) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in result["models"]] == names
    for row in result["models"]:
        assert row["steps"] >= 1
        assert 0 <= row["miou"] <= 100
        assert row["images_per_second"] > 0
    # the encoder of ResNet-18 has 11,176,512 parameters
    assert 11_176_512 < result["models"][1]["params"] < 14e6
    assert result["models"][0]["params"] < 3e6
    assert "smp_fpn_resnet18" not in list_models(), "the peer is no member of the zoo"
    assert perception.load(out / names[0]).head_names == ("semantic",), "the weights are kept"
    assert not (out / names[1]).exists(), "the peer is no model of the zoo"
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main([*arguments, "--models", json.dumps(names)]) == 0
    assert "mIoU" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == written, "nothing was trained again"
    assert main([*arguments, "--models", '["unet_resnet81"]']) == 2
    assert "unknown model 'unet_resnet81'" in " ".join(capsys.readouterr().err.split())
    assert main([*arguments[:-4], "--minutes", "1", "--size", "32x32"]) == 2
    assert "holds figures of other settings" in " ".join(capsys.readouterr().err.split())

"""One model on several data sets: the figures of ``perception validate``, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.cli import main
from perception.models.checkpoint import save
from perception.models.zoo import create_model

CONFIG = Path(__file__).parents[2] / "configs/world/multitask_resnet18_slim_160x288.yaml"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = ("semantic", "drivable", "lane", "detection")
    return save(create_model("multitask_resnet18_slim", heads=heads), tmp_path_factory.mktemp("weights") / "model")


def test_each_domain_has_the_figures_of_its_own_data(
    tiny_world: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", "domains", "--config", str(CONFIG), "--model", str(weights)]
    both = ["--data.same", str(tiny_world), "--data.again", str(tiny_world)]
    assert main([*arguments, *both, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["domains"]) == ["same", "again"]
    assert result["domains"]["same"] == result["domains"]["again"]
    assert 0 <= result["domains"]["same"]["semantic/miou"] < 0.3
    assert main([*arguments, *both]) == 0
    shown = capsys.readouterr().out
    assert f"{100 * result['domains']['same']['semantic/miou']:.1f} (+0.0)" in shown
    assert main([*arguments, *both, "--split", "train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["domains"] != result["domains"]


def test_bad_input(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = ["bench", "domains", "--config", str(CONFIG)]
    for arguments, message in (
        ([*known, "--model", str(weights), "--data", "{}"], "no data set"),
        (
            [*known, "--model", str(weights), "--data.one", str(tmp_path / "a"), "--data.two", str(tmp_path)],
            "a does not exist",
        ),
        ([*known, "--model", str(tmp_path / "none.ckpt"), "--data.a", str(tmp_path), "--data.b", "b"], "not exist"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err

"""Every model of the zoo trains on odd sizes and comes back from a file: reduced by default, whole under ``slow``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tiny_zoo import EVERY

from perception.cli import main
from perception.commands.bench_zoo import check_model
from perception.models.zoo import list_models

SIZES = [(65, 97), (50, 110)]
WHOLE = [pytest.param(name, {}, 2e-5, id=f"{name}-full", marks=pytest.mark.slow) for name in list_models()]


def rate(name: str) -> float:
    return 1e-4 if name.startswith("rtdetr") else 1e-3


REDUCED = [pytest.param(name, options, rate(name), id=name) for name, options in EVERY.items()]


@pytest.mark.parametrize(("name", "options", "lr"), [*REDUCED, *WHOLE])
def test_the_loss_falls_and_the_weights_come_back(name: str, options: dict[str, Any], lr: float) -> None:
    row = check_model(name, SIZES, options=options, lr=lr)
    assert row["falls"], row["losses"]
    assert row["saved"]
    assert not row["unreached"]
    assert len(row["losses"]) == 2


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "zoo", "--models", '["waffleiron_6_64"]', "--steps", "2"]
    assert main([*arguments, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["params"] == 74_148
    assert main(arguments) == 0
    assert "waffleiron_6_64" in capsys.readouterr().out
    assert main(["bench", "zoo", "--models", '["nothing"]']) == 2
    assert "unknown model" in capsys.readouterr().err

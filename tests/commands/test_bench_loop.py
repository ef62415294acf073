from __future__ import annotations

import json

import pytest

from perception.cli import main


def test_the_loop_bench_gives_decision_switch_and_shares(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loop", "--size", "64x96", "--frames", "10", "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["decision"]["plans"] == 7
    assert 0 < result["decision"]["p50_us"] <= result["decision"]["p99_us"]
    assert set(result["switch"]["extra_ms"]) == {"32x48", "64x96"}
    milliseconds = result["milliseconds"]
    assert all(value > 0 for value in milliseconds.values())
    assert set(milliseconds) == {"network", "engine", "loop"}
    for share in result["ratios"].values():
        assert share < 1


def test_the_figures_are_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loop", "--size", "64x64", "--frames", "10", "--device", "cpu"]) == 0
    assert "decision among 7 plans" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "9"], "frames 9 is below 10"),
        (["--size", "0x9"], "size '0x9'"),
        (["--model", "resnet99"], "no model 'resnet99'"),
    ],
)
def test_bad_requests_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "loop", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())

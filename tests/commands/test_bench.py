from __future__ import annotations

import json

import pytest

from perception.cli import main
from perception.commands.bench import ratio


def test_ratio_is_the_median_of_the_rounds() -> None:
    times = {"all": [3.0, 4.0, 100.0], "a": [1.0, 2.0, 1.0], "b": [1.0, 2.0, 1.0]}
    assert ratio(times, "all", "a") == 3.0
    assert ratio(times, "all", "a", "b") == 1.5


def test_multitask_bench_gives_both_ratios(capsys) -> None:
    assert main(["bench", "multitask", "--size", "64x64", "--rounds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["ratios"]) == {"all heads / semantic only", "all heads / four separate models"}
    assert all(value > 0 for value in result["ratios"].values())
    assert len(result["milliseconds"]) == 5


def test_train_bench_times_both_loops(capsys) -> None:
    arguments = ["--size", "32x32", "--rounds", "2", "--batch_size", "2", "--json"]
    assert main(["bench", "train", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ratios"]["lightning / bare loop"] > 0
    assert result["figures"]["images per second through Lightning"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wheels"], "unknown bench 'wheels'; use one of multitask, train"),
        (["multitask", "--rounds", "0"], "rounds must be at least 1, got 0"),
        (["multitask", "--model", "fcn_resnet50"], "needs a multitask_* model"),
        (["train", "--model", "resnet99"], "unknown model 'resnet99'"),
    ],
)
def test_bad_requests_are_one_line(arguments, message, capsys) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err

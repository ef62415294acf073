"""The ladder against a model for each rung: the pairing, its interval, and what is kept between runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perception.cli import main
from perception.commands.bench_rungs import compare

CONFIG = Path(__file__).parents[2] / "configs/world/multitask_resnet18_slim_ladder_225x400.yaml"


def test_the_interval_is_student_s_over_paired_seeds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ladder, alone = random.uniform(0.2, 0.6, (2, 3, 2))  # seeds, rungs
    for seed in range(3):
        values = {"0.5": ladder[seed, 0], "1": ladder[seed, 1]}
        (tmp_path / f"ladder_seed{seed}.json").write_text(json.dumps(values))
        for column, rung in enumerate(("0.5", "1")):
            (tmp_path / f"{rung}_seed{seed}.json").write_text(json.dumps({rung: alone[seed, column]}))
    found = compare(tmp_path, [0.5, 1.0], [0, 1, 2])
    gaps = 100 * (ladder - alone)
    assert [row["gap"] for row in found["rungs"]] == pytest.approx(gaps.mean(axis=0).tolist(), abs=0.006)
    means = gaps.mean(axis=1)
    half = 4.303 * means.std(ddof=1) / np.sqrt(3)
    assert found["gap"]["mean"] == pytest.approx(means.mean(), abs=0.006)
    assert found["gap"]["low"] == pytest.approx(means.mean() - half, abs=0.01)
    assert found["gap"]["high"] == pytest.approx(means.mean() + half, abs=0.01)
    assert compare(tmp_path, [0.5, 1.0], [1])["gap"]["low"] is None, "one seed has no interval"


def test_trainings_are_kept_and_settings_cannot_be_mixed(
    tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rungs"
    size = tmp_path / "small.yaml"
    text = CONFIG.read_text().replace("[225, 400]", "[96, 160]").replace("[96, 160]", "[32, 64]", 1)
    size.write_text(text.replace("num_workers: 1", "num_workers: 0").replace(": 32-true", ": bf16-mixed"))
    arguments = ["bench", "rungs", "--config", str(size), "--root", str(tiny_world), "--out", str(out),
                 "--batch_size", "2", "--scales", "[0.5, 1.0]", "--seeds", "[0]"]  # fmt: skip
    assert main([*arguments, "--steps", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["scale"] for row in result["rungs"]] == [0.5, 1.0]
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert set(written) == {"settings.json", "ladder_seed0.json", "0.5_seed0.json", "1_seed0.json"}
    assert set(json.loads((out / "ladder_seed0.json").read_text())) == {"0.5", "1"}
    assert main([*arguments, "--steps", "1"]) == 0
    assert "ladder minus alone" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == written, "nothing was trained again"
    assert main([*arguments, "--steps", "2"]) == 2
    assert "holds figures of other settings" in " ".join(capsys.readouterr().err.split())


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = CONFIG.with_name("multitask_resnet18_slim_160x288.yaml")
    for config, extra, message in (
        (CONFIG, ["--steps", "0"], "must be at least 1"),
        (CONFIG, ["--seeds", "[1, 1]"], "must be different"),
        (tmp_path / "none.yaml", [], "does not exist"),
        (other, [], "compares MultiResolution"),
    ):
        assert main(["bench", "rungs", "--config", str(config), "--out", str(tmp_path / "out"), *extra]) == 2
        assert message in " ".join(capsys.readouterr().err.split())

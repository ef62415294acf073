"""The calibrate command: from model to table, and what it refuses before it measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception.cli import main
from perception.commands.calibrate import plan_records, show
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.adaptive import provisional_table
from perception.runtime.calibration import BUSY, QUIET, Samples, make_table
from perception.runtime.engine import load_engine
from perception.runtime.latency import LatencyTable
from perception.runtime.plan import uniform_plan
from perception.runtime.sight import assumed_camera, build_plans
from perception.runtime.stopping import StoppingModel

MODEL = "multitask_resnet18_slim"


def calibrate(out: Path, *options: str) -> int:
    quick = ["--native", "96x160", "--scales", "0.5,1", "--miss_rate", "0.5", "--fps", "200", "--device", "cpu"]
    return main(["calibrate", "--model", MODEL, "--out", str(out), *quick, *options])


def test_it_writes_a_table_that_the_same_engine_may_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "table.json"
    assert calibrate(out, "--json", "--corunner", "true") == 0
    result = json.loads(capsys.readouterr().out)
    table = LatencyTable.load(out)
    assert table.plans == build_plans((96, 160), (0.5, 1.0))
    assert table.plans[-1].fovea is not None
    table.check(load_engine(MODEL, "cpu").info, (96, 160))
    assert table.counted == ("paced", "back to back")
    assert [plan["name"] for plan in result["plans"]] == [plan.name for plan in table.plans]
    for plan, record in zip(table.plans, result["plans"], strict=True):
        assert record["bound_ms"] == table.bound_ms(plan)
        assert record["corunner_bound_ms"] > 0
        assert len(record["conditions"]) == 4
        assert 0 < record["p50_ms"] <= record["p99_ms"]
    assert result["key"]["native"] == [96, 160]
    assert calibrate(out, "--fovea", "false", "--frames", "3") == 0  # an earlier table is replaced
    text = " ".join(capsys.readouterr().out.split())
    assert "km/h" in text
    assert "At most 50 % of frames exceed a bound" in text
    assert [condition.samples for condition in LatencyTable.load(out).entries[0].conditions.values()] == [3, 3]


def test_foveas_may_be_enlarged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(tmp_path / "table.json", "--fovea_zoom", "2", "--frames", "3", "--json") == 0
    assert LatencyTable.load(tmp_path / "table.json").plans == build_plans((96, 160), (0.5, 1.0), fovea_zoom=2.0)
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert {plan["name"][-2:] for plan in plans if plan["zoom"] == 2} == {"@2"}
    assert [plan["zoom"] for plan in plans if plan["window"] is None] == [None, None]
    assert calibrate(tmp_path / "other.json", "--fovea_zoom", "5") == 2
    assert "fovea_zoom 5 is outside 1..4" in capsys.readouterr().err
    assert not (tmp_path / "other.json").exists()


def test_the_ladder_is_the_one_that_the_network_was_trained_for(tmp_path: Path) -> None:
    model = save(create_model(MODEL, scales=[0.5, 0.8]), tmp_path / "model")
    arguments = ["--native", "96x160", "--miss_rate", "0.5", "--fps", "200", "--device", "cpu", "--fovea", "false"]
    assert main(["calibrate", "--model", str(model), "--out", str(tmp_path / "t.json"), *arguments]) == 0
    assert LatencyTable.load(tmp_path / "t.json").plans == build_plans((96, 160), (0.5, 0.8), fovea=False)
    provisional = provisional_table(load_engine(str(model), "cpu"), assumed_camera((96, 160)), StoppingModel())
    assert [plan.name for plan in provisional.plans][:2] == ["48x80", "76x128"]


def test_pictures_and_their_size_come_from_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "drive").mkdir()
    for number in range(3):
        image = random.integers(0, 255, (120, 200, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "drive" / f"{number}.png")
    options = ["--source", str(tmp_path / "drive"), "--scales", "0.5", "--miss_rate", "0.5", "--fps", "200"]
    arguments = ["calibrate", "--model", MODEL, "--out", str(tmp_path / "t.json"), "--fovea", "false", *options]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"]["native"] == [120, 200]
    assert main([*arguments, "--native", "96x160"]) == 2
    assert "are 120x200, not 96x160; leave --native out" in capsys.readouterr().err


def test_ranges_and_speeds_follow_from_the_bounds() -> None:
    plan = uniform_plan((450, 800))
    samples = Samples([50.0] * 20, [60.0] * 20)
    slow = Samples([90.0] * 20, [95.0] * 20)
    quiet, busy = {c.name: samples for c in QUIET}, {c.name: slow for c in BUSY}
    camera, stopping = assumed_camera((900, 1600)), StoppingModel()
    table = make_table({plan: {**quiet, **busy}}, tuple(quiet), 0.1, {})
    (record,) = plan_records(table, camera, stopping)
    assert (record["bound_ms"], record["interval_ms"], record["corunner_bound_ms"]) == (50.0, 60.0, 90.0)
    # By hand: sees 0.5 * 1266 * 1.7 / 20 = 53.8 m; 2 camera intervals, 50 ms and 400 ms pass; braking at 5 m/s2.
    reaction_s, spare_m = 2 / 12 + 0.05 + 0.4, 0.5 * 1266 * 1.7 / 20 - 2
    speed = -5 * reaction_s + ((5 * reaction_s) ** 2 + 2 * 5 * spare_m) ** 0.5
    assert record["supported_mps"] == pytest.approx(speed, abs=1e-3)
    assert record["seen_m"] == pytest.approx(53.8, abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--miss_rate", "0"], "miss_rate 0 must lie between 0 and 1"),
        (["--miss_rate", "0.01", "--frames", "50"], "50 samples are too few for a miss rate of 0.01; it needs at lea"),
        (["--scales", "0.5,big"], "scales '0.5,big' are not numbers"),
        (["--scales", "0.5,2"], "must be numbers above 0 and up to 1"),
        (["--scales", ""], "are not numbers"),
        (["--scales", "0.05"], "too small"),
        (["--native", "wide"], "is not HEIGHTxWIDTH"),
        (["--fps", "0"], "fps 0 is outside"),
        (["--focal_px", "-3"], "focal_px -3 is not a positive number"),
        (["--min_height_px", "0"], "min_height_px 0 is not a positive number"),
        (["--bound", "best"], "unknown bound 'best'; use quiet or corunner"),
        (["--bound", "corunner"], "needs --corunner true"),
        (["--source", "nowhere"], "source 'nowhere' does not exist"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
        (["--model", "no_such"], "no model 'no_such'"),
    ],
)
def test_bad_input_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(tmp_path / "t.json", *options) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "t.json").exists()


def test_a_file_that_is_no_table_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "notes.json"
    out.write_text("{}")
    assert calibrate(out) == 2
    assert "exists and is not a latency table" in capsys.readouterr().err
    assert out.read_text() == "{}"
    assert calibrate(out / "inner.json") == 2
    assert "is not a writable folder" in capsys.readouterr().err


def test_the_table_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plans = build_plans((900, 1600))
    samples = Samples([1234.6] * 20, [1234.6] * 20)
    conditions = {condition.name: samples for condition in (*QUIET, *BUSY)}
    table = make_table(dict.fromkeys(plans, conditions), tuple(conditions), 0.1, {"device_name": "a processor"})
    records = plan_records(table, assumed_camera((900, 1600)), StoppingModel())
    show({"model": "[m]", "key": table.key, "plans": records, "frames": 20, "conditions": list(conditions),
          "fps": 12.0, "miss_rate": 0.1, "out": "x.json"})  # fmt: skip
    text = capsys.readouterr().out
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert all(plan.name in text for plan in plans)
    assert text.count(" 1235 ") == 5 * len(plans)

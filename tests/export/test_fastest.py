"""The fastest engine that agrees: how it is chosen, remembered and measured anew."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.cli import main
from perception.errors import InputError
from perception.export import fastest
from perception.export.fastest import REFERENCE, fastest_engine, measure_engines
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.plan import uniform_plan
from perception.types import Boxes, Prediction

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

PLAN = uniform_plan((64, 96))
PICTURES = [np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8) for i in range(2)]


class FakeEngine:
    """Says how bright each pixel is, after a while; some pixels and boxes may be wrong."""

    def __init__(self, seconds: float, wrong_pixels: int = 0, box_shift: float = 0.0) -> None:
        self.seconds, self.wrong, self.shift = seconds, wrong_pixels, box_shift

    def warm_up(self, plan: Any, picture_size: Any = None) -> None: ...

    def __call__(self, image: np.ndarray, plan: Any) -> Prediction:
        time.sleep(self.seconds)
        semantic = (image[..., 0] // 64).astype(np.uint8)
        semantic.ravel()[: self.wrong] = 9
        box = np.array([[10.0 + self.shift, 10, 40 + self.shift, 40]])
        return Prediction(semantic=semantic, boxes=Boxes(box, np.array([1]), np.array([0.9], np.float32)))


def fail() -> Any:
    raise RuntimeError("no such\ndevice")


def test_the_fastest_that_agrees_wins() -> None:
    builders: dict[str, Any] = {
        REFERENCE: lambda: FakeEngine(0.02),
        "quick and wrong": lambda: FakeEngine(0.0, wrong_pixels=50),
        "quick and elsewhere": lambda: FakeEngine(0.0, box_shift=20.0),
        "quicker": lambda: FakeEngine(0.005, wrong_pixels=5),
        "broken": fail,
    }
    contest = measure_engines(builders, PLAN, PICTURES, runs=4)
    assert contest.fastest().name == "quicker"
    found = {row.name: row for row in contest.rows}
    assert list(found) == list(builders)
    assert found["quicker"].agreement == pytest.approx(1 - 5 / (64 * 96))
    assert found["quick and elsewhere"].agreement == 0
    assert not found["quick and wrong"].passed
    assert found["broken"].error == "no such device"
    assert found[REFERENCE].p50_ms > found["quicker"].p50_ms
    with pytest.raises(InputError, match="no engine runs this model: broken: no such device"):
        measure_engines({"broken": fail}, PLAN, PICTURES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = create_model(
        "multitask_resnet18_slim", channels=8, head_channels=8, backbone_options={"channels": (8, 8, 8, 8)}
    )
    return save(model, tmp_path_factory.mktemp("saved") / "model")


def test_a_choice_is_remembered_and_checked(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contests = []
    measure = fastest.measure_engines

    def counted(*arguments: Any, **options: Any) -> Any:
        contests.append(measure(*arguments, **options))
        return contests[-1]

    monkeypatch.setattr(fastest, "measure_engines", counted)

    def choose(precision: str = "auto") -> Any:
        return fastest_engine(str(saved), PLAN, PICTURES, precision=precision, cache=tmp_path)

    first = choose()
    assert {row.name for row in contests[0].rows if row.passed} >= {"torch", REFERENCE, "onnxruntime", "openvino"}
    (choice,) = tmp_path.glob("*/choice.json")
    named = json.loads(choice.read_text())["engine"]
    assert named == contests[0].fastest().name
    again = choose()
    assert len(contests) == 1, "nothing was measured again"
    assert type(again) is type(first)
    np.testing.assert_array_equal(again(PICTURES[0], PLAN).semantic, first(PICTURES[0], PLAN).semantic)

    choice.write_text("{")
    choose()
    assert len(contests) == 2
    foreign = json.loads(choice.read_text())
    foreign["key"]["device"] = "another machine"
    choice.write_text(json.dumps(foreign))
    choose()
    assert len(contests) == 3
    # an exported file that was changed does not start, and is made anew
    file = choice.parent / "model.onnx"
    choice.write_text(json.dumps(json.loads(choice.read_text()) | {"engine": "onnxruntime"}))
    file.write_bytes(file.read_bytes()[:-9])
    choose()
    assert len(contests) == 4
    choose("bf16")
    assert len(list(tmp_path.glob("*/choice.json"))) == 2


def test_commands(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drive = ["drive", "--source", "world", "--size", "64x96", "--max_frames", "2", "--video", "false", "--model",
             str(saved), "--engine", "auto"]  # fmt: skip
    assert main([*drive, "--policy", "fixed:64x96", "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    assert "engine " in capsys.readouterr().err
    assert list((tmp_path / "cache" / "perception" / "engines").glob("*/choice.json"))
    assert main([*drive, "--policy", "adaptive", "--out", str(tmp_path / "adaptive")]) == 2
    assert "needs --calibration" in " ".join(capsys.readouterr().err.split())

    bench = ["bench", "engines", "--model", str(saved), "--size", "64x96", "--runs", "2", "--compile", "false"]
    assert main([*bench, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = {row["engine"]: row for row in result["engines"]}
    assert set(rows) == {"torch", REFERENCE, "onnxruntime", "openvino"}
    assert rows[REFERENCE]["over_channels_last"] == 1.0
    assert all(row["passed"] for row in rows.values())
    assert result["fastest"] in rows
    assert main(bench) == 0
    assert "fastest that agrees" in capsys.readouterr().out

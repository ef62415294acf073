"""Fusion against LiDAR alone: the pairing, its intervals, and what is kept between runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_fusion import SMALL

from perception import create_model
from perception.cli import main
from perception.commands.bench_fusion import compare
from perception.models.checkpoint import save

CONFIG = Path(__file__).parents[2] / "configs/world/multitask_lidar_resnet18_slim_225x400.yaml"


def test_gaps_are_paired_by_seed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    alone, fusion, lost = random.uniform(0.3, 0.7, (3, 3))
    for seed in range(3):
        (tmp_path / f"alone_seed{seed}.json").write_text(json.dumps({"test/lidar/miou": alone[seed]}))
        figures = {"test/lidar/miou": fusion[seed], "test/no_camera/lidar/miou": lost[seed]}
        (tmp_path / f"fusion_seed{seed}.json").write_text(json.dumps(figures))
    found = compare(tmp_path, [0, 1, 2])
    for name, other in (("gain", fusion), ("lost", lost)):
        gaps = 100 * (other - alone)
        half = 4.303 * gaps.std(ddof=1) / np.sqrt(3)
        assert found[name]["mean"] == pytest.approx(gaps.mean(), abs=0.006)
        assert found[name]["low"] == pytest.approx(gaps.mean() - half, abs=0.01)
        assert found[name]["high"] == pytest.approx(gaps.mean() + half, abs=0.01)
    assert [row["alone"] for row in found["seeds"]] == pytest.approx((100 * alone).tolist(), abs=0.006)


def test_both_are_trained_and_kept(rig_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "small.yaml"
    text = CONFIG.read_text().replace("size: [225, 400]", "size: [48, 80]").replace("num_workers: 2", "num_workers: 0")
    config.write_text(text.replace("label_set: road_scene", f"label_set: road_scene\n    model_options: {SMALL}"))
    camera = create_model("multitask_resnet18_slim", **{k: v for k, v in SMALL.items() if k != "lidar_options"})
    save(camera, tmp_path / "camera")
    out = tmp_path / "fusion"
    arguments = ["bench", "fusion", "--config", str(config), "--root", str(rig_world), "--out", str(out),
                 "--camera", str(tmp_path / "camera"), "--seeds", "[0]"]  # fmt: skip
    assert main([*arguments, "--steps", "1", "--json"]) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out)
    assert result["gain"]["low"] is None
    figures = {arm: json.loads((out / f"{arm}_seed0.json").read_text()) for arm in ("alone", "fusion")}
    assert "test/no_camera/lidar/miou" not in figures["alone"]
    # the camera part is the same frozen one in both
    assert figures["alone"]["test/semantic/miou"] == figures["fusion"]["test/semantic/miou"]
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main([*arguments, "--steps", "1"]) == 0
    assert "fusion minus LiDAR alone" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == written, "nothing was trained again"
    assert main([*arguments, "--steps", "2"]) == 2
    assert "holds figures of other settings" in " ".join(capsys.readouterr().err.split())
    other = CONFIG.with_name("multitask_resnet18_slim_160x288.yaml")
    assert main(["bench", "fusion", "--config", str(other), "--out", str(tmp_path / "x"), "--steps", "1"]) == 2
    assert "compares SensorFusion" in " ".join(capsys.readouterr().err.split())

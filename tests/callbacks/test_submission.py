"""``predict --format nuscenes`` and ``test --official``, with a model that sees nothing and one that sees the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from perception.cli import main
from perception.datasets.nuscenes_tables import open_tables
from perception.submissions.devkit import evaluate_detections, evaluate_lidarseg, split_samples
from perception.submissions.lidarseg import lidarseg_path
from perception.tasks.multitask import MultiTask
from perception.types import Batch

VERSION = "v1.0-mini"


def true_outputs(module: MultiTask, batch: Batch, batch_index: int) -> dict[str, Tensor]:
    """What a perfect camera model would say."""
    assert batch.semantic is not None
    assert batch.boxes is not None
    assert batch.box_labels is not None
    semantic = torch.where(batch.semantic == 255, 0, batch.semantic).to(torch.uint8)
    known = batch.box_labels >= 0
    return {
        "semantic": semantic,
        "boxes": batch.boxes,
        "labels": batch.box_labels.clamp(min=0),
        "scores": known.float() * 0.9,
    }


def config(root: Path, tmp_path: Path, heads: str = "[semantic, detection]", extra: str = "") -> list[str]:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""
model:
  class_path: perception.tasks.MultiTask
  init_args: {{model: multitask_resnet18_slim, label_set: road_scene, heads: {heads}}}
data:
  class_path: perception.datamodules.NuScenesDataModule
  init_args: {{root: {root}, num_workers: 0, eval_batch_size: 2}}
trainer: {{accelerator: cpu, logger: false, enable_checkpointing: false, enable_progress_bar: false,
  default_root_dir: {tmp_path / "run"}{extra}}}
"""
    )
    return ["--config", str(path)]


def test_predictions_are_official_submissions(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MultiTask, "predict_step", true_outputs)
    writer = (
        f", callbacks: [{{class_path: perception.callbacks.PredictionWriter, init_args: {{folder: {tmp_path}/files}}}}]"
    )
    assert main(["predict", *config(tiny_world, tmp_path, extra=writer), "--format", "nuscenes"]) == 0
    folder = tmp_path / "run" / "submission"
    assert not (tmp_path / "files").exists()  # one format is written
    tables = open_tables(tiny_world, VERSION)
    samples = split_samples(tables, "val")
    for sample in samples:
        token = tables.get("sample", sample)["data"]["LIDAR_TOP"]
        assert lidarseg_path(folder, "val", token).is_file()
    meta = json.loads((folder / "val" / "submission.json").read_text())["meta"]
    assert meta == {
        "use_camera": True, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False,
    }  # fmt: skip
    figures = evaluate_lidarseg(tables, folder, "val", samples)
    assert figures["iou_per_class"]["driveable_surface"] > 0.4
    boxes = json.loads((folder / "results_nusc.json").read_text())["results"]
    assert set(boxes) == set(samples)
    assert sum(map(len, boxes.values())) > 5
    found = evaluate_detections(tables, folder / "results_nusc.json", "val", samples)
    assert 0 < found["nd_score"] < 1
    assert np.isfinite(found["label_tp_errors"]["car"]["trans_err"])


def test_official_figures_are_printed_and_written(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MultiTask, "predict_step", true_outputs)
    assert main(["test", *config(tiny_world, tmp_path), "--official"]) == 0
    printed = capsys.readouterr().err
    assert "nuScenes-lidarseg, official" in printed
    assert "nuScenes detection, official" in printed
    official: dict[str, Any] = json.loads((tmp_path / "run" / "official" / "official.json").read_text())
    assert official["split"] == "val"
    tables = open_tables(tiny_world, VERSION)
    samples = split_samples(tables, "val")
    again = evaluate_lidarseg(tables, tmp_path / "run" / "official", "val", samples)
    assert official["lidarseg"]["miou"] == pytest.approx(again["miou"])
    assert official["detection"]["nd_score"] > 0


def test_a_model_of_masks_submits_no_boxes(tiny_world: Path, tmp_path: Path) -> None:
    assert main(["predict", *config(tiny_world, tmp_path, heads="[semantic]"), "--format", "nuscenes"]) == 0
    assert (tmp_path / "run" / "submission" / "val" / "submission.json").is_file()
    assert not (tmp_path / "run" / "submission" / "results_nusc.json").exists()


def test_what_cannot_be_submitted_is_one_line(
    tiny_world: Path, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = config(tiny_world, tmp_path, heads="[drivable]")
    assert main(["predict", *arguments, "--format", "nuscenes"]) == 2
    assert "give neither labels of LiDAR points nor boxes" in capsys.readouterr().err
    path = Path(arguments[1])
    content = path.read_text().replace("NuScenesDataModule", "CamVidDataModule").replace("road_scene", "camvid")
    path.write_text(content.replace(str(tiny_world), str(camvid)))
    assert main(["predict", *arguments, "--format", "nuscenes"]) == 2
    assert "NuScenesDataModule" in capsys.readouterr().err
    assert main(["predict", *arguments, "--format", "kitti"]) == 2

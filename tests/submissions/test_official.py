"""The truth as submissions in the hands of the official evaluators, over official and custom splits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.eval.detection.evaluate import is_predefined_split

from perception.datasets.nuscenes_tables import open_tables
from perception.errors import InputError
from perception.submissions.detection import DetectedBox, write_detections
from perception.submissions.devkit import (
    evaluate_detections,
    evaluate_lidarseg,
    lidarseg_samples,
    samples_of_split,
    split_samples,
    validate_detections,
    validate_lidarseg,
)
from perception.submissions.lidarseg import CHALLENGE_CLASSES, lidarseg_path, write_lidarseg, write_lidarseg_meta
from perception.submissions.show import detection_table, lidarseg_table
from perception.submissions.truth import write_true_detections, write_true_lidarseg
from perception.taxonomy import NUSCENES_TO_DETECTION

VERSION = "v1.0-mini"
RANGES_M = {"pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30}


@pytest.fixture(scope="module")
def tables(tiny_world: Path) -> Any:
    return open_tables(tiny_world, VERSION)


def classes_in_range(tables: Any, samples: list[str]) -> set[str]:
    """Detection classes with a box that the evaluator counts: within its range, with a point."""
    found = set()
    for sample in samples:
        record = tables.get("sample", sample)
        lidar = tables.get("sample_data", record["data"]["LIDAR_TOP"])
        ego = np.array(tables.get("ego_pose", lidar["ego_pose_token"])["translation"])
        for token in record["anns"]:
            row = tables.get("sample_annotation", token)
            name = NUSCENES_TO_DETECTION.get(row["category_name"])
            distance = np.hypot(*(np.array(row["translation"]) - ego)[:2])
            if name and row["num_lidar_pts"] and distance < RANGES_M.get(name, 50):
                found.add(name)
    return found


def assert_truth_is_perfect(tables: Any, folder: Path, split: str) -> None:
    samples = split_samples(tables, split)
    write_true_lidarseg(tables, folder, split, samples)
    validate_lidarseg(tables, folder, split, samples)
    assert evaluate_lidarseg(tables, folder, split, samples)["miou"] == pytest.approx(1.0)
    path = write_true_detections(tables, folder, samples)
    assert validate_detections(path, samples) > 0
    figures = evaluate_detections(tables, path, split, samples)
    present = classes_in_range(tables, samples)
    assert present
    for name, precision in figures["mean_dist_aps"].items():
        assert precision == pytest.approx(1.0 if name in present else 0.0), name
    # What is missing from 1 is the share of classes that the split does not hold: each scores 0 in precision and 1 in
    # error. Cones have no heading, velocity or attribute, and barriers no velocity or attribute.
    missing = set(figures["mean_dist_aps"]) - present
    errors = {"trans_err": 10, "scale_err": 10, "orient_err": 9, "vel_err": 8, "attr_err": 8}
    without = {"orient_err": {"traffic_cone"}, "vel_err": {"traffic_cone", "barrier"}}
    without["attr_err"] = without["vel_err"]
    score = 5 * len(present) / 10
    score += sum(1 - len(missing - without.get(key, set())) / count for key, count in errors.items())
    assert figures["nd_score"] == pytest.approx(score / 10, abs=0.02)


def test_the_truth_is_perfect_on_official_splits(tables: Any, tmp_path: Path) -> None:
    assert_truth_is_perfect(tables, tmp_path, "mini_val")


def test_the_truth_is_perfect_on_splits_of_ones_own(tiny_world: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_world, root, copy_function=os.link)
    path = root / VERSION / "scene.json"
    scenes = json.loads(path.read_text())
    for i, scene in enumerate(scenes):
        scene["name"] = f"scene-{2001 + i}"
    splits = {"train": ["scene-2001", "scene-2002"], "val": ["scene-2003"], "night": ["scene-2004"]}
    for name, content in (("scene", scenes), ("splits", splits)):
        (root / VERSION / f"{name}.json").unlink()
        (root / VERSION / f"{name}.json").write_text(json.dumps(content))
    shutil.rmtree(root / "dense")  # its description names the scenes
    tables = open_tables(root, VERSION)
    for split in ("val", "night"):
        assert_truth_is_perfect(tables, tmp_path / split, split)


def test_a_worse_submission_scores_less(tables: Any, tmp_path: Path) -> None:
    samples = split_samples(tables, "val")
    write_true_lidarseg(tables, tmp_path, "val", samples)
    path = write_true_detections(tables, tmp_path, samples)
    perfect = evaluate_detections(tables, path, "val", samples)
    content = json.loads(path.read_text())
    for boxes in content["results"].values():
        for box in boxes:
            box["translation"][0] += 1.5
    path.write_text(json.dumps(content))
    shifted = evaluate_detections(tables, path, "val", samples)
    assert shifted["label_tp_errors"]["car"]["trans_err"] == pytest.approx(1.5, abs=0.1)
    assert shifted["mean_ap"] < perfect["mean_ap"]
    token = tables.get("sample", samples[0])["data"]["LIDAR_TOP"]
    labels = np.fromfile(lidarseg_path(tmp_path, "val", token), np.uint8)
    write_lidarseg(tmp_path, "val", token, np.full(len(labels), CHALLENGE_CLASSES.index("manmade")))
    figures = evaluate_lidarseg(tables, tmp_path, "val", samples)
    assert figures["miou"] < 0.95
    assert figures["iou_per_class"]["other_flat"] is None or figures["iou_per_class"]["other_flat"] <= 1
    for table in (lidarseg_table(figures), detection_table(shifted)):
        assert table.row_count > 10


def test_a_submission_without_boxes_scores_nothing(tables: Any, tmp_path: Path) -> None:
    samples = split_samples(tables, "val")
    assert write_detections(tmp_path / "results.json", {}, samples, ["camera"]) == 0
    figures = evaluate_detections(tables, tmp_path / "results.json", "val", samples)
    assert figures["nd_score"] == 0
    assert figures["mean_ap"] == 0


def test_the_devkit_is_as_it_was_afterwards(tables: Any) -> None:
    from nuscenes.eval.detection import evaluate

    with samples_of_split(["a"]):
        assert not evaluate.is_predefined_split("val")
    assert evaluate.is_predefined_split is is_predefined_split


def test_refused_submissions_are_one_line(tables: Any, tmp_path: Path) -> None:
    samples = split_samples(tables, "val")
    with pytest.raises(InputError, match="is refused"):
        validate_lidarseg(tables, tmp_path, "val", samples)
    write_true_lidarseg(tables, tmp_path, "val", samples)
    token = tables.get("sample", samples[0])["data"]["LIDAR_TOP"]
    lidarseg_path(tmp_path, "val", token).write_bytes(b"\x01" * 5)
    with pytest.raises(InputError, match="5 predictions for lidar sample data token"):
        validate_lidarseg(tables, tmp_path, "val", samples)
    path = write_true_detections(tables, tmp_path, samples[1:])
    with pytest.raises(InputError, match="is refused"):
        validate_detections(path, samples)
    content = json.loads(write_true_detections(tables, tmp_path, samples).read_text())
    del content["meta"]["use_map"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="meta must hold"):
        validate_detections(path, samples)


@pytest.mark.parametrize("labels", [np.array([0, 3]), np.array([17]), np.ones((2, 2), int), np.array([1.0])])
def test_labels_out_of_range_are_not_written(labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_lidarseg(tmp_path, "val", "token", labels)
    assert not any(tmp_path.rglob("*.bin"))


def test_boxes_that_cannot_be_scored_are_not_written(tmp_path: Path) -> None:
    good = DetectedBox(np.zeros(3), np.ones(3), 0.0, "car", 0.5, "vehicle.parked")
    for bad in (
        DetectedBox(np.array([0, 0, np.nan]), np.ones(3), 0.0, "car", 0.5),
        DetectedBox(np.zeros(3), np.array([1, 0, 1]), 0.0, "car", 0.5),
        DetectedBox(np.zeros(3), np.ones(3), 0.0, "tram", 0.5),
    ):
        with pytest.raises(InputError, match="cannot be submitted"):
            write_detections(tmp_path / "a.json", {"s": [good, bad]}, ["s"], [])
    with pytest.raises(InputError, match="'t' is not of the split"):
        write_detections(tmp_path / "a.json", {"t": [good]}, ["s"], [])
    with pytest.raises(InputError, match="unknown source 'sonar'"):
        write_lidarseg_meta(tmp_path, "val", ["sonar"])
    many = [DetectedBox(np.zeros(3), np.ones(3), 0.0, "car", i / 1000) for i in range(600)]
    assert write_detections(tmp_path / "a.json", {"s": many}, ["s"], []) == 500
    scores = [box["detection_score"] for box in json.loads((tmp_path / "a.json").read_text())["results"]["s"]]
    assert min(scores) == pytest.approx(0.1)


def test_samples_without_labels_are_not_asked_for(tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = split_samples(tables, "val")
    assert lidarseg_samples(tables, samples) == samples
    monkeypatch.setattr(tables, "lidarseg", tables.lidarseg[:0])
    assert lidarseg_samples(tables, samples) == []
    with pytest.raises(InputError, match="no sample of split 'val' has LiDAR labels"):
        evaluate_lidarseg(tables, "nowhere", "val", [])

"""The official evaluators and validators, over any split.

The devkit looks most splits up in lists of its own and ties their names to versions: ``val`` is refused for
``v1.0-mini``, and the LiDAR evaluator knows no ``splits.json``. Its classes are used as they are; for the time of a
call the four functions that they ask for the samples of a split answer with ours. On the official splits the answers
are the same. This is the only place that reaches into the devkit, and it is not safe in several threads at once.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from perception.datasets.nuscenes_lidar import LIDAR
from perception.datasets.nuscenes_tables import split_scenes
from perception.errors import InputError, require
from perception.submissions.detection import META_KEYS

MAX_BOXES = 500
TP_ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")


def split_samples(tables: Any, split: str, split_file: str | Path | None = None) -> list[str]:
    """Tokens of the samples of a split, in the order of the tables.

    Raises:
        InputError: for an unknown split, or one without scenes.
    """
    names = set(split_scenes(tables, split, split_file))
    scenes = {scene["token"] for scene in tables.scene if scene["name"] in names}
    return [sample["token"] for sample in tables.sample if sample["scene_token"] in scenes]


def lidarseg_samples(tables: Any, samples: Sequence[str]) -> list[str]:
    """Those of some samples whose LiDAR sweep has labels; a quarantine list may have taken some away."""
    labelled = {row["sample_data_token"] for row in getattr(tables, "lidarseg", [])}
    return [token for token in samples if tables.get("sample", token)["data"].get(LIDAR) in labelled]


@contextlib.contextmanager
def samples_of_split(samples: Sequence[str]) -> Iterator[None]:
    """Within the block the devkit takes every split to be these samples."""
    require("nuscenes.eval.detection.evaluate", "nuscenes")
    detection = importlib.import_module("nuscenes.eval.detection.evaluate")
    lidarseg = importlib.import_module("nuscenes.eval.lidarseg.evaluate")
    validation = importlib.import_module("nuscenes.eval.lidarseg.validate_submission")
    answer = list(samples)
    with (
        mock.patch.object(detection, "is_predefined_split", return_value=False),
        mock.patch.object(detection, "get_samples_of_custom_split", return_value=answer),
        mock.patch.object(lidarseg, "get_samples_in_eval_set", return_value=answer),
        mock.patch.object(validation, "get_samples_in_eval_set", return_value=answer),
    ):
        yield


def validate_lidarseg(tables: Any, folder: str | Path, split: str, samples: Sequence[str]) -> None:
    """The official validation of a LiDAR segmentation submission, for data with a lidarseg table, which it needs.

    Raises:
        InputError: with what the devkit says against it.
    """
    with samples_of_split(samples), _complaints(f"submission {folder}"):
        validation = importlib.import_module("nuscenes.eval.lidarseg.validate_submission")
        validation.validate_submission(tables, str(folder), split)


def validate_detections(path: str | Path, samples: Sequence[str]) -> int:
    """Read a detection submission as the evaluator does; returns the number of its boxes.

    Raises:
        InputError: where the devkit does not take it, its ``meta`` is not complete, or its samples are not those of
            the split.
    """
    require("nuscenes.eval.common.loaders", "nuscenes")
    loaders = importlib.import_module("nuscenes.eval.common.loaders")
    boxes = importlib.import_module("nuscenes.eval.detection.data_classes").DetectionBox
    with _complaints(f"submission {path}"):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        meta = content["meta"]
        if set(meta) != set(META_KEYS) or not all(isinstance(value, bool) for value in meta.values()):
            raise ValueError(f"meta must hold {', '.join(META_KEYS)}, true or false each")
        if set(content["results"]) != set(samples):
            raise ValueError(f"it holds {len(content['results'])} samples, the split has {len(samples)} others or more")
        loaded, _ = loaders.load_prediction_of_sample_tokens(str(path), MAX_BOXES, boxes, list(samples))
        return sum(len(found) for found in loaded.boxes.values())


def evaluate_lidarseg(tables: Any, folder: str | Path, split: str, samples: Sequence[str]) -> dict[str, Any]:
    """Official LiDAR segmentation figures: ``miou``, ``freq_weighted_iou``, ``iou_per_class`` (``None`` for classes
    that neither truth nor prediction has).

    Raises:
        InputError: where the data set has no LiDAR labels, or the devkit refuses the submission.
    """
    if not samples:
        raise InputError(f"no sample of split {split!r} has LiDAR labels to evaluate against")
    with samples_of_split(samples), _complaints(f"submission {folder}"):
        evaluator = importlib.import_module("nuscenes.eval.lidarseg.evaluate").LidarSegEval
        return _plain(evaluator(tables, str(folder), split).evaluate())


def evaluate_detections(tables: Any, path: str | Path, split: str, samples: Sequence[str]) -> dict[str, Any]:
    """Official detection figures: ``nd_score``, ``mean_ap``, ``tp_errors``, ``mean_dist_aps``, ``label_tp_errors``.

    A submission without a single box scores 0 by definition; the devkit stops at it.

    Raises:
        InputError: where the split has no annotated box, or the devkit refuses the submission.
    """
    count = validate_detections(path, samples)
    config = importlib.import_module("nuscenes.eval.common.config").config_factory("detection_cvpr_2019")
    if not any(tables.get("sample", token)["anns"] for token in samples):
        raise InputError(f"no sample of split {split!r} has a box to evaluate against")
    if not count:
        names = list(config.class_names)
        return {
            "nd_score": 0.0,
            "mean_ap": 0.0,
            "tp_errors": dict.fromkeys(TP_ERRORS, 1.0),
            "mean_dist_aps": dict.fromkeys(names, 0.0),
            "label_tp_errors": {name: dict.fromkeys(TP_ERRORS, 1.0) for name in names},
        }
    with (
        samples_of_split(samples),
        _complaints(f"submission {path}"),
        tempfile.TemporaryDirectory() as plots,
        contextlib.redirect_stderr(io.StringIO()),  # its progress bars, for which it has no switch
    ):
        evaluator = importlib.import_module("nuscenes.eval.detection.evaluate").DetectionEval
        metrics, _ = evaluator(tables, config, str(path), split, plots, verbose=False).evaluate()
    figures = metrics.serialize()
    figures.pop("cfg")
    figures.pop("eval_time")
    return _plain(figures)


@contextlib.contextmanager
def _complaints(what: str) -> Iterator[None]:
    """The devkit asserts and raises bare exceptions; here they are one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} is refused: {error or type(error).__name__}") from error


def _plain(value: Any) -> Any:
    """Plain dictionaries and floats; NaN, which stands for no value, becomes ``None``."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    number = float(value)
    return number if number == number else None

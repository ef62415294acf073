"""Predictions of a camera model as official nuScenes submissions, and their official figures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from perception.callbacks.official import OfficialSubmission, dataset_of
from perception.callbacks.predictions import WRITTEN_SCORE
from perception.console import console, warn
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_lidar import LIDAR, sweep_in_ego
from perception.datasets.nuscenes_tables import split_scenes
from perception.errors import InputError
from perception.models.base import to_predictions
from perception.submissions.detection import RESULTS, DetectedBox, without_duplicates, write_detections
from perception.submissions.devkit import (
    evaluate_detections,
    split_samples,
    validate_detections,
)
from perception.submissions.lidarseg import write_lidarseg, write_lidarseg_meta
from perception.submissions.lifting import COMMON, ClassPrior, class_priors, lift_boxes
from perception.submissions.point_labels import (
    UNSEEN,
    challenge_table,
    fill_unseen,
    labels_in_view,
    labels_of_sweeps,
)
from perception.submissions.show import detection_table
from perception.tasks.multitask import MultiTask
from perception.tasks.sensor_fusion import SensorFusion
from perception.types import Batch, Camera, PointBatch, Prediction

RIG = 6


class NuScenesSubmission(OfficialSubmission):
    """Writes what a model sees in camera images as LiDAR segmentation and 3D detection submissions.

    Files, below ``folder``: ``lidarseg/<split>/<token>_lidarseg.bin`` and ``<split>/submission.json`` where the model
    has a semantic head or labels points, and the data a LiDAR, and ``results_nusc.json`` where it has boxes. The
    devkit's validators look at them. Labels of points are those of the LiDAR network where there is one, else those of
    the masks where the points project to; see :mod:`perception.submissions.point_labels` for points that no camera
    sees. Boxes are lifted by :mod:`perception.submissions.lifting`. What comes from masks and boxes alone is a weak
    baseline: what one image does not tell is filled in.

    ``perception predict --format nuscenes`` adds this callback, and ``perception test --official`` adds it with
    ``evaluate``; there every image goes through the model a second time.

    Args:
        folder: where to write.
        evaluate: also print the official figures and write them to ``official.json``.
    """

    def start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        dataset = dataset_of(trainer, stage)
        if not isinstance(dataset, NuScenesDataset) or not isinstance(pl_module, MultiTask):
            raise InputError("nuScenes submissions need data from perception.datamodules.NuScenesDataModule")
        self.dataset, self.tables = dataset, dataset.tables
        self.split = data.splits[stage]
        self.samples = split_samples(self.tables, self.split, data.split_file)
        self.expected = Counter(frame.sample_token for frame in dataset.frames)
        heads = pl_module.model.head_names
        with_lidar = [token for token in self.samples if LIDAR in self.tables.get("sample", token)["data"]]
        self.challenge: np.ndarray | None = None
        if ("semantic" in heads or isinstance(pl_module, SensorFusion)) and with_lidar:
            self.challenge = challenge_table(pl_module.model.label_set)
        self.priors: dict[str, ClassPrior] | None = None
        if "detection" in heads:
            self.names = pl_module.model.label_set.detection
            unknown = [name for name in self.names if name not in COMMON]
            if unknown:
                raise InputError(f"box class {unknown[0]!r} of {pl_module.model.label_set.name} is none of nuScenes'")
            self.priors = self._class_priors(data)
        if self.challenge is None and self.priors is None:
            raise InputError(f"the model's heads ({', '.join(heads)}) give neither labels of LiDAR points nor boxes")
        if len(data.cameras) < RIG:
            warn(
                f"{len(data.cameras)} of {RIG} cameras are read, so most of the surroundings go unseen; "
                "name all in data.cameras"
            )
        self.labels: dict[str, np.ndarray] = {}
        self.boxes: dict[str, list[DetectedBox]] = {}
        self.seen: Counter[str] = Counter()
        self.written: set[str] = set()
        self.used = {"camera"}

    def _class_priors(self, data: Any) -> dict[str, ClassPrior]:
        try:
            return class_priors(self.tables, split_scenes(self.tables, data.splits["train"], data.split_file))
        except InputError:
            return dict(COMMON)  # the folder holds no training scene

    def collect(self, batch: Batch, decoded: dict[str, Tensor]) -> None:
        if batch.lidar is not None and "lidar" in decoded:
            self._write_points(batch.lidar, decoded.pop("lidar").cpu().numpy())
        for i, prediction in enumerate(to_predictions(decoded, WRITTEN_SCORE)):
            camera, token, sample = batch.cameras[i], batch.tokens[i], batch.sample_tokens[i]
            assert camera is not None
            assert token is not None
            assert sample is not None
            self._one(prediction, camera, token, sample, batch.global_from_ego[i])
            self.seen[sample] += 1
            if self.seen[sample] == self.expected[sample]:
                self._write_labels(sample)

    def _write_points(self, lidar: PointBatch, found: np.ndarray) -> None:
        """Write what a LiDAR network says; masks are not asked for these samples."""
        self.used.add("lidar")
        for place, token, labels in labels_of_sweeps(lidar, found):
            sample = lidar.sample_tokens[place]
            assert sample is not None
            write_lidarseg(self.folder, self.split, token, labels + 1)  # the challenge counts from 1
            self.written.add(sample)

    def _one(
        self, prediction: Prediction, camera: Camera, token: str, sample: str, global_from_ego: np.ndarray | None
    ) -> None:
        sweep = self.tables.get("sample", sample)["data"].get(LIDAR)
        points = None if sweep is None else sweep_in_ego(self.dataset.root, self.tables, sweep, token)[:, :3]
        if points is not None:
            self.used.add("lidar")
        masks = None if sample in self.written else self.challenge
        if masks is not None and points is not None and prediction.semantic is not None:
            found = labels_in_view(camera, points, masks[prediction.semantic])
            known = self.labels.setdefault(sample, np.full(len(points), UNSEEN, np.uint8))
            known[known == UNSEEN] = found[known == UNSEEN]
        if self.priors is not None and prediction.boxes is not None and global_from_ego is not None:
            lifted = lift_boxes(prediction.boxes, camera, global_from_ego, self.priors, points, self.names)
            self.boxes.setdefault(sample, []).extend(lifted)

    def _write_labels(self, sample: str) -> None:
        """Write the labels of a sample that all of its cameras have seen, and forget them."""
        sweep = self.tables.get("sample", sample)["data"].get(LIDAR)
        if self.challenge is None or sweep is None or sample in self.written:
            return
        points = sweep_in_ego(self.dataset.root, self.tables, sweep, sweep)
        labels = self.labels.pop(sample, np.full(len(points), UNSEEN, np.uint8))
        write_lidarseg(self.folder, self.split, sweep, fill_unseen(points, labels))

    def finish(self) -> dict[str, Any]:
        for sample in self.samples:  # those of which no image, or not every one, was read
            if self.seen[sample] != self.expected[sample] or not self.expected[sample]:
                self._write_labels(sample)
        figures: dict[str, Any] = {}
        if self.challenge is not None:
            write_lidarseg_meta(self.folder, self.split, self.used)
            figures["lidarseg"] = self.official_lidarseg()
        if self.priors is not None:
            path = self.folder / RESULTS
            boxes = {sample: without_duplicates(found) for sample, found in self.boxes.items()}
            count = write_detections(path, boxes, self.samples, self.used)
            validate_detections(path, self.samples)
            console.print(f"{path}: {count} boxes in {len(self.samples)} samples", highlight=False, soft_wrap=True)
            if self.evaluate:
                figures["detection"] = evaluate_detections(self.tables, path, self.split, self.samples)
                console.print(detection_table(figures["detection"]))
        return figures

"""nuScenes cameras, with dense labels where a data set has them beside the tables.

Paper: nuScenes: A multimodal dataset for autonomous driving - arXiv 1903.11027
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from perception.datasets import nuscenes_tables
from perception.datasets.nuscenes_boxes import projected_boxes
from perception.datasets.nuscenes_instances import instance_boxes
from perception.datasets.nuscenes_labels import LabelSources, MaskLabeller
from perception.datasets.nuscenes_tables import Frame
from perception.datasets.quarantine import AUTO, remedy
from perception.errors import InputError
from perception.files import inside, read_image, read_labels
from perception.taxonomy import get_label_set
from perception.types import IGNORE_INDEX, Boxes, Camera, Sample

DENSE = "dense"
DEPTH_SCALE = 256.0
"""Depth images hold metres times this, the KITTI convention; 0 is unknown."""


class NuScenesDataset(Dataset[Sample]):
    """Camera images of a nuScenes-format data set as samples.

    Boxes go around the visible pixels of each object where an instance image exists and
    ``dense/label_set.json`` says which object each number is; see
    :func:`perception.datasets.nuscenes_instances.instance_boxes`. That gives keyframes and sweeps the same boxes
    and leaves hidden objects out. Elsewhere keyframes have the projected 3D annotations; see
    :func:`perception.datasets.nuscenes_boxes.projected_boxes`. Dense labels come from the side files
    ``dense/{semantic,depth,instance}/<CHANNEL>/<image name>.png`` where they exist: ``semantic`` is an index of the
    label set named in ``dense/label_set.json``, ``depth`` uint16 metres times 256, ``instance`` uint16 with the same
    number on every pixel of an object. Without them masks come from LiDAR labels and the map expansion; see
    :class:`perception.datasets.nuscenes_labels.LabelSources`. A target that nothing supplies is ``None``.

    Args:
        root: folder with ``samples/``, ``sweeps/`` and the tables' folder.
        version: the tables' folder, such as ``v1.0-mini``.
        split: name of a split (``<version>/splits.json`` first, then the official ones; ``train`` and ``val`` mean
            the mini splits for ``v1.0-mini``) or ``all``.
        cameras: channels to read.
        sweeps: also the images between keyframes.
        transform: applied to each sample.
        label_set: name of the label set that masks and box labels use.
        sources: where the masks come from.
        split_file: YAML or JSON file that maps names of splits to lists of scene names; its splits come first.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.
        min_visibility: boxes of objects of which a smaller share is visible are left out.

    Raises:
        InputError: for a folder, table, split, camera or label set that is missing or does not fit. A missing or
            broken file is found, and named, when it is read.
        MissingExtra: without nuscenes-devkit.
    """

    def __init__(
        self,
        root: str | Path,
        version: str = "v1.0-mini",
        split: str = "train",
        cameras: Sequence[str] = ("CAM_FRONT",),
        sweeps: bool = False,
        transform: Callable[[Sample], Sample] | None = None,
        label_set: str = "road_scene",
        sources: LabelSources = LabelSources(),  # noqa: B008 - frozen
        split_file: str | Path | None = None,
        quarantine: str = AUTO,
        min_visibility: float = 0.0,
    ) -> None:
        if not 0 <= min_visibility <= 1:
            raise InputError(f"min_visibility {min_visibility:g} is outside 0..1")
        self.min_visibility = min_visibility
        self.root = Path(root)
        self.label_set = get_label_set(label_set)
        self.transform = transform
        self.tables = nuscenes_tables.open_tables(self.root, version, quarantine)
        scenes = nuscenes_tables.split_scenes(self.tables, split, split_file)
        self.frames: list[Frame] = nuscenes_tables.camera_frames(self.tables, scenes, tuple(cameras), sweeps)
        self._instance_tokens: dict[str, dict[int, str]] = {}
        self.has_dense = self._check_dense()
        self._masks = MaskLabeller(self.root, self.tables, scenes, self.label_set, sources, self.has_dense)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frame_names(self) -> list[str]:
        return [frame.name for frame in self.frames]

    def __getitem__(self, index: int) -> Sample:
        sample = self.read(index)
        return self.transform(sample) if self.transform else sample

    def read(self, index: int) -> Sample:
        """The sample before the transform; its image is uint8.

        Raises:
            InputError: for a broken file or record; it names both and what to do.
        """
        frame = self.frames[index]
        try:
            return self._read(frame)
        except (ValueError, KeyError, OSError) as error:
            what = f"no record has token {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{what} (sample_data {frame.token}, {frame.filename}); {remedy(self.root)}") from error

    def _read(self, frame: Frame) -> Sample:
        path = inside(self.root, frame.filename)
        image = read_image(path)
        camera = nuscenes_tables.camera_of(self.tables, frame.token)
        if image.shape[:2] != camera.size:
            raise InputError(
                f"image {path} is {image.shape[0]}x{image.shape[1]} but its sample_data record says "
                f"{camera.size[0]}x{camera.size[1]}, so the calibration does not fit"
            )
        sample = Sample(
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            name=frame.name,
            camera=camera,
            speed_mps=nuscenes_tables.ego_speed_mps(self.tables, frame.token),
            timestamp_us=frame.timestamp_us,
            token=frame.token,
            sample_token=frame.sample_token,
            channel=frame.channel,
            global_from_ego=nuscenes_tables.global_from_ego(self.tables, frame.token),
        )
        labels = self._dense("semantic", frame, camera) if self._masks.needs_dense else None
        if labels is not None:
            self._check_values(labels, frame)
        depth = self._dense("depth", frame, camera)
        depth_m = None if depth is None else depth.astype(np.float32) / np.float32(DEPTH_SCALE)
        if depth_m is not None:
            sample.depth_m = torch.from_numpy(depth_m)
        for name, mask in self._masks.masks(frame, camera, labels, depth_m).items():
            setattr(sample, name, torch.from_numpy(mask).long())
        boxes = self._boxes(frame, camera)
        if boxes is not None and boxes.visibility is not None:
            boxes = boxes[boxes.visibility >= self.min_visibility]
        sample.boxes = boxes
        return sample

    def _boxes(self, frame: Frame, camera: Camera) -> Boxes | None:
        instances = self._dense("instance", frame, camera)
        if instances is not None and frame.scene in self._instance_tokens:
            numbers = self._instance_tokens[frame.scene]
            return instance_boxes(self.tables, frame.token, instances, numbers, self.label_set.detection)
        if frame.is_keyframe or instances is not None:
            return projected_boxes(self.tables, frame.token, camera, self.label_set.detection)[0]
        return None

    def _check_dense(self) -> bool:
        """Whether there are dense labels, and that they are of the label set asked for."""
        path = self.root / DENSE / "label_set.json"
        if not path.is_file():
            return False
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            name = described["label_set"]
            for scene, numbers in described.get("instance_tokens", {}).items():
                self._instance_tokens[scene] = {int(number): token for number, token in numbers.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} must be a JSON object whose 'label_set' is a label set's name: {error}"
            ) from error
        if name != self.label_set.name:
            raise InputError(f"{path} says label set {name!r} but {self.label_set.name!r} is asked for")
        return True

    def _dense(self, kind: str, frame: Frame, camera: Camera) -> np.ndarray | None:
        """A side file as stored, or ``None`` where the data set does not have it."""
        if not self.has_dense:
            return None
        path = inside(self.root, f"{DENSE}/{kind}/{frame.channel}/{frame.name}.png")
        if not path.is_file():
            return None
        labels = read_labels(path)
        if labels.shape != camera.size:
            raise InputError(f"{kind} image {path} is {labels.shape} but its camera image is {camera.size}")
        return labels

    def _check_values(self, labels: np.ndarray, frame: Frame) -> None:
        wrong = (labels >= len(self.label_set.classes)) & (labels != IGNORE_INDEX)
        if wrong.any():
            raise InputError(
                f"semantic image of {frame.filename} has value {int(labels[wrong][0])}; label set "
                f"{self.label_set.name} has classes 0..{len(self.label_set.classes) - 1}, {IGNORE_INDEX} is ignored"
            )

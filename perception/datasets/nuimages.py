"""nuImages: single camera images with instance masks, boxes, drivable surface and ego speed.

Paper: nuScenes: A multimodal dataset for autonomous driving - arXiv 1903.11027 (nuImages was published after it, at
nuscenes.org/nuimages)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from perception.datasets.nuimages_masks import category_indices, compose_masks
from perception.datasets.nuimages_tables import NuImagesTables, Row
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import inside, read_image
from perception.geometry.frames import transform
from perception.taxonomy import NUSCENES_TO_DETECTION, NUSCENES_TO_SEMANTIC, get_label_set
from perception.types import IGNORE_INDEX, Boxes, Camera, Sample

DRIVABLE, EGO = "flat.driveable_surface", "vehicle.ego"
HELD_OUT_EVERY = 5
"""``train`` and ``val`` of one version: every fifth log is held out."""
SPLITS = ("all", "train", "val")


class NuImagesDataset(Dataset[Sample]):
    """Keyframe images of nuImages as samples.

    Semantic masks are painted as the devkit paints them: surfaces first, then objects in the order of their tokens.
    What nobody annotated (buildings, pavements, sky) is 255 in ``semantic``. ``drivable`` is the drivable surface that
    no object covers; elsewhere it is 0, and 255 on the ego vehicle. There are no lane labels. Images come rectified,
    so cameras are pinholes and the distortion in the tables is that of the raw pictures. Speed is that of the ego
    pose. A version without annotations (``v1.0-test``) gives samples without targets.

    Args:
        root: folder with ``samples/`` and the tables' folder.
        version: the tables' folder: ``v1.0-train``, ``v1.0-val``, ``v1.0-test`` or ``v1.0-mini``, which are the
            official splits.
        split: ``all``, or ``train`` and ``val``, which divide the logs of one version 4 to 1, for ``v1.0-mini``.
        cameras: channels to read; ``None`` reads all.
        transform: applied to each sample.
        label_set: name of the label set that masks and box labels use.
        quarantine: ``auto``, ``off`` or a path, see :func:`perception.datasets.quarantine.open_quarantine`.

    Raises:
        InputError: for a folder, table, split, camera or label set that is missing or does not fit. A missing or
            broken file is found, and named, when it is read.
    """

    def __init__(
        self,
        root: str | Path,
        version: str = "v1.0-mini",
        split: str = "all",
        cameras: Sequence[str] | None = None,
        transform: Callable[[Sample], Sample] | None = None,
        label_set: str = "road_scene",
        quarantine: str = AUTO,
    ) -> None:
        self.root = Path(root)
        self.label_set = get_label_set(label_set)
        self.transform = transform
        self.tables = NuImagesTables(self.root, version, quarantine)
        if split not in SPLITS:
            raise InputError(f"unknown nuImages split {split!r}; use one of {', '.join(SPLITS)}")
        self.rows: list[Row] = self._choose(split, cameras)
        self._index_of = category_indices(self.tables.category)
        semantic = np.full(256, IGNORE_INDEX, np.uint8)
        drivable = np.zeros(256, np.uint8)
        for name, index in self._index_of.items():
            if NUSCENES_TO_SEMANTIC.get(name) in self.label_set.classes:
                semantic[index] = self.label_set.index(NUSCENES_TO_SEMANTIC[name])
        drivable[self._index_of[DRIVABLE]] = 1
        drivable[self._index_of[EGO]] = IGNORE_INDEX
        self._semantic, self._drivable = semantic, drivable

    def _choose(self, split: str, cameras: Sequence[str] | None) -> list[Row]:
        logs = sorted(self.tables.logs)
        held = set(logs[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] or logs[-1:]) if split != "all" else set()
        known = sorted(set(self.tables.channels.values()))
        for camera in cameras or ():
            if camera not in known:
                raise InputError(f"nuImages {self.tables.folder} has no camera {camera!r}; it has {', '.join(known)}")
        rows = [
            row
            for row in self.tables.keyframes
            if (cameras is None or self.tables.channel(row) in cameras)
            and (split == "all" or (self.tables.logfile(row) in held) == (split == "val"))
        ]
        if not rows:
            raise InputError(f"nuImages split {split!r} of {self.tables.folder} has no keyframe of the chosen cameras")
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def frame_names(self) -> list[str]:
        return [Path(row["filename"]).stem for row in self.rows]

    def __getitem__(self, index: int) -> Sample:
        sample = self.read(index)
        return self.transform(sample) if self.transform else sample

    def read(self, index: int) -> Sample:
        """The sample before the transform; its image is uint8."""
        row = self.rows[index]
        path = inside(self.root, row["filename"])
        image = read_image(path)
        size = (int(row["height"]), int(row["width"]))
        if image.shape[:2] != size:
            raise InputError(
                f"image {path} is {image.shape[0]}x{image.shape[1]} but its sample_data record says "
                f"{size[0]}x{size[1]}, so the masks do not fit"
            )
        pose = self.tables.pose(row)
        sample = Sample(
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            name=Path(row["filename"]).stem,
            camera=self._camera(row, size),
            speed_mps=float(pose["speed"]),
            timestamp_us=int(row["timestamp"]),
            token=row["token"],
            sample_token=row["sample_token"],
            channel=self.tables.channel(row),
            global_from_ego=transform(pose["translation"], pose["rotation"]),
        )
        if self.tables.annotated:
            surfaces, objects = self.tables.annotations(row)
            indices, _ = compose_masks(surfaces, objects, self.tables.category_names, self._index_of, size)
            sample.semantic = torch.from_numpy(self._semantic[indices]).long()
            sample.drivable = torch.from_numpy(self._drivable[indices]).long()
            sample.boxes = self._boxes(objects, size)
        return sample

    def _camera(self, row: Row, size: tuple[int, int]) -> Camera:
        sensor = self.tables.sensor(row)
        try:
            intrinsics = np.asarray(sensor["camera_intrinsic"], dtype=np.float64)
            return Camera(intrinsics, size, transform(sensor["translation"], sensor["rotation"]))
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.tables.folder}: calibrated_sensor {sensor['token']}: {error}") from error

    def _boxes(self, objects: Sequence[Row], size: tuple[int, int]) -> Boxes:
        """Boxes of the detection classes, clipped to the image."""
        limit = [size[1], size[0]] * 2
        xyxy, labels = [], []
        for row in objects:
            name = NUSCENES_TO_DETECTION.get(self.tables.category_names[row["category_token"]])
            box = np.clip(np.asarray(row["bbox"], dtype=np.float32), 0, limit)
            if name in self.label_set.detection and (box[2:] > box[:2]).all():
                xyxy.append(box)
                labels.append(self.label_set.detection.index(name))
        return Boxes(np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels, np.int64))

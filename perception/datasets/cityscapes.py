"""Cityscapes in its official layout.

Paper: The Cityscapes Dataset for Semantic Urban Scene Understanding - arXiv 1604.01685
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from perception.datasets.frames import Frame, FrameDataset, Size, allowed, make_boxes, read_json
from perception.datasets.quarantine import AUTO
from perception.errors import InputError
from perception.files import inside, require_dir
from perception.geometry.frames import transform as pose_matrix
from perception.taxonomies.cityscapes import CITYSCAPES_IDS, CITYSCAPES_LAST_ID
from perception.taxonomy import CITYSCAPES
from perception.types import IGNORE_INDEX, Boxes, Camera, Sample, Segment

SPLITS = ("train", "val", "test", "train_extra")
LABELS = ("fine", "coarse", "none")
IMAGE = "leftImg8bit"
INSTANCE_FACTOR = 1000
"""Values of instance masks: ``label id * 1000 + number``; groups that nobody divided have the bare label id."""

SENSOR_FROM_CAMERA = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""From camera axes (x right, y down, z forward) to those of the calibration (x forward, y left, z up)."""


class CityscapesDataset(FrameDataset):
    """Frames of ``leftImg8bit/<split>/<city>`` with the labels of ``gtFine`` or ``gtCoarse``.

    ``semantic`` and ``drivable`` come from ``*_labelIds.png``, boxes from ``*_instanceIds.png`` where it is there,
    the camera from ``camera/`` and the speed from ``vehicle/`` where these packages are there.

    Args:
        root: folder with ``leftImg8bit/`` and ``gtFine/``.
        split: ``train``, ``val``, ``test`` or ``train_extra``, which has coarse labels only.
        transform: applied to each sample.
        cities: keep only these.
        labels: ``fine``, ``coarse`` or ``none``.
        segments: also give the panoptic segments, for evaluation, where there are instance masks.
        quarantine: as in :class:`FrameDataset`.

    Raises:
        InputError: for a missing folder, an unknown split or city; when read, for a broken file.
    """

    title = "Cityscapes"
    label_set = CITYSCAPES

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[[Sample], Sample] | None = None,
        cities: Sequence[str] | None = None,
        labels: str = "fine",
        segments: bool = False,
        quarantine: str = AUTO,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"unknown Cityscapes split {split!r}; use one of {', '.join(SPLITS)}")
        if labels not in LABELS:
            raise InputError(f"unknown Cityscapes labels {labels!r}; use one of {', '.join(LABELS)}")
        home = require_dir(root, "Cityscapes folder")
        self.labels = labels
        self.with_segments = segments
        self._classes = np.full(256, IGNORE_INDEX, np.uint8)
        for index, name in CITYSCAPES_IDS.items():
            self._classes[index] = CITYSCAPES.index(name)
        self._drivable = CITYSCAPES.membership(CITYSCAPES.drivable)
        self._box_label = {
            index: CITYSCAPES.detection.index(name)
            for index, name in CITYSCAPES_IDS.items()
            if name in CITYSCAPES.detection
        }
        super().__init__(home, split, self._list(home, split, cities), transform, quarantine)

    def _list(self, root: Path, split: str, cities: Sequence[str] | None) -> Iterator[Frame]:
        folder = require_dir(root / IMAGE / split, f"Cityscapes split {split!r}")
        present = sorted(path.name for path in folder.iterdir() if path.is_dir())
        for city in cities or ():
            if city not in present:
                raise InputError(f"Cityscapes split {split!r} has no city {city!r}; it has {', '.join(present)}")
        ground = f"gt{self.labels.capitalize()}"
        for city in present if cities is None else sorted(set(cities)):
            for path in sorted((folder / city).glob(f"*_{IMAGE}.png")):
                name = path.name.removesuffix(f"_{IMAGE}.png")
                labels = {}
                if self.labels != "none":
                    stem = f"{ground}/{split}/{city}/{name}_{ground}"
                    labels["semantic"] = f"{stem}_labelIds.png"
                    if (root / f"{stem}_instanceIds.png").is_file():
                        labels["instances"] = f"{stem}_instanceIds.png"
                yield Frame(name, f"{IMAGE}/{split}/{city}/{path.name}", labels, {"city": city})

    def masks(self, frame: Frame, size: Size) -> dict[str, np.ndarray]:
        if "semantic" not in frame.labels:
            return {}
        valid = allowed(range(CITYSCAPES_LAST_ID + 1))
        said = f"label ids 0..{CITYSCAPES_LAST_ID}, 255 is ignored"
        semantic = self.read_classes(frame, "semantic", size, self._classes, valid, said)
        return {"semantic": semantic, "drivable": self._drivable[semantic]}

    def boxes(self, frame: Frame, size: Size) -> Boxes | None:
        if "instances" not in frame.labels:
            return None
        instances = self.read_indices(frame, "instances", size)
        numbers = [number for number in np.unique(instances) if number // INSTANCE_FACTOR in self._box_label]
        compact = np.zeros(size, np.int32)  # find_objects wants small labels in a row
        for place, number in enumerate(numbers, start=1):
            compact[instances == number] = place
        rows = []
        for number, found in zip(numbers, ndimage.find_objects(compact), strict=True):
            down, across = found
            box = (across.start, down.start, across.stop, down.stop)
            rows.append((box, self._box_label[int(number) // INSTANCE_FACTOR]))
        return make_boxes(rows, size)

    def panoptic(self, frame: Frame, size: Size) -> tuple[np.ndarray, list[Segment]]:
        """``(H, W)`` int64 segment numbers, 0 where there is none, and what the segments are."""
        numbers = self.read_indices(frame, "instances", size).astype(np.int64)
        segments = []
        for number in np.unique(numbers).tolist():
            index = number // INSTANCE_FACTOR if number >= INSTANCE_FACTOR else number
            if index not in CITYSCAPES_IDS:
                numbers[numbers == number] = 0
                continue
            thing = index in self._box_label
            segments.append(Segment(number, int(self._classes[index]), thing, thing and number < INSTANCE_FACTOR))
        return numbers, segments

    def facts(self, frame: Frame, size: Size) -> dict[str, Any]:
        place = f"{self.split}/{frame.record['city']}/{frame.name}"
        facts: dict[str, Any] = {}
        if self.with_segments and "instances" in frame.labels:
            numbers, segments = self.panoptic(frame, size)
            facts |= {"panoptic": torch.from_numpy(numbers), "segments": segments}
        camera = inside(self.root, f"camera/{place}_camera.json")
        if camera.is_file():
            facts["camera"] = read_camera(camera, size)
        vehicle = inside(self.root, f"vehicle/{place}_vehicle.json")
        if vehicle.is_file():
            content = read_json(vehicle, dict, "vehicle file")
            try:
                facts["speed_mps"] = float(content["speed"])
            except (KeyError, OverflowError, TypeError, ValueError) as error:
                raise InputError(f"vehicle file {vehicle} has no number 'speed'") from error
            if not math.isfinite(facts["speed_mps"]):
                raise InputError(f"vehicle file {vehicle} has speed {facts['speed_mps']}, which is no finite number")
        return facts


def read_camera(path: Path, size: Size) -> Camera:
    """The camera of a ``*_camera.json`` file. Its poses are those of ISO 8855 axes: x forward, y left, z up.

    Raises:
        InputError: for a file of another form.
    """
    content = read_json(path, dict, "camera file")
    try:
        inner, outer = content["intrinsic"], content["extrinsic"]
        intrinsics = np.array([[inner["fx"], 0, inner["u0"]], [0, inner["fy"], inner["v0"]], [0, 0, 1]], np.float64)
        vehicle_from_sensor = Rotation.from_euler("ZYX", [outer["yaw"], outer["pitch"], outer["roll"]]).as_matrix()
        pose = pose_matrix(
            np.array([outer[key] for key in "xyz"], np.float64), vehicle_from_sensor @ SENSOR_FROM_CAMERA
        )
        return Camera(intrinsics, size, pose)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(f"camera file {path} lacks finite numbers: {type(error).__name__}: {error}") from error

"""Labelled drives for streaming evaluation: world data sets (or others with dense labels) and the CamVid clips."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from perception.errors import InputError
from perception.files import require_dir
from perception.runtime.sight import assumed_camera
from perception.runtime.traces import Trace
from perception.taxonomy import LabelSet
from perception.types import Boxes, Camera, Sample

CAMVID_HZ = 30.0
"""Rate of the frame numbers in CamVid's file names; its labels are on every second one, hence at 15 Hz."""
ROUNDING_M = 1e-6
"""Distances this close are the same."""
AS_RECORDED = "pose"
"""Name of the trace that is none: the speed of the recording itself."""
READ_AHEAD = 24
"""Labelled frames kept in memory: more than lie between a capture and the last use of its answer."""


@dataclass(frozen=True)
class Truth:
    """Labels of one instant, at the picture's size.

    Shape:
        - semantic, drivable: ``(H, W)`` uint8, 255 ignored; ``drivable`` is ``None`` where the labels cannot say.
    """

    semantic: np.ndarray
    drivable: np.ndarray | None
    boxes: Boxes | None


class _Dataset(Protocol):
    def read(self, index: int) -> Sample: ...


class Reader:
    """Pictures and labels of a data set by index; the last few stay in memory."""

    def __init__(self, dataset: _Dataset, keep: int = READ_AHEAD) -> None:
        self._dataset, self._keep = dataset, keep
        self._kept: OrderedDict[int, tuple[np.ndarray, Truth]] = OrderedDict()
        self._boxes: dict[int, Boxes | None] = {}

    def __call__(self, index: int) -> tuple[np.ndarray, Truth]:
        """``(H, W, 3)`` uint8 RGB and its labels.

        Raises:
            InputError: for a frame without dense labels.
        """
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        sample = self._dataset.read(index)
        if sample.semantic is None:
            raise InputError(f"frame {sample.name} has no dense labels; streaming evaluation needs them on every frame")
        image = np.ascontiguousarray(sample.image.permute(1, 2, 0).numpy())
        drivable = None if sample.drivable is None else sample.drivable.numpy().astype(np.uint8)
        truth = Truth(sample.semantic.numpy().astype(np.uint8), drivable, sample.boxes)
        self._kept[index] = (image, truth)
        self._boxes[index] = truth.boxes
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return self._kept[index]

    def boxes(self, index: int) -> Boxes | None:
        """The labelled boxes, which stay in memory for every frame."""
        if index not in self._boxes:
            self(index)
        return self._boxes[index]


@dataclass(frozen=True)
class Drive:
    """A camera's frames at their times, each of them also an instant that is scored.

    Args:
        name: of the drive.
        times_s: ``N`` capture times, increasing.
        speeds_mps: at those times; ``None`` where it is not known.
        track: where the vehicle was at those times: x and y in metres and its heading in radians, to the left
            positive, in a frame that stands still.
        frames: index in the data set of each; the same one may come several times where a trace goes slowly.
        names: of the frames, unique within the data set.
        camera: its calibration.
        reader: of pictures and labels by index.
        trace: kind of the speed trace that it is driven at; ``pose`` as it was recorded.
    """

    name: str
    times_s: tuple[float, ...]
    speeds_mps: tuple[float | None, ...]
    track: tuple[tuple[float, float, float], ...]
    frames: tuple[int, ...]
    names: tuple[str, ...]
    camera: Camera
    reader: Reader
    trace: str = AS_RECORDED

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def interval_s(self) -> float:
        """Time between two frames."""
        return float(np.median(np.diff(self.times_s)))

    def picture(self, tick: int) -> np.ndarray:
        """``(H, W, 3)`` uint8 RGB."""
        return self.reader(self.frames[tick])[0]

    def truth(self, tick: int) -> Truth:
        """Labels of an instant."""
        return self.reader(self.frames[tick])[1]

    def boxes(self, tick: int) -> Boxes | None:
        """Labelled boxes of an instant."""
        return self.reader.boxes(self.frames[tick])

    def first(self, count: int) -> Drive:
        """The drive's beginning."""
        shown = slice(count)
        return replace(
            self,
            times_s=self.times_s[shown],
            speeds_mps=self.speeds_mps[shown],
            track=self.track[shown],
            frames=self.frames[shown],
            names=self.names[shown],
        )

    def picked(self, ticks: Sequence[int], speeds_mps: Sequence[float | None]) -> Drive:
        """A drive over some of the frames, at the rate of this one and from time 0."""
        step_s = self.interval_s
        return replace(
            self,
            times_s=tuple(i * step_s for i in range(len(ticks))),
            speeds_mps=tuple(speeds_mps),
            track=tuple(self.track[tick] for tick in ticks),
            frames=tuple(self.frames[tick] for tick in ticks),
            names=tuple(self.names[tick] for tick in ticks),
        )


def with_stride(drive: Drive, stride: int) -> Drive:
    """Every ``stride``-th frame at the rate of the camera: the vehicle seems to go that many times as fast."""
    ticks = range(0, len(drive), stride)
    speeds = [None if (speed := drive.speeds_mps[tick]) is None else stride * speed for tick in ticks]
    return drive.picked(ticks, speeds)


def with_trace(drive: Drive, trace: Trace) -> Drive:
    """The drive at the speed of a trace: at each moment the frame is shown that was taken where the vehicle is then.

    The vehicle seems to go as fast as the trace says; all that moves by itself goes faster or slower with it. The
    drive ends where the frames or the trace end.

    Raises:
        InputError: if the speed of the recording is not known.
    """
    known = [speed for speed in drive.speeds_mps if speed is not None]
    if len(known) < len(drive):
        raise InputError(f"drive {drive.name} does not know its speed, so no trace can be driven on it")
    times, speeds = np.array(drive.times_s), np.array(known)
    place = np.concatenate([[0.0], np.cumsum(np.diff(times) * (speeds[1:] + speeds[:-1]) / 2)])
    ticks, told = [], []
    step = drive.interval_s
    for i in range(int(trace.duration_s / step * (1 + 1e-9)) + 1):
        driven = trace.distance(i * step)
        if driven > place[-1] + ROUNDING_M:
            break
        ticks.append(int(np.searchsorted(place, driven + ROUNDING_M, side="right")) - 1)
        told.append(trace.speed(i * step))
    return drive.picked(ticks, told)


def open_drives(
    root: str | Path,
    labels: LabelSet,
    split: str,
    camera: str = "CAM_FRONT",
    version: str = "v1.0-mini",
    recorded_mps: float = 30 / 3.6,
) -> list[Drive]:
    """The drives of a data set.

    Args:
        root: a nuScenes-format folder with dense labels and sweeps, or a CamVid folder.
        labels: the label set of the model, in which the labels are wanted.
        split: of the data set; ``all`` for every scene of a nuScenes-format folder.
        camera: channel of the nuScenes format.
        version: table folder of the nuScenes format.
        recorded_mps: speed that CamVid, which has no poses, is taken to be recorded at.

    Raises:
        InputError: for a folder that is neither, labels of another set, or no drive of two frames.
    """
    root = require_dir(root, "data folder")
    if (root / version).is_dir():
        drives = _nuscenes_drives(root, labels, split, camera, version)
    elif any(root.glob("*annot")):
        drives = _camvid_drives(root, labels, split, recorded_mps)
    else:
        raise InputError(f"{root} is neither a nuScenes-format folder with {version} nor a CamVid folder")
    drives = [drive for drive in drives if len(drive) > 1]
    if not drives:
        raise InputError(f"no drive of {root} has two frames in a row; write it with sweeps (--sweep_hz 12)")
    return drives


def _nuscenes_drives(root: Path, labels: LabelSet, split: str, camera: str, version: str) -> list[Drive]:
    from perception.datasets.nuscenes import NuScenesDataset
    from perception.datasets.nuscenes_tables import camera_of, ego_speed_mps, global_from_ego

    dataset = NuScenesDataset(root, version, split, (camera,), sweeps=True, label_set=labels.name)
    if not dataset.has_dense:
        raise InputError(f"{root} has no dense labels; make a data set that has with perception world")
    reader = Reader(dataset)
    scenes: OrderedDict[str, list[int]] = OrderedDict()
    for index, frame in enumerate(dataset.frames):
        scenes.setdefault(frame.scene, []).append(index)
    drives = []
    for scene, indices in scenes.items():
        frames = [dataset.frames[index] for index in indices]
        drives.append(
            Drive(
                name=scene,
                times_s=tuple((frame.timestamp_us - frames[0].timestamp_us) / 1e6 for frame in frames),
                speeds_mps=tuple(ego_speed_mps(dataset.tables, frame.token) for frame in frames),
                track=tuple(_place(global_from_ego(dataset.tables, frame.token)) for frame in frames),
                frames=tuple(indices),
                names=tuple(frame.name for frame in frames),
                camera=camera_of(dataset.tables, frames[0].token),
                reader=reader,
            )
        )
    return drives


def _place(pose: np.ndarray) -> tuple[float, float, float]:
    return float(pose[0, 3]), float(pose[1, 3]), math.atan2(pose[1, 0], pose[0, 0])


def _camvid_drives(root: Path, labels: LabelSet, split: str, recorded_mps: float) -> list[Drive]:
    """Stretches of a split whose frame numbers go on at the split's smallest step."""
    from perception.datasets.camvid import CamVidDataset

    if labels.name != CamVidDataset.label_set.name:
        raise InputError(f"CamVid has labels of its own set, but the model answers in {labels.name!r}")
    dataset: Any = CamVidDataset(root, split)
    numbered = sorted(_numbered(name, index) for index, name in enumerate(dataset.names))
    steps = [b[1] - a[1] for a, b in pairwise(numbered) if a[0] == b[0] and b[1] > a[1]]
    step = min(steps, default=1)
    clips: list[list[int]] = []
    before: tuple[str, int] | None = None
    for prefix, number, index in numbered:
        if before != (prefix, number - step):
            clips.append([])
        clips[-1].append(index)
        before = (prefix, number)
    reader, drives = Reader(dataset), []
    for clip in clips:
        picture, _ = reader(clip[0])
        drives.append(
            Drive(
                name=dataset.names[clip[0]],
                times_s=tuple(i * step / CAMVID_HZ for i in range(len(clip))),
                speeds_mps=(recorded_mps,) * len(clip),
                track=tuple((recorded_mps * i * step / CAMVID_HZ, 0.0, 0.0) for i in range(len(clip))),
                frames=tuple(clip),
                names=tuple(dataset.names[index] for index in clip),
                camera=assumed_camera((picture.shape[0], picture.shape[1])),
                reader=reader,
            )
        )
    return drives


def _numbered(name: str, index: int) -> tuple[str, int, int]:
    found = re.fullmatch(r"(.*?)(\d{1,12})", name)
    return (found[1], int(found[2]), index) if found else (name, 0, index)

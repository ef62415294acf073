"""Where frames come from: a folder, a video file, a nuScenes scene, a ROS 2 bag, or the procedural world."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from perception.errors import InputError
from perception.files import IMAGE_SUFFIXES
from perception.types import Camera


@dataclass(frozen=True)
class Frame:
    """One camera picture, or the reason why there is none.

    Args:
        image: ``(H, W, 3)`` uint8 RGB; ``None`` where the frame could not be decoded.
        name: file or frame name, for people.
        timestamp_us: capture time in microseconds; monotonic within one camera.
        channel: the camera, such as ``CAM_FRONT``.
        speed_mps: ego speed at capture where the source knows it.
        camera: calibration where the source has one.
        error: one line, why there is no image.
        yaw_rate_radps: how fast the vehicle turns at capture, to the left positive, where the source knows it.
        arrived_s: monotonic seconds at which a live picture came; ``None`` for recordings.
    """

    image: np.ndarray | None
    name: str
    timestamp_us: int
    channel: str
    speed_mps: float | None = None
    camera: Camera | None = None
    error: str | None = None
    yaw_rate_radps: float | None = None
    arrived_s: float | None = None


class Source(Protocol):
    """A sequence of frames of one or more cameras, in the order of capture.

    Attributes:
        name: what is shown in the report.
        channels: the cameras that frames come from.
        interval_s: seconds between two frames of the same camera.
        has_speed: whether frames carry ``speed_mps``.
        total: number of frames, or ``None`` where only reading tells.
        rendered: whether frames are made up rather than read, so that making them is no part of their latency.

    A source that waits for a sensor has a method ``close()`` besides, which ends its iteration from another thread.
    """

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> tuple[str, ...]: ...
    @property
    def interval_s(self) -> float: ...
    @property
    def has_speed(self) -> bool: ...
    @property
    def total(self) -> int | None: ...
    @property
    def rendered(self) -> bool: ...
    def __iter__(self) -> Iterator[Frame]: ...


class Limited:
    """The first ``frames`` frames of a source."""

    def __init__(self, source: Source, frames: int) -> None:
        if frames < 1:
            raise InputError(f"max_frames {frames} is below 1")
        self._source = source
        self._frames = frames
        self.name = source.name
        self.channels = source.channels
        self.interval_s = source.interval_s
        self.has_speed = source.has_speed
        self.total = frames if source.total is None else min(frames, source.total)
        self.rendered = source.rendered
        self.root, self.scene = getattr(source, "root", None), getattr(source, "scene", None)  # of a nuScenes scene

    def __iter__(self) -> Iterator[Frame]:
        return itertools.islice(iter(self._source), self._frames)


def open_source(
    spec: str,
    camera: str = "CAM_FRONT",
    fps: float = 12.0,
    max_frames: int | None = None,
    size: tuple[int, int] = (360, 640),
) -> Source:
    """Open a source by its description.

    Args:
        spec: a folder of images, an image, a video file, ``nuscenes:ROOT``, ``nuscenes:ROOT#scene-0061``,
            ``rosbag:FOLDER``, ``mcap:FILE`` (both with ``#/topic`` where there are several), ``world`` or
            ``world:SEED``.
        camera: nuScenes camera channel, or ``all``.
        fps: frame rate of sources that carry no timestamps, and of the world.
        max_frames: stop after this many frames of each camera.
        size: ``(height, width)`` of the world's pictures.

    Raises:
        InputError: if the source does not exist, is empty or cannot be read.
    """
    if not 0 < fps <= 1000:
        raise InputError(f"fps {fps:g} is outside 0..1000")
    if max_frames is not None and max_frames < 1:
        raise InputError(f"max_frames {max_frames} is below 1")
    source = _open(spec, camera, fps, max_frames, size)
    return source if max_frames is None else Limited(source, max_frames * len(source.channels))


def _open(spec: str, camera: str, fps: float, max_frames: int | None, size: tuple[int, int]) -> Source:
    kind, _, rest = spec.partition(":")
    if kind == "nuscenes":
        from perception.runtime.sources.nuscenes import NuScenesSource

        root, _, scene = rest.partition("#")
        if not root:
            raise InputError(f"source {spec!r} names no folder; write nuscenes:ROOT or nuscenes:ROOT#scene-0061")
        return NuScenesSource(root, scene or None, camera, fps)
    if camera == "all":
        raise InputError(f"source {spec!r} has one camera; --camera all needs a nuscenes:ROOT source")
    if kind in ("rosbag", "mcap"):
        from perception.runtime.sources.rosbag import BagSource

        path_text, _, topic = rest.partition("#")
        if not path_text:
            raise InputError(f"source {spec!r} names no bag; write rosbag:FOLDER or mcap:FILE, with #/topic if need be")
        return BagSource(path_text, topic or None, fps)
    if kind == "world" and not Path(spec).exists():
        from perception.runtime.sources.world import WorldSource, parse_seed

        return WorldSource(parse_seed(rest), fps, size, None if max_frames is None else max_frames / fps)
    path = Path(spec).expanduser()
    if not path.exists():
        raise InputError(
            f"source {spec!r} does not exist; use a folder of images, a video file, nuscenes:ROOT, rosbag:FOLDER, "
            "mcap:FILE or world[:SEED]"
        )
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        from perception.runtime.sources.folder import FolderSource

        return FolderSource(path, fps)
    from perception.runtime.sources.video import VideoSource

    return VideoSource(path)

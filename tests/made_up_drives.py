"""Drives whose frames and answers are known: a car that crosses a road, and engines that see it."""

from __future__ import annotations

import numpy as np
import torch

from perception.commands.stream_drives import Drive, Reader
from perception.runtime.loop import FrameResult, Status
from perception.runtime.plan import Plan, uniform_plan
from perception.runtime.resolution import Decision, FixedPolicy
from perception.runtime.sight import assumed_camera
from perception.runtime.source import Frame
from perception.runtime.streaming import Schedule, simulate
from perception.taxonomy import ROAD_SCENE
from perception.types import Boxes, Prediction, Sample

SIZE = (48, 64)
SMALL, LARGE = uniform_plan((32, 40)), uniform_plan(SIZE)
CAR = ROAD_SCENE.index("car")


class Road:
    """A car that moves ``step_px`` to the right in each frame, on a road under a sky."""

    def __init__(self, frames: int = 40, step_px: int = 1) -> None:
        self.frames, self.step_px = frames, step_px
        self.reads = 0

    def left(self, index: int) -> int:
        return 4 + (self.step_px * index) % 30

    def read(self, index: int) -> Sample:
        self.reads += 1
        labels = np.full(SIZE, ROAD_SCENE.index("sky"), np.uint8)
        labels[24:] = ROAD_SCENE.index("road")
        labels[20:30, self.left(index) : self.left(index) + 12] = CAR
        labels[-2:] = 255
        semantic = torch.from_numpy(labels).long()
        drivable = torch.from_numpy(ROAD_SCENE.membership(ROAD_SCENE.drivable))[semantic]
        left = self.left(index)
        boxes = Boxes([[left, 20, left + 12, 30]], [0], visibility=[0.9], distance_m=[20.0])
        image = torch.full((3, *SIZE), index, dtype=torch.uint8)
        return Sample(image, f"frame_{index:03d}", semantic=semantic, drivable=drivable.long(), boxes=boxes)


class Knowing:
    """An engine that answers with the labels of the frame that it sees, at the plan's size."""

    labels, info = ROAD_SCENE, {"device": "none"}

    def __init__(self, road: Road) -> None:
        self.road, self.calls = road, 0

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None: ...

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        self.calls += 1
        sample = self.road.read(int(image[0, 0, 0]))
        assert sample.semantic is not None
        rows = np.arange(plan.size[0]) * SIZE[0] // plan.size[0]
        columns = np.arange(plan.size[1]) * SIZE[1] // plan.size[1]
        semantic = sample.semantic.numpy()[rows][:, columns].astype(np.uint8) % 255
        scale = np.array([plan.size[1] / SIZE[1], plan.size[0] / SIZE[0]] * 2)
        assert sample.boxes is not None
        boxes = Boxes(sample.boxes.xyxy * scale, sample.boxes.labels, [0.9])
        return Prediction(semantic, (semantic == 0).astype(np.uint8), boxes=boxes)


def make_drive(road: Road, speed: float = 10.0, hz: float = 10.0) -> Drive:
    n = road.frames
    names = tuple(f"frame_{i:03d}" for i in range(n))
    times = tuple(i / hz for i in range(n))
    track = tuple((speed * time_s, 0.0, 0.0) for time_s in times)
    return Drive("made up", times, (speed,) * n, track, tuple(range(n)), names, assumed_camera(SIZE), Reader(road))


def fixed(drive: Drive, plan: Plan, ms: float) -> Schedule:
    return simulate(drive.times_s, drive.speeds_mps, FixedPolicy(plan), {plan: np.full(len(drive), ms)})


def answered(frame: int, plan: Plan = LARGE) -> FrameResult:
    shown = Frame(None, f"frame_{frame:03d}", frame * 100_000, "CAMERA")
    return FrameResult(frame, shown, Status.OK, 100.0, Decision(plan, "made up"), choose_ms=1.0, infer_ms=99.0)

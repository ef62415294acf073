"""Hazards of streaming evaluation: what must be found at the range that stopping requires, and what counts as found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perception.commands.stream_drives import Drive
from perception.geometry.camera import rays
from perception.geometry.frames import inverse, transform, yaw_rotation
from perception.metrics.recall import at_required_range, countable, found
from perception.runtime.plan import Plan
from perception.runtime.resolution import Latencies
from perception.runtime.stopping import StoppingModel
from perception.runtime.warp import move_boxes
from perception.taxonomy import LabelSet
from perception.types import Boxes, Camera

HAZARDS = (
    "car", "truck", "bus", "trailer", "construction_vehicle", "pedestrian", "motorcycle", "bicycle", "bicyclist",
)  # fmt: skip
"""Box classes that a vehicle must stop for."""


class Hazard(NamedTuple):
    """A labelled hazard in view at the range that a plan requires.

    Args:
        speed_mps: of the vehicle.
        found: whether the answer, as far as it was moved, covers it.
        supported: whether the plan is safe at that speed.
        in_corridor: whether it is in the vehicle's way.
    """

    speed_mps: float
    found: bool
    supported: bool
    in_corridor: bool


@dataclass(frozen=True)
class HazardRule:
    """Which labelled boxes count as hazards at the required range, and when they are found.

    Args:
        latencies: bounds of the plans.
        seen_m: range that each plan sees.
        score: predictions with a lower score do not count.
        corridor_m: a hazard this close to the line ahead is in the vehicle's way; infinite for all in view.
    """

    stopping: StoppingModel
    latencies: Latencies
    seen_m: Mapping[Plan, float]
    score: float = 0.3
    min_iou: float = 0.5
    corridor_m: float = StoppingModel.corridor_half_width_m

    def required_m(self, plan: Plan, speed_mps: float) -> float:
        """Range that a plan's own latency asks for at a speed."""
        return self.stopping.required_range_m(speed_mps, self._reaction_s(plan), self.stopping.braking_mps2())

    def supports(self, plan: Plan, speed_mps: float) -> bool:
        """Whether a plan is safe at a speed."""
        return speed_mps <= supported_mps(self.stopping, self.latencies, plan, self.seen_m[plan])

    def rows(
        self, hazards: Boxes, predicted: Boxes | None, plan: Plan, speed_mps: float | None, camera: Camera
    ) -> list[Hazard]:
        """Those of the hazards that are at the range that a plan requires; none where the speed is not known.

        Args:
            predicted: boxes of the answer as they are to be compared, see :class:`Motion`; ``None`` for no answer.
        """
        if speed_mps is None:
            return []
        wanted = hazards[at_required_range(hazards, self.required_m(plan, speed_mps))]
        safe, near = self.supports(plan, speed_mps), self.near(wanted, camera)
        hits = found(wanted, predicted, self.min_iou, self.score)
        return [Hazard(speed_mps, bool(hit), safe, bool(ahead)) for hit, ahead in zip(hits, near, strict=True)]

    def near(self, boxes: Boxes, camera: Camera) -> np.ndarray:
        """``(N,)`` bool: boxes within the corridor."""
        return in_corridor(boxes, camera, self.corridor_m)

    def _reaction_s(self, plan: Plan) -> float:
        return self.stopping.reaction_s(self.latencies.bound_ms(plan) / 1e3, self.latencies.interval_ms(plan) / 1e3)


def in_corridor(boxes: Boxes, camera: Camera, corridor_m: float) -> np.ndarray:
    """``(N,)`` bool: boxes whose centre is this close to the line straight ahead; all where the distance is unknown."""
    if not np.isfinite(corridor_m) or boxes.distance_m is None or not len(boxes):
        return np.ones(len(boxes), bool)
    centres = np.stack([boxes.xyxy[:, 0] + boxes.xyxy[:, 2], boxes.xyxy[:, 1] + boxes.xyxy[:, 3]], axis=1) / 2
    ahead = rays(camera, centres) @ camera.ego_from_camera[:3, :3].T
    with np.errstate(invalid="ignore"):
        aside = boxes.distance_m * np.abs(np.sin(np.arctan2(ahead[:, 1], ahead[:, 0])))
        return aside <= corridor_m


class Motion:
    """Moves boxes by the way that the vehicle of a drive has gone, as whoever reads an answer can do with its odometer.

    An answer is as old as the network takes, and at least a frame. What it says about now is where its boxes are now:
    at 70 km/h a pedestrian 7 m aside and 48 m ahead moves by two fifths of his width between two frames, and in a turn
    of 5 degrees a second by three fifths of it at any distance, so the boxes as they were would miss him whatever the
    network does. The way is that of the drive's track, between whose places the vehicle moves evenly; the road is taken
    to be flat, see :func:`perception.runtime.warp.move_boxes`.
    """

    def __init__(self, drive: Drive) -> None:
        self._camera = drive.camera
        self._times = np.array(drive.times_s)  # (N,)
        x, y, heading = np.array(drive.track, np.float64).T  # (N,) each
        self._track = (x, y, np.unwrap(heading))

    def old_from_new(self, from_s: float, to_s: float) -> np.ndarray:
        """``(4, 4)`` ego frame at one time of the drive from that at another."""
        return inverse(self._pose(from_s)) @ self._pose(to_s)

    def boxes(self, boxes: Boxes | None, from_s: float, to_s: float) -> Boxes | None:
        """Boxes in the camera's pixels as they look at a later time; the same where the vehicle has not moved."""
        way = self.old_from_new(from_s, to_s)
        return boxes if boxes is None or np.allclose(way, np.eye(4)) else move_boxes(boxes, self._camera, way)

    def _pose(self, time_s: float) -> np.ndarray:
        x, y, heading = (np.interp(time_s, self._times, values) for values in self._track)
        return transform(np.array([x, y, 0.0]), yaw_rotation(heading))


def supported_mps(stopping: StoppingModel, latencies: Latencies, plan: Plan, seen_m: float) -> float:
    """Highest speed at which a plan that sees so far is safe on a level road."""
    times_s = latencies.bound_ms(plan) / 1e3, latencies.interval_ms(plan) / 1e3
    answer_s, reaction_s = stopping.answer_s(*times_s), stopping.reaction_s(*times_s)
    return stopping.supported_speed_mps(seen_m, answer_s, reaction_s, stopping.braking_mps2())


def askable_boxes(drive: Drive, truth: Boxes, labels: LabelSet) -> np.ndarray:
    """``(N,)`` bool: labelled boxes that are hazards at some range."""
    hazardous = [labels.detection.index(name) for name in HAZARDS if name in labels.detection]
    return countable(truth, drive.camera.size, hazardous)

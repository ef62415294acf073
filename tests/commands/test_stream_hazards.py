"""Hazards at the range that stopping requires, in streaming evaluation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_drives import LARGE, SMALL, Knowing, Road, answered, fixed, make_drive

from perception.commands.stream_drives import Drive, Reader
from perception.commands.stream_hazards import HazardRule, Motion
from perception.commands.stream_live import Live, score_live
from perception.commands.stream_predictions import Predictor
from perception.commands.stream_records import fastest_supported, policy_row
from perception.commands.stream_scores import score_schedules
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.metrics.recall import found
from perception.runtime.loop import Publication, Status
from perception.runtime.plan import Plan, fovea_plan, uniform_plan
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.sight import assumed_camera, make_fovea
from perception.runtime.stopping import StoppingModel
from perception.runtime.warp import arc
from perception.taxonomy import ROAD_SCENE
from perception.types import Boxes, Prediction, Sample


def rule(**options) -> HazardRule:
    times = ReplayedLatencies({SMALL: 30.0, LARGE: 330.0})
    return HazardRule(StoppingModel(camera_interval_s=0.1), times, {SMALL: 30.0, LARGE: 60.0}, **options)


def test_hazards_lie_at_the_range_that_the_plan_requires() -> None:
    """The car is 20 m away: asked for only at speeds whose range under the plan lies between 20 and 25 m."""
    stopping, road, counts = rule().stopping, Road(step_px=0), set()
    for speed in np.linspace(6.0, 14.0, 9):
        drive = make_drive(road, float(speed))
        schedules = {"quick": fixed(drive, SMALL, 30.0), "slow": fixed(drive, LARGE, 330.0)}
        scores = score_schedules(drive, schedules, Predictor(Knowing(road)), ROAD_SCENE, 1.0, rule())
        for name, plan, latency_s in (("quick", SMALL, 0.03), ("slow", LARGE, 0.33)):
            required_m = stopping.required_range_m(float(speed), stopping.reaction_s(latency_s, latency_s), 5.0)
            assert rule().required_m(plan, float(speed)) == pytest.approx(required_m)
            expected = 30 if 20.0 <= required_m <= 25.0 else 0
            assert len(scores[name].hazards) == expected
            counts.add((name, expected))
    assert len(counts) == 4, "both plans have speeds with and without"
    drive = make_drive(road, 11.0)
    schedules = {"quick": fixed(drive, SMALL, 30.0)}
    easy = score_schedules(drive, schedules, Predictor(Knowing(road)), ROAD_SCENE, 1.0, rule())
    assert {hazard[:3] for hazard in easy["quick"].hazards} == {(11.0, True, True)}
    strict = score_schedules(drive, schedules, Predictor(Knowing(road)), ROAD_SCENE, 1.0, rule(score=0.95))
    assert {hazard[:3] for hazard in strict["quick"].hazards} == {(11.0, False, True)}


PEOPLE_M = ((70.0, 0.0), (70.0, 6.0))
"""Where people stand: metres ahead of the first frame's camera, and to the left."""
VIEW = assumed_camera((180, 320))
SHARP = uniform_plan((180, 320))


class Pavement:
    """People who stand by and on the road; in each frame the vehicle is ``step_m`` further on."""

    def __init__(self, step_m: float, frames: int = 14) -> None:
        self.step_m, self.frames = step_m, frames

    def boxes(self, index: int) -> Boxes:
        xyxy, distances = [], []
        for ahead, left in PEOPLE_M:
            depth = ahead - index * self.step_m
            edges = [[depth + 1.5, left + half, up] for half, up in ((0.3, 1.7), (-0.3, 0.0))]
            pixels, _ = project(VIEW, apply(inverse(VIEW.ego_from_camera), np.array(edges)))
            xyxy.append(pixels.ravel())
            distances.append(np.hypot(depth, left))
        person = ROAD_SCENE.detection.index("pedestrian")
        return Boxes(xyxy, [person] * 2, visibility=[1.0, 1.0], distance_m=distances)

    def read(self, index: int) -> Sample:
        image = torch.full((3, *VIEW.size), index, dtype=torch.uint8)
        road = torch.zeros(VIEW.size, dtype=torch.long)
        return Sample(image, f"frame_{index:03d}", semantic=road, boxes=self.boxes(index))

    def answer(self, index: int) -> Prediction:
        boxes = self.boxes(index)
        return Prediction(np.zeros(VIEW.size, np.uint8), boxes=Boxes(boxes.xyxy, boxes.labels, [0.9, 0.9]))

    def drive(self, speed_mps: float | None, hz: float = 10.0) -> Drive:
        n = range(self.frames)
        return Drive(
            name="pavement",
            times_s=tuple(i / hz for i in n),
            speeds_mps=(speed_mps,) * len(n),
            track=tuple((i * self.step_m, 0.0, 0.0) for i in n),
            frames=tuple(n),
            names=tuple(f"frame_{i:03d}" for i in n),
            camera=VIEW,
            reader=Reader(self),
        )


class Watching:
    """An engine that sees what is there, and where."""

    labels, info = ROAD_SCENE, {"device": "none"}

    def __init__(self, pavement: Pavement) -> None:
        self.pavement = pavement

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None: ...

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        return self.pavement.answer(int(image[0, 0, 0]))


def at_70_km_h() -> tuple[Pavement, Drive, HazardRule]:
    """Where stopping takes about 54 m, and what stands aside of it moves by half its width between two frames."""
    times = ReplayedLatencies({SHARP: 30.0})
    rule = HazardRule(StoppingModel(camera_interval_s=0.1), times, {SHARP: 90.0})
    pavement = Pavement(2.0)
    return pavement, pavement.drive(20.0), rule


def test_hazards_are_where_the_vehicle_has_come_to_since() -> None:
    pavement, drive, rule = at_70_km_h()
    schedules = {"quick": fixed(drive, SHARP, 30.0), "slow": fixed(drive, SHARP, 330.0)}
    scores = score_schedules(drive, schedules, Predictor(Watching(pavement)), ROAD_SCENE, 0.5, rule)
    for score in scores.values():
        assert [hazard.in_corridor for hazard in score.hazards] == [True, False] * (len(score.hazards) // 2)
        assert len(score.hazards) >= 8
        assert all(hazard.found for hazard in score.hazards)
    # The boxes as they came miss the one aside by a frame, and both by three.
    late, now = scores["quick"].boxes[0], scores["quick"].truth[0]
    assert found(now, late).tolist() == [True, False]
    assert not found(scores["slow"].truth[0], scores["slow"].boxes[0]).all()
    row = policy_row("quick", "fixed", [scores["quick"]], ROAD_SCENE, None)
    assert row["hazards_in_view"]["count"] == 2 * row["hazards"]["count"] == len(scores["quick"].hazards)
    assert row["hazards_by_speed"]["70-90"] == row["hazards"] == row["hazards_supported"]
    assert row["hazards_in_view_by_speed"]["70-90"] == row["hazards_in_view"]
    assert row["gmacs_per_s"] is None


def test_a_vehicle_that_stands_moves_nothing() -> None:
    drive = replace(make_drive(Road(frames=3), hz=1.0), track=((4.0, 5.0, 3.0),) * 3)
    boxes, motion = Pavement(1.0).boxes(0), Motion(drive)
    assert motion.boxes(boxes, 0.0, 2.0) is boxes
    assert motion.boxes(None, 0.0, 1.0) is None


def test_the_way_between_two_times_is_that_of_the_track() -> None:
    """Seen from where the vehicle was; a heading past half a turn goes on and does not come back around."""
    west = math.pi
    drive = replace(
        make_drive(Road(frames=3), hz=1.0), track=((0.0, 5.0, west), (-10.0, 5.0, west), (-20.0, 7.0, 0.2 - west))
    )
    motion = Motion(drive)
    assert np.allclose(motion.old_from_new(0.0, 1.0), arc(10.0))
    assert np.allclose(motion.old_from_new(0.5, 0.75), arc(2.5))
    half = motion.old_from_new(1.0, 1.5)
    assert np.allclose(half[:2, 3], [5.0, -1.0])
    assert math.atan2(half[1, 0], half[0, 0]) == pytest.approx(0.1)


@pytest.mark.parametrize("turn_radps", [0.3, -0.3])
def test_hazards_in_a_turn_are_found_by_an_answer_that_is_a_frame_old(turn_radps: float) -> None:
    """What stands still goes across the picture by more than its width; boxes moved straight ahead would miss it."""
    pavement = Pavement(0.0)
    drive = pavement.drive(20.0)
    turning = replace(drive, track=tuple((0.0, 0.0, turn_radps * time_s) for time_s in drive.times_s))
    boxes = pavement.boxes(0)
    moved = Motion(turning).boxes(boxes, 0.0, 0.1)
    assert moved is not None
    corners = [[ahead + 1.5, left + half, up] for ahead, left in PEOPLE_M for half, up in ((0.3, 1.7), (-0.3, 0.0))]
    camera_from_ground = inverse(arc(0.0, turn_radps * 0.1) @ VIEW.ego_from_camera)
    truth = replace(boxes, xyxy=project(VIEW, apply(camera_from_ground, np.array(corners)))[0].reshape(-1, 4))
    assert not found(truth, boxes, min_score=-1).any()
    assert found(truth, moved, 0.7, min_score=-1).all()


def test_live_hazards_are_moved_once() -> None:
    """From the capture, or, where the loop itself has moved what it published, from the publication."""
    pavement, drive, rule = at_70_km_h()
    event = fixed(drive, SHARP, 30.0)
    wanted = score_schedules(drive, {"a": event}, Predictor(Watching(pavement)), ROAD_SCENE, 0.5, rule)["a"].hazards
    results, finished = (
        tuple(answered(run.frame, SHARP) for run in event.runs),
        tuple(run.finish_s for run in event.runs),
    )
    motion = Motion(drive)
    for warped in (False, True):
        outs = []
        for run in event.runs:
            answer = pavement.answer(run.frame)
            if warped:
                answer = replace(answer, boxes=motion.boxes(answer.boxes, drive.times_s[run.frame], run.finish_s))
            age_ms = 1e3 * (run.finish_s - drive.times_s[run.frame])
            outs.append((run.finish_s, Publication(run.frame, "CAMERA", Status.OK, answer, age_ms, warped=warped)))
        assert score_live(drive, Live(results, tuple(outs), finished), ROAD_SCENE, 0.5, rule).hazards == wanted


def test_the_fastest_plans_with_and_without_a_fovea_are_named() -> None:
    window = fovea_plan((96, 160), make_fovea(VIEW, (96, 160), StoppingModel()))
    records = [{"name": name, "supported_kmh": speed} for name, speed in (("a", 40.0), ("b", 70.0), ("c", 60.0))]
    fastest = fastest_supported((SMALL, window, SHARP), records)
    assert fastest["supported_kmh"] == {"uniform": 60.0, "fovea": 70.0}
    assert fastest["supported_plans"] == {"uniform": "c", "fovea": "b"}
    assert fastest_supported((SMALL,), records[:1])["supported_kmh"] == {"uniform": 40.0, "fovea": None}


def test_the_corridor_leaves_out_what_is_aside() -> None:
    camera = assumed_camera((900, 1600))
    boxes = Boxes([[790, 440, 810, 460], [1390, 440, 1410, 460]], [0, 0], distance_m=[50.0, 50.0])
    assert rule(corridor_m=4.0).near(boxes, camera).tolist() == [True, False]  # 0 m and 21 m aside
    assert rule(corridor_m=30.0).near(boxes, camera).tolist() == [True, True]
    assert rule().near(boxes, camera).tolist() == [True, False], "the stopping model's own"
    assert rule(corridor_m=float("inf")).near(boxes, camera).all()

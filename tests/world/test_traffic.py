from __future__ import annotations

import numpy as np
import pytest
import shapely

from perception.errors import InputError
from perception.geometry.frames import apply, inverse
from perception.taxonomy import NUSCENES_DETECTION, NUSCENES_TO_DETECTION
from perception.world import build_scene, scan_lidar
from perception.world.actors import Actor, TrafficMix
from perception.world.lidar import EGO_FROM_LIDAR
from perception.world.motion import Track
from perception.world.scene import Scene
from perception.world.tables import MINI_SCENES, MINI_VAL
from perception.world.traffic import EGO_CENTER_M, EGO_LENGTH_M
from perception.world.walkers import CrossingTrack

PLACES = ((0, 0), (3, 1), (8, 2), (21, 7))
DURATION_S = 6.0
PEOPLE = {"human.pedestrian.adult", "human.pedestrian.child"}


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    return build_scene(*request.param, DURATION_S)


def rectangle(center: np.ndarray, size: tuple[float, ...], yaw: float) -> shapely.Polygon:
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * np.array(size[:2]) / 2
    rotation = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    return shapely.Polygon(corners @ rotation.T + center[:2])


def outlines(scene: Scene, actors: list[Actor], time_s: float) -> list[shapely.Polygon]:
    boxes = [scene.box(actor, time_s) for actor in actors]
    return [rectangle(box.center, box.size, box.yaw) for box in boxes]


def test_no_boxes_of_moving_actors_overlap(scene: Scene) -> None:
    for time_s in np.arange(0.0, DURATION_S + 0.01, 0.17):
        actors = scene.present(float(time_s))
        shapes = outlines(scene, actors, float(time_s))
        pose = scene.global_from_ego(float(time_s))
        yaw = np.arctan2(pose[1, 0], pose[0, 0])
        ego = rectangle(pose[:2, 3] + EGO_CENTER_M * pose[:2, 0], (EGO_LENGTH_M, 1.75), yaw)
        tree = shapely.STRtree([*shapes, ego])
        for a, b in tree.query(shapes, predicate="intersects").T:
            moving = actors[a].track is not None or b == len(shapes) or actors[b].track is not None
            assert a == b or not moving, (time_s, actors[a].category, actors[min(b, len(actors) - 1)].category)


def test_actors_are_numbered_by_their_place_in_the_list(scene: Scene) -> None:
    assert [actor.instance for actor in scene.actors] == list(range(1, len(scene.actors) + 1))
    assert {int(actor.mesh(0.0).instance[0]) for actor in scene.actors[:5]} == {1, 2, 3, 4, 5}
    known = set(np.unique(scene.static.instance)) - {0}
    assert known == {actor.instance for actor in scene.actors if actor.track is None}


def test_vehicles_keep_to_what_is_drivable(scene: Scene) -> None:
    area = shapely.union_all([shapely.Polygon(p.exterior, p.holes) for p in scene.map_layers().drivable_area])
    shapely.prepare(area)
    for time_s in (0.5, 3.0, 5.5):
        movers = [actor for actor in scene.present(time_s) if actor.kind == "vehicle"]
        for actor, shape in zip(movers, outlines(scene, movers, time_s), strict=True):
            assert area.covers(shape.buffer(-0.3)), (actor.category, actor.instance, time_s)


def test_nobody_runs_a_red_light(scene: Scene) -> None:
    """No front crosses a stop line between the beginning of red and its end."""
    road = scene.road
    lines = []
    for junction in road.junctions:
        if junction.signalled:
            for direction in (1, -1):
                lines.append((junction.s - direction * (junction.stop_offset - 0.4), direction, junction.s))
    times = np.arange(0.1, DURATION_S, 0.1)
    for actor in scene.actors:
        if actor.track is None or actor.track.way is not None or actor.kind != "vehicle":
            continue
        direction = 1 if actor.track.yaw == 0 else -1
        for line, onward, s in lines:
            for time_s in times if onward == direction else ():
                before, after = (
                    (actor.track.along(float(t))[0] - line) * onward + actor.size[0] / 2 for t in (time_s - 0.1, time_s)
                )
                if before < 0 <= after:
                    assert (
                        scene.phases[s].state(True, float(time_s)) != "red"
                        or scene.phases[s].state(True, float(time_s) - 1.5) != "red"
                    ), (actor.instance, time_s)


def test_somebody_turns_somewhere() -> None:
    """Over a few scenes, vehicles leave the main road and others come out of side roads."""
    left = joined = 0
    for index in range(4):
        scene = build_scene(2, index, 10.0)
        for actor in scene.actors:
            if actor.track is not None and actor.track.way is not None:
                times = np.array([0.0, 10.0])
                places, yaws, _ = actor.track.places(scene.road, times)
                beside = np.abs(scene.road.locate(places)[1]) > 14
                turned = abs(np.sin(yaws[1] - yaws[0])) > 0.7
                left += bool(turned and beside[1])
                joined += bool(turned and not beside[1])
    assert left >= 2
    assert joined >= 1


def seen_classes(seed: int, index: int) -> set[str]:
    """Detection classes with LiDAR points within 50 m of the ego at some keyframe."""
    scene, seen = build_scene(seed, index, 3.0), set()
    for time_s in (0.0, 1.5, 3.0):
        scan = scan_lidar(scene, time_s)
        ego_from_global = inverse(scene.global_from_ego(time_s))
        for number in np.unique(scan.instance[scan.instance > 0]):
            actor = scene.actors[number - 1]
            center = apply(ego_from_global, scene.box(actor, time_s).center[None])[0]
            if np.hypot(*center[:2]) < 50 and (scan.instance == number).sum() >= 2:
                seen.add(NUSCENES_TO_DETECTION[actor.category])
    assert EGO_FROM_LIDAR.shape == (4, 4)
    return seen


@pytest.mark.parametrize("seed", [0, 7])
def test_validation_scenes_show_all_ten_classes(seed: int) -> None:
    indices = [MINI_SCENES.index(name) for name in MINI_VAL]
    assert set().union(*(seen_classes(seed, index) for index in indices)) == set(NUSCENES_DETECTION)


@pytest.mark.parametrize(
    ("mix", "expected"),
    [(TrafficMix(1.0, 0.0), {"vehicle.motorcycle"}), (TrafficMix(0.0, 0.0), {"vehicle.car"}),
     (TrafficMix(0.0, 1.0), {"vehicle.bus.rigid", "vehicle.truck", "vehicle.car"})],
)  # fmt: skip
def test_the_mix_says_who_drives(mix: TrafficMix, expected: set[str]) -> None:
    scene = build_scene(5, 0, 2.0, mix=mix)
    driving = [actor.category for actor in scene.actors if actor.kind == "vehicle"]
    assert len(driving) > 10
    assert set(driving) <= expected
    if mix.large_vehicles:
        assert driving.count("vehicle.car") < len(driving) / 2  # cars that turn or come from side streets


def test_the_mix_says_how_many_cyclists_ride() -> None:
    """Every scene but those without bicycle lanes has more of them."""
    counts = []
    for times in (0.0, 1.0, 6.0):
        scenes = [build_scene(5, index, 1.0, mix=TrafficMix(cyclists=times)) for index in range(6)]
        counts.append([sum(actor.kind == "cyclist" for actor in scene.actors) for scene in scenes])
    none, usual, many = (np.array(one) for one in counts)
    assert not none.any()
    assert (usual > 0).sum() >= 2
    assert (many[usual > 0] >= 1.5 * usual[usual > 0]).all()
    assert not many[usual == 0].any()


def test_the_mix_says_how_many_bicycles_are_parked() -> None:
    """Those beyond the usual number keep clear of the others."""
    scenes = {
        times: [build_scene(5, index, 1.0, mix=TrafficMix(parked_bicycles=times)) for index in range(6)]
        for times in (0.0, 1.0, 10.0)
    }
    parked = {
        times: [
            [actor for actor in scene.actors if actor.category == "vehicle.bicycle" and actor.kind == "parked"]
            for scene in some
        ]
        for times, some in scenes.items()
    }
    none, usual, many = (np.array([len(one) for one in some]) for some in parked.values())
    assert none.max() <= 1  # a delivery has one of its own
    assert none.sum() < usual.sum() / 3
    assert (many >= 2 * usual).all()
    assert many.sum() > 5 * usual.sum()
    for one in parked[10.0]:
        places = np.stack([actor.pose[:2, 3] for actor in one if actor.pose is not None])
        apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 10 * np.eye(len(one))
        assert (apart.min(axis=1) > 2.3).mean() > 0.8  # the usual ones may stand close


def test_the_mix_says_how_many_people_walk() -> None:
    """On the pavements and at crossings, none of them in a wall; workers at roadworks do not depend on it."""
    counts = []
    for times in (0.0, 1.0, 3.0, 100.0):
        scenes = [build_scene(5, index, 1.0, mix=TrafficMix(pedestrians=times)) for index in range(4)]
        people = [[actor for actor in scene.actors if actor.category in PEOPLE] for scene in scenes]
        counts.append([len(some) for some in people])
        for scene, some in zip(scenes, people, strict=True):
            for actor in some:
                assert isinstance(actor.track, Track)
                d = actor.track.d if not isinstance(actor.track, CrossingTrack) else actor.track.walk[1]
                assert abs(d) - scene.road.median < scene.road.section(1 if d > 0 else -1).walk_outer
    none, usual, many, most = (np.array(one) for one in counts)
    assert not none.any()
    assert (many > 1.5 * usual).all()
    assert (most > 2 * many).all()


def test_the_mix_says_how_many_of_them_are_children() -> None:
    shares = []
    for children in (0.0, 0.1, 0.5, 1.0):
        mix = TrafficMix(pedestrians=2.0, children=children)
        categories = [actor.category for index in range(4) for actor in build_scene(5, index, 1.0, mix=mix).actors]
        young, adults = (categories.count(f"human.pedestrian.{age}") for age in ("child", "adult"))
        shares.append(young / (young + adults))
    assert shares[0] == 0
    assert shares[3] == 1
    assert 0 < shares[1] < 0.3 < shares[2] < 0.7


def test_the_mix_says_how_many_motorcycles_are_parked() -> None:
    shares = []
    for share in (0.0, 0.05, 0.5):
        mix = TrafficMix(parked_motorcycles=share)
        actors = [actor for index in range(6) for actor in build_scene(5, index, 1.0, mix=mix).actors]
        parked = [actor.category for actor in actors if actor.kind == "parked"]
        shares.append(parked.count("vehicle.motorcycle") / parked.count("vehicle.car"))
    assert shares[0] < 0.03  # a delivery has two of its own
    assert shares[0] < shares[1] < 0.12
    assert shares[2] > 0.7


@pytest.mark.parametrize(
    "mix",
    [
        TrafficMix(-0.1),
        TrafficMix(0.1, 1.2),
        TrafficMix(float("nan")),
        TrafficMix(0.6, 0.5),
        TrafficMix(cyclists=-1.0),
        TrafficMix(cyclists=float("inf")),
        TrafficMix(parked_bicycles=-0.5),
        TrafficMix(parked_bicycles=101.0),
        TrafficMix(pedestrians=-1.0),
        TrafficMix(children=1.5),
        TrafficMix(children=float("nan")),
        TrafficMix(parked_motorcycles=0.95),
    ],
)
def test_shares_that_are_none_are_refused(mix: TrafficMix) -> None:
    with pytest.raises(InputError, match="|".join(TrafficMix._fields)):
        build_scene(5, 0, 2.0, mix=mix)


def test_attributes_are_those_of_the_categories() -> None:
    scene = build_scene(0, 1, 1.0)
    allowed = {"movable_object": {""}, "human": {"pedestrian.moving", "pedestrian.standing"},
               "vehicle": {"vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider",
                           "cycle.without_rider"}}  # fmt: skip
    for actor in scene.actors:
        attribute = actor.attribute(scene.road, 0.5)
        assert attribute in allowed[actor.category.split(".")[0]]
        assert attribute.startswith("cycle") == (actor.category in ("vehicle.bicycle", "vehicle.motorcycle"))

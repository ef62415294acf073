"""Map expansion files of hand-made layers, read by the official map reader."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from perception.files import write_json
from perception.world.map_expansion import expansion_file, expansion_records, shifted
from perception.world.map_expansion_arcs import TOLERANCE_M, arcline_path
from perception.world.map_expansion_canvas import CANVASES, GAP_M, place_scenes
from perception.world.map_layers import Lane, MapLayers, Polygon, RoadSegment, StopLine, TrafficLight

pytest.importorskip("nuscenes")


def _box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return Polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float))


def _straight(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    length = float(np.hypot(x1 - x0, y1 - y0))
    share = np.linspace(0, 1, max(int(length), 1) + 1)[:, None]
    points = np.array([x0, y0]) * (1 - share) + np.array([x1, y1]) * share
    return np.column_stack([points, np.full(len(points), np.arctan2(y1 - y0, x1 - x0))])


def _layers() -> MapLayers:
    """A road along x with two lanes east and one west, an intersection, and the road behind it."""
    island = np.array([[44.0, -1.0], [44.0, 1.0], [46.0, 1.0], [46.0, -1.0]])  # clockwise
    drivable = Polygon(np.array([[0, -7.0], [100, -7], [100, 4], [0, 4]]), (island,))
    light = np.eye(4)
    light[:3, 3] = 40.0, -8.0, 5.0
    return MapLayers(
        drivable_area=(drivable,),
        segments=(
            RoadSegment(_box(0, -7, 40, 4), False),
            RoadSegment(_box(40, -7, 50, 4), True),
            RoadSegment(_box(50, -7, 100, 4), False),
        ),
        lanes=(
            Lane(_straight(0, -1.75, 40, -1.75), _box(0, -3.5, 40, 0), 0, successors=(3,), left="DOUBLE_DASHED_WHITE"),
            Lane(_straight(0, -5.25, 40, -5.25), _box(0, -7, 40, -3.5), 0, successors=(), right="SINGLE_SOLID_WHITE"),
            Lane(_straight(40, 2, 0, 2), _box(0, 0, 40, 4), 0),
            Lane(_straight(40, -1.75, 50, -1.75), None, 1, connector=True, successors=(4,)),
            Lane(_straight(50, -1.75, 100, -1.75), _box(50, -3.5, 100, 0), 2),
        ),
        crossings=(_box(36, -7, 39, 4),),
        crossing_segments=(0,),
        walkways=(_box(0, 4, 100, 7),),
        carparks=(_box(60, -7, 90, -4),),
        stop_lines=(
            StopLine(_box(34, -7, 35, 0), "TRAFFIC_LIGHT", 0, lights=(0,)),
            StopLine(_box(33, -7, 34, 0), "PED_CROSSING", 0, crossings=(0,)),
            StopLine(_box(52, 0, 53, 4), "YIELD", 2),
        ),
        road_dividers=(np.array([[0.0, 0], [40, 0]]),),
        lane_dividers=(np.array([[0.0, -3.5], [20, -3.5], [40, -3.5]]),),
        lane_divider_types=("DOUBLE_DASHED_WHITE",),
        lights=(TrafficLight(light, 1),),
    )


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory):
    from nuscenes.map_expansion.map_api import NuScenesMap

    root = tmp_path_factory.mktemp("map")
    places = [
        shifted(expansion_records(_layers(), name), offset) for name, offset in (("a", (100, 200)), ("b", (500, 0)))
    ]
    for location, canvas in CANVASES.items():
        content = expansion_file(canvas, places if location == "boston-seaport" else [])
        write_json(root / "maps" / "expansion" / f"{location}.json", content)
        assert NuScenesMap(str(root), location).canvas_edge == list(canvas)
    return NuScenesMap(str(root), "boston-seaport")


def test_points_lie_on_the_layers_that_they_should(official) -> None:
    on = official.layers_on_point(137.5, 198.0)  # (37.5, -2) of the first place
    assert all(on[layer] for layer in ("drivable_area", "road_segment", "road_block", "lane", "ped_crossing"))
    assert not any(on[layer] for layer in ("walkway", "stop_line", "carpark_area"))
    assert official.layers_on_point(570.0, -5.0)["carpark_area"]
    assert not official.layers_on_point(145.0, 200.0)["drivable_area"]  # on the island
    assert official.layers_on_point(145.0, 198.5)["drivable_area"]
    assert official.layers_on_point(137.5, 202.0)["road_block"] != on["road_block"]  # of the other direction
    assert official.layers_on_point(137.5, 195.0)["road_block"] == on["road_block"]  # of the lane beside


def test_records_in_a_patch_are_those_of_one_place(official) -> None:
    found = official.get_records_in_patch((90, 150, 250, 250))
    counts = {layer: len(tokens) for layer, tokens in found.items()}
    assert counts == {
        "drivable_area": 1, "road_segment": 3, "road_block": 3, "lane": 4, "ped_crossing": 1, "walkway": 1,
        "stop_line": 3, "carpark_area": 1, "road_divider": 1, "lane_divider": 1, "traffic_light": 1,
    }  # fmt: skip
    kinds = {official.get("stop_line", token)["stop_line_type"]: token for token in found["stop_line"]}
    assert official.get("stop_line", kinds["TRAFFIC_LIGHT"])["cue"] == [
        official.get("traffic_light", found["traffic_light"][0])
    ]
    assert official.get("traffic_light", found["traffic_light"][0])["pose"]["tx"] == 140.0
    assert official.get("stop_line", kinds["PED_CROSSING"])["cue"][0]["token"] == found["ped_crossing"][0]


def test_lanes_follow_one_another(official) -> None:
    lane = official.get_closest_lane(110.0, 198.3)
    path = official.get_arcline_path(lane)
    assert [path[0]["start_pose"][:2], path[-1]["end_pose"][:2]] == [[100.0, 198.25], [140.0, 198.25]]
    (connector,) = official.get_outgoing_lane_ids(lane)
    assert official.get_incoming_lane_ids(connector) == [lane]
    assert official.getind("lane_connector", connector) == 0
    (after,) = official.get_outgoing_lane_ids(connector)
    poses = np.array(official.discretize_lanes([after], 1.0)[after])
    assert poses[:, 1] == pytest.approx(198.25)
    assert poses[-1, 0] == pytest.approx(200.0)
    record = official.get("lane", lane)
    ends = [official.get("node", node) for node in official.get("line", record["from_edge_line_token"])["node_tokens"]]
    assert [(node["x"], node["y"]) for node in ends] == [(100.0, 200.0), (100.0, 196.5)]  # left end first
    assert {segment["segment_type"] for segment in record["left_lane_divider_segments"]} == {"DOUBLE_DASHED_WHITE"}
    beyond = official.get_next_roads(170.0, 198.0)
    assert beyond["lane"] == []


def _patch(polygon, **style):
    """What ``descartes.PolygonPatch`` does, which takes Shapely's polygons before its version 2 only."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    rings = [polygon.exterior, *polygon.interiors]
    return PathPatch(Path.make_compound_path(*(Path(np.asarray(ring.coords)[:, :2]) for ring in rings)), **style)


def test_it_draws_and_rasterizes(official, monkeypatch) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr("descartes.PolygonPatch", _patch)
    figure, _ = official.render_map_patch((90, 150, 250, 250), figsize=(3, 3))
    figure.canvas.draw()
    plt.close("all")
    mask = official.get_map_mask((150, 198.5, 20, 110), 0.0, ["drivable_area"], (200, 1100))[0]
    assert mask.sum() == pytest.approx((100 * 11 - 4) * 100, rel=0.03)


@pytest.mark.parametrize("bend", [0.0, 0.002, 1 / 70, -1 / 15])
def test_arcs_follow_the_centre_line(bend: float) -> None:
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane

    s = np.linspace(0, 60, 61)
    heading = 0.3 + bend * s * np.sin(s / 25)
    middle = (heading[1:] + heading[:-1]) / 2
    x = np.concatenate([[0], np.cumsum(np.cos(middle))])
    y = np.concatenate([[0], np.cumsum(np.sin(middle))])
    path = arcline_path(np.column_stack([x, y, heading]))
    assert len(path) < 30
    poses = np.array(discretize_lane(path, 0.5))
    away = np.linalg.norm(poses[:, None, :2] - np.column_stack([x, y])[None], axis=2)
    assert away.min(axis=1).max() < 0.5 + TOLERANCE_M  # from every pose, a sample of the line is near
    assert away.min(axis=0).max() < 0.25 + 2 * TOLERANCE_M
    nearest = away.argmin(axis=1)
    assert np.abs(poses[:, 2] - heading[nearest]).max() < 0.08
    for before, after in itertools.pairwise(path):
        assert before["end_pose"][:2] == pytest.approx(after["start_pose"][:2], abs=1e-6)


def test_scenes_lie_side_by_side_and_only_on_the_canvases() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers([-50, -50, 300, 200], [50, 50, 900, 500], (300, 4)).tolist()
    sizes = [((west, south), (width, height)) for west, south, width, height in numbers]
    places = place_scenes(sizes, [["boston-seaport"]] * 300)
    assert 40 < len(places) < 300
    assert places == place_scenes(sizes, [["boston-seaport"]] * 300)
    assert [place.location for place in places[:5]] == ["boston-seaport"] * 5
    boxes = []
    for ((west, south), (width, height)), place in zip(sizes, places, strict=False):
        x, y = west + place.offset_m[0], south + place.offset_m[1]
        canvas = CANVASES[place.location]
        assert min(x, y) >= GAP_M
        assert x + width + GAP_M <= canvas[0]
        assert y + height + GAP_M <= canvas[1]
        for location, (a, b, c, d) in boxes:
            apart = a + c <= x or x + width <= a or b + d <= y or y + height <= b
            assert location != place.location or apart
        boxes.append((place.location, (x, y, width, height)))

"""Maps against the official reader, and their masks against a painted road."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from nuscenes.map_expansion.map_api import NuScenesMap
from tiny_map import LOCATION, add_lidar, change, place, write_map
from tiny_nuscenes import CAR, LANE, ROAD, SKY, write_nuscenes

from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_labels import LabelSources
from perception.datasets.nuscenes_map import expansion_path, read_expansion
from perception.datasets.nuscenes_map_agreement import Agreement, map_agreement
from perception.datasets.nuscenes_map_labels import MapOptions, on_ego_plane
from perception.datasets.nuscenes_solids import collect_solids, shape_of
from perception.errors import InputError
from perception.geometry.frames import apply, transform

BARE = MapOptions(occlusion=())
SCENE = "scene-0061"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    root = write_nuscenes(tmp_path_factory.mktemp("map") / "data", scenes=(SCENE,), keyframes=2, size=(180, 320))
    write_map(root, hole=True)
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = write_nuscenes(tmp_path / "data", scenes=(SCENE,), keyframes=2)
    write_map(root)
    return root


def read(root: Path, options: MapOptions = BARE, index: int = 0, **sources: str) -> dict[str, np.ndarray]:
    chosen = {"semantic": "dense", "drivable": "map", "lane": "map", "crossing": "map"} | sources
    dataset = NuScenesDataset(root, split="all", sweeps=True, sources=LabelSources(map=options, **chosen))
    sample = dataset.read(index)
    found = {name: getattr(sample, name) for name in ("semantic", "drivable", "lane", "crossing")}
    return {name: mask.numpy() for name, mask in found.items() if mask is not None}


def test_the_layers_are_those_of_the_official_reader(world: Path) -> None:
    layers = read_expansion(expansion_path(world, LOCATION))
    official = NuScenesMap(str(world), LOCATION)
    for name, rows in (("drivable_area", official.drivable_area), ("carpark_area", official.carpark_area),
                       ("ped_crossing", official.ped_crossing), ("walkway", official.walkway)):  # fmt: skip
        tokens = [t for row in rows for t in row.get("polygon_tokens", [row.get("polygon_token")])]
        assert len(layers[name].shapes) == len(tokens) > 0
        for rings, token in zip(layers[name].shapes, tokens, strict=True):
            expected = official.extract_polygon(token)
            assert shapely.Polygon(rings[0], rings[1:]).equals(expected)
    (line,) = layers["lane_divider"].shapes
    expected = official.extract_line(official.lane_divider[0]["line_token"])
    np.testing.assert_allclose(line[0], np.array(expected.coords))
    assert layers["road_divider"].shapes == ()


def test_only_shapes_that_come_near_are_looked_at(world: Path) -> None:
    layers = read_expansion(expansion_path(world, LOCATION))
    assert len(layers["walkway"].near(place(10, 0), 8.0)) == 2
    assert layers["ped_crossing"].near(place(200, 0), 50.0) == []
    assert layers["road_divider"].near(place(0, 0), 50.0) == []


@pytest.mark.parametrize("index", [0, 1])
def test_masks_agree_with_the_painted_road(own: Path, index: int) -> None:
    found = read(own, MapOptions(occlusion=(), range_m=60, lane_width_m=0.2, carparks=False), index)
    semantic = found["semantic"]
    painted = np.isin(semantic, [ROAD, LANE])
    clear = (semantic != CAR) & (semantic != 255) & (found["drivable"] != 255)
    wrong = clear & ((found["drivable"] == 1) != painted)
    assert wrong.sum() <= 0.003 * painted.sum()
    wrong = clear & ((found["lane"] == 1) != (semantic == LANE))
    assert wrong.sum() <= 0.05 * (semantic == LANE).sum()
    assert (found["drivable"][semantic == SKY] != 1).all()


def test_a_hole_stays_open_and_the_crossing_is_where_it_was_drawn(world: Path) -> None:
    whole = read(world)
    focal, ahead, across = 0.8 * 320, 19.0 - 1.7, -2.0
    row, column = int(90 + focal * 1.5 / ahead), int(160 - focal * across / ahead)
    assert whole["drivable"][row, column] == 0
    assert whole["drivable"][row, 320 - column] == 1
    crossing = np.flatnonzero(whole["crossing"][:, 160] == 1)
    assert crossing[0] == pytest.approx(90 + focal * 1.5 / (12 - 1.7), abs=1)
    assert crossing[-1] == pytest.approx(90 + focal * 1.5 / (9 - 1.7), abs=1)


def test_car_parks_count_when_asked(own: Path) -> None:
    with_park, without = read(own), read(own, MapOptions(occlusion=(), carparks=False))
    assert ((with_park["drivable"] == 1) & (without["drivable"] == 0)).sum() > 20
    assert not ((with_park["drivable"] == 0) & (without["drivable"] == 1)).any()


def test_ground_beyond_the_range_is_ignored_and_sky_is_not(own: Path) -> None:
    found = read(own, MapOptions(occlusion=(), range_m=20))
    row = 45 + 128 * 1.5 / 20
    for name in ("drivable", "lane", "crossing"):
        assert (found[name][46 : int(row) - 1] == 255).all()
        assert not (found[name][int(row) + 1 :] == 255).any()
        assert (found[name][:45] == 0).all()


def test_boxes_hide_the_road_behind_them(own: Path) -> None:
    bare, hidden = read(own), read(own, MapOptions(occlusion=("boxes",)))
    gone = (bare["drivable"] == 1) & (hidden["drivable"] == 0)
    focal, ahead = 128, 14.0 - 2.2 - 1.7
    row, column = int(45 + focal * 0.3 / ahead), int(80 - focal * 0.5 / ahead)  # the rear of the car ahead, 1.2 m up
    assert gone[row, column]
    assert not gone[80:].any() or gone[80:].sum() < 0.2 * gone.sum()
    assert not ((bare["drivable"] == 0) & (hidden["drivable"] == 1)).any()


def test_lidar_hides_the_road_behind_a_wall_and_its_depth_image_likewise(own: Path) -> None:
    across, up = np.meshgrid(np.linspace(-3.5, 3.5, 200), np.linspace(0.1, 2.5, 40))
    wall = np.column_stack([place(20, 0)[None] + across.reshape(-1, 1) * (place(0, 1) - place(0, 0)), up.ravel()])
    add_lidar(own, wall)
    for occluder, index in (("lidar", 0), ("lidar", 2)):
        found = read(own, MapOptions(occlusion=(occluder,)), index)["drivable"]
        base = 45 + 128 * 1.5 / (18.3 - (0 if index == 0 else 8 * 0.5 + 1.5 * 0.125))
        assert not (found[: int(base) - 1, 70:90] == 1).any()
        assert (found[int(base) + 2 : 88, 70:90] == 1).all()
    far = read(own, MapOptions(occlusion=("lidar",), tolerance_us=1000), 0)["drivable"]
    assert (far[55, 70:90] == 1).all()  # a turn 40 ms away is not used
    dataset = NuScenesDataset(
        own, split="all", sources=LabelSources(map=MapOptions(occlusion=("depth",)), drivable="map")
    )
    assert dataset.read(0).drivable is not None


def test_lidar_lifts_the_map_onto_a_slope(own: Path) -> None:
    rng = np.random.default_rng(0)
    along, across = rng.uniform(3, 60, 8000), rng.uniform(-15, 15, 8000)
    xy = place(0, 0) + along[:, None] * (place(1, 0) - place(0, 0)) + across[:, None] * (place(0, 1) - place(0, 0))
    add_lidar(own, np.column_stack([xy, 0.06 * along]))
    flat = read(own, MapOptions(occlusion=(), range_m=50))["crossing"]
    lifted = read(own, MapOptions(occlusion=(), ground="lidar", range_m=50))["crossing"]
    top_flat, top_lifted = np.flatnonzero(flat[:, 80] == 1)[0], np.flatnonzero(lifted[:, 80] == 1)[0]
    assert top_flat == pytest.approx(45 + 128 * 1.5 / 10.3, abs=1)
    assert top_lifted == pytest.approx(45 + 128 * (1.5 - 0.06 * 12) / 10.3, abs=2)


def test_map_points_are_laid_on_the_plane_under_a_tilted_vehicle() -> None:
    tilt = np.array([np.cos(0.05), 0.0, np.sin(0.05), 0.0])
    pose = transform(np.array([100.0, 50.0, 3.0]), tilt)
    xy = np.array([[110.0, 50.0], [100.0, 58.0]])
    ego = on_ego_plane(xy, pose)
    assert (ego[:, 2] == 0).all()
    np.testing.assert_allclose(apply(pose, ego)[:, :2], xy, atol=1e-9)


def test_sources_choose_dense_labels_then_the_map(own: Path) -> None:
    auto = read(own, drivable="auto", lane="auto", crossing="none")
    semantic = auto["semantic"]
    np.testing.assert_array_equal(auto["drivable"] == 1, np.isin(semantic, [ROAD, LANE]))
    assert "crossing" not in auto
    (own / "dense" / "semantic" / "CAM_FRONT").rename(own / "dense" / "gone")
    auto = read(own, semantic="auto", drivable="auto", lane="auto", crossing="auto")
    assert sorted(auto) == ["crossing", "drivable", "lane"]
    assert (auto["drivable"] == 1).sum() > 1000
    expansion_path(own, LOCATION).unlink()
    assert read(own, semantic="auto", drivable="auto", lane="auto", crossing="auto") == {}
    assert read(own, semantic="none", drivable="none", lane="none", crossing="none") == {}


def test_what_is_asked_for_and_missing_is_named(own: Path) -> None:
    expansion_path(own, LOCATION).unlink()
    with pytest.raises(InputError, match=r"map expansion .*singapore-onenorth.json does not exist; unpack"):
        read(own)
    with pytest.raises(InputError, match="drivable_from must be one of auto, semantic, map, none, got 'maps'"):
        LabelSources(drivable="maps")
    with pytest.raises(InputError, match=r"has no lidarseg.json"):
        read(own, semantic="lidarseg", drivable="none", lane="none", crossing="none")
    bare = write_nuscenes(own.parent / "bare", scenes=(SCENE,), keyframes=2, dense=False)
    with pytest.raises(InputError, match="has no dense labels"):
        read(bare, drivable="none", lane="none", crossing="none")
    for options, message in (
        ({"range_m": 0.0}, "range_m must be a positive number"),
        ({"occlusion": ("trees",)}, "unknown occluder 'trees'"),
        ({"ground": "sea"}, "unknown ground 'sea'"),
    ):
        with pytest.raises(InputError, match=message):
            MapOptions(**options)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("walkway"), "has no 'walkway'"),
        (lambda c: c["polygon"][0]["exterior_node_tokens"].append("lost"), "has no 'lost'"),
        (lambda c: c["node"][0].update(x=float("nan")), "a node is not finite"),
        (lambda c: c["polygon"][0].update(holes=3), "is not of the nuScenes form"),
    ],
)
def test_a_broken_map_is_named(own: Path, edit, message: str) -> None:
    path = expansion_path(own, LOCATION)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_expansion(path)
    path.write_text("[1, 2")
    with pytest.raises(InputError, match="is not of the nuScenes form"):
        read_expansion(path)


def test_a_location_that_leads_outside_is_refused(own: Path) -> None:
    change(own, "log", lambda rows: rows[0].update(location="../../../secret"))
    with pytest.raises(InputError, match="leads outside the data folder"):
        read(own)


def test_agreement_counts_pixels() -> None:
    count = Agreement()
    count.add(np.array([1, 1, 0, 0, 255, 1]), np.array([1, 0, 1, 0, 1, 255]))
    assert (count.both, count.map_only, count.truth_only, count.ignored) == (1, 1, 1, 1)
    assert count.iou == pytest.approx(1 / 3)
    assert np.isnan(Agreement().iou)


def test_agreement_on_the_painted_road(own: Path) -> None:
    found = map_agreement(own, options=MapOptions(occlusion=(), carparks=False))
    assert found["CAM_FRONT"].iou == found["all"].iou > 0.93  # the painted car is in no table
    with pytest.raises(InputError, match="depth images are part of the truth"):
        map_agreement(own, options=MapOptions(occlusion=("depth",)))


def test_solid_parts_lie_inside_their_box_and_leave_the_underside_open(own: Path) -> None:
    vehicles = ("car", "truck", "trailer", "bus.rigid", "construction", "bicycle")
    others = ("human.pedestrian.adult", "movable_object.barrier", "movable_object.trafficcone")
    for category in [f"vehicle.{name}" for name in vehicles] + list(others):
        shape = shape_of(category, 1.6)
        spans = np.array(shape.body + shape.feet)
        assert spans.min() >= 0
        assert spans.max() <= 1
        assert (spans[..., 0] < spans[..., 1]).all()
    tables = NuScenesDataset(own, split="all").tables
    boxes = [box for box in tables.get_boxes(tables.sample_data[-1]["token"]) if box.name == "vehicle.car"][:1]
    center = np.array(boxes[0].center)
    alone = collect_solids(boxes, np.eye(4))
    assert len(alone.parts) == 9
    assert np.concatenate(alone.parts)[:, 2].min() == pytest.approx(center[2] - 0.8)
    cloud = center + np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    measured = collect_solids(boxes, np.eye(4), np.concatenate([cloud, center[None] + 20]))
    assert len(measured.parts) == 4  # the wheels
    assert (measured.floor_m[:-1] > 0).all()
    assert measured.floor_m[-1] == 0


def test_the_world_s_maps_agree_with_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("open3d")
    from perception.datasets.nuscenes_keyframe import MOSAIC
    from perception.world.writer import write_dataset

    write_dataset(tmp_path / "world", scenes=2, keyframes=1, size=(120, 208), sweep_hz=0.0, cameras=MOSAIC, workers=1)
    found = map_agreement(tmp_path / "world", cameras=MOSAIC)
    assert found["all"].iou > 0.93
    assert found["all"].ignored < 0.01 * found["all"].both
    assert torch.is_tensor(NuScenesDataset(tmp_path / "world", split="all").read(0).drivable)

from __future__ import annotations

import numpy as np
import pytest
import shapely

from perception.taxonomy import NUSCENES_LIDARSEG
from perception.world import build_scene
from perception.world.map_layers import SEGMENT_TYPES, STOP_LINE_TYPES, MapLayers
from perception.world.map_layers import Polygon as MapPolygon
from perception.world.mesh import Mesh
from perception.world.raycast import Caster
from perception.world.scene import Scene

PLACES = ((3, 1), (3, 7), (11, 3))


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def scene(request: pytest.FixtureRequest) -> Scene:
    return build_scene(*request.param, 1.0)


def shape(polygon: MapPolygon) -> shapely.Polygon:
    return shapely.Polygon(polygon.exterior, polygon.holes)


def ground_classes(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """``(N,)`` lidarseg class of what lies on the ground at ``(N, 2)`` points, seen from just above the kerbs."""
    rays = np.zeros((len(points), 6), np.float32)
    rays[:, :2], rays[:, 2], rays[:, 5] = points, 0.2, -1.0
    face = Caster(mesh).cast(rays)["primitive_ids"].numpy().astype(np.int64)
    return mesh.lidar[face]


def test_drivable_polygons_are_what_the_ground_shows(scene: Scene) -> None:
    layers = scene.map_layers()
    area = shapely.union_all([shape(p) for p in layers.drivable_area])
    rng = np.random.default_rng(0)
    low, high = np.array(area.bounds[:2]), np.array(area.bounds[2:])
    scattered = rng.uniform(low - 5, high + 5, (40_000, 2))
    edge = area.boundary
    along = np.array([edge.interpolate(d).coords[0] for d in rng.uniform(0, edge.length, 8_000)])
    near_edge = along + rng.normal(0, 0.4, along.shape)
    points = np.concatenate([scattered, near_edge])
    flat = [NUSCENES_LIDARSEG.index(n) for n in NUSCENES_LIDARSEG if n.startswith("flat.")]
    rendered = ground_classes(scene.static, points)
    on_ground = np.isin(rendered, flat)
    drivable = rendered == NUSCENES_LIDARSEG.index("flat.driveable_surface")
    mapped = shapely.contains_xy(area, *points.T)
    distance = shapely.distance(shapely.points(points), edge)
    wrong = on_ground & (drivable != mapped) & (distance > 0.02)
    assert not wrong.any(), points[wrong][:5]
    assert (drivable & on_ground)[: len(scattered)].mean() > 0.05


def test_every_line_and_light_stands_where_it_must(scene: Scene) -> None:
    layers: MapLayers = scene.map_layers()
    area = shapely.union_all([shape(p) for p in layers.drivable_area]).buffer(0.05)
    for group in (layers.crossings, layers.carparks, [line.area for line in layers.stop_lines]):
        for polygon in group:
            assert shape(polygon).difference(area).area < 0.05 * shape(polygon).area
    for segment in layers.segments:
        assert shape(segment.area).difference(area).area < 0.1 + 0.05 * scene.road.median * scene.road.length
    walkways = shapely.union_all([shape(p) for p in layers.walkways])
    assert walkways.intersection(area.buffer(-0.1)).area < 0.5
    for light in layers.lights:
        assert layers.segments[light.segment].is_intersection
        assert 4 < light.pose[2, 3] < 7
    for line in layers.stop_lines:
        assert line.kind in STOP_LINE_TYPES
        assert (line.kind == "TRAFFIC_LIGHT") == bool(line.lights)
    assert len(layers.crossings) == len(layers.crossing_segments)
    assert len(layers.lane_dividers) == len(layers.lane_divider_types)
    for polygon in (*layers.drivable_area, *layers.walkways, *layers.crossings):
        assert shapely.LinearRing(polygon.exterior).is_ccw
        assert not any(shapely.LinearRing(hole).is_ccw for hole in polygon.holes)


def test_lanes_lead_into_one_another(scene: Scene) -> None:
    layers = scene.map_layers()
    area = shapely.union_all([shape(p) for p in layers.drivable_area])
    assert any(lane.connector for lane in layers.lanes)
    for lane in layers.lanes:
        line = lane.centerline
        step = np.diff(line[:, :2], axis=0)
        assert np.hypot(*step.T).max() <= 1.0
        heading = np.arctan2(step[:, 1], step[:, 0])
        middle = line[:-1, 2] + ((line[1:, 2] - line[:-1, 2] + np.pi) % (2 * np.pi) - np.pi) / 2
        assert np.abs((heading - middle + np.pi) % (2 * np.pi) - np.pi).max() < 0.25
        assert {lane.left, lane.right} <= set(SEGMENT_TYPES)
        assert (lane.area is None) == lane.connector
        assert layers.segments[lane.segment].is_intersection == lane.connector
        if lane.area is not None:
            ring = shape(lane.area).buffer(0.05)
            assert shapely.contains_xy(ring, *line[1:-1, :2].T).all()
        else:
            assert shapely.contains_xy(area, *line[:, :2].T).mean() > 0.9
            assert len(lane.successors) == 1
        for following in lane.successors:
            begin = layers.lanes[following].centerline[0]
            assert begin[:2] == pytest.approx(line[-1, :2], abs=0.3)
            assert np.cos(begin[2] - line[-1, 2]) > 0.95

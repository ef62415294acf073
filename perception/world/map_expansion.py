"""Layers of a map as records of the nuScenes map expansion, version 1.3.

Paper: nuScenes: A multimodal dataset for autonomous driving - arXiv 1903.11027; the format is that of the official
``NuScenesMap`` reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perception.world.map_expansion_arcs import arcline_path
from perception.world.map_expansion_lanes import block_ring, lane_area, lane_outline, side_by_side
from perception.world.map_layers import Lane, MapLayers, Polygon
from perception.world.tables import token

MAP_VERSION = "1.3"
LISTS = (
    "polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "lane_connector", "ped_crossing",
    "walkway", "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light",
)  # fmt: skip
DICTIONARIES = ("arcline_path_3", "connectivity")

Records = dict[str, Any]


def expansion_records(layers: MapLayers, name: str) -> Records:
    """Records of one place by layer, with tokens that begin from its name; ``connectivity`` and ``arcline_path_3``
    are dictionaries by lane token, as the format has them."""
    return _Records(name).build(layers)


def shifted(records: Records, offset_m: tuple[int, int]) -> Records:
    """The records of a place that lies elsewhere."""
    east, north = offset_m
    moved = dict(records)
    moved["node"] = [{**node, "x": node["x"] + east, "y": node["y"] + north} for node in records.get("node", [])]
    moved["traffic_light"] = [
        {**light, "pose": {**light["pose"], "tx": light["pose"]["tx"] + east, "ty": light["pose"]["ty"] + north}}
        for light in records.get("traffic_light", [])
    ]
    moved["arcline_path_3"] = {
        lane: [
            {**path, **{end: [path[end][0] + east, path[end][1] + north, path[end][2]] for end in _ENDS}}
            for path in paths
        ]
        for lane, paths in records.get("arcline_path_3", {}).items()
    }
    return moved


_ENDS = ("start_pose", "end_pose")


def expansion_file(canvas_m: tuple[float, float], places: Sequence[Records]) -> Records:
    """Content of a location's file: the records of its places together."""
    content: Records = {"version": MAP_VERSION, "canvas_edge": list(canvas_m)}
    for layer in LISTS:
        content[layer] = [row for place in places for row in place.get(layer, [])]
    for layer in DICTIONARIES:
        content[layer] = {key: value for place in places for key, value in place.get(layer, {}).items()}
    return content


class _Records:
    """Builds the records; corners that coincide share a node, so that neighbours can be found."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: Records = {layer: [] for layer in LISTS} | {layer: {} for layer in DICTIONARIES}
        self._nodes: dict[tuple[int, int], str] = {}

    def build(self, layers: MapLayers) -> Records:
        drivable = self._add("drivable_area", polygon_tokens=[self._polygon(area) for area in layers.drivable_area])
        segments = [
            self._add(
                "road_segment", polygon_token=self._polygon(segment.area), is_intersection=segment.is_intersection,
                drivable_area_token=drivable,
            )
            for segment in layers.segments
        ]  # fmt: skip
        self._lanes(layers)
        blocks = self._blocks(layers, segments)
        crossings = [
            self._add(
                "ped_crossing",
                polygon_token=self._polygon(area),
                road_segment_token=segments[layers.crossing_segments[k]] if k < len(layers.crossing_segments) else "",
            )
            for k, area in enumerate(layers.crossings)
        ]
        for area in layers.walkways:
            self._add("walkway", polygon_token=self._polygon(area))
        for area in layers.carparks:
            self._add(
                "carpark_area", polygon_token=self._polygon(area), orientation=_orientation(area), road_block_token=""
            )
        for line in layers.road_dividers:
            self._add("road_divider", line_token=self._line(line), road_segment_token="")
        types = layers.lane_divider_types or ("NIL",) * len(layers.lane_dividers)
        for line, kind in zip(layers.lane_dividers, types, strict=True):
            self._add("lane_divider", line_token=self._line(line), lane_divider_segments=self._segments(line, kind))
        lights = self._lights(layers)
        for stop in layers.stop_lines:
            self._add(
                "stop_line", polygon_token=self._polygon(stop.area), stop_line_type=stop.kind,
                ped_crossing_tokens=[crossings[k] for k in stop.crossings],
                traffic_light_tokens=[lights[k] for k in stop.lights],
                road_block_token=blocks.get(stop.segment, ""),
            )  # fmt: skip
        return self.records

    def _add(self, layer: str, **record: Any) -> str:
        identity = token(self.name, layer, len(self.records[layer]))
        self.records[layer].append({"token": identity, **record})
        return identity

    def _node(self, point: np.ndarray) -> str:
        x, y = float(point[0]), float(point[1])
        key = (round(x * 1000), round(y * 1000))
        if key not in self._nodes:
            self._nodes[key] = self._add("node", x=x, y=y)
        return self._nodes[key]

    def _ring(self, points: np.ndarray) -> list[str]:
        nodes = [self._node(point) for point in points]
        return [node for k, node in enumerate(nodes) if node != nodes[k - 1]]

    def _polygon(self, area: Polygon) -> str:
        return self._add(
            "polygon",
            exterior_node_tokens=self._ring(area.exterior),
            holes=[{"node_tokens": self._ring(hole)} for hole in area.holes],
        )

    def _line(self, points: np.ndarray) -> str:
        return self._add("line", node_tokens=[self._node(point) for point in points])

    def _segments(self, line: np.ndarray, kind: str) -> list[Records]:
        return [{"node_token": self._node(point), "segment_type": kind} for point in line]

    def _lanes(self, layers: MapLayers) -> None:
        tokens = []
        for lane in layers.lanes:
            polygon = self._polygon(lane_area(lane))
            if lane.connector:
                tokens.append(self._add("lane_connector", polygon_token=polygon))
            else:
                outline = lane_outline(lane)
                tokens.append(
                    self._add(
                        "lane", polygon_token=polygon, lane_type="CAR",
                        from_edge_line_token=self._line(outline.entry), to_edge_line_token=self._line(outline.exit),
                        left_lane_divider_segments=self._segments(outline.left, lane.left),
                        right_lane_divider_segments=self._segments(outline.right, lane.right),
                    )
                )  # fmt: skip
        connectivity: dict[str, dict[str, list[str]]] = {
            identity: {"incoming": [], "outgoing": []} for identity in tokens
        }
        for identity, lane in zip(tokens, layers.lanes, strict=True):
            self.records["arcline_path_3"][identity] = arcline_path(lane.centerline)
            for successor in lane.successors:
                connectivity[identity]["outgoing"].append(tokens[successor])
                connectivity[tokens[successor]]["incoming"].append(identity)
        self.records["connectivity"] = connectivity

    def _blocks(self, layers: MapLayers, segments: Sequence[str]) -> dict[int, str]:
        """Road blocks: the lanes of a segment that lead the same way; a token for each segment that has one."""
        by_segment: dict[int, list[Lane]] = {}
        for lane in layers.lanes:
            if not lane.connector:
                by_segment.setdefault(lane.segment, []).append(lane)
        blocks: dict[int, str] = {}
        for segment, lanes in sorted(by_segment.items()):
            for group in side_by_side(lanes):
                ring, entry, leave = block_ring([lane_outline(lanes[index]) for index in group])
                block = self._add(
                    "road_block", polygon_token=self._polygon(Polygon(ring)), from_edge_line_token=self._line(entry),
                    to_edge_line_token=self._line(leave), road_segment_token=segments[segment],
                )  # fmt: skip
                blocks.setdefault(segment, block)
        return blocks

    def _lights(self, layers: MapLayers) -> list[str]:
        tokens = []
        for light in layers.lights:
            x, y, z = light.pose[:3, 3]
            yaw = float(np.arctan2(light.pose[1, 0], light.pose[0, 0]))
            aside = np.array([-np.sin(yaw), np.cos(yaw)]) * 0.3
            tokens.append(
                self._add(
                    "traffic_light",
                    line_token=self._line(np.stack([[x, y] - aside, [x, y] + aside])),
                    traffic_light_type="HORIZONTAL" if light.horizontal else "VERTICAL",
                    from_road_block_token="",
                    items=_lamps(light.horizontal),
                    pose={"tx": float(x), "ty": float(y), "tz": float(z), "rx": 0.0, "ry": 0.0, "rz": yaw},
                )
            )
        return tokens


def _lamps(horizontal: bool) -> list[Records]:
    """The three lamps of a signal head, a third of a metre apart."""
    lamps = []
    for k, color in enumerate(("RED", "YELLOW", "GREEN")):
        step = (1 - k) * 0.3
        aside, up = (step, 0.0) if horizontal else (0.0, step)
        place = {"tx": 0.0, "ty": aside, "tz": up, "rx": 0.0, "ry": 0.0, "rz": 0.0}
        lamps.append({"color": color, "shape": "CIRCLE", "rel_pos": place, "to_road_block_tokens": []})
    return lamps


def _orientation(area: Polygon) -> float:
    """Direction of the longest edge in radians, 0 to pi."""
    edges = np.roll(area.exterior, -1, axis=0) - area.exterior
    longest = edges[np.linalg.norm(edges, axis=1).argmax()]
    return float(np.arctan2(longest[1], longest[0]) % np.pi)

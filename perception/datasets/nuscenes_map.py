"""Areas and lines of the nuScenes map expansion, ``maps/expansion/<location>.json``.

The JSON is read directly. The devkit's ``NuScenesMap`` takes only its four locations, sets matplotlib's style when it
is imported, and keeps every node as a dictionary; a test compares what is read here with its shapes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import inside
from perception.geometry.polygons import oriented

AREAS = ("drivable_area", "carpark_area", "ped_crossing", "walkway")
LINES = ("lane_divider", "road_divider")


@dataclass(frozen=True)
class Layer:
    """Shapes of one layer.

    Shape:
        - shapes: each a tuple of ``(N, 2)`` float64 rings in metres in the map's frame, exteriors counter-clockwise
          and holes clockwise, or of one line ``(K, 2)``.
        - bounds: ``(S, 4)`` x and y from, x and y to, of each shape.
    """

    shapes: tuple[tuple[np.ndarray, ...], ...]
    bounds: np.ndarray

    @classmethod
    def of(cls, shapes: Sequence[tuple[np.ndarray, ...]]) -> Layer:
        bounds = [np.concatenate([s[0].min(axis=0), s[0].max(axis=0)]) for s in shapes]
        return cls(tuple(shapes), np.array(bounds, dtype=np.float64).reshape(-1, 4))

    def near(self, xy: np.ndarray, radius_m: float) -> list[np.ndarray]:
        """Rings or lines of the shapes whose bounds come within a distance of a point."""
        low, high = self.bounds[:, :2], self.bounds[:, 2:]
        apart = np.maximum(np.maximum(low - xy, xy - high), 0.0)
        close = np.flatnonzero(np.hypot(apart[:, 0], apart[:, 1]) <= radius_m)
        return [ring for i in close for ring in self.shapes[i]]


def expansion_path(root: Path, location: str) -> Path:
    """Where the expansion of a location lies, whether or not it is there."""
    return inside(root, f"maps/expansion/{location}.json")


def read_expansion(path: Path) -> dict[str, Layer]:
    """The layers :data:`AREAS` and :data:`LINES` of an expansion file.

    Raises:
        InputError: for a file that is missing, is not JSON, lacks a layer, or names a node that it does not have.
    """
    if not path.is_file():
        raise InputError(
            f"map expansion {path} does not exist; unpack nuScenes-map-expansion into the data folder, or set "
            "drivable_from and lane_from to semantic"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _layers(content)
    except KeyError as error:
        raise InputError(f"map expansion {path} has no {error.args[0]!r} where one is referred to") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"map expansion {path} is not of the nuScenes form: {error}") from error


def _layers(content: dict[str, Any]) -> dict[str, Layer]:
    node = {row["token"]: (float(row["x"]), float(row["y"])) for row in content["node"]}
    polygon = {row["token"]: row for row in content["polygon"]}
    line = {row["token"]: row["node_tokens"] for row in content["line"]}

    def points(tokens: Sequence[str]) -> np.ndarray:
        values = np.array([node[token] for token in tokens], dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(values).all():
            raise ValueError("a node is not finite")
        return values

    def area(token: str) -> tuple[np.ndarray, ...]:
        row = polygon[token]
        rings = [points(row["exterior_node_tokens"])]
        rings += [points(hole["node_tokens"]) for hole in row["holes"]]
        if len(rings[0]) < 3:
            return ()
        rings = [ring for ring in rings if len(ring) >= 3]  # the published maps hold empty holes
        return tuple(oriented(ring, i == 0) for i, ring in enumerate(rings))

    layers = {}
    for name in AREAS:
        tokens = [t for row in content[name] for t in row.get("polygon_tokens", [row.get("polygon_token")])]
        layers[name] = Layer.of([rings for rings in map(area, tokens) if rings])
    for name in LINES:
        lines = [points(line[row["line_token"]]) for row in content[name]]
        layers[name] = Layer.of([(values,) for values in lines if len(values) >= 2])
    return layers

"""Drivable area, lane dividers and crossings of the map as masks of a camera image.

The map is flat and knows nothing of traffic: its shapes are laid on the ground around the vehicle, projected, and taken
away where boxes, LiDAR or depth say that something stands before the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_boxes import boxes_at
from perception.datasets.nuscenes_lidar import LIDAR, sweep_in_ego
from perception.datasets.nuscenes_map import Layer, expansion_path, read_expansion
from perception.datasets.nuscenes_solids import collect_solids
from perception.datasets.nuscenes_sync import TOLERANCE_US, Timelines
from perception.datasets.nuscenes_tables import Frame, global_from_ego
from perception.errors import InputError
from perception.geometry.frames import apply, inverse
from perception.geometry.occlusion import box_depth, margin, surface_depth
from perception.geometry.polygons import fill, project_rings, ribbon, subdivide, view_bounds
from perception.geometry.terrain import GroundHeights, fit_ground, ground_depth
from perception.types import IGNORE_INDEX, Camera

OCCLUDERS = ("boxes", "lidar", "depth")
GROUNDS = ("plane", "lidar")
TARGETS = ("drivable", "lane", "crossing", "walkway")
LIFT_STEP_M = 2.0
COARSE_FROM_PX = 600


@dataclass(frozen=True)
class MapOptions:
    """How the map is laid over an image.

    Args:
        range_m: ground further away than this along the optical axis is ignored: half a degree of pitch that the
            pose does not know moves it by half the range there.
        lane_width_m: width at which dividers are drawn.
        carparks: whether the ``carpark_area`` layer counts as drivable.
        occlusion: what hides the ground: ``boxes`` (3D annotations), ``lidar``, ``depth`` (depth images, where there
            are any).
        ground: ``plane`` below the ego, or ``lidar``: heights measured around it.
        tolerance_us: LiDAR further from the image in time is not used.
    """

    range_m: float = 80.0
    lane_width_m: float = 0.15
    carparks: bool = True
    occlusion: Sequence[str] = ("boxes", "lidar")
    ground: str = "plane"
    tolerance_us: int = TOLERANCE_US

    def __post_init__(self) -> None:
        for name, value in (("range_m", self.range_m), ("lane_width_m", self.lane_width_m)):
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number of metres, got {value}")
        unknown = [name for name in self.occlusion if name not in OCCLUDERS]
        if unknown:
            raise InputError(f"unknown occluder {unknown[0]!r}; use some of {', '.join(OCCLUDERS)}")
        if self.ground not in GROUNDS:
            raise InputError(f"unknown ground {self.ground!r}; use one of {', '.join(GROUNDS)}")


def map_masks(
    layers: dict[str, Layer],
    camera: Camera,
    pose: np.ndarray,
    options: MapOptions,
    surfaces: np.ndarray | None = None,
    heights: GroundHeights | None = None,
    targets: Sequence[str] = TARGETS,
) -> dict[str, np.ndarray]:
    """Lay a map over an image.

    Args:
        pose: ``(4, 4)`` global from ego at the image's instant.
        surfaces: ``(H, W)`` depth in metres of what may hide the ground, infinite where there is nothing.
        heights: of the ground, for ``ground: lidar``.
        targets: some of :data:`TARGETS`.

    Returns:
        ``(H, W)`` uint8 for each target: 1 on ground of the kind that the camera sees, 0 elsewhere, 255 beyond the
        range.
    """
    depth = ground_depth(camera, heights)
    ground = np.isfinite(depth)
    far = ground & (depth > options.range_m)
    hidden = np.zeros(camera.size, bool)
    if surfaces is not None:
        hidden = surfaces < np.where(ground, depth - margin(np.where(ground, depth, 0.0)), -np.inf)
        far &= ~hidden
    camera_from_ego = inverse(camera.ego_from_camera)
    center = pose[:2, 3]

    def project_ground(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
        placed = []
        for ring in rings:
            if heights is not None:
                ring = subdivide(ring, LIFT_STEP_M)
            ego = on_ego_plane(ring, pose)
            if heights is not None:
                ego[:, 2] = heights.at(ego[:, :2])
            placed.append(apply(camera_from_ego, ego))
        return project_rings(camera, placed)

    def mask(rings: Sequence[np.ndarray]) -> np.ndarray:
        inside = fill(project_ground(rings), camera.size) & ground & ~hidden
        labels = inside.astype(np.uint8)
        labels[far] = IGNORE_INDEX
        return labels

    slope = np.abs(view_bounds(camera)).max(axis=0)[0]
    reach = options.range_m * np.hypot(1.0, slope) + 10.0  # ground at the picture's sides lies further from the ego
    near = {name: layer.near(center, reach) for name, layer in layers.items()}
    rings = {
        "drivable": near["drivable_area"] + (near["carpark_area"] if options.carparks else []),
        "lane": [
            quad
            for name in ("lane_divider", "road_divider")
            for line in near[name]
            for quad in ribbon(line, options.lane_width_m)
            if np.abs(quad - center).min() <= reach
        ],
        "crossing": near["ped_crossing"],
        "walkway": near["walkway"],
    }
    return {name: mask(rings[name]) for name in targets}


def on_ego_plane(xy: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """``(N, 3)`` ego coordinates of the points of the vehicle's ground plane that lie above or below ``(N, 2)`` map
    points: z is 0. A vehicle on a slope thus has the map on the slope."""
    normal, origin = pose[:3, 2], pose[:3, 3]
    z = origin[2] - (xy - origin[:2]) @ normal[:2] / normal[2]
    ego = apply(inverse(pose), np.concatenate([xy, z[:, None]], axis=1))
    ego[:, 2] = 0.0
    return ego


class MapLabeller:
    """Masks of the frames of a data set; maps are read once and kept.

    Args:
        root: of the data set; ``tables``: the devkit's ``NuScenes``; ``scenes``: names of those that are read.
        options: see :class:`MapOptions`.
    """

    def __init__(self, root: Path, tables: Any, scenes: Sequence[str], options: MapOptions) -> None:
        self.root, self.tables, self.options = root, tables, options
        self.location = {
            scene["name"]: tables.get("log", scene["log_token"])["location"]
            for scene in tables.scene
            if scene["name"] in set(scenes)
        }
        self._maps: dict[str, dict[str, Layer]] = {}
        lidar = "lidar" in options.occlusion or options.ground == "lidar"
        self._lidar = Timelines(tables, scenes, (LIDAR,)) if lidar else None

    def missing(self) -> list[str]:
        """Expansion files that the scenes need and that are not there."""
        paths = [expansion_path(self.root, location) for location in sorted(set(self.location.values()))]
        return [str(path) for path in paths if not path.is_file()]

    def layers(self, scene: str) -> dict[str, Layer]:
        """The map of a scene's location.

        Raises:
            InputError: for a map that is missing or broken.
        """
        location = self.location[scene]
        if location not in self._maps:
            self._maps[location] = read_expansion(expansion_path(self.root, location))
        return self._maps[location]

    def masks(
        self,
        frame: Frame,
        camera: Camera,
        depth_m: np.ndarray | None = None,
        targets: Sequence[str] = TARGETS,
    ) -> dict[str, np.ndarray]:
        """The masks of one image, as :func:`map_masks` gives them.

        Args:
            depth_m: ``(H, W)`` depth image, 0 where unknown; used if ``depth`` is among the occluders.
        """
        options, pose = self.options, global_from_ego(self.tables, frame.token)
        # Silhouettes at half the size are half a pixel off, and four times as quick.
        coarse = 2 if min(camera.size) >= COARSE_FROM_PX and not (camera.size[0] % 2 or camera.size[1] % 2) else 1
        view = camera.resized((camera.size[0] // coarse, camera.size[1] // coarse))
        surfaces = np.full(view.size, np.inf)
        heights = None
        points = self._points(frame)
        if options.ground == "lidar" and points is not None:
            heights = fit_ground(points)
        lidar = points if "lidar" in options.occlusion else None
        floor: np.ndarray | float = 0.0
        if "boxes" in options.occlusion:
            found = collect_solids(boxes_at(self.tables, frame.token), inverse(pose), lidar)
            camera_from_ego = inverse(camera.ego_from_camera)
            surfaces = box_depth(view, [apply(camera_from_ego, part) for part in found.parts])
            floor = found.floor_m
        if lidar is not None:
            below = 0.0 if heights is None else heights.at(lidar[:, :2])
            surfaces = np.minimum(surfaces, surface_depth(view, lidar, below, floor))
        surfaces = surfaces.repeat(coarse, axis=0).repeat(coarse, axis=1)
        if "depth" in options.occlusion and depth_m is not None:
            surfaces = np.minimum(surfaces, np.where(depth_m > 0, depth_m, np.inf))
        return map_masks(self.layers(frame.scene), camera, pose, options, surfaces, heights, targets)

    def _points(self, frame: Frame) -> np.ndarray | None:
        """``(N, 3)`` points of the nearest turn in the ego frame of the image; ``None`` beyond the tolerance."""
        if self._lidar is None:
            return None
        token = self._lidar.find(frame.scene, LIDAR, frame.timestamp_us, self.options.tolerance_us)
        if token is None:
            return None
        points = sweep_in_ego(self.root, self.tables, token, frame.token)[:, :3]
        return points[np.isfinite(points).all(axis=1)]

"""The procedural driving world: scenes, sensors, and a data set writer; the embedded default of the library."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perception.world.camera import CameraFrame, front_camera, render_camera
    from perception.world.lidar import LidarScan, scan_lidar
    from perception.world.scene import Scene, build_scene
    from perception.world.writer import write_dataset

__all__ = [
    "CameraFrame", "LidarScan", "Scene", "build_scene", "front_camera", "render_camera", "scan_lidar", "write_dataset",
]  # fmt: skip

_HOME = {
    "CameraFrame": "camera", "front_camera": "camera", "render_camera": "camera", "LidarScan": "lidar",
    "scan_lidar": "lidar", "Scene": "scene", "build_scene": "scene", "write_dataset": "writer",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"perception.world.{_HOME[name]}"), name)

"""A window to look around in a point cloud, by Open3D."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.geometry.boxes import EDGES, box_corners
from perception.viz.pointcloud import VEHICLE_HEIGHT_M
from perception.viz.pointcloud_view import BACKGROUND, COLORINGS, VEHICLE_M, PointView, box_rgb, color_by
from perception.viz.topdown import VEHICLE
from perception.world.raycast import open3d

KEYS = {
    "1-6": f"colours: {', '.join(COLORINGS)}",
    "B": "boxes on and off",
    "T": "look from above",
    "R": "look as at the start",
    "+ -": "larger and smaller points",
    "Q": "close",
}
START = {"front": (-0.8, 0.0, 0.5), "up": (0.0, 0.0, 1.0), "zoom": 0.12}
ABOVE = {"front": (0.0, 0.0, 1.0), "up": (1.0, 0.0, 0.0), "zoom": 0.25}


def usable_colors(view: PointView) -> list[str]:
    """The colourings that the view has the labels for."""
    lacking = {
        "class": view.labels is None,
        "prediction": view.predictions is None,
        "error": view.labels is None or view.predictions is None,
    }
    return [color for color in COLORINGS if not lacking.get(color, False)]


def open_viewer(view: PointView, color: str) -> None:
    """Show a cloud in a window until it is closed; :data:`KEYS` says what the keys do.

    Args:
        color: key of :data:`perception.viz.pointcloud_view.COLORINGS` at the start.

    Raises:
        InputError: where there is no display to open a window on.
        MissingExtra: where Open3D or a system library of it is missing.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError("the viewer needs a display, and DISPLAY is not set; write a picture instead (--view behind)")
    o3d = open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(view.points.astype(np.float64)))
    wires = _wires(o3d, view)
    window = o3d.visualization.VisualizerWithKeyCallback()
    if not window.create_window(f"{view.name} · {len(view.points):,} points", 1280, 800):
        raise InputError("Open3D could not open a window: the display has no OpenGL; write a picture instead")
    shown = True

    def paint(name: str) -> bool:
        cloud.colors = o3d.utility.Vector3dVector(color_by(view, name).colors / 255.0)
        window.update_geometry(cloud)
        return True

    def toggle_boxes() -> bool:
        nonlocal shown
        shown = not shown
        (window.add_geometry if shown else window.remove_geometry)(wires, False)
        return True

    def look(way: dict[str, Any]) -> bool:
        control = window.get_view_control()
        control.set_lookat((0.0, 0.0, 0.0))
        control.set_front(way["front"])
        control.set_up(way["up"])
        control.set_zoom(way["zoom"])
        return True

    try:
        cloud.colors = o3d.utility.Vector3dVector(color_by(view, color).colors / 255.0)
        window.add_geometry(cloud)
        window.add_geometry(wires)
        options = window.get_render_option()
        options.background_color = np.array(BACKGROUND) / 255.0
        options.point_size = 2.5
        usable = usable_colors(view)
        for number, name in enumerate(COLORINGS, start=1):
            if name in usable:
                window.register_key_callback(ord(str(number)), lambda _, name=name: paint(name))
        window.register_key_callback(ord("B"), lambda _: toggle_boxes())
        window.register_key_callback(ord("T"), lambda _: look(ABOVE))
        window.register_key_callback(ord("R"), lambda _: look(START))
        look(START)
        window.run()
    finally:
        window.destroy_window()


def _wires(o3d: Any, view: PointView) -> Any:
    """All boxes and the own vehicle as one set of lines."""
    middle = np.array([view.middle_m, 0.0, VEHICLE_HEIGHT_M / 2])
    solids = [(box.corners, box_rgb(box, view.label_set)) for box in view.boxes]
    solids.append((box_corners(middle, np.array([*VEHICLE_M, VEHICLE_HEIGHT_M]), 0.0), VEHICLE))
    corners = np.concatenate([corners for corners, _ in solids])
    edges = np.concatenate([EDGES + 8 * index for index in range(len(solids))])
    wires = o3d.geometry.LineSet(o3d.utility.Vector3dVector(corners), o3d.utility.Vector2iVector(edges))
    colors = np.repeat(np.array([color for _, color in solids]) / 255.0, len(EDGES), axis=0)
    wires.colors = o3d.utility.Vector3dVector(colors)
    return wires

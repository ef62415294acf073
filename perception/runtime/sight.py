"""How far ahead a plan sees: camera geometry, with the lens's distortion, in place of a bare focal length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.runtime.plan import SCALES, Fovea, Plan, Window, check_zoom, fovea_plan, ladder
from perception.runtime.stopping import StoppingModel
from perception.types import Camera

DEFAULT_FOCAL = 1266 / 1600
"""Focal length per picture width that is assumed where a source has no calibration: a 65 degree lens."""
DEFAULT_HEIGHT_M = 1.5
TALL_M = 4.0
"""Height of the corridor that a fovea takes in: a lorry."""
FOVEA_PLANS = 2


def assumed_camera(size: tuple[int, int], focal_px: float | None = None) -> Camera:
    """A level pinhole camera looking ahead, for sources without calibration."""
    focal = DEFAULT_FOCAL * size[1] if focal_px is None else focal_px
    if not 0 < focal < math.inf:
        raise InputError(f"focal_px {focal:g} is not a positive number of pixels")
    intrinsics = np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1.0]])
    pose = np.array([[0, 0, 1.0, 1.5], [-1, 0, 0, 0], [0, -1, 0, DEFAULT_HEIGHT_M], [0, 0, 0, 1]])
    return Camera(intrinsics, size, pose)


def looks_ahead(camera: Camera) -> bool:
    """Whether the direction straight ahead of the vehicle lies in the picture."""
    try:
        vanishing_point(camera)
    except InputError:
        return False
    return True


def turned_ahead(camera: Camera) -> Camera:
    """The same lens at the same height, level and looking ahead.

    What a camera that looks to the side sees at a distance along its own axis is what this one sees ahead.
    """
    level = assumed_camera(camera.size).ego_from_camera.copy()
    level[2, 3] = camera.ego_from_camera[2, 3]
    return replace(camera, ego_from_camera=level)


def pixels_ahead(camera: Camera, range_m: float, height_m: float) -> float:
    """Height in pixels of something upright on the road straight ahead.

    Args:
        range_m: from the camera along the road.
        height_m: its height above the road.
    """
    ahead = camera.ego_from_camera[0, 3] + range_m
    side = camera.ego_from_camera[1, 3]
    points = apply(inverse(camera.ego_from_camera), np.array([[ahead, side, 0.0], [ahead, side, height_m]]))
    pixels, _ = project(camera, points)
    tall = float(np.linalg.norm(pixels[1] - pixels[0]))
    return tall if math.isfinite(tall) else 0.0


def vanishing_point(camera: Camera) -> tuple[float, float]:
    """Pixel (x, y) where the direction straight ahead of the vehicle lies.

    Raises:
        InputError: if the camera does not look ahead.
    """
    direction = inverse(camera.ego_from_camera)[:3, 0]
    pixels, depth = project(camera, direction[None])
    height, width = camera.size
    x, y = pixels[0]
    if depth[0] <= 0 or not (0 <= x < width and 0 <= y < height):
        raise InputError("the camera does not see the road's vanishing point; a fovea needs a camera that looks ahead")
    return float(x), float(y)


def _corridor(camera: Camera, range_m: float, stopping: StoppingModel) -> np.ndarray:
    """``(4, 2)`` pixels of the corridor's cross-section at a range from the camera."""
    ahead, half = camera.ego_from_camera[0, 3] + range_m, stopping.corridor_half_width_m
    corners = np.array([[ahead, side, up] for side in (half, -half) for up in (0.0, TALL_M)])
    return project(camera, apply(inverse(camera.ego_from_camera), corners))[0]


def make_fovea(
    camera: Camera, size: tuple[int, int], stopping: StoppingModel, multiple: int = 32, zoom: float = 1.0
) -> Fovea:
    """The smallest window that continues where the whole picture, resized to ``size``, stops seeing far enough.

    It holds the corridor's cross-section from that range to the vanishing point. Sides are multiples of
    ``multiple``, or the picture's own side where it is smaller than that.

    Raises:
        InputError: if the camera does not look ahead.
    """
    near_m = _range(camera, _scale(size, camera.size), stopping)
    points = np.vstack([_corridor(camera, near_m, stopping), vanishing_point(camera)])
    low, high = points.min(axis=0), points.max(axis=0)
    if not np.isfinite(points).all():
        raise InputError("the corridor ahead leaves the camera's view; a fovea needs a camera that looks ahead")
    sides = []
    for axis, limit in ((1, camera.size[0]), (0, camera.size[1])):
        length = min(limit, multiple * math.ceil((high[axis] - low[axis]) / multiple))
        start = round((low[axis] + high[axis] - length) / 2)
        sides.append((min(max(start, 0), limit - length), length))
    (top, height), (left, width) = sides
    return Fovea(Window(top, left, height, width), camera.size, zoom)


def seen_range_m(plan: Plan, camera: Camera, stopping: StoppingModel) -> float:
    """Distance from the camera up to which the lowest hazard fills ``min_height_px`` of the network's input.

    A fovea counts where it takes over without a gap: its window must hold the corridor from the range at
    which the resized picture stops. Enlarging it shows no more detail, so the camera's own pixels count there.

    Args:
        camera: of the pictures that the loop receives.
    """
    whole_m = _range(camera, _scale(plan.size, camera.size), stopping)
    if plan.fovea is None:
        return whole_m
    if plan.fovea.native != camera.size:
        raise InputError(f"plan {plan.name} cuts its fovea from {plan.fovea.native}, the camera gives {camera.size}")
    window = plan.fovea.window
    points = np.vstack([_corridor(camera, whole_m, stopping), vanishing_point(camera)])
    slack = 1.0  # half a pixel each way of rounding
    inside = (points[:, 0] >= window.left - slack) & (points[:, 0] <= window.left + window.width + slack)
    inside &= (points[:, 1] >= window.top - slack) & (points[:, 1] <= window.top + window.height + slack)
    return _range(camera, 1.0, stopping) if inside.all() else whole_m


def _scale(size: tuple[int, int], native: tuple[int, int]) -> float:
    return min(size[0] / native[0], size[1] / native[1])


def _range(camera: Camera, scale: float, stopping: StoppingModel) -> float:
    """Fixed point of ``R = scale f(R) H / h_min``, f being the lens's own magnification at that range."""
    height_m, floor_px = stopping.hazard_height_m, stopping.min_height_px
    range_m = 50.0
    for _ in range(12):
        range_m = max(scale * pixels_ahead(camera, range_m, height_m) * range_m / floor_px, 0.5)
    return range_m


def build_plans(
    native: tuple[int, int],
    scales: Sequence[float] = SCALES,
    fovea: bool = True,
    camera: Camera | None = None,
    stopping: StoppingModel | None = None,
    fovea_zoom: float = 1.0,
) -> tuple[Plan, ...]:
    """The plans to prepare for a camera: a ladder of sizes and, of the plans with a fovea, the cheapest ones.

    Every plan with a fovea sees as far as the full picture, so those that read the fewest pixels are taken.

    >>> [plan.name for plan in build_plans((900, 1600), (0.25, 0.4, 1.0))]
    ['224x400', '360x640', '900x1600', '224x400+192x384', '360x640+128x256']

    Args:
        native: ``(height, width)`` of the camera's pictures.
        scales: shares of it.
        camera: its calibration; a level camera that looks ahead by default.
        fovea_zoom: of the windows, see :class:`perception.runtime.plan.Fovea`.

    Raises:
        InputError: for bad scales or a bad zoom, a camera of another size, or one that does not look ahead.
    """
    uniform = ladder(native, scales)
    if not fovea:
        return uniform
    check_zoom(fovea_zoom)
    camera = camera or assumed_camera(native)
    if camera.size != native:
        raise InputError(f"the camera's size {camera.size} is not that of the pictures, {native}")
    stopping = stopping or StoppingModel()
    sizes = [plan.size for plan in uniform if plan.size != native]
    foveas = (make_fovea(camera, size, stopping, zoom=fovea_zoom) for size in sizes)
    pairs = sorted(map(fovea_plan, sizes, foveas), key=lambda plan: plan.pixels)
    return (*uniform, *pairs[:FOVEA_PLANS])

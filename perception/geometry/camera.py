"""Camera projection: pinhole, Brown-Conrady and fisheye (Kannala-Brandt, the OpenCV fisheye form)."""

from __future__ import annotations

import numpy as np

from perception.types import Camera


def _distort(camera: Camera, xy: np.ndarray) -> np.ndarray:
    """Distort ``(N, 2)`` normalised image coordinates."""
    if camera.model == "pinhole":
        return xy
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    if camera.model == "brown_conrady":
        k1, k2, p1, p2, *rest = camera.distortion
        k3 = rest[0] if rest else 0.0
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=1,
        )
    r = np.sqrt(r2)
    theta = np.arctan(r)
    t2 = theta * theta
    k1, k2, k3, k4 = camera.distortion
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    return xy * np.where(r > 1e-9, bent / np.maximum(r, 1e-9), 1.0)[:, None]


def project(camera: Camera, points_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points of the camera frame.

    Args:
        points_camera: ``(N, 3)`` metres, x right, y down, z forward.

    Returns:
        ``(N, 2)`` float64 pixels (x, y) and ``(N,)`` depth in metres. Pixels of points that are not in
        front of the camera (depth <= 0) are NaN.
    """
    points_camera = np.asarray(points_camera, dtype=np.float64)
    depth = points_camera[:, 2]
    in_front = depth > 0
    xy = np.full((len(points_camera), 2), np.nan)
    xy[in_front] = points_camera[in_front, :2] / depth[in_front, None]
    pixels = _distort(camera, xy) @ camera.intrinsics[:2, :2].T + camera.intrinsics[:2, 2]
    return pixels, depth


def rays(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Directions in the camera frame, scaled so that z is 1, of ``(N, 2)`` pixels (x, y).

    Distortion is undone by Newton's method on the distortion function.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    target = (pixels - camera.intrinsics[:2, 2]) @ np.linalg.inv(camera.intrinsics[:2, :2]).T
    xy = target.copy()
    if camera.model != "pinhole":
        for _ in range(20):
            error = _distort(camera, xy) - target
            if np.abs(error).max(initial=0.0) < 1e-12:
                break
            step = 1e-6
            dx = (_distort(camera, xy + [step, 0.0]) - _distort(camera, xy - [step, 0.0])) / (2 * step)
            dy = (_distort(camera, xy + [0.0, step]) - _distort(camera, xy - [0.0, step])) / (2 * step)
            jacobian = np.stack([dx, dy], axis=2)  # (N, 2, 2)
            xy -= np.linalg.solve(jacobian, error[:, :, None])[:, :, 0]
    return np.concatenate([xy, np.ones((len(xy), 1))], axis=1)


def in_image(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: which pixels lie inside the image; NaN is outside."""
    height, width = camera.size
    with np.errstate(invalid="ignore"):
        return (pixels[:, 0] >= 0) & (pixels[:, 0] < width) & (pixels[:, 1] >= 0) & (pixels[:, 1] < height)

"""2D boxes of a nuScenes image from its 3D annotations."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from perception.datasets.nuscenes_tables import global_from_ego
from perception.geometry.boxes import box_corners, project_box
from perception.geometry.frames import apply, inverse
from perception.geometry.occlusion import unhidden_shares
from perception.taxonomy import NUSCENES_TO_DETECTION
from perception.types import Boxes, Camera


def projected_boxes(tables: Any, token: str, camera: Camera, classes: tuple[str, ...]) -> tuple[Boxes, list[str]]:
    """Project the annotations of an image's instant.

    Boxes stand where the objects were when the image was taken; see :func:`boxes_at`.

    Args:
        token: of a camera's ``sample_data`` record.
        camera: calibration of that camera.
        classes: box classes in label order; annotations of other classes are left out.

    Returns:
        The boxes, clipped to the image, and the annotation token of each. ``visibility`` is this camera's: the share
        of the box that is inside the image, times the share of that which no nearer box hides, or times the middle of
        the annotation's visibility level (a share over all six cameras) where that is lower. ``distance_m`` is
        measured along the ground from the ego origin to the object's centre.
    """
    ego_from_global = inverse(global_from_ego(tables, token))
    camera_from_global = inverse(camera.ego_from_camera) @ ego_from_global
    annotated = boxes_at(tables, token)
    all_corners = [apply(camera_from_global, corners_of(box)) for box in annotated]
    unhidden = unhidden_shares(camera, all_corners)  # what has no label hides others all the same
    xyxy, labels, visibility, distance, tokens = [], [], [], [], []
    for box, corners, share in zip(annotated, all_corners, unhidden, strict=True):
        name = NUSCENES_TO_DETECTION.get(box.name)
        if name not in classes:
            continue
        seen = project_box(camera, corners)
        if seen is None:
            continue
        xyxy.append(seen[0])
        labels.append(classes.index(name))
        visibility.append(seen[1] * min(share, visibility_share(tables, box.token)))
        distance.append(np.linalg.norm(apply(ego_from_global, box.center[None])[0, :2]))
        tokens.append(box.token)
    boxes = Boxes(
        np.array(xyxy).reshape(-1, 4), np.array(labels, np.int64), None, np.array(visibility), np.array(distance)
    )
    return boxes, tokens


def boxes_at(tables: Any, token: str) -> list[Any]:
    """The devkit's boxes, in the global frame, of an image's instant.

    Between keyframes the devkit interpolates each object's position and heading. The annotations of a keyframe are
    those of its LiDAR turn, which the cameras' shutters miss by up to 50 ms: a car that passes at 15 m/s is most of a
    metre away by then. Those of moving objects are moved on by their velocity, where neighbouring annotations give it.
    """
    boxes = tables.get_boxes(token)
    record = tables.get("sample_data", token)
    if not record["is_key_frame"]:
        return boxes
    seconds = (record["timestamp"] - tables.get("sample", record["sample_token"])["timestamp"]) * 1e-6
    if seconds:
        for box in boxes:
            velocity = tables.box_velocity(box.token)
            if np.isfinite(velocity).all():
                box.center = box.center + velocity * seconds
    return boxes


def corners_of(box: Any) -> np.ndarray:
    """``(8, 3)`` corners of a devkit box in its own frame, in the order of
    :func:`perception.geometry.boxes.box_corners`."""
    width, length, height = box.wlh
    return box_corners(box.center, np.array([length, width, height]), box.rotation_matrix)


def visibility_share(tables: Any, annotation: str) -> float:
    """Middle of an annotation's visibility level: ``v40-60`` is 0.5; 1 where the level is not given."""
    level = tables.get("sample_annotation", annotation)["visibility_token"]
    match = re.fullmatch(r"v(\d+)-(\d+)", tables.get("visibility", level)["level"]) if level else None
    return (int(match[1]) + int(match[2])) / 200 if match else 1.0

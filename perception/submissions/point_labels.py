"""Labels of LiDAR points from the semantic masks of cameras: a baseline for models that see images only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from perception.errors import InputError
from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.geometry.occlusion import in_sight, surface_depth
from perception.submissions.lidarseg import CHALLENGE_CLASSES
from perception.taxonomy import ROAD_SCENE, LabelSet
from perception.types import Camera, PointBatch

UNSEEN = 0
NEIGHBOURS = 5
REACH_M = 2.0
"""Points without a label take that of neighbours within this distance."""
GROUND_M = 0.3

SEMANTIC_TO_CHALLENGE = {
    "road": "driveable_surface",
    "lane_marking": "driveable_surface",
    "sidewalk": "sidewalk",
    "terrain": "terrain",
    "vegetation": "vegetation",
    "building": "manmade",
    "wall": "manmade",
    "fence": "manmade",
    "pole": "manmade",
    "traffic_light": "manmade",
    "traffic_sign": "manmade",
    "person": "pedestrian",
    "rider": "motorcycle",
    "car": "car",
    "truck": "truck",
    "bus": "bus",
    "train": "bus",
    "motorcycle": "motorcycle",
    "bicycle": "bicycle",
}
"""Class of :data:`perception.taxonomy.ROAD_SCENE` to that of the challenge. The sky has no points. Barriers, cones,
trailers, construction vehicles and other flat ground are no classes of the masks and are never predicted."""


def challenge_table(label_set: LabelSet = ROAD_SCENE) -> np.ndarray:
    """``(256,)`` uint8 from a semantic class to a label of the challenge, 0 for what has none.

    Raises:
        InputError: for a label set that shares no class with the challenge.
    """
    table = np.full(256, UNSEEN, np.uint8)
    for index, name in enumerate(label_set.classes):
        if name in SEMANTIC_TO_CHALLENGE:
            table[index] = CHALLENGE_CLASSES.index(SEMANTIC_TO_CHALLENGE[name])
    if not table.any():
        raise InputError(f"label set {label_set.name} has no class of the LiDAR challenge; use {ROAD_SCENE.name}")
    return table


def labels_in_view(camera: Camera, points_ego: np.ndarray, challenge: np.ndarray) -> np.ndarray:
    """``(N,)`` uint8 labels of the points that a camera sees, 0 for others.

    Args:
        points_ego: ``(N, 3+)`` metres in the ego frame of the image's instant; NaN is not seen.
        challenge: ``(H, W)`` labels of the challenge, of the camera's size.
    """
    points = np.asarray(points_ego, dtype=np.float64)[:, :3]
    finite = np.isfinite(points).all(axis=1)
    pixels, depth = project(camera, apply(inverse(camera.ego_from_camera), points))
    seen = np.zeros(len(points), bool)
    # The LiDAR looks over what hides the ground from a camera.
    surfaces = surface_depth(camera, points[finite])
    seen[finite] = in_sight(pixels[finite], depth[finite], camera, surfaces)
    labels = np.full(len(points), UNSEEN, np.uint8)
    column, row = pixels[seen].astype(np.int64).T
    labels[seen] = challenge[row, column]
    return labels


def fill_unseen(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels for all points: those that no camera saw take the most common one of their nearest neighbours.

    Points further than :data:`REACH_M` from any label, such as all behind a single front camera, are taken for
    driveable surface near the ground and for manmade above it.

    Args:
        points: ``(N, 3+)`` metres in the ego frame, z up from the ground.
        labels: ``(N,)`` uint8, 0 where there is none.
    """
    points = np.nan_to_num(np.asarray(points, dtype=np.float64)[:, :3])
    filled = labels.copy()
    unseen = labels == UNSEEN
    low = points[:, 2] < GROUND_M
    filled[unseen & low] = CHALLENGE_CLASSES.index("driveable_surface")
    filled[unseen & ~low] = CHALLENGE_CLASSES.index("manmade")
    if unseen.all() or not unseen.any():
        return filled
    known = labels[~unseen]
    tree = cKDTree(points[~unseen])
    distance, neighbour = tree.query(points[unseen], k=min(NEIGHBOURS, len(known)), distance_upper_bound=REACH_M)
    distance, neighbour = distance.reshape(unseen.sum(), -1), neighbour.reshape(unseen.sum(), -1)
    near = np.isfinite(distance)
    votes = np.zeros((len(distance), len(CHALLENGE_CLASSES)), np.int64)
    row, column = np.nonzero(near)
    np.add.at(votes, (row, known[neighbour[row, column]]), 1)
    where = np.flatnonzero(unseen)[near.any(axis=1)]
    filled[where] = votes[near.any(axis=1)].argmax(axis=1)
    return filled


def rows_to_file(found: np.ndarray, rows: np.ndarray, file_rows: int) -> np.ndarray:
    """``(file_rows,)`` uint8 labels of every row of a sweep's file.

    Args:
        found: ``(N,)`` labels of the points that the network saw.
        rows: ``(N,)`` row of each in the file, -1 for points of other sweeps.
    """
    own = rows >= 0
    common = int(np.bincount(found[own]).argmax()) if own.any() else 0
    labels = np.full(file_rows, common, np.uint8)
    labels[rows[own]] = found[own]
    return labels


def labels_of_sweeps(lidar: PointBatch, found: np.ndarray) -> Iterator[tuple[int, str, np.ndarray]]:
    """Place in the batch, token, and ``(file_rows,)`` uint8 labels of every row of its file, of each sweep.

    Args:
        found: ``(P,)`` labels of the batch's points.
    """
    cloud = np.asarray(lidar.cloud.cpu())
    for index, token in enumerate(lidar.tokens):
        assert token is not None
        yield index, token, rows_to_file(found[cloud == index], lidar.rows[index], lidar.file_rows[index])

"""Warping by ego motion, against the plane-induced homography and against points that are projected anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.geometry.camera import project
from perception.geometry.frames import apply, inverse
from perception.runtime.sight import assumed_camera
from perception.runtime.warp import EgoWarp, arc, move_boxes
from perception.types import Boxes, Camera, Prediction

SIZE = (90, 160)


def pitched(size: tuple[int, int], pitch: float = 0.05, yaw: float = 0.1, roll: float = 0.03) -> Camera:
    camera = assumed_camera(size)
    cp, sp, cy, sy, cr, sr = (f(a) for a in (pitch, yaw, roll) for f in (np.cos, np.sin))
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    turn = turn @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    pose = camera.ego_from_camera.copy()
    pose[:3, :3] = turn @ pose[:3, :3]
    return Camera(camera.intrinsics, size, pose)


def homography(camera: Camera, distance_m: float, yaw_rad: float = 0.0) -> np.ndarray:
    """Old pixel from new pixel: K (R - t n^T / h) K^-1, n the road's normal and h the camera's height."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(yaw_rad), -np.sin(yaw_rad)], [np.sin(yaw_rad), np.cos(yaw_rad)]]
    if yaw_rad:
        radius = distance_m / yaw_rad
        turn[:2, 3] = [radius * np.sin(yaw_rad), radius * (1 - np.cos(yaw_rad))]
    else:
        turn[0, 3] = distance_m
    old_from_new = np.linalg.inv(camera.ego_from_camera) @ turn @ camera.ego_from_camera
    # The road is n . X = -h in the new camera frame.
    normal, h = camera.ego_from_camera[2, :3], camera.ego_from_camera[2, 3]
    move = old_from_new[:3, :3] - np.outer(old_from_new[:3, 3], normal) / h
    return camera.intrinsics @ move @ np.linalg.inv(camera.intrinsics)


@pytest.mark.parametrize("camera", [assumed_camera(SIZE), pitched(SIZE)])
@pytest.mark.parametrize(("distance_m", "yaw_rad"), [(0.3, 0.0), (2.0, 0.0), (8.0, 0.0), (3.0, 0.1), (1.0, -0.2)])
def test_a_mask_moves_by_the_homography_of_the_road(camera: Camera, distance_m: float, yaw_rad: float) -> None:
    random = np.random.default_rng(0)
    mask = random.integers(0, 11, SIZE, dtype=np.uint8)
    warped = EgoWarp()(Prediction(semantic=mask), camera, SIZE, distance_m, yaw_rad).semantic
    assert warped is not None
    matrix = homography(camera, distance_m, yaw_rad)
    rotation = camera.ego_from_camera[:3, :3]
    compared = 0
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            ray = rotation @ np.linalg.inv(camera.intrinsics) @ [x + 0.5, y + 0.5, 1]
            if ray[2] >= 0:  # at or above the horizon
                assert warped[y, x] == mask[y, x]
                continue
            u, v, w = matrix @ [x + 0.5, y + 0.5, 1]
            column, row = u / w, v / w
            inside = w > 0 and 0 < column < SIZE[1] and 0 < row < SIZE[0]
            on_an_edge = min(abs(column - round(column)), abs(row - round(row))) < 1e-6
            if inside and not on_an_edge:
                assert warped[y, x] == mask[int(row), int(column)]
                compared += 1
    assert compared > 1000


def test_masks_of_all_heads_move_alike_and_blocks_move_whole() -> None:
    size = (900, 1600)
    camera = pitched(size)
    mask = (np.indices(size).sum(0) // 40 % 2).astype(np.uint8)
    answer = EgoWarp()(Prediction(mask, mask, mask), camera.resized((450, 800)), size, 1.5)
    assert answer.semantic is not None
    assert np.array_equal(answer.semantic, answer.drivable)
    assert np.array_equal(answer.semantic, answer.lane)
    # Against the map computed for every pixel: within a pixel and a half wherever the road was seen.
    y, x = np.meshgrid(np.arange(500, 890, 7), np.arange(5, 1590, 11), indexing="ij")
    pixels = np.stack([x + 0.5, y + 0.5, np.ones_like(x)], axis=2) @ homography(camera, 1.5).T
    columns, rows = pixels[..., 0] / pixels[..., 2], pixels[..., 1] / pixels[..., 2]
    far = (columns > 2) & (columns < size[1] - 2) & (rows > 2) & (rows < size[0] - 2)
    tolerance = np.zeros_like(far)
    for dy in (-1.5, 0, 1.5):
        for dx in (-1.5, 0, 1.5):
            near = mask[np.clip(rows + dy, 0, 899).astype(int), np.clip(columns + dx, 0, 1599).astype(int)]
            tolerance |= near == answer.semantic[y, x]
    assert tolerance[far].mean() > 0.999


def test_distortion_is_respected() -> None:
    """A stripe across the road ahead is found where its points project to after driving on."""
    camera = assumed_camera((180, 320))
    bent = Camera(camera.intrinsics, camera.size, camera.ego_from_camera, "brown_conrady", (-0.25, 0.05, 0.001, 0.002))
    for lens in (camera, bent):
        mask = np.zeros(lens.size, np.uint8)
        y, x = np.mgrid[0:180, 0:320]
        from perception.geometry.ground import ground_grid

        grid = ground_grid(lens)
        mask[(grid[..., 0] > 12) & (grid[..., 0] < 14)] = 1
        warped = EgoWarp()(Prediction(lane=mask), lens, lens.size, 4.0).lane
        assert warped is not None
        expected = ((grid[..., 0] > 8) & (grid[..., 0] < 10)).astype(np.uint8)
        overlap = (warped & expected).sum() / (warped | expected).sum()
        assert overlap > 0.85, (lens.model, overlap)
        assert x.shape == y.shape == mask.shape


@settings(max_examples=50, deadline=None)
@given(st.floats(5, 60), st.floats(-6, 6), st.floats(0, 4), st.floats(0.5, 2), st.floats(0.5, 3), st.floats(-0.1, 0.1))
def test_a_box_stays_where_it_stands(
    ahead: float, side: float, distance: float, wide: float, tall: float, yaw_rad: float
) -> None:
    camera = pitched((900, 1600), pitch=0.02, yaw=0.0, roll=0.0)

    def box(foot: np.ndarray) -> np.ndarray:
        """Around something that faces the camera."""
        x, y = foot[:2]
        corners = np.array([[x, y + s * wide / 2, z] for s in (1, -1) for z in (0.0, tall)])
        pixels, _ = project(camera, apply(inverse(camera.ego_from_camera), corners))
        return np.array([*pixels.min(axis=0), *pixels.max(axis=0)])

    foot = np.array([[ahead, side, 0.0]])
    before, after = box(foot[0]), box(apply(inverse(arc(distance, yaw_rad)), foot)[0])
    inside = (after >= 0).all() and (after <= [1600, 900, 1600, 900]).all() and (before >= 0).all()
    moved = move_boxes(
        Boxes(before[None].astype(np.float32), np.array([0]), np.array([0.5])), camera, arc(distance, yaw_rad)
    )
    if inside:
        assert moved.xyxy[0] == pytest.approx(after, abs=0.02 * (after[3] - after[1]) + 1.0)
        assert moved.scores is not None


def test_boxes_in_the_sky_stay_and_passed_ones_go() -> None:
    camera = assumed_camera((900, 1600))
    boxes = Boxes(
        np.array([[700, 100, 760, 200], [780, 440, 820, 470], [100, 600, 400, 899]], np.float32), np.arange(3),
        distance_m=np.array([50.0, 90.0, 5.0]),
    )  # fmt: skip
    moved = move_boxes(boxes, camera, arc(6.0))
    assert moved.labels.tolist() == [0, 1]
    assert moved.xyxy[0].tolist() == [700, 100, 760, 200]
    assert moved.xyxy[1, 3] > 470
    assert moved.distance_m is not None
    assert moved.distance_m.tolist() == pytest.approx([50.0, 84.0], abs=0.01)
    assert len(move_boxes(Boxes.empty(), camera, arc(5.0))) == 0


@pytest.mark.parametrize("distance_m", [0.0, -1.0, float("nan"), float("inf")])
def test_nowhere_to_go_changes_nothing(distance_m: float) -> None:
    answer = Prediction(semantic=np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert EgoWarp()(answer, assumed_camera((2, 3)), (2, 3), distance_m) is answer


@given(st.floats(0, 50), st.floats(-1, 1), st.integers(2, 40))
def test_an_arc_is_made_of_short_ones(distance_m: float, yaw_rad: float, pieces: int) -> None:
    piece = np.linalg.matrix_power(arc(distance_m / pieces, yaw_rad / pieces), pieces)
    assert arc(distance_m, yaw_rad) == pytest.approx(piece, abs=1e-6 * (1 + distance_m))


def test_a_fleet_of_cameras_keeps_memory_bounded() -> None:
    warp = EgoWarp()
    for focal in range(50, 150):
        answer = Prediction(lane=np.ones((32, 64), np.uint8))
        warp(answer, assumed_camera((32, 64), float(focal)), (32, 64), 1.0)
    assert len(warp._grounds) <= 16

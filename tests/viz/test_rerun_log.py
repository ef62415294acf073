from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lidar_turns import CAMERA
from PIL import Image

from perception.geometry.boxes import box_corners
from perception.geometry.frames import rotation_from_quaternion, transform, yaw_rotation
from perception.taxonomy import LIDARSEG, ROAD_SCENE
from perception.types import Boxes
from perception.viz.keyframe import Box3D
from perception.viz.pointcloud_view import PointView
from perception.viz.rerun_log import EGO, RerunLog

rerun = pytest.importorskip("rerun")

# What rerun cannot put into a column becomes a warning, and the column is left out.
pytestmark = pytest.mark.filterwarnings("error::rerun.error_utils.RerunWarning")
TIMES_US = (1_600_000_000_000_000, 1_600_000_000_500_000)


def column(path: Path, name: str, static: bool = False) -> list[Any]:
    """The values of one component over time, as plain lists."""
    entity, component = name.split(":")
    view = rerun.dataframe.load_recording(path).view(index="time", contents=entity)
    table = (view.select_static() if static else view.select()).read_all()
    found = next(column for column in table.column_names if column.endswith(f":{component}"))
    return table.column(found).to_pylist()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rerun") / "drive.rrd"
    with RerunLog(path, LIDARSEG, ("CAM_FRONT",), ROAD_SCENE, compare=True) as log:
        write(log)
    return path


def write(log: RerunLog) -> None:
    log.start_scene("scene-1", TIMES_US[0], np.array([[0.0, 0, 0], [5, 1, 0]]))
    picture = io.BytesIO()
    Image.new("RGB", (160, 90)).save(picture, format="PNG")
    for index, time_us in enumerate(TIMES_US):
        points = np.arange(12.0).reshape(4, 3) + index
        box = Box3D(box_corners(np.array([9.0, 1, 1]), np.array([4.0, 2, 1.5]), 0.5), 0, "car")
        labels, guesses = np.array([0, 3, 255, 10], np.uint8), np.array([0, 10, 2, 10], np.uint8)
        view = PointView(points, np.zeros(4), labels=labels, predictions=guesses, boxes=[box] * (1 - index))
        log.points(time_us, transform(np.array([5.0 * index, 0, 0]), yaw_rotation(0.3)), view)
        boxes = Boxes(np.array([[10.0, 20, 30, 60]]), np.array([5]))
        mask = np.full(CAMERA.size, 13, np.uint8)
        log.image(time_us, "CAM_FRONT", CAMERA.ego_from_camera, CAMERA, picture.getvalue(), mask, boxes)


def test_every_entity_is_there(recording: Path) -> None:
    schema = rerun.dataframe.load_recording(recording).schema()
    entities = {descriptor.entity_path for descriptor in schema.component_columns()}
    names = ("lidar", "lidar_prediction", "lidar_error", "boxes", "vehicle", "CAM_FRONT", "CAM_FRONT/image",
             "CAM_FRONT/mask", "CAM_FRONT/boxes")  # fmt: skip
    assert {f"/{EGO}/{name}" for name in names} | {"/world/path", f"/{EGO}"} <= entities


def test_points_keep_places_and_classes(recording: Path) -> None:
    positions = column(recording, f"/{EGO}/lidar:Position3D")
    assert np.array(positions[1]) == pytest.approx(np.arange(12.0).reshape(4, 3) + 1)
    assert column(recording, f"/{EGO}/lidar:ClassId")[0] == [0, 3, 255, 10]
    assert column(recording, f"/{EGO}/lidar_prediction:ClassId")[0] == [0, 10, 2, 10]
    colors = column(recording, f"/{EGO}/lidar_error:Color")[0]
    assert colors[0] == colors[3] != colors[1] != colors[2]


def test_classes_have_names(recording: Path) -> None:
    entries = column(recording, f"/{EGO}/lidar:AnnotationContext", static=True)[0][0]
    names = {entry["class_id"]: entry["class_description"]["info"]["label"] for entry in entries}
    assert names == {**dict(enumerate(LIDARSEG.classes)), 255: "no label"}
    entries = column(recording, f"/{EGO}/CAM_FRONT/mask:AnnotationContext", static=True)[0][0]
    assert entries[13]["class_description"]["info"]["label"] == "car"


def test_boxes_are_rebuilt_from_their_corners_and_go_when_they_are_gone(recording: Path) -> None:
    (center,), (half,) = (column(recording, f"/{EGO}/boxes:{n}")[0] for n in ("PoseTranslation3D", "HalfSize3D"))
    assert center == pytest.approx([9, 1, 1])
    assert half == pytest.approx([2, 1, 0.75])
    ((x, y, z, w),) = column(recording, f"/{EGO}/boxes:PoseRotationQuat")[0]
    assert rotation_from_quaternion(np.array([w, x, y, z])) == pytest.approx(yaw_rotation(0.5), abs=1e-6)
    assert column(recording, f"/{EGO}/boxes:HalfSize3D")[1] == []


def test_poses_move_the_vehicle_and_cameras_hang_on_it(recording: Path) -> None:
    assert column(recording, f"/{EGO}:Translation3D")[1][0] == pytest.approx([5, 0, 0])
    stored = np.array(column(recording, f"/{EGO}:TransformMat3x3")[0][0]).reshape(3, 3).T  # column by column
    assert stored == pytest.approx(yaw_rotation(0.3), abs=1e-6)
    stored = np.array(column(recording, f"/{EGO}/CAM_FRONT:PinholeProjection")[0][0]).reshape(3, 3).T
    assert stored == pytest.approx(CAMERA.intrinsics, abs=1e-4)
    assert column(recording, f"/{EGO}/CAM_FRONT/image:MediaType")[0] == ["image/png"]
    assert column(recording, f"/{EGO}/CAM_FRONT/boxes:Position2D")[0][0] == pytest.approx([20, 40])

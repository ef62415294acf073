"""Recordings of drives for the Rerun viewer: cameras, boxes, labelled points and the vehicle's path over time.

Entities: ``world/path``, ``world/ego`` (the moving vehicle) with ``lidar``, ``lidar_prediction``, ``lidar_error``,
``boxes`` and one camera each, which has ``mask`` and ``boxes`` of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from perception.errors import require
from perception.geometry.frames import quaternion_from_rotation
from perception.taxonomy import NUSCENES_DETECTION, RGB, LabelSet
from perception.types import Boxes, Camera
from perception.viz.keyframe import Box3D
from perception.viz.overlay import box_color
from perception.viz.pointcloud_view import (
    REST,
    VEHICLE_M,
    PointView,
    box_rgb,
    class_palette,
    color_by,
)

EGO = "world/ego"
POINT_PX = 1.5
NO_LABEL = 255
MASK_OPACITY = 0.45


class RerunLog:
    """Writes one recording; the file is whole after :meth:`close`.

    Args:
        path: file to write.
        label_set: of the points.
        channels: of the cameras, for the layout of the viewer.
        mask_labels: label set of the cameras' masks.
        compare: whether predictions will come, which get views of their own.

    Raises:
        MissingExtra: without rerun-sdk.
    """

    def __init__(
        self,
        path: str | Path,
        label_set: LabelSet,
        channels: Sequence[str] = (),
        mask_labels: LabelSet | None = None,
        compare: bool = False,
    ) -> None:
        self._rr = rr = require("rerun", "viz")
        self._recording = rr.RecordingStream("perception", make_default=False)
        self._recording.save(str(path), default_blueprint=self._blueprint(channels, compare))
        self._static("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        points = _context(rr, label_set.classes, [_rgb(color) for color in class_palette(label_set)])
        for name in ("lidar", "lidar_prediction") if compare else ("lidar",):
            self._static(f"{EGO}/{name}", points)
        boxes = _context(rr, NUSCENES_DETECTION, [box_color(i) for i in range(len(NUSCENES_DETECTION))])
        for channel in channels:
            self._static(f"{EGO}/{channel}/boxes", boxes)
            if mask_labels is not None:
                masks = _context(rr, mask_labels.classes, mask_labels.colors)
                self._static(f"{EGO}/{channel}/mask", masks)
        vehicle = rr.Boxes3D(
            centers=[[1.0, 0, 0.8]], sizes=[[*VEHICLE_M, 1.55]], colors=[(240, 242, 246)], labels=["ego"]
        )
        self._static(f"{EGO}/vehicle", vehicle)

    def start_scene(self, name: str, timestamp_us: int, path_m: np.ndarray) -> None:
        """Begin a scene: its ``(K, 3)`` path of the vehicle in the world frame."""
        self._at(timestamp_us)
        self._log("world/path", self._rr.LineStrips3D([path_m], colors=[(250, 210, 60)], radii=[0.12], labels=[name]))

    def points(self, timestamp_us: int, world_from_ego: np.ndarray, view: PointView) -> None:
        """Log a cloud with its boxes at the vehicle's pose."""
        rr = self._rr
        self._at(timestamp_us)
        self._log(EGO, _transform(rr, world_from_ego))
        radii = rr.Radius.ui_points(POINT_PX)
        if view.labels is not None:
            self._log(f"{EGO}/lidar", rr.Points3D(view.points, class_ids=view.labels, radii=radii))
        else:
            self._log(f"{EGO}/lidar", rr.Points3D(view.points, colors=color_by(view, "height").colors, radii=radii))
        if view.predictions is not None:
            self._log(f"{EGO}/lidar_prediction", rr.Points3D(view.points, class_ids=view.predictions, radii=radii))
            if view.labels is not None:
                errors = color_by(view, "error").colors
                self._log(f"{EGO}/lidar_error", rr.Points3D(view.points, colors=errors, radii=radii))
        self._log(f"{EGO}/boxes", _boxes(rr, view.boxes, view.label_set))

    def image(
        self,
        timestamp_us: int,
        channel: str,
        ego_from_camera: np.ndarray,
        camera: Camera,
        encoded: bytes,
        mask: np.ndarray | None = None,
        boxes: Boxes | None = None,
    ) -> None:
        """Log one camera.

        Args:
            timestamp_us: of the cloud that it belongs to.
            ego_from_camera: ``(4, 4)`` pose in the ego frame of that cloud, the vehicle's motion included.
            encoded: bytes of the image file, JPEG or PNG.
            mask: ``(H, W)`` class indices.
            boxes: with labels of :data:`perception.taxonomy.NUSCENES_DETECTION`.
        """
        rr = self._rr
        entity = f"{EGO}/{channel}"
        self._at(timestamp_us)
        self._log(entity, _transform(rr, ego_from_camera))
        size = (camera.size[1], camera.size[0])
        pinhole = rr.Pinhole(image_from_camera=camera.intrinsics, resolution=size, image_plane_distance=3.0)
        self._log(entity, pinhole)
        kind = "image/png" if encoded[:4] == b"\x89PNG" else "image/jpeg"
        self._log(f"{entity}/image", rr.EncodedImage(contents=encoded, media_type=kind))
        if mask is not None:
            self._log(f"{entity}/mask", rr.SegmentationImage(mask, opacity=MASK_OPACITY))
        if boxes is not None:
            self._log(
                f"{entity}/boxes",
                rr.Boxes2D(array=boxes.xyxy, array_format=rr.Box2DFormat.XYXY, class_ids=boxes.labels),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._recording.flush(blocking=True)
        self._recording.disconnect()

    def _at(self, timestamp_us: int) -> None:
        self._recording.set_time("time", timestamp=np.datetime64(timestamp_us, "us"))

    def _log(self, entity: str, content: Any) -> None:
        self._recording.log(entity, content)

    def _static(self, entity: str, content: Any) -> None:
        self._recording.log(entity, content, static=True)

    def _blueprint(self, channels: Sequence[str], compare: bool) -> Any:
        """Points at the left, in tabs where there are predictions; the cameras in a grid at the right."""
        rrb = require("rerun.blueprint", "viz")
        kinds = {"points": "lidar"}
        if compare:
            kinds = {"errors": "lidar_error", "truth": "lidar", "prediction": "lidar_prediction"}
        views = [
            rrb.Spatial3DView(
                origin=EGO,
                name=name,
                contents=["/world/**", *(f"- /{EGO}/{other}" for other in kinds.values() if other != kept)],
            )
            for name, kept in kinds.items()
        ]
        left = rrb.Tabs(*views) if compare else views[0]
        if not channels:
            return rrb.Blueprint(left, collapse_panels=True)
        cameras = [rrb.Spatial2DView(origin=f"{EGO}/{channel}", name=channel) for channel in channels]
        grid = rrb.Grid(*cameras, grid_columns=min(3, len(cameras)))
        return rrb.Blueprint(rrb.Horizontal(left, grid, column_shares=[1, 1]), collapse_panels=True)


def _context(rr: Any, names: Sequence[str], colors: Sequence[RGB]) -> Any:
    """Names and colours of class ids; id 255 is no label."""

    class ClassId(rr.datatypes.ClassId):
        """NumPy 1 does not know the argument ``copy`` that the parent hands to ``np.asarray``."""

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.asarray(self.id, dtype=dtype)

    entries = [*zip(range(len(names)), names, colors, strict=False), (NO_LABEL, "no label", REST)]
    return rr.AnnotationContext(
        [
            rr.datatypes.ClassDescriptionMapElem(ClassId(entry[0]), rr.datatypes.ClassDescription(info=entry))
            for entry in entries
        ]
    )


def _transform(rr: Any, target_from_source: np.ndarray) -> Any:
    return rr.Transform3D(translation=target_from_source[:3, 3], mat3x3=target_from_source[:3, :3])


def _boxes(rr: Any, boxes: Sequence[Box3D], label_set: LabelSet) -> Any:
    """Boxes of ``(8, 3)`` corners as middles, sizes and rotations."""
    if not boxes:
        return rr.Boxes3D(centers=np.zeros((0, 3)), half_sizes=np.zeros((0, 3)))
    corners = np.stack([box.corners for box in boxes])  # (B, 8, 3)
    axes = np.stack([corners[:, 4] - corners[:, 0], corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0]], 2)
    sizes = np.linalg.norm(axes, axis=1)  # (B, 3) length, width, height
    rotations = [quaternion_from_rotation(matrix)[[1, 2, 3, 0]] for matrix in axes / sizes[:, None]]
    return rr.Boxes3D(
        centers=corners.mean(axis=1),
        sizes=sizes,
        quaternions=np.stack(rotations),
        colors=[box_rgb(box, label_set) for box in boxes],
        labels=[box.name for box in boxes],
        show_labels=False,
    )


def _rgb(color: np.ndarray) -> RGB:
    return int(color[0]), int(color[1]), int(color[2])

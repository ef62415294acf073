"""The one statement of what flows through the library: shapes, data types and units.

Sizes are ``(height, width)``. Images are RGB. Transforms are named ``target_from_source``.
Nothing here imports torch at run time, so that an exported model can be driven without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

IGNORE_INDEX = 255
"""Label of pixels that no loss and no metric counts."""

CAMERA_MODELS = ("pinhole", "brown_conrady", "fisheye")


@dataclass(frozen=True)
class Camera:
    """A calibrated camera.

    Args:
        intrinsics: ``(3, 3)`` float64 matrix in pixels of an image of ``size``. Pixel centres lie at
            half-integers: the image spans ``[0, width] x [0, height]``.
        size: ``(height, width)`` in pixels.
        ego_from_camera: ``(4, 4)`` float64 pose; camera axes are x right, y down, z forward; ego axes are
            x forward, y left, z up, with the origin on the ground below the rear axle.
        model: ``pinhole``, ``brown_conrady`` (k1, k2, p1, p2[, k3]) or ``fisheye`` (k1, k2, k3, k4).
        distortion: the coefficients of ``model`` in the order above; empty for a pinhole.
    """

    intrinsics: np.ndarray
    size: tuple[int, int]
    ego_from_camera: np.ndarray = field(default_factory=lambda: np.eye(4))
    model: str = "pinhole"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        allowed = {"pinhole": (0,), "brown_conrady": (4, 5), "fisheye": (4,)}
        if self.model not in allowed:
            raise ValueError(f"unknown camera model {self.model!r}; use one of {', '.join(CAMERA_MODELS)}")
        if len(self.distortion) not in allowed[self.model]:
            raise ValueError(
                f"camera model {self.model} takes {' or '.join(map(str, allowed[self.model]))} distortion "
                f"coefficients, got {len(self.distortion)}"
            )
        for name, shape in (("intrinsics", (3, 3)), ("ego_from_camera", (4, 4))):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{name} must be a finite {shape[0]}x{shape[1]} matrix, got shape {value.shape}")
            object.__setattr__(self, name, value)

    @property
    def focal_px(self) -> float:
        """Horizontal focal length in pixels."""
        return float(self.intrinsics[0, 0])

    def resized(self, size: tuple[int, int]) -> Camera:
        """The camera of the same picture resampled to ``size``."""
        scale = np.diag([size[1] / self.size[1], size[0] / self.size[0], 1.0])
        return replace(self, intrinsics=scale @ self.intrinsics, size=size)

    def cropped(self, top: int, left: int, height: int, width: int) -> Camera:
        """The camera of the window ``[top, top + height) x [left, left + width)``; it may reach outside."""
        shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
        return replace(self, intrinsics=shift @ self.intrinsics, size=(height, width))

    def flipped(self) -> Camera:
        """The camera of the horizontally mirrored picture of the mirrored scene.

        Only the principal point moves (and skew changes sign); the pose is that of the original camera
        reflected at its own vertical plane, which leaves heights and distances unchanged.
        """
        intrinsics = self.intrinsics.copy()
        intrinsics[0, 1] = -intrinsics[0, 1]
        intrinsics[0, 2] = self.size[1] - intrinsics[0, 2]
        mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
        sideways = np.diag([1.0, -1.0, 1.0, 1.0])
        distortion = list(self.distortion)
        if self.model == "brown_conrady":
            distortion[3] = -distortion[3]  # p2 is the coefficient that is odd in x
        return replace(
            self,
            intrinsics=intrinsics,
            ego_from_camera=sideways @ self.ego_from_camera @ mirror,
            distortion=tuple(distortion),
        )


@dataclass(frozen=True)
class Boxes:
    """Axis-aligned 2D boxes of one image, as numpy arrays.

    Shape:
        - xyxy: ``(N, 4)`` float32, absolute pixels, ``x_max`` and ``y_max`` exclusive edges.
        - labels: ``(N,)`` int64 indices into the detection class list.
        - scores: ``(N,)`` float32 in 0..1 for predictions, else ``None``.
        - visibility: ``(N,)`` float32, share of the object that is in view, else ``None``.
        - distance_m: ``(N,)`` float32, metres from the ego origin, NaN where unknown, else ``None``.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None
    visibility: np.ndarray | None = None
    distance_m: np.ndarray | None = None

    def __post_init__(self) -> None:
        xyxy = np.asarray(self.xyxy, dtype=np.float32).reshape(-1, 4)
        object.__setattr__(self, "xyxy", xyxy)
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64).reshape(-1))
        for name in ("labels", "scores", "visibility", "distance_m"):
            value = getattr(self, name)
            if value is None:
                continue
            if name != "labels":
                value = np.asarray(value, dtype=np.float32).reshape(-1)
                object.__setattr__(self, name, value)
            if len(value) != len(xyxy):
                raise ValueError(f"{len(xyxy)} boxes but {len(value)} {name}")

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> Boxes:
        """Select rows with a boolean mask, an index array or a slice."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        picked: dict[str, Any] = {name: None if value is None else value[index] for name, value in values.items()}
        return Boxes(**picked)

    @classmethod
    def empty(cls) -> Boxes:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic picture, which holds the segment's number in each of its pixels.

    Args:
        number: in the picture, above 0.
        label: semantic class index.
        thing: whether it is one object of a countable class; else all of a class.
        crowd: objects that nobody divided, which no metric expects.
    """

    number: int
    label: int
    thing: bool
    crowd: bool = False


@dataclass
class Sample:
    """One labelled image. A target that the data set does not have is ``None``.

    Shape:
        - image: ``(3, H, W)`` float32 in 0..1, RGB, not normalised.
        - semantic: ``(H, W)`` int64 class index, 255 ignored.
        - drivable, lane, crossing: ``(H, W)`` int64, 1 inside, 0 outside, 255 ignored.
        - boxes: the 2D boxes of the image.
        - known_boxes: ``(K,)`` bool, for each detection class whether its objects are labelled; ``None``: all are.
        - panoptic: ``(H, W)`` int64 segment number, 0 where there is none, with ``segments``. For evaluation: it has
          the size of the stored image, and no transform moves it.
        - depth_m: ``(H, W)`` float32 distance along the optical axis in metres, 0 where unknown.
        - points_px: ``(N, 2)`` float32 ``(x, y)`` of each point of the keyframe's LiDAR cloud in this image, NaN where
          the image does not show it.
        - global_from_ego: ``(4, 4)`` float64 pose of the vehicle when the image was taken.

    Args:
        token: of the image's own record in the data set's tables.
        sample_token: of the keyframe that it belongs to, which its other cameras and its LiDAR sweep share.
        channel: name of the camera, such as ``CAM_FRONT``.
    """

    image: Tensor
    name: str
    semantic: Tensor | None = None
    drivable: Tensor | None = None
    lane: Tensor | None = None
    crossing: Tensor | None = None
    boxes: Boxes | None = None
    known_boxes: np.ndarray | None = None
    panoptic: Tensor | None = None
    segments: list[Segment] | None = None
    depth_m: Tensor | None = None
    points_px: np.ndarray | None = None
    camera: Camera | None = None
    speed_mps: float | None = None
    timestamp_us: int | None = None
    token: str | None = None
    sample_token: str | None = None
    channel: str | None = None
    global_from_ego: np.ndarray | None = None


MASK_TARGETS = ("semantic", "drivable", "lane", "crossing")
"""Targets that are a label per pixel."""


def _map_tensors(batch: Any, function: Callable[[Any], Any]) -> Any:
    """A copy of a batch with the function applied to each of its tensors, also to those of a batch inside."""
    moved = {}
    for item in fields(batch):
        value = getattr(batch, item.name)
        if isinstance(value, PointBatch):
            value = _map_tensors(value, function)
        elif hasattr(value, "pin_memory"):
            value = function(value)
        moved[item.name] = value
    return type(batch)(**moved)


@dataclass
class Batch:
    """Collated samples; only what the losses and metrics need is on the device.

    Shape:
        - image: ``(B, 3, H, W)`` float32 in 0..1.
        - semantic, drivable, lane, crossing: ``(B, H, W)`` int64; all 255 for a sample without the target;
          ``None`` where no sample of the batch has it.
        - boxes: ``(B, M, 4)`` float32 xyxy, zero-padded; ``box_labels``: ``(B, M)`` int64, -1 padded.
        - has_boxes: ``(B,)`` bool, whether the sample has box labels at all (an empty list counts).
        - known_boxes: ``(B, K)`` bool, for each detection class whether its objects are labelled: where they are not,
          a box of it is neither right nor wrong. ``None``: all are.

    Args:
        panoptic, segments: of each image, as in :class:`Sample`, on the host; empty where no image has them.
        cameras: after the transforms; in grouped batches the key to projecting one LiDAR sweep into every image.
        tokens, sample_tokens, channels, timestamps_us, global_from_ego: of each image, as in :class:`Sample`.
        views: consecutive images that belong to one sample: 1, or in grouped batches the number of cameras. Then
            ``image.unflatten(0, (-1, views))`` is ``(samples, views, 3, H, W)``, the views are in the order in which
            the data module names its cameras, and ``sample_tokens[::views]`` are the batch's samples.
        lidar: one cloud for each sample, in the order of the samples; ``None`` where the data module reads no LiDAR.
    """

    image: Tensor
    names: list[str]
    semantic: Tensor | None = None
    drivable: Tensor | None = None
    lane: Tensor | None = None
    crossing: Tensor | None = None
    boxes: Tensor | None = None
    box_labels: Tensor | None = None
    has_boxes: Tensor | None = None
    known_boxes: Tensor | None = None
    panoptic: list[Tensor | None] = field(default_factory=list)
    segments: list[list[Segment] | None] = field(default_factory=list)
    cameras: list[Camera | None] = field(default_factory=list)
    speed_mps: list[float | None] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sample_tokens: list[str | None] = field(default_factory=list)
    channels: list[str | None] = field(default_factory=list)
    timestamps_us: list[int | None] = field(default_factory=list)
    global_from_ego: list[np.ndarray | None] = field(default_factory=list)
    views: int = 1
    lidar: PointBatch | None = None

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        return _map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        return _map_tensors(self, lambda tensor: tensor.pin_memory())

    def __len__(self) -> int:
        return int(self.image.shape[0])


POINT_COLUMNS = ("x", "y", "z", "intensity", "age_s")
"""Columns of LiDAR points: metres in the sensor's frame, reflectance in 0..1, and seconds since the point was measured,
counted back from the sweep that the labels belong to."""


@dataclass
class PointCloud:
    """One LiDAR sweep, alone or with earlier ones moved into its frame. What the data set does not have is ``None``.

    Rows that are not finite are left out; ``rows`` says where the others came from.

    Shape:
        - points: ``(N, 5)`` float32, see :data:`POINT_COLUMNS`; N may be 0.
        - rows: ``(N,)`` int64 row in the file of the labelled sweep, -1 for points of earlier sweeps.
        - labels: ``(N,)`` int64 class index of a LiDAR label set, 255 ignored (so are points of earlier sweeps).
        - instances: ``(N,)`` int64, the same positive number on every point of an object, 0 for none.
        - view: ``(N,)`` int64 index of the camera view that sees the point, -1 where none does.
        - pixel: ``(N, 2)`` float32 ``(x, y)`` of the point in that view's image, in its pixels as transformed.
        - ego_from_lidar, global_from_ego: ``(4, 4)`` float64 poses at the sweep's time.

    Args:
        name: of the sweep.
        file_rows: number of points in the labelled sweep's file.
        token: of the sweep's ``sample_data`` record; ``sample_token``: of its keyframe.
    """

    points: np.ndarray
    name: str
    rows: np.ndarray
    file_rows: int
    labels: np.ndarray | None = None
    instances: np.ndarray | None = None
    view: np.ndarray | None = None
    pixel: np.ndarray | None = None
    ego_from_lidar: np.ndarray = field(default_factory=lambda: np.eye(4))
    global_from_ego: np.ndarray | None = None
    timestamp_us: int | None = None
    token: str | None = None
    sample_token: str | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Any) -> PointCloud:
        """Select points with a boolean mask, an index array or a slice."""
        names = ("points", "rows", "labels", "instances", "view", "pixel")
        values = {name: getattr(self, name) for name in names}
        return replace(self, **{name: value[index] for name, value in values.items() if value is not None})


@dataclass
class PointBatch:
    """The points of several clouds in one list, cloud after cloud.

    Shape:
        - points: ``(P, 5)`` float32, see :data:`POINT_COLUMNS`.
        - cloud: ``(P,)`` int64, ascending: which cloud of the batch each point is of. A cloud may have no points.
        - labels: ``(P,)`` int64, 255 ignored; ``None`` where no cloud has labels.
        - neighbours: ``(P, K)`` int64 rows of the nearest points of the same cloud, the point itself first; ``None``
          where the loader did not look them up.
        - image: ``(P,)`` int64 row of :attr:`Batch.image` that sees the point, -1 for none; ``None`` without cameras.
        - pixel: ``(P, 2)`` float32 ``(x, y)`` in that image.

    Args:
        clouds: number of clouds.
        names, tokens, sample_tokens, rows, file_rows: of each cloud, as in :class:`PointCloud`.
    """

    points: Tensor
    cloud: Tensor
    clouds: int
    labels: Tensor | None = None
    neighbours: Tensor | None = None
    image: Tensor | None = None
    pixel: Tensor | None = None
    names: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sample_tokens: list[str | None] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    file_rows: list[int] = field(default_factory=list)

    def to(self, device: Any, non_blocking: bool = False) -> PointBatch:
        return _map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PointBatch:
        return _map_tensors(self, lambda tensor: tensor.pin_memory())

    def __len__(self) -> int:
        return self.clouds


@dataclass
class Prediction:
    """What the model says about one image, on the host, as numpy arrays.

    Shape:
        - semantic: ``(H, W)`` uint8 class index.
        - drivable, lane: ``(H, W)`` uint8, 1 inside.
        - boxes: with ``scores``, in pixels of the same ``(H, W)``.
    """

    semantic: np.ndarray | None = None
    drivable: np.ndarray | None = None
    lane: np.ndarray | None = None
    boxes: Boxes | None = None

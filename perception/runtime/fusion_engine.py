"""Files of networks that join cameras and LiDAR, in ONNX Runtime or OpenVINO: no torch."""

from __future__ import annotations

import numpy as np

from perception.errors import InputError
from perception.runtime.exported_engine import resized
from perception.runtime.exported_file import FUSION
from perception.runtime.file_runner import FileRunner
from perception.runtime.point_engine import check_points
from perception.taxonomy import LabelSet, get_label_set


class FusionEngine(FileRunner):
    """Masks and boxes of every camera, and a class for every point of the sweep.

    See :class:`FileRunner` for arguments and errors; ``labels`` are those of the cameras.
    """

    input = FUSION
    instead = "input alone, not cameras and LiDAR together"

    @property
    def point_labels(self) -> LabelSet:
        """What the classes of the points mean."""
        return get_label_set(self.described.point_label_set)

    def __call__(
        self, pictures: list[np.ndarray], points: np.ndarray, camera: np.ndarray, pixel: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The file's outputs: masks ``(N, H, W)`` and boxes ``(N, K, 4)`` of the network's size, ``lidar`` ``(P,)``.

        Args:
            pictures: ``(H, W, 3)`` uint8 of N cameras, brought to the size that the file was traced at.
            points: ``(P, 5)`` float32, see :data:`perception.types.POINT_COLUMNS`.
            camera: ``(P,)`` place in ``pictures`` of the camera that shows a point, -1 for none.
            pixel: ``(P, 2)`` x and y in that picture, as it was given.

        Raises:
            InputError: for inputs that do not fit each other, or values that are not finite.
        """
        size = self.described.size
        if not pictures:
            raise InputError("there is no picture; give those of the cameras, black where one is lost")
        views = np.stack([resized(picture, size).transpose(2, 0, 1) for picture in pictures])
        camera = np.asarray(camera)
        if camera.shape != (len(points),) or not np.issubdtype(camera.dtype, np.integer):
            raise InputError(f"camera has shape {camera.shape} and type {camera.dtype}, not one integer for each point")
        if len(camera) and not -1 <= camera.min() <= camera.max() < len(pictures):
            raise InputError(f"camera lies in {camera.min()}..{camera.max()}, there are {len(pictures)} pictures")
        if pixel.shape != (len(points), 2):
            raise InputError(f"pixel has shape {pixel.shape}, not ({len(points)}, 2)")
        scales = np.array([[size[1] / picture.shape[1], size[0] / picture.shape[0]] for picture in pictures])
        place = np.where(camera[:, None] >= 0, pixel * scales[camera], 0)
        if not np.isfinite(place).all():
            raise InputError("pixels of points that a camera shows must be finite")
        return self.run(np.ascontiguousarray(views), points, camera, place)

    def run(
        self, image: np.ndarray, points: np.ndarray, camera: np.ndarray, pixel: np.ndarray
    ) -> dict[str, np.ndarray]:
        """As a call, of ``(N, 3, H, W)`` uint8 pictures and pixels at their size."""
        inputs = {"image": image, "points": check_points(points)}
        return self._outputs(inputs | {"camera": camera.astype(np.int64), "pixel": pixel.astype(np.float32)})

"""Files of one measurement: a picture with its dense labels, or a turn of the LiDAR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception.files import encode_jpeg, write_png
from perception.taxonomy import ROAD_SCENE
from perception.world.camera import CameraFrame
from perception.world.lidar import LidarScan

DEPTH_SCALE = 256.0
MASKS = {"drivable": ROAD_SCENE.drivable, "lane": ROAD_SCENE.lane}
"""Classes that make up each mask."""
# All 256 entries, for a shorter palette would be stored in fewer bits, which lose the 255.
_BLACK_AND_WHITE = np.full((256, 3), 128, np.uint8)
_BLACK_AND_WHITE[:2] = [[0, 0, 0], [255, 255, 255]]


def write_picture(out: Path, filename: str, picture: CameraFrame, masks: bool) -> None:
    """Write ``out / filename`` and its side files ``dense/<kind>/<CHANNEL>/<stem>.png``.

    ``semantic``, ``instance`` and ``depth`` are as :class:`CameraFrame` has them, depth in 1/256 m. The masks
    ``drivable`` (road with its markings, crossings and car parks, where nothing stands before it) and ``lane`` are
    1 inside, 0 outside and 255 where the class is unknown. They are functions of ``semantic``, by
    :data:`perception.taxonomy.ROAD_SCENE`, and the same that :class:`perception.datasets.nuscenes.NuScenesDataset`
    derives from it; they are written for those who want them as files.
    """
    path = out / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(picture.image))
    side = f"{path.parent.name}/{path.stem}.png"
    dense = out / "dense"
    write_png(dense / "semantic" / side, picture.semantic, ROAD_SCENE.palette(), compress=1)
    write_png(dense / "instance" / side, picture.instance, compress=1)
    depth = np.clip(np.round(picture.depth_m * DEPTH_SCALE), 0, 65535).astype(np.uint16)
    write_png(dense / "depth" / side, depth, compress=1)
    if masks:
        for kind, classes in MASKS.items():
            mask = ROAD_SCENE.membership(classes)[picture.semantic]
            write_png(dense / kind / side, mask, _BLACK_AND_WHITE, compress=1)


def write_scan(out: Path, filename: str, scan: LidarScan) -> None:
    """Write ``out / filename``: float32 x, y, z, intensity, ring of each point."""
    path = out / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    scan.points.astype("<f4").tofile(path)


def write_point_labels(out: Path, filename: str, scan: LidarScan) -> None:
    """Write ``out / filename``: uint8 category index of each point."""
    path = out / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    scan.labels.astype(np.uint8).tofile(path)

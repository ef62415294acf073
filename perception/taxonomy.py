"""Label sets: class names, colours, and which classes make up drivable area and lanes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.types import IGNORE_INDEX

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """The classes of one data set.

    Args:
        name: short name, as used in configs and file metadata.
        classes: semantic class names; the position is the index in the masks.
        colors: one RGB colour per class.
        drivable: classes that are drivable area; empty where the data set cannot say.
        lane: classes that are lane markings; empty where the data set has none.
        detection: names of the box classes; the position is the box label.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[RGB, ...]
    drivable: tuple[str, ...] = ()
    lane: tuple[str, ...] = ()
    detection: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.colors):
            raise ValueError(f"label set {self.name}: {len(self.classes)} classes but {len(self.colors)} colours")

    def index(self, name: str) -> int:
        """Index of a class.

        >>> CAMVID.index("road")
        3
        """
        try:
            return self.classes.index(name)
        except ValueError:
            raise ValueError(f"label set {self.name} has no class {name!r}; it has {', '.join(self.classes)}") from None

    def indices(self, names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.index(name) for name in names)

    def membership(self, names: tuple[str, ...]) -> np.ndarray:
        """``(256,)`` uint8 table from a class index to 1 inside ``names``, 0 outside, 255 ignored."""
        table = np.full(256, IGNORE_INDEX, np.uint8)
        table[: len(self.classes)] = 0
        table[list(self.indices(names))] = 1
        return table

    def palette(self) -> np.ndarray:
        """``(256, 3)`` uint8 colours; indices without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.colors)] = self.colors
        return table


CAMVID = LabelSet(
    name="camvid",
    classes=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    drivable=("road",),
    detection=("car", "pedestrian", "bicyclist", "sign"),
)  # fmt: skip

NUSCENES_DETECTION = (
    "car", "truck", "bus", "trailer", "construction_vehicle", "pedestrian", "motorcycle", "bicycle",
    "traffic_cone", "barrier",
)  # fmt: skip
"""The ten classes of the nuScenes detection task, in the order of its leaderboard tables."""

ROAD_SCENE = LabelSet(
    name="road_scene",
    # The 19 Cityscapes train ids in their order, so that Cityscapes maps without loss, then lane markings.
    classes=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic_light", "traffic_sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
        "lane_marking",
    ),
    colors=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
        (255, 255, 255),
    ),
    drivable=("road", "lane_marking"),
    lane=("lane_marking",),
    detection=NUSCENES_DETECTION,
)  # fmt: skip

LIDARSEG = LabelSet(
    name="lidarseg",
    # The 16 classes of the nuScenes-lidarseg challenge in its order; index 0 here is its label 1. Its colours.
    classes=(
        "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "traffic_cone",
        "trailer", "truck", "driveable_surface", "other_flat", "sidewalk", "terrain", "manmade", "vegetation",
    ),
    colors=(
        (112, 128, 144), (220, 20, 60), (255, 127, 80), (255, 158, 0), (233, 150, 70), (255, 61, 99), (0, 0, 230),
        (47, 79, 79), (255, 140, 0), (255, 99, 71), (0, 207, 191), (175, 0, 75), (75, 0, 75), (112, 180, 60),
        (222, 184, 135), (0, 175, 0),
    ),
    drivable=("driveable_surface",),
)  # fmt: skip

SEMANTIC_KITTI = LabelSet(
    name="semantic_kitti",
    # The 19 classes of the single-scan benchmark in its order; index 0 here is its label 1. Its colours, as RGB.
    classes=(
        "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "road",
        "parking", "sidewalk", "other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole",
        "traffic-sign",
    ),
    colors=(
        (100, 150, 245), (100, 230, 245), (30, 60, 150), (80, 30, 180), (100, 80, 250), (255, 30, 30),
        (255, 40, 200), (150, 30, 90), (255, 0, 255), (255, 150, 255), (75, 0, 75), (175, 0, 75), (255, 200, 0),
        (255, 120, 50), (0, 175, 0), (135, 60, 0), (150, 240, 80), (255, 240, 150), (255, 0, 0),
    ),
    drivable=("road",),
)  # fmt: skip

LABEL_SETS = {labels.name: labels for labels in (CAMVID, ROAD_SCENE, LIDARSEG, SEMANTIC_KITTI)}


def get_label_set(name: str) -> LabelSet:
    """Look up a label set by name.

    Raises:
        InputError: for an unknown name.
    """
    if name not in LABEL_SETS:
        raise InputError(f"unknown label set {name!r}; use one of {', '.join(LABEL_SETS)}")
    return LABEL_SETS[name]


NUSCENES_TO_DETECTION = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""nuScenes category to detection class; categories without an entry are not detected."""

NUSCENES_LIDARSEG = (
    "noise", "animal", "human.pedestrian.adult", "human.pedestrian.child",
    "human.pedestrian.construction_worker", "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer", "human.pedestrian.stroller", "human.pedestrian.wheelchair",
    "movable_object.barrier", "movable_object.debris", "movable_object.pushable_pullable",
    "movable_object.trafficcone", "static_object.bicycle_rack", "vehicle.bicycle", "vehicle.bus.bendy",
    "vehicle.bus.rigid", "vehicle.car", "vehicle.construction", "vehicle.emergency.ambulance",
    "vehicle.emergency.police", "vehicle.motorcycle", "vehicle.trailer", "vehicle.truck", "flat.driveable_surface",
    "flat.other", "flat.sidewalk", "flat.terrain", "static.manmade", "static.other", "static.vegetation",
    "vehicle.ego",
)  # fmt: skip
"""The 32 nuScenes-lidarseg categories in index order, for writing; a reader uses category.json's ``index``."""


NUSCENES_TO_SEMANTIC = {
    "human.pedestrian.adult": "person",
    "human.pedestrian.child": "person",
    "human.pedestrian.construction_worker": "person",
    "human.pedestrian.personal_mobility": "person",
    "human.pedestrian.police_officer": "person",
    "human.pedestrian.wheelchair": "person",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "truck",
    "vehicle.emergency.ambulance": "truck",
    "vehicle.emergency.police": "car",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "truck",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "road",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "building",
    "static.vegetation": "vegetation",
}
"""nuScenes and nuImages category to semantic class of :data:`ROAD_SCENE`; categories without an entry are ignored.

It is coarser than the label set: nuScenes counts riders to their cycle, lane markings to the driveable surface, and
walls, fences, poles, lights and signs to ``static.manmade``, most of whose points lie on buildings.
"""

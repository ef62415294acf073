"""Label sets: class names, colours, and which classes make up drivable area and lanes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception.errors import InputError
from perception.taxonomies.ade20k import ADE20K
from perception.taxonomies.bdd100k import BDD100K
from perception.taxonomies.cityscapes import CITYSCAPES
from perception.taxonomies.coco import COCO, COCO_STUFF
from perception.taxonomies.label_set import RGB, LabelSet
from perception.taxonomies.mapping import LabelMapping
from perception.taxonomies.reading import label_set_from, read_label_set
from perception.taxonomies.road_scene import TO_ROAD_SCENE
from perception.taxonomies.voc import VOC

__all__ = [
    "ADE20K",
    "BDD100K",
    "CAMVID",
    "CITYSCAPES",
    "COCO",
    "COCO_STUFF",
    "LABEL_SETS",
    "LIDARSEG",
    "NUSCENES_DETECTION",
    "NUSCENES_LIDARSEG",
    "NUSCENES_TO_DETECTION",
    "NUSCENES_TO_SEMANTIC",
    "RGB",
    "ROAD_SCENE",
    "SEMANTIC_KITTI",
    "VOC",
    "LabelMapping",
    "LabelSet",
    "get_label_set",
    "label_mapping",
    "label_set_reference",
]

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
    classes=(*CITYSCAPES.classes, "lane_marking"),
    colors=(*CITYSCAPES.colors, (255, 255, 255)),
    drivable=("road", "lane_marking"),
    lane=("lane_marking",),
    detection=NUSCENES_DETECTION,
)

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

LABEL_SETS = {
    labels.name: labels
    for labels in (CAMVID, ROAD_SCENE, CITYSCAPES, BDD100K, COCO, COCO_STUFF, VOC, ADE20K, LIDARSEG, SEMANTIC_KITTI)
}


def get_label_set(name: str | Mapping[str, Any]) -> LabelSet:
    """A label set by name, by the path of a YAML file that describes one, or of what a checkpoint keeps of one.

    Raises:
        InputError: for an unknown name, or a description of another form.
    """
    if not isinstance(name, str):
        return label_set_from(name)
    if name in LABEL_SETS:
        return LABEL_SETS[name]
    if Path(name).suffix in (".yaml", ".yml"):
        return read_label_set(name)
    raise InputError(
        f"unknown label set {name!r}; use one of {', '.join(LABEL_SETS)}, or a YAML file with the key classes"
    )


def label_set_reference(labels: LabelSet) -> str | dict[str, Any]:
    """What a checkpoint keeps of a label set, and :func:`get_label_set` takes: its name, or all of one of your own."""
    return labels.name if LABEL_SETS.get(labels.name) == labels else labels.to_dict()


def label_mapping(source: LabelSet, target: LabelSet) -> LabelMapping:
    """The mapping between two label sets: to the road-scene label set, back from it where nothing was merged, or of
    equal names, where one of the two is your own.

    >>> label_mapping(CITYSCAPES, ROAD_SCENE).lossless
    True

    Raises:
        InputError: where there is none.
    """
    if source.name in TO_ROAD_SCENE and target == ROAD_SCENE:
        return LabelMapping(source, target, *TO_ROAD_SCENE[source.name])
    if target.name in TO_ROAD_SCENE and source == ROAD_SCENE:
        return label_mapping(target, source).inverse()
    if source != target and source.name in LABEL_SETS and target.name in LABEL_SETS:
        raise InputError(
            f"there is no mapping of label set {source.name} to {target.name}; map both to {ROAD_SCENE.name}"
        )
    classes = {name: name for name in source.classes if name in target.classes}
    boxes = {name: name for name in source.detection if name in target.detection}
    if not classes and not boxes:
        raise InputError(f"label sets {source.name} and {target.name} have no class name in common")
    return LabelMapping(source, target, classes, boxes)


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

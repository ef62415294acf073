"""Every camera label set in terms of the road-scene label set.

Its classes are those of Cityscapes plus lane markings, its box classes those of nuScenes. What has no counterpart is
ignored. Boxes of riders are left out: nuScenes draws one box around a cycle and its rider, the others two. A data set
that labels lanes and drivable area apart from the semantic mask, as BDD100K does, keeps them so.
"""

from __future__ import annotations

from perception.taxonomies.ade20k import ADE20K
from perception.taxonomies.bdd100k import BDD100K
from perception.taxonomies.cityscapes import CITYSCAPES
from perception.taxonomies.coco import COCO, COCO_STUFF
from perception.taxonomies.voc import VOC

SAME = {name: name for name in CITYSCAPES.classes}
OBJECTS = {name: name for name in ("car", "truck", "bus", "motorcycle", "bicycle")}

COCO_OBJECTS = {
    "person": "person", "bicycle": "bicycle", "car": "car", "motorcycle": "motorcycle", "bus": "bus", "train": "train",
    "truck": "truck", "traffic_light": "traffic_light", "stop_sign": "traffic_sign",
}  # fmt: skip
COCO_WALLS = {"wall-brick": "wall", "wall-stone": "wall", "wall-wood": "wall"}
COCO_GROUND = {
    "road": "road", "house": "building", "roof": "building", "flower": "vegetation", "sand": "terrain",
    "gravel": "terrain",
}  # fmt: skip

TO_ROAD_SCENE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "camvid": (
        {
            "sky": "sky", "building": "building", "pole": "pole", "road": "road", "pavement": "sidewalk",
            "tree": "vegetation", "sign": "traffic_sign", "fence": "fence", "car": "car", "pedestrian": "person",
            "bicyclist": "rider",
        },
        {"car": "car", "pedestrian": "pedestrian", "bicyclist": "bicycle"},
    ),
    CITYSCAPES.name: (SAME, OBJECTS | {"person": "pedestrian"}),
    BDD100K.name: (SAME, OBJECTS | {"pedestrian": "pedestrian"}),
    VOC.name: (
        {
            "bicycle": "bicycle", "bus": "bus", "car": "car", "motorbike": "motorcycle", "person": "person",
            "train": "train",
        },
        {"bicycle": "bicycle", "bus": "bus", "car": "car", "motorbike": "motorcycle", "person": "pedestrian"},
    ),
    COCO.name: (
        COCO_OBJECTS | COCO_WALLS | COCO_GROUND | {
            "pavement-merged": "sidewalk", "tree-merged": "vegetation", "grass-merged": "terrain",
            "dirt-merged": "terrain", "sky-other-merged": "sky", "building-other-merged": "building",
            "fence-merged": "fence", "wall-other-merged": "wall",
        },
        OBJECTS | {"person": "pedestrian"},
    ),
    COCO_STUFF.name: (
        COCO_OBJECTS | COCO_WALLS | COCO_GROUND | {
            "pavement": "sidewalk", "tree": "vegetation", "bush": "vegetation", "leaves": "vegetation",
            "branch": "vegetation", "plant-other": "vegetation", "grass": "terrain", "dirt": "terrain",
            "mud": "terrain", "sky-other": "sky", "clouds": "sky", "building-other": "building",
            "skyscraper": "building", "fence": "fence", "wall-concrete": "wall", "wall-other": "wall",
        },
        OBJECTS | {"person": "pedestrian"},
    ),
    ADE20K.name: (
        {
            "wall": "wall", "building": "building", "house": "building", "skyscraper": "building", "tower": "building",
            "sky": "sky", "tree": "vegetation", "plant": "vegetation", "palm": "vegetation", "flower": "vegetation",
            "road": "road", "sidewalk": "sidewalk", "grass": "terrain", "earth": "terrain", "field": "terrain",
            "sand": "terrain", "dirt_track": "terrain", "land": "terrain", "fence": "fence", "pole": "pole",
            "streetlight": "pole", "traffic_light": "traffic_light", "person": "person", "car": "car", "van": "car",
            "bus": "bus", "truck": "truck", "minibike": "motorcycle", "bicycle": "bicycle",
        },
        {},
    ),
}  # fmt: skip
"""Label set to (semantic class to class, box class to box class)."""

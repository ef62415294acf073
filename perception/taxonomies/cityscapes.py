"""Cityscapes: the 19 evaluated classes and the label ids that the files hold.

Paper: The Cityscapes Dataset for Semantic Urban Scene Understanding - arXiv 1604.01685
"""

from __future__ import annotations

from perception.taxonomies.label_set import LabelSet

CITYSCAPES = LabelSet(
    name="cityscapes",
    classes=(
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic_light", "traffic_sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    colors=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    drivable=("road",),
    detection=("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)  # fmt: skip
"""The train ids, in their order; the box classes are the eight that have instances."""

CITYSCAPES_IDS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic_light",
    20: "traffic_sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
"""Label id in the files to class; the other ids (void, parking, rail track, bridge, caravan, ...) are not evaluated."""

CITYSCAPES_LAST_ID = 33

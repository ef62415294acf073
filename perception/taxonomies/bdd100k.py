"""BDD100K: semantic classes (the train ids of Cityscapes), box classes, and the bits of its lane masks.

Paper: BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning - arXiv 1805.04687
"""

from __future__ import annotations

from perception.taxonomies.cityscapes import CITYSCAPES
from perception.taxonomies.label_set import LabelSet

BDD100K = LabelSet(
    name="bdd100k",
    classes=CITYSCAPES.classes,
    colors=CITYSCAPES.colors,
    drivable=("road",),
    detection=(
        "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic_light",
        "traffic_sign",
    ),
)  # fmt: skip
"""The box classes are those of the 2020 detection labels, in the order of their category ids."""

BDD100K_OLD_NAMES = {"person": "pedestrian", "motor": "motorcycle", "bike": "bicycle"}
"""Names that the labels of 2018 use for box classes."""

BDD100K_NOT_EVALUATED = ("other_vehicle", "other_person", "trailer")
"""Categories of the labels that are no box classes."""

LANE_CATEGORIES = (
    "crosswalk", "double_other", "double_white", "double_yellow", "road_curb", "single_other", "single_white",
    "single_yellow",
)  # fmt: skip
"""Value of the low three bits of a lane mask. Bit 3 is set where there is no lane marking, bit 4 for dashed ones, bit 5
for ones that run across the lane."""

LANE_BACKGROUND, LANE_DASHED, LANE_VERTICAL = 8, 16, 32

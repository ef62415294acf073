"""PASCAL VOC 2012.

Everingham et al.: The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015
"""

from __future__ import annotations

from perception.taxonomies.label_set import LabelSet, voc_colors

VOC_OBJECTS = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

VOC = LabelSet(
    name="voc", classes=("background", *VOC_OBJECTS), colors=voc_colors(1 + len(VOC_OBJECTS)), detection=VOC_OBJECTS
)

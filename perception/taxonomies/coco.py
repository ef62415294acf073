"""COCO: the 133 panoptic categories, and the 171 of COCO-Stuff, with the ids that the files hold.

Papers: Microsoft COCO: Common Objects in Context - arXiv 1405.0312; COCO-Stuff: Thing and Stuff Classes in Context -
arXiv 1612.03716; Panoptic Segmentation - arXiv 1801.00868
"""

from __future__ import annotations

from perception.taxonomies.label_set import LabelSet, voc_colors

COCO_THINGS = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck", 9: "boat",
    10: "traffic_light", 11: "fire_hydrant", 13: "stop_sign", 14: "parking_meter", 15: "bench", 16: "bird", 17: "cat",
    18: "dog", 19: "horse", 20: "sheep", 21: "cow", 22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe",
    27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee", 35: "skis",
    36: "snowboard", 37: "sports_ball", 38: "kite", 39: "baseball_bat", 40: "baseball_glove", 41: "skateboard",
    42: "surfboard", 43: "tennis_racket", 44: "bottle", 46: "wine_glass", 47: "cup", 48: "fork", 49: "knife",
    50: "spoon", 51: "bowl", 52: "banana", 53: "apple", 54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot",
    58: "hot_dog", 59: "pizza", 60: "donut", 61: "cake", 62: "chair", 63: "couch", 64: "potted_plant", 65: "bed",
    67: "dining_table", 70: "toilet", 72: "tv", 73: "laptop", 74: "mouse", 75: "remote", 76: "keyboard",
    77: "cell_phone", 78: "microwave", 79: "oven", 80: "toaster", 81: "sink", 82: "refrigerator", 84: "book",
    85: "clock", 86: "vase", 87: "scissors", 88: "teddy_bear", 89: "hair_drier", 90: "toothbrush",
}  # fmt: skip
"""Category id to name of the 80 things."""

COCO_PANOPTIC_STUFF = {
    92: "banner", 93: "blanket", 95: "bridge", 100: "cardboard", 107: "counter", 109: "curtain", 112: "door-stuff",
    118: "floor-wood", 119: "flower", 122: "fruit", 125: "gravel", 128: "house", 130: "light", 133: "mirror-stuff",
    138: "net", 141: "pillow", 144: "platform", 145: "playingfield", 147: "railroad", 148: "river", 149: "road",
    151: "roof", 154: "sand", 155: "sea", 156: "shelf", 159: "snow", 161: "stairs", 166: "tent", 168: "towel",
    171: "wall-brick", 175: "wall-stone", 176: "wall-tile", 177: "wall-wood", 178: "water-other", 180: "window-blind",
    181: "window-other", 184: "tree-merged", 185: "fence-merged", 186: "ceiling-merged", 187: "sky-other-merged",
    188: "cabinet-merged", 189: "table-merged", 190: "floor-other-merged", 191: "pavement-merged",
    192: "mountain-merged", 193: "grass-merged", 194: "dirt-merged", 195: "paper-merged", 196: "food-other-merged",
    197: "building-other-merged", 198: "rock-merged", 199: "wall-other-merged", 200: "rug-merged",
}  # fmt: skip
"""Category id to name of the 53 stuff categories of the panoptic task, into which those of COCO-Stuff are merged."""

COCO_STUFF_NAMES = (
    "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet",
    "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff",
    "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower",
    "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper", "pavement", "pillow",
    "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road", "rock", "roof",
    "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs", "stone",
    "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable", "wall-brick",
    "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other", "waterdrops",
    "window-blind", "window-other", "wood",
)  # fmt: skip
"""The 91 stuff categories of COCO-Stuff; their ids are 92 to 182 in this order."""

COCO_PANOPTIC_IDS = COCO_THINGS | COCO_PANOPTIC_STUFF
COCO_STUFF_IDS = COCO_THINGS | {92 + place: name for place, name in enumerate(COCO_STUFF_NAMES)}

COCO = LabelSet(
    name="coco",
    classes=tuple(COCO_PANOPTIC_IDS.values()),
    colors=voc_colors(len(COCO_PANOPTIC_IDS) + 1)[1:],
    detection=tuple(COCO_THINGS.values()),
)

COCO_STUFF = LabelSet(
    name="coco_stuff",
    classes=tuple(COCO_STUFF_IDS.values()),
    colors=voc_colors(len(COCO_STUFF_IDS) + 1)[1:],
    detection=tuple(COCO_THINGS.values()),
)

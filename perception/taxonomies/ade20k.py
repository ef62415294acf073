"""ADE20K, the 150 classes of the scene-parsing benchmark.

Paper: Semantic Understanding of Scenes through the ADE20K Dataset - arXiv 1608.05442
"""

from __future__ import annotations

from perception.taxonomies.label_set import LabelSet, voc_colors

ADE20K_CLASSES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest_of_drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool_table",
    "pillow", "screen_door", "stairway", "river", "bridge", "bookcase", "blind", "coffee_table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen_island", "computer", "swivel_chair", "boat", "bar",
    "arcade_machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight",
    "booth", "television_receiver", "airplane", "dirt_track", "apparel", "pole", "land", "bannister", "escalator",
    "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer_belt", "canopy", "washer",
    "plaything", "swimming_pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven",
    "ball", "food", "step", "tank", "trade_name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher",
    "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic_light", "tray", "ashcan", "fan", "pier",
    "crt_screen", "plate", "monitor", "bulletin_board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip

ADE20K = LabelSet(name="ade20k", classes=ADE20K_CLASSES, colors=voc_colors(151)[1:])
"""Index 0 here is label 1 in the files, whose 0 is no class. Colours are those of the VOC map."""

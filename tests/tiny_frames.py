"""Tiny data sets in the official layouts of Cityscapes, BDD100K, COCO, VOC, ADE20K, and a folder of masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (32, 48)


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A grey road under a blue sky, with noise."""
    random = np.random.default_rng(seed)
    image = np.full((*size, 3), (90, 140, 200), np.uint8)
    image[size[0] // 2 :] = (80, 80, 80)
    return np.clip(image.astype(int) + random.integers(-8, 8, image.shape), 0, 255).astype(np.uint8)


def save(path: Path, array: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image.putpalette(list(range(256)) * 3)
    image.save(path)


def halves(above: int, below: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.full(size, above, np.uint8)
    mask[size[0] // 2 :] = below
    return mask


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) if not isinstance(value, str) else value)


def write_cityscapes(root: Path, frames: int = 2) -> Path:
    for split, city in (("train", "aachen"), ("train", "bremen"), ("val", "munster")):
        for i in range(frames):
            name = f"{city}_{i:06d}_000019"
            save(root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", picture(i))
            labels = halves(23, 7)
            labels[18:24, 4:20] = 26  # a car
            labels[18:24, 30:34] = 24  # a group of people that nobody divided
            labels[:2] = 3
            instances = labels.astype(np.int32)
            instances[18:24, 4:20] = 26000
            instances[18:24, 12:20] = 26001
            save(root / f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png", labels)
            save(root / f"gtFine/{split}/{city}/{name}_gtFine_instanceIds.png", instances.astype(np.uint16))
            camera = {
                "intrinsic": {"fx": 50.0, "fy": 51.0, "u0": 24.0, "v0": 16.0},
                "extrinsic": {"x": 1.7, "y": 0.1, "z": 1.2, "yaw": 0.0, "pitch": 0.0, "roll": 0.0, "baseline": 0.2},
            }
            write(root / f"camera/{split}/{city}/{name}_camera.json", camera)
            write(root / f"vehicle/{split}/{city}/{name}_vehicle.json", {"speed": 9.5, "yawRate": 0.0})
    return root


def write_bdd100k(root: Path, frames: int = 3) -> Path:
    for split in ("train", "val"):
        records = []
        for i in range(frames):
            name = f"b1c66a42-{split}{i}"
            save(root / f"images/100k/{split}/{name}.jpg", picture(i))
            drivable = halves(2, 0)
            drivable[20:, 30:] = 1
            save(root / f"labels/drivable/masks/{split}/{name}.png", drivable)
            lane = np.full(SIZE, 255, np.uint8)
            lane[20:30, 10:12] = 6  # single white, along the lane, solid
            lane[20:30, 24:26] = 7 + 16  # single yellow, dashed
            lane[28:30, 12:24] = 6 + 32  # single white, across the lane
            lane[20:30, 40:42] = 4  # road curb
            save(root / f"labels/lane/masks/{split}/{name}.png", lane)
            labels = [
                {"id": "1", "category": "car", "box2d": {"x1": 4.0, "y1": 16.0, "x2": 19.0, "y2": 25.0}},
                {"id": "2", "category": "traffic light", "box2d": {"x1": 30, "y1": 2, "x2": 33, "y2": 9}},
                {"id": "3", "category": "other vehicle", "box2d": {"x1": 0, "y1": 0, "x2": 5, "y2": 5}},
                {"id": "4", "category": "lane/single white", "poly2d": []},
            ]
            attributes = {"weather": "rainy" if i else "clear", "scene": "highway", "timeofday": "night"}
            record = {"name": f"{name}.jpg", "attributes": attributes, "timestamp": 10000, "labels": labels[:3]}
            records.append(record if i < 2 else {"name": f"{name}.jpg", "attributes": attributes, "labels": None})
        write(root / f"labels/det_20/det_{split}.json", records)
        for i in range(2):
            name = f"7d06fefd-{split}{i}"
            save(root / f"images/10k/{split}/{name}.jpg", picture(i))
            save(root / f"labels/sem_seg/masks/{split}/{name}.png", halves(10, 0))
    return root


def write_coco(root: Path) -> Path:
    for split in ("train2017", "val2017"):
        images, boxes, panoptic = [], [], []
        for i in range(3):
            name = f"{i + 1:012d}"
            images.append({"id": i + 1, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
            save(root / split / f"{name}.jpg", picture(i))
            if i == 2:
                continue  # COCO has pictures without any annotation
            boxes += [
                {"id": 10 * i + 1, "image_id": i + 1, "category_id": 3, "bbox": [4.5, 16, 10, 8], "iscrowd": 0},
                {"id": 10 * i + 2, "image_id": i + 1, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1},
                {"id": 10 * i + 3, "image_id": i + 1, "category_id": 1, "bbox": [3, 3, 0, 5], "iscrowd": 0},
            ]
            numbers = halves(0, 0).astype(np.int64)
            numbers[2:16] = 70_000
            numbers[16:] = 300
            numbers[16:24, 4:14] = 5
            rgb = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1).astype(np.uint8)
            save(root / f"annotations/panoptic_{split}/{name}.png", rgb)
            segments = [
                {"id": 70_000, "category_id": 187, "iscrowd": 0},
                {"id": 300, "category_id": 149, "iscrowd": 0},
                {"id": 5, "category_id": 3, "iscrowd": 0},
            ]
            panoptic.append({"image_id": i + 1, "file_name": f"{name}.png", "segments_info": segments})
        for i in range(3):
            stuff = halves(156, 148)  # sky-other and road, ids less one
            stuff[0] = 255
            save(root / f"stuffthingmaps/{split}/{i + 1:012d}.png", stuff)
        write(root / f"annotations/instances_{split}.json", {"images": images, "annotations": boxes})
        write(root / f"annotations/panoptic_{split}.json", {"images": images, "annotations": panoptic})
    return root


VOC_XML = """<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>
<size><width>48</width><height>32</height><depth>3</depth></size>
<object><name>person</name><difficult>0</difficult>
<bndbox><xmin>5</xmin><ymin>17</ymin><xmax>14</xmax><ymax>24</ymax></bndbox>
<part><name>head</name><bndbox><xmin>6</xmin><ymin>17</ymin><xmax>8</xmax><ymax>19</ymax></bndbox></part></object>
<object><name>dog</name><difficult>1</difficult>
<bndbox><xmax>20</xmax><xmin>15</xmin><ymax>24</ymax><ymin>20</ymin></bndbox></object></annotation>
"""


def write_voc(root: Path) -> Path:
    lists = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
    for split, names in lists.items():
        for i, name in enumerate(names):
            save(root / f"JPEGImages/{name}.jpg", picture(i))
            mask = halves(0, 0)
            mask[16:24, 4:14] = 15
            mask[15, 4:14] = 255
            save(root / f"SegmentationClass/{name}.png", mask, palette=True)
            save(root / f"SegmentationClassAug/{name}.png", mask)
            write(root / f"Annotations/{name}.xml", VOC_XML.format(name=name))
        write(root / f"ImageSets/Segmentation/{split}.txt", "\n".join(names) + "\n")
        write(root / f"ImageSets/Main/{split}.txt", "\n".join(names) + "\n")
    write(root / "ImageSets/Segmentation/trainaug.txt", "2007_000032\n2007_000039\n2007_000033\n")
    return root


def write_ade20k(root: Path) -> Path:
    for split, folder in (("train", "training"), ("val", "validation")):
        for i in range(2):
            save(root / f"images/{folder}/ADE_{split}_{i:08d}.jpg", picture(i))
            mask = halves(3, 7)  # sky and road
            mask[0] = 0
            save(root / f"annotations/{folder}/ADE_{split}_{i:08d}.png", mask)
    return root


FOLDER_CLASSES = "name: yard\nclasses: {sky: [70, 130, 180], ground: [128, 64, 128]}\ndrivable: [ground]\n"


def write_folder(root: Path) -> Path:
    for split in ("train", "val"):
        for i, sub in enumerate(("a", "b/c")):
            save(root / f"images/{split}/{sub}.jpg", picture(i))
            mask = halves(0, 1)
            mask[0] = 255
            if i:
                colors = np.array([[70, 130, 180], [128, 64, 128]] + [[0, 0, 0]] * 254, np.uint8)
                save(root / f"masks/{split}/{sub}.png", colors[mask])
            else:
                save(root / f"masks/{split}/{sub}.png", mask)
    write(root / "classes.yaml", FOLDER_CLASSES)
    return root


WRITERS = {
    "cityscapes": write_cityscapes,
    "bdd100k": write_bdd100k,
    "coco": write_coco,
    "voc": write_voc,
    "ade20k": write_ade20k,
    "folder": write_folder,
}

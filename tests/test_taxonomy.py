"""Label sets against the official lists, and mappings between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.models.zoo import create_model
from perception.taxonomies.cityscapes import CITYSCAPES_IDS
from perception.taxonomies.coco import COCO_PANOPTIC_IDS, COCO_STUFF_IDS, COCO_THINGS
from perception.taxonomies.label_set import LabelSet, voc_colors
from perception.taxonomies.mapping import LabelMapping
from perception.taxonomies.reading import label_set_from, read_label_set
from perception.taxonomies.road_scene import TO_ROAD_SCENE
from perception.taxonomy import (
    ADE20K,
    BDD100K,
    CAMVID,
    CITYSCAPES,
    COCO,
    COCO_STUFF,
    LABEL_SETS,
    ROAD_SCENE,
    VOC,
    get_label_set,
    label_mapping,
    label_set_reference,
)


def test_names_are_the_official_ones() -> None:
    from torchvision.models._meta import _COCO_CATEGORIES, _VOC_CATEGORIES

    named = {i: name for i, name in enumerate(_COCO_CATEGORIES) if name not in ("N/A", "__background__")}
    things = {i: name.replace(" ", "_") for i, name in named.items()}
    assert things == COCO_THINGS
    assert VOC.classes == ("background", *_VOC_CATEGORIES[1:])
    assert VOC.detection == tuple(_VOC_CATEGORIES[1:])
    assert COCO.detection == COCO_STUFF.detection == tuple(things.values())


def test_counts_are_the_published_ones() -> None:
    counts = {name: (len(labels.classes), len(labels.detection)) for name, labels in LABEL_SETS.items()}
    assert counts["cityscapes"] == (19, 8)
    assert counts["bdd100k"] == (19, 10)
    assert counts["coco"] == (133, 80)
    assert counts["coco_stuff"] == (171, 80)
    assert counts["voc"] == (21, 20)
    assert counts["ade20k"] == (150, 0)
    for labels in LABEL_SETS.values():
        assert len(set(labels.classes)) == len(labels.classes), labels.name


def test_ids_of_the_files() -> None:
    assert tuple(CITYSCAPES_IDS.values()) == CITYSCAPES.classes
    assert COCO_PANOPTIC_IDS[184] == "tree-merged"
    assert len(COCO_STUFF_IDS) == 171
    assert (COCO_STUFF_IDS[92], COCO_STUFF_IDS[149], COCO_STUFF_IDS[182]) == ("banner", "road", "wood")
    # The panoptic task merged some stuff categories and left the others under their ids.
    kept = {i: name for i, name in COCO_PANOPTIC_IDS.items() if 92 <= i <= 182}
    assert kept.items() <= COCO_STUFF_IDS.items()
    assert (ADE20K.index("wall"), ADE20K.index("road"), ADE20K.index("flag")) == (0, 6, 149)


def test_voc_colors_are_those_of_the_palette() -> None:
    assert voc_colors(22)[1:5] == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert voc_colors(256)[255] == (224, 224, 192)
    assert len(set(voc_colors(256))) == 256


@pytest.mark.parametrize("name", TO_ROAD_SCENE)
def test_every_class_maps_to_one_of_the_road_scene_or_is_ignored(name: str) -> None:
    mapping = label_mapping(LABEL_SETS[name], ROAD_SCENE)
    table = mapping.table()
    used = table[: len(mapping.source.classes)]
    assert ((used < len(ROAD_SCENE.classes)) | (used == 255)).all()
    assert (table[len(mapping.source.classes) :] == 255).all()
    assert int((used != 255).sum()) == len(mapping.classes) > 0
    boxes = mapping.box_table()
    assert len(boxes) == len(mapping.source.detection)
    assert set(boxes[boxes >= 0].tolist()) == set(np.flatnonzero(mapping.known_boxes()).tolist())
    # Objects keep their name, whatever it is called in the data set.
    for source, target in mapping.classes.items():
        if source in ROAD_SCENE.classes and source != "wall":
            assert target == source


@pytest.mark.parametrize("name", ["camvid", "cityscapes", "bdd100k"])
def test_lossless_mappings_come_back(name: str) -> None:
    there = label_mapping(LABEL_SETS[name], ROAD_SCENE)
    assert there.total
    assert there.lossless
    back = label_mapping(ROAD_SCENE, LABEL_SETS[name])
    indices = np.arange(len(there.source.classes))
    assert (back.table()[there.table()[indices]] == indices).all()
    assert back.table()[255] == 255


@pytest.mark.parametrize(
    ("name", "message"), [("voc", "background is ignored"), ("ade20k", "building and house and skyscraper")]
)
def test_lossy_mappings_have_no_way_back(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_mapping(ROAD_SCENE, LABEL_SETS[name])


def test_cityscapes_is_the_start_of_the_road_scene() -> None:
    assert ROAD_SCENE.classes[:19] == CITYSCAPES.classes == BDD100K.classes
    assert (label_mapping(CITYSCAPES, ROAD_SCENE).table()[:19] == np.arange(19)).all()


def test_boxes_of_partly_labelled_sets() -> None:
    known = label_mapping(BDD100K, ROAD_SCENE).known_boxes()
    names = {name for name, there in zip(ROAD_SCENE.detection, known, strict=True) if there}
    assert names == {"car", "truck", "bus", "pedestrian", "motorcycle", "bicycle"}
    assert label_mapping(BDD100K, ROAD_SCENE).box_table()[BDD100K.detection.index("rider")] == -1
    assert label_mapping(ROAD_SCENE, ROAD_SCENE).known_boxes().all()


def test_mappings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="no mapping of label set camvid to voc"):
        label_mapping(CAMVID, VOC)
    own = LabelSet("own", ("x",), ((0, 0, 0),))
    with pytest.raises(InputError, match="no class name in common"):
        label_mapping(own, ROAD_SCENE)
    with pytest.raises(InputError, match="voc has no 'cat2'"):
        LabelMapping(VOC, ROAD_SCENE, {"cat2": "road"}, {})


def test_own_label_set_maps_by_name() -> None:
    own = LabelSet("own", ("puddle", "road"), ((0, 0, 0), (1, 1, 1)), detection=("car", "cow"))
    mapping = label_mapping(own, ROAD_SCENE)
    assert mapping.table()[:2].tolist() == [255, 0]
    assert mapping.box_table().tolist() == [0, -1]


def test_own_label_set_from_yaml_travels_with_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "yard.yaml"
    path.write_text("classes: {ground: [10, 20, 30], person: [220, 20, 60]}\ndrivable: [ground]\ndetection: [person]\n")
    labels = get_label_set(str(path))
    assert labels == LabelSet("yard", ("ground", "person"), ((10, 20, 30), (220, 20, 60)), ("ground",), (), ("person",))
    model = create_model("multitask_resnet18_slim", labels, heads=["semantic"])
    recipe = model.recipe
    torch.save(recipe, tmp_path / "recipe.pt")
    again = torch.load(tmp_path / "recipe.pt", weights_only=True)
    assert create_model(again["name"], again["label_set"], **again["options"]).label_set == labels
    assert label_set_reference(CAMVID) == "camvid"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must be a mapping"),
        ("classes: []", "no classes"),
        ("classes: [a, a]", "names 'a' twice"),
        ("classes: {a: [1, 2]}", "must be three integers"),
        ("classes: {a: [1, 2, 300]}", "must be three integers"),
        ("classes: [a]\ncolours: []", "has a key 'colours'"),
        ("classes: [a]\ndrivable: [b]", "has no class 'b'"),
        ("classes: [a]\ncolors: [[1, 2, 3], [1, 2, 3]]", "1 classes but 2 colours"),
        ("classes: [a", "is not YAML"),
    ],
)
def test_bad_label_set_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_label_set(path)
    assert "bad.yaml" in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["classes", "colors", "name", "drivable", "lane", "detection", "x"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-1, 300), st.text(max_size=2)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
def test_any_description_is_a_label_set_or_one_line(value: dict) -> None:
    try:
        labels = label_set_from(value)
    except InputError:
        return
    assert label_set_from(labels.to_dict()) == labels

"""The data sets that are a list of frames, each read from a tiny copy of its official layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_frames import FOLDER_CLASSES, SIZE, VOC_XML, WRITERS, halves, save

from perception.datasets.ade20k import ADE20KDataset
from perception.datasets.bdd100k import BDD100KDataset, lane_table
from perception.datasets.cityscapes import CityscapesDataset
from perception.datasets.coco import COCODataset
from perception.datasets.folder import FolderDataset
from perception.datasets.frames import Frame, FrameDataset, make_boxes
from perception.datasets.voc import VOCDataset, parse_boxes
from perception.errors import InputError
from perception.taxonomies.bdd100k import LANE_CATEGORIES
from perception.taxonomy import ADE20K, BDD100K, CITYSCAPES, COCO, COCO_STUFF, VOC
from perception.types import Boxes

OPENERS = {
    "cityscapes": CityscapesDataset,
    "bdd100k": BDD100KDataset,
    "coco": lambda root, split: COCODataset(root, f"{split}2017"),
    "voc": VOCDataset,
    "ade20k": ADE20KDataset,
    "folder": FolderDataset,
}


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return WRITERS[request.param](tmp_path / request.param)


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("root", [name], indirect=True)


@pytest.mark.parametrize("name", WRITERS)
def test_every_set_reads_both_splits(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    for split in ("train", "val"):
        dataset: FrameDataset = OPENERS[name](root, split)
        assert len(set(dataset.frame_names)) == len(dataset) > 0
        for i in range(len(dataset)):
            sample = dataset[i]
            assert sample.image.shape == (3, *SIZE)
            for mask in (sample.semantic, sample.drivable, sample.lane):
                assert mask is None or (mask.shape == SIZE and str(mask.dtype) == "torch.int64")
            if sample.semantic is not None:
                values = set(np.unique(sample.semantic)) - {255}
                assert values <= set(range(len(dataset.label_set.classes)))


@of("cityscapes")
def test_cityscapes_labels_boxes_and_camera(root: Path) -> None:
    dataset = CityscapesDataset(root, "train")
    assert len(dataset) == 4
    sample = dataset[0]
    assert sample.name == "aachen_000000_000019"
    semantic = sample.semantic.numpy()
    assert (semantic[:2] == 255).all()
    assert {CITYSCAPES.classes[i] for i in np.unique(semantic[2:])} == {"sky", "road", "car", "person"}
    assert (sample.drivable.numpy()[2:] == (semantic[2:] == CITYSCAPES.index("road"))).all()
    assert (sample.drivable.numpy()[:2] == 255).all()
    # The two cars touch; the group of people has no number and is no box.
    assert sample.boxes.xyxy.tolist() == [[4, 18, 12, 24], [12, 18, 20, 24]]
    assert [CITYSCAPES.detection[i] for i in sample.boxes.labels] == ["car", "car"]
    assert sample.speed_mps == 9.5
    assert sample.camera.focal_px == 50.0
    # Forward in the camera is forward in the vehicle, 1.2 m above the ground.
    assert sample.camera.ego_from_camera @ [0, 0, 10, 1] == pytest.approx([11.7, 0.1, 1.2, 1])
    assert sample.camera.ego_from_camera @ [1, 0, 0, 1] == pytest.approx([1.7, -0.9, 1.2, 1])


@of("cityscapes")
def test_cityscapes_pitch_looks_down(root: Path) -> None:
    path = next(root.rglob("camera/train/aachen/*.json"))
    content = json.loads(path.read_text())
    content["extrinsic"]["pitch"] = 0.1
    path.write_text(json.dumps(content))
    camera = CityscapesDataset(root, "train")[0].camera
    assert (camera.ego_from_camera @ [0, 0, 10, 1])[2] == pytest.approx(1.2 - 10 * np.sin(0.1))


@of("cityscapes")
def test_cityscapes_choices(root: Path) -> None:
    assert CityscapesDataset(root, "train", cities=["bremen"]).frame_names[0].startswith("bremen")
    sample = CityscapesDataset(root, "val", labels="none")[0]
    assert sample.semantic is None
    assert sample.boxes is None
    for options, message in (
        ({"split": "test"}, "split 'test'"),
        ({"split": "all"}, "unknown Cityscapes split 'all'"),
        ({"cities": ["berlin"]}, "no city 'berlin'; it has aachen, bremen"),
        ({"labels": "rough"}, "unknown Cityscapes labels 'rough'"),
    ):
        with pytest.raises(InputError, match=message):
            CityscapesDataset(root, **options)


@of("bdd100k")
def test_bdd100k_targets(root: Path) -> None:
    sample = BDD100KDataset(root, "train")[0]
    assert sample.semantic is None
    drivable = sample.drivable.numpy()
    assert not drivable[:16].any()
    assert drivable[16:].all()
    lane = sample.lane.numpy()
    expected = np.zeros(SIZE, int)
    expected[20:30, 10:12] = expected[20:30, 24:26] = expected[28:30, 12:24] = 1
    assert (lane == expected).all()
    # The far corners are the last pixels inside; what is not evaluated is no box.
    assert sample.boxes.xyxy.tolist() == [[4, 16, 20, 26], [30, 2, 34, 10]]
    assert [BDD100K.detection[i] for i in sample.boxes.labels] == ["car", "traffic_light"]
    empty = BDD100KDataset(root, "train")[2]
    assert empty.boxes is not None
    assert len(empty.boxes) == 0


@of("bdd100k")
def test_bdd100k_choices(root: Path) -> None:
    direct = BDD100KDataset(root, alternative=False)[0].drivable.numpy()
    assert direct[16:20].all()
    assert not direct[20:, 30:].any()
    assert not BDD100KDataset(root, lanes=["single_white"], across=False)[0].lane[28:30, 12:24].any()
    assert BDD100KDataset(root, lanes=["road_curb"])[0].lane.sum() == 20
    rainy = BDD100KDataset(root, attributes={"weather": ["rainy"], "timeofday": ["night"]})
    assert len(rainy) == 2
    assert rainy.frames[0].record["attributes"]["scene"] == "highway"
    semantic = BDD100KDataset(root, images="10k")[0]
    assert set(np.unique(semantic.semantic)) == {0, 10}
    assert semantic.boxes is None
    for options, message in (
        ({"split": "nope"}, "unknown BDD100K split 'nope'"),
        ({"images": "1k"}, "unknown BDD100K images '1k'"),
        ({"lanes": ["curb"]}, "unknown BDD100K lane category 'curb'"),
        ({"attributes": {"mood": ["bad"]}}, "unknown BDD100K attribute 'mood'"),
        ({"attributes": {"weather": ["lava"]}}, "has no frames"),
    ):
        with pytest.raises(InputError, match=message):
            BDD100KDataset(root, **options)


def test_lane_bits() -> None:
    for value in range(256):
        marking = not value & 0b1000
        category = LANE_CATEGORIES[value & 0b111]
        assert lane_table([category])[value] == marking
        assert lane_table([name for name in LANE_CATEGORIES if name != category])[value] == 0
        assert lane_table(LANE_CATEGORIES, across=False)[value] == (marking and not value & 0b100000)


@of("coco")
def test_coco_boxes_and_masks(root: Path) -> None:
    dataset = COCODataset(root)
    assert len(dataset) == 3
    sample = dataset[0]
    assert sample.boxes.xyxy.tolist() == [[4.5, 16, 14.5, 24]]  # no crowd, and nothing without area
    assert COCO.detection[sample.boxes.labels[0]] == "car"
    semantic = sample.semantic.numpy()
    assert (semantic[:2] == 255).all()
    assert {COCO.classes[i] for i in np.unique(semantic[2:])} == {"sky-other-merged", "road", "car"}
    assert (semantic[16:24, 4:14] == COCO.index("car")).all()
    bare = dataset[2]
    assert bare.semantic is None
    assert len(bare.boxes) == 0
    numbers, segments = dataset.panoptic(dataset.frames[0], SIZE)
    assert {s.number: (COCO.classes[s.label], s.thing) for s in segments} == {
        70_000: ("sky-other-merged", False), 300: ("road", False), 5: ("car", True)
    }  # fmt: skip
    assert set(np.unique(numbers)) == {0, 5, 300, 70_000}


@of("coco")
def test_coco_boxes_agree_with_pycocotools(root: Path) -> None:
    from pycocotools.coco import COCO as Reference

    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
    path.write_text(json.dumps(content))
    reference = Reference(str(path))
    for i, image in enumerate(sorted(reference.getImgIds())):
        rows = reference.loadAnns(reference.getAnnIds(image, areaRng=[], iscrowd=False))
        boxes = [(r["bbox"][0], r["bbox"][1], r["bbox"][0] + r["bbox"][2], r["bbox"][1] + r["bbox"][3]) for r in rows]
        assert COCODataset(root)[i].boxes.xyxy.tolist() == [list(b) for b in boxes if b[2] > b[0] and b[3] > b[1]]


@of("coco")
def test_coco_stuff_and_choices(root: Path) -> None:
    dataset = COCODataset(root, semantic_from="stuff", boxes=False)
    sample = dataset[0]
    assert sample.boxes is None
    assert {COCO_STUFF.classes[i] for i in np.unique(sample.semantic[1:])} == {"sky-other", "road"}
    assert (sample.semantic[0] == 255).all()
    assert COCODataset(root, semantic_from="none")[0].semantic is None
    with pytest.raises(InputError, match="leave no label"):
        COCODataset(root, semantic_from="none", boxes=False)
    with pytest.raises(InputError, match="semantic_from 'all'"):
        COCODataset(root, semantic_from="all")


@of("voc")
def test_voc_masks_and_boxes(root: Path) -> None:
    sample = VOCDataset(root)[0]
    semantic = sample.semantic.numpy()
    assert (semantic[16:24, 4:14] == VOC.index("person")).all()
    assert (semantic[15, 4:14] == 255).all()
    assert sample.boxes.xyxy.tolist() == [[4, 16, 14, 24]]  # counted from 1, far edges inside; no part, no difficult
    assert [VOC.detection[i] for i in VOCDataset(root, difficult=True)[0].boxes.labels] == ["person", "dog"]
    assert len(VOCDataset(root, "trainaug")) == 3
    assert len(VOCDataset(root, "val", task="detection")) == 1
    with pytest.raises(InputError, match=r"list of split 'test'.*does not exist"):
        VOCDataset(root, "test")


@of("ade20k")
def test_ade20k_counts_from_one(root: Path) -> None:
    sample = ADE20KDataset(root, "val")[0]
    assert (sample.semantic[0] == 255).all()
    assert {ADE20K.classes[i] for i in np.unique(sample.semantic[1:])} == {"sky", "road"}


@of("folder")
def test_folder_reads_indices_and_colours_alike(root: Path) -> None:
    dataset = FolderDataset(root)
    assert dataset.frame_names == ["a", "b/c"]
    assert dataset.label_set.name == "yard"
    for i in range(2):
        assert (dataset[i].semantic[1:].numpy() == halves(0, 1)[1:]).all()
        assert (dataset[i].semantic[0] == 255).all()
        assert (dataset[i].drivable[16:] == 1).all()
        assert dataset[i].lane is None


@of("folder")
def test_folder_takes_names_of_any_form(root: Path, tmp_path: Path) -> None:
    save(tmp_path / "other/pics/x.png", np.zeros((4, 6, 3), np.uint8))
    save(tmp_path / "other/truth/x_mask.png", np.ones((4, 6), np.uint8))
    (tmp_path / "list.yaml").write_text(FOLDER_CLASSES)
    options = {"classes": str(tmp_path / "list.yaml"), "images": "pics", "masks": "truth"}
    dataset = FolderDataset(tmp_path / "other", mask_name="{stem}_mask.png", **options)
    assert (dataset[0].semantic == 1).all()
    with pytest.raises(InputError, match=r"must have a \{stem\}"):
        FolderDataset(tmp_path / "other", mask_name="mask.png", **options)
    with pytest.raises(InputError, match="leads outside"):
        FolderDataset(root, images="../other/pics")


def spoil(root: Path, pattern: str, content: np.ndarray | str | bytes | None) -> None:
    """Overwrite the first file of a pattern with a picture or a text, or remove it."""
    path = min(root.glob(pattern))
    if content is None:
        path.unlink()
    elif isinstance(content, np.ndarray):
        save(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


STRANGE = np.full((*SIZE, 3), 9, np.uint8)


@pytest.mark.parametrize(
    ("root", "pattern", "content", "message"),
    [
        ("cityscapes", "gtFine/train/*/*labelIds.png", halves(23, 60), r"value 60; Cityscapes has label ids 0..33"),
        ("cityscapes", "camera/train/*/*.json", "{}", "camera file .* lacks"),
        ("cityscapes", "vehicle/train/*/*.json", '{"speed": "fast"}', "no number 'speed'"),
        ("bdd100k", "labels/drivable/masks/train/*", halves(2, 3), "value 3; BDD100K has drivable areas"),
        ("bdd100k", "labels/lane/masks/train/*", halves(0, 0, (4, 4)), r"is \(4, 4\) but its image"),
        ("ade20k", "annotations/training/*", halves(3, 151), r"value 151; ADE20K has labels 0..150"),
        ("voc", "Annotations/*32.xml", "<annotation>", "is not XML"),
        ("voc", "SegmentationClass/*32.png", None, "does not exist"),
        ("coco", "annotations/panoptic_train2017/*", STRANGE, "which its record does not name"),
        ("folder", "masks/train/a.png", STRANGE, r"has colour \[9, 9, 9\]"),
        ("folder", "masks/train/a.png", halves(0, 2), r"value 2; folder has classes 0..1"),
        ("folder", "images/train/a.jpg", b"\xff\xd8 cut", "does not decode"),
    ],
    indirect=["root"],
)
def test_broken_files_are_named_with_their_frame(root: Path, pattern: str, content, message: str) -> None:
    if root.name in ("bdd100k", "coco"):
        OPENERS[root.name](root, "train").read(0)  # whole before
    spoil(root, pattern, content)
    dataset = OPENERS[root.name](root, "train")
    with pytest.raises(InputError, match=message) as caught:
        dataset.read(0)
    assert f"frame {dataset.frame_names[0]} of train" in str(caught.value)
    assert "perception check" in str(caught.value)


@pytest.mark.parametrize(
    ("root", "file", "text", "message"),
    [
        ("bdd100k", "labels/det_20/det_train.json", "{}", "must hold a list"),
        ("bdd100k", "labels/det_20/det_train.json", "[{}]", "entry 0 has no 'name'"),
        ("bdd100k", "labels/det_20/det_train.json", "[", "does not parse"),
        ("coco", "annotations/instances_train2017.json", '{"images": []}', "no list 'annotations'"),
        (
            "coco",
            "annotations/instances_train2017.json",
            '{"images": [{"id": 1}], "annotations": []}',
            "no 'file_name'",
        ),
        ("folder", "classes.yaml", "classes: 3", "must be a list of names"),
        ("voc", "ImageSets/Segmentation/train.txt", "", "has no frames"),
    ],
    indirect=["root"],
)
def test_broken_tables_are_named(root: Path, file: str, text: str, message: str) -> None:
    (root / file).write_text(text)
    with pytest.raises(InputError, match=message):
        OPENERS[root.name](root, "train")


@of("voc")
def test_names_cannot_leave_the_folder(root: Path) -> None:
    (root / "ImageSets/Segmentation/train.txt").write_text("../../secret\n")
    with pytest.raises(InputError, match="outside the data folder"):
        VOCDataset(root)[0]
    with pytest.raises(InputError, match="outside the data folder"):
        VOCDataset(root, "../../../lists")


def test_boxes_are_clipped_and_checked() -> None:
    boxes = make_boxes([((-5, -5, 500, 20), 1), ((3, 3, 3, 9), 0), ((60, 0, 70, 9), 2)], SIZE)
    assert boxes.xyxy.tolist() == [[0, 0, 48, 20]]
    assert boxes.labels.tolist() == [1]
    for edges in ((1, 2, 3, float("nan")), (1, 2, 3), (1, 2, "3", 4), (1, 2, True, 4), (1, 2, 3, 10**400)):
        with pytest.raises(InputError, match="four finite numbers"):
            make_boxes([(edges, 0)], SIZE)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_annotation_is_boxes_or_one_line(data: st.DataObject) -> None:
    content = bytearray(VOC_XML.format(name="x").encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        boxes = parse_boxes(bytes(content), SIZE, "x.xml")
    except InputError:
        return
    assert isinstance(boxes, Boxes)
    assert np.isfinite(boxes.xyxy).all()
    assert (boxes.xyxy[:, 2:] <= [48, 32]).all()


NUMBERS = st.one_of(st.floats(), st.integers(), st.sampled_from([10**400, -(10**400), 0, 5, True]))
ANYTHING = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=3), st.sampled_from(["car", "person"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["category", "box2d", "x1", "y1", "x2", "y2", "bbox", "category_id", "iscrowd"]),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=10,
)
NEARLY = st.one_of(
    ANYTHING,
    st.fixed_dictionaries(
        {"category": st.just("car"), "box2d": st.fixed_dictionaries(dict.fromkeys(("x1", "y1", "x2", "y2"), NUMBERS))}
    ),
    st.fixed_dictionaries({"category_id": st.one_of(st.just(3), ANYTHING), "bbox": st.lists(NUMBERS, max_size=5)}),
)


@pytest.mark.parametrize(("kind", "key"), [(BDD100KDataset, "labels"), (COCODataset, "boxes")])
@settings(max_examples=80, deadline=None)
@given(item=NEARLY)
def test_any_box_of_a_table_is_read_or_one_line(kind: type[FrameDataset], key: str, item: object) -> None:
    dataset = kind.__new__(kind)
    try:
        boxes = dataset.boxes(Frame("x", "x.jpg", {}, {key: [item]}), SIZE)
    except InputError:
        return
    assert np.isfinite(boxes.xyxy).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_segment_or_camera_is_read_or_one_line(data: st.DataObject, tmp_path: Path) -> None:
    root = tmp_path / "data"
    if not root.exists():
        WRITERS["coco"](root)
        WRITERS["cityscapes"](root)
    tables = root / "annotations/panoptic_train2017.json"
    whole = tables.with_suffix(".whole")
    if not whole.exists():
        whole.write_text(tables.read_text())
    content = json.loads(whole.read_text())
    row = content["annotations"][0]["segments_info"]
    row[0][data.draw(st.sampled_from(["id", "category_id", "iscrowd"]))] = data.draw(ANYTHING)
    tables.write_text(json.dumps(content))
    camera = min(root.glob("camera/train/*/*.json"))
    part, name = data.draw(st.sampled_from([("intrinsic", "fx"), ("extrinsic", "yaw"), ("extrinsic", "z")]))
    values: dict[str, dict[str, object]] = {
        "intrinsic": dict.fromkeys(("fx", "fy", "u0", "v0"), 1.0),
        "extrinsic": dict.fromkeys(("x", "y", "z", "yaw", "pitch", "roll"), 0.0),
    }
    values[part][name] = data.draw(ANYTHING)
    camera.write_text(json.dumps(values))
    for opener in (COCODataset, lambda root: CityscapesDataset(root, "train")):
        try:
            sample = opener(root).read(0)
        except InputError:
            continue
        assert sample.camera is None or np.isfinite(sample.camera.ego_from_camera).all()


def test_palette_masks_hold_indices(tmp_path: Path) -> None:
    root = WRITERS["voc"](tmp_path)
    with Image.open(root / "SegmentationClass/2007_000032.png") as image:
        assert image.mode == "P"
    assert VOCDataset(root)[0].semantic.max() == 255

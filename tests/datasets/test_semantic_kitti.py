"""SemanticKITTI scans, labels, poses and learning maps against the format's description."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kitti import write_kitti_sequence, write_labels

from perception.datasets.semantic_kitti import SPLITS, SemanticKittiDataset, read_poses, read_scan
from perception.datasets.semantic_kitti_labels import OFFICIAL, RAW_CLASSES, read_kitti_labels
from perception.errors import InputError
from perception.geometry.frames import apply
from perception.taxonomy import SEMANTIC_KITTI

# The benchmark's own table, class 0 ignored, in the order of the raw numbers.
LEARNING_MAP = dict(
    zip(
        (0, 1, 10, 11, 13, 15, 16, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 52, 60, 70, 71, 72, 80, 81, 99)
        + tuple(range(252, 260)),
        (0, 0, 1, 2, 5, 3, 5, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 9, 15, 16, 17, 18, 19, 0)
        + (1, 7, 6, 8, 5, 5, 4, 5),
        strict=True,
    )
)
LEARNING_MAP_INV = dict(enumerate((0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_kitti_sequence(tmp_path, "04")
    write_kitti_sequence(tmp_path, "08", scans=2)
    for name in SPLITS["test"]:
        write_kitti_sequence(tmp_path, name, scans=1, labelled=False)
    return tmp_path


def test_the_learning_map_is_the_benchmarks():
    assert set(RAW_CLASSES) == set(LEARNING_MAP)
    raw = np.array(sorted(LEARNING_MAP))
    expected = np.array([LEARNING_MAP[value] for value in raw])
    np.testing.assert_array_equal(OFFICIAL.to_classes(raw), np.where(expected == 0, 255, expected - 1))
    written = OFFICIAL.to_raw(np.arange(19))
    assert written.dtype == np.uint32
    assert written.tolist() == [LEARNING_MAP_INV[label] for label in range(1, 20)]
    np.testing.assert_array_equal(OFFICIAL.to_classes(written), np.arange(19))


def test_splits_are_the_benchmarks():
    assert [int(name) for name in SPLITS["train"]] == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert SPLITS["val"] == ("08",)
    assert [int(name) for name in SPLITS["test"]] == list(range(11, 22))


def test_points_classes_and_objects_are_those_of_the_files(root: Path):
    dataset = SemanticKittiDataset(root, "val")
    assert dataset.tokens == ["08/000000", "08/000001"]
    cloud = dataset[1]
    content = (root / "sequences/08/velodyne/000001.bin").read_bytes()
    np.testing.assert_array_equal(cloud.points[:, :4].ravel(), struct.unpack(f"<{len(content) // 4}f", content))
    assert not cloud.points[:, 4].any()
    assert cloud.file_rows == len(cloud) == 60
    content = (root / "sequences/08/labels/000001.label").read_bytes()
    numbers = {}
    for row, (raw, thing) in enumerate(struct.iter_unpack("<HH", content)):
        label = LEARNING_MAP[raw]
        assert cloud.labels[row] == (255 if label == 0 else label - 1)
        assert (cloud.instances[row] > 0) == (thing > 0)
        if thing:
            numbers.setdefault((raw, thing), set()).add(int(cloud.instances[row]))
    assert all(len(found) == 1 for found in numbers.values())
    assert len(set.union(*numbers.values())) == len(numbers)
    assert (cloud.token, cloud.timestamp_us) == ("08/000001", 100_000)


def test_poses_move_the_vehicle_forward_on_the_ground(root: Path):
    first, second, third = (SemanticKittiDataset(root, sequences=["04"])[scan] for scan in range(3))
    np.testing.assert_allclose(first.global_from_ego, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(second.global_from_ego[:3, 3], [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(third.global_from_ego[:3, :3], np.eye(3), atol=1e-9)
    # A point on the road below the sensor.
    below = np.array([[0.0, 0.0, -1.73]])
    np.testing.assert_allclose(apply(third.global_from_ego @ third.ego_from_lidar, below), [[2, 0, 0]], atol=1e-9)


def test_a_turn_is_seen_from_the_lidar(tmp_path: Path):
    folder = write_kitti_sequence(tmp_path, "00", scans=1)
    cos, sin = np.cos(0.3), np.sin(0.3)
    # The camera's y points down: a positive turn about it is one to the right.
    right = np.array([[cos, 0, sin, 0], [0, 1, 0, 0], [-sin, 0, cos, 0]])
    (folder / "poses.txt").write_text(" ".join(map(str, right.ravel())) + "\n")
    heading = read_poses(folder)[0, :3, 0]
    np.testing.assert_allclose(heading, [cos, -sin, 0], atol=1e-6)


def test_poses_and_times_may_be_missing(root: Path):
    for name in ("poses.txt", "times.txt"):
        (root / "sequences/08" / name).unlink()
    cloud = SemanticKittiDataset(root, "val")[0]
    assert cloud.global_from_ego is cloud.timestamp_us is None


def test_test_sequences_have_no_labels(root: Path):
    dataset = SemanticKittiDataset(root, "test")
    assert len(dataset) == 11
    assert dataset[0].labels is dataset[0].instances is None
    assert (dataset[0].file_rows, dataset.tokens[-1]) == (60, "21/000000")


def test_rows_that_are_not_finite_are_left_out(root: Path):
    path = root / "sequences/08/velodyne/000000.bin"
    raw = np.fromfile(path, np.float32).reshape(-1, 4)
    raw[3, 1], raw[7, 3] = np.nan, np.inf
    path.write_bytes(raw.tobytes())
    whole = SemanticKittiDataset(root, "val")
    cloud = whole[0]
    kept = np.delete(np.arange(60), [3, 7])
    np.testing.assert_array_equal(cloud.rows, kept)
    np.testing.assert_array_equal(cloud.points[:, :4], raw[kept])
    assert len(cloud.labels) == len(cloud.instances) == 58
    assert cloud.file_rows == 60


@pytest.mark.parametrize("count", [0, 1])
def test_scans_of_no_or_one_point(root: Path, count: int):
    (root / "sequences/08/velodyne/000000.bin").write_bytes(np.ones((count, 4), "<f4").tobytes())
    write_labels(root / "sequences/08", 0, [40] * count, [0] * count)
    cloud = SemanticKittiDataset(root, "val")[0]
    assert len(cloud) == cloud.file_rows == len(cloud.labels) == count
    assert cloud.points.shape == (count, 5)


def test_transform_is_applied(root: Path):
    dataset = SemanticKittiDataset(root, "val", transform=lambda cloud: cloud[:5])
    assert (len(dataset[0]), len(dataset.read(0))) == (5, 60)


def damage(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("velodyne/000000.bin", b"123", "3 bytes, not a multiple of 4"),
        ("velodyne/000000.bin", b"1234" * 5, "5 numbers, not 4 for each point"),
        ("labels/000000.label", b"1234" * 59, "59 labels but its scan has 60 points"),
        ("labels/000000.label", b"12345", "5 bytes, not a multiple of 4"),
        ("labels/000000.label", None, "000000.label does not exist"),
        ("labels/000000.label", struct.pack("<HH", 33, 1) * 60, "000000.label: label 33 is not in the learning map"),
        ("poses.txt", b"1 0 0 0 0 1 0 0 0 0 1\n", "line 1 has 11 numbers instead of 12"),
        ("poses.txt", b"1 0 0 0 0 1 0 0 0 0 1 nan\n", "not finite"),
        ("poses.txt", b"", "0 lines, none for scan 000000"),
        ("times.txt", b"a\n", "no number"),
        ("times.txt", b"\xff\n", "cannot be read as text"),
        ("calib.txt", b"P0: 1\n", "no line Tr:"),
        ("calib.txt", b"Tr: 1 2\n", "needs 12 numbers"),
        ("calib.txt", b"Tr: 1 0 0 0 0 2 0 0 0 0 1 0\n", "no rigid transform"),
    ],
)
def test_broken_files_are_named(root: Path, name: str, content: bytes | None, says: str):
    damage(root / "sequences/08", name, content)
    with pytest.raises(InputError, match=says) as caught:
        SemanticKittiDataset(root, "val")[0]
    assert "\n" not in str(caught.value)


def test_missing_sequences_and_labels_are_named(root: Path, tmp_path: Path):
    with pytest.raises(InputError, match="needs sequence 00"):
        SemanticKittiDataset(root, "train")
    with pytest.raises(InputError, match="labels does not exist"):
        SemanticKittiDataset(root, "train", sequences=["11"])
    with pytest.raises(InputError, match="unknown split 'valid'"):
        SemanticKittiDataset(root, "valid")
    with pytest.raises(InputError, match="does not exist"):
        SemanticKittiDataset(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"\(none\)"):
        SemanticKittiDataset(root, sequences=[])
    (root / "sequences/08/velodyne/000000.bin").unlink()
    (root / "sequences/08/velodyne/000001.bin").unlink()
    with pytest.raises(InputError, match="have no velodyne"):
        SemanticKittiDataset(root, "val")


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=100))
def test_any_bytes_are_points_or_one_error(content: bytes, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(content)
    if len(content) % 16:
        with pytest.raises(InputError):
            read_scan(path)
    else:
        assert read_scan(path).shape == (len(content) // 16, 4)


def test_a_learning_map_of_your_own(root: Path, tmp_path: Path):
    path = tmp_path / "semantic-kitti.yaml"
    path.write_text(yaml.safe_dump({"learning_map": LEARNING_MAP, "learning_map_inv": LEARNING_MAP_INV}))
    official = read_kitti_labels(path)
    raw = np.array(sorted(LEARNING_MAP))
    np.testing.assert_array_equal(official.to_classes(raw), OFFICIAL.to_classes(raw))
    np.testing.assert_array_equal(official.to_raw(np.arange(19)), OFFICIAL.to_raw(np.arange(19)))
    # Lane markings as parking.
    path.write_text(yaml.safe_dump({"learning_map": LEARNING_MAP | {60: 10}, "learning_map_inv": LEARNING_MAP_INV}))
    write_labels(root / "sequences/08", 0, [60] * 60, [0] * 60)
    assert set(SemanticKittiDataset(root, "val")[0].labels) == {SEMANTIC_KITTI.index("road")}
    other = SemanticKittiDataset(root, "val", label_file=path)
    assert set(other[0].labels) == {SEMANTIC_KITTI.index("parking")}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[1]", "must be a mapping"),
        ("a: [", "is not YAML"),
        ("learning_map: 3", "learning_map must be a mapping"),
        ("learning_map: {0: 20}", "has 20"),
        ("learning_map: {x: 1}", "has 'x'"),
        ("learning_map: {70000: 1}", "has 70000"),
        ("learning_map: {0: true}", "has True"),
        ("learning_map: {0: 0}\nlearning_map_inv: {1: 10}", "lacks class 2"),
    ],
)
def test_learning_maps_of_another_form_are_refused(tmp_path: Path, content: str, says: str):
    path = tmp_path / "map.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        read_kitti_labels(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_kitti_labels(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "labels", [np.array([19]), np.array([-1]), np.array([255]), np.zeros(2), np.zeros((2, 2), int)]
)
def test_only_classes_are_written(labels: np.ndarray):
    with pytest.raises(InputError):
        OFFICIAL.to_raw(labels)

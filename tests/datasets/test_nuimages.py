"""The nuImages reader against the official devkit on a generated data set."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nuimages import NuImages
from PIL import Image
from tiny_nuimages import INTRINSICS, SIZE, SPEED_MPS, block, encode, write_nuimages

from perception.datamodules.nuimages import NuImagesDataModule
from perception.datasets.nuimages import NuImagesDataset
from perception.datasets.nuimages_masks import compose_masks, decode_mask
from perception.datasets.quarantine import Broken, write_quarantine
from perception.errors import InputError
from perception.taxonomy import NUSCENES_DETECTION, ROAD_SCENE


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return write_nuimages(tmp_path_factory.mktemp("nuimages") / "data")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_nuimages(tmp_path / "data", logs=1)


def test_masks_are_those_of_the_devkit(world: Path) -> None:
    devkit = NuImages("v1.0-mini", str(world), lazy=True, verbose=False)
    dataset = NuImagesDataset(world)
    assert len(dataset) == 5
    for row in dataset.rows:
        surfaces, objects = dataset.tables.annotations(row)
        names, indices = dataset.tables.category_names, dataset._index_of
        semantic, instance = compose_masks(surfaces, objects, names, indices, SIZE)
        expected, expected_instance = devkit.get_segmentation(row["token"])
        np.testing.assert_array_equal(semantic, expected)
        np.testing.assert_array_equal(instance, expected_instance)
        assert len(np.unique(semantic)) == 6


def test_a_sample_carries_masks_boxes_speed_and_calibration(world: Path) -> None:
    sample = NuImagesDataset(world)[0]
    assert sample.semantic is not None
    assert sample.drivable is not None
    assert sample.boxes is not None
    assert sample.camera is not None
    assert sample.global_from_ego is not None
    person, car = ROAD_SCENE.index("person"), ROAD_SCENE.index("car")
    assert (sample.semantic[block(18, 30, 34, 38)] == person).all()  # the later token covers the car
    assert (sample.semantic[block(20, 20, 32, 30)] == car).all()
    assert (sample.semantic[block(0, 0, 18, 80)] == 255).all()
    assert (sample.semantic[block(30, 60, 36, 66)] == 255).all()  # an animal has no class
    assert (sample.drivable[block(36, 0, 44, 80)] == 1).all()
    assert (sample.drivable[block(0, 0, 18, 80)] == 0).all()
    assert (sample.drivable[block(30, 60, 36, 66)] == 0).all()  # but it stands on the road
    assert (sample.drivable[block(44, 10, 48, 70)] == 255).all()
    assert sample.lane is None
    assert sample.boxes.xyxy.tolist() == [[20, 20, 40, 32], [70, 0, 80, 20], [30, 18, 38, 34]]
    assert [NUSCENES_DETECTION[i] for i in sample.boxes.labels] == ["car", "truck", "pedestrian"]
    assert sample.speed_mps == SPEED_MPS
    assert sample.camera.intrinsics.tolist() == INTRINSICS
    assert sample.camera.model == "pinhole"
    assert (sample.channel, sample.sample_token, sample.token) == ("CAM_FRONT", "sample-0", "key-0")
    assert sample.global_from_ego[:3, 3].tolist() == [0, 5, 0]
    assert sample.image.shape == (3, *SIZE)


def test_cameras_and_logs_divide_the_keyframes(world: Path) -> None:
    assert len(NuImagesDataset(world, cameras=["CAM_BACK"])) == 1
    train, val = NuImagesDataset(world, split="train"), NuImagesDataset(world, split="val")
    assert (len(train), len(val)) == (4, 1)
    assert not set(train.frame_names) & set(val.frame_names)
    with pytest.raises(InputError, match="has no camera 'CAM_TOP'; it has CAM_BACK, CAM_FRONT"):
        NuImagesDataset(world, cameras=["CAM_TOP"])
    with pytest.raises(InputError, match="unknown nuImages split 'dusk'"):
        NuImagesDataset(world, split="dusk")


def test_a_version_without_annotations_has_no_targets(tmp_path: Path) -> None:
    root = write_nuimages(tmp_path / "data", "v1.0-test", logs=1, annotated=False)
    sample = NuImagesDataset(root, "v1.0-test")[0]
    assert sample.semantic is None
    assert sample.drivable is None
    assert sample.boxes is None
    assert sample.speed_mps == SPEED_MPS


def test_the_data_module_holds_logs_out_of_a_shared_version(world: Path, tmp_path: Path) -> None:
    write_nuimages(tmp_path / "data", "v1.0-train", logs=3)
    write_nuimages(tmp_path / "data", "v1.0-val", logs=2)
    sizes = {}
    for name, root, versions in (
        ("mini", world, ["v1.0-mini"] * 3),
        ("full", tmp_path / "data", ["v1.0-train", "v1.0-val", "v1.0-val"]),
        ("fit on val", tmp_path / "data", ["v1.0-train", "v1.0-val", "v1.0-train"]),
    ):
        data = NuImagesDataModule(str(root), *versions, size=[32, 32], batch_size=2, num_workers=0)
        sizes[name] = [len(data.build_dataset(stage)) for stage in ("train", "val", "test")]
    assert sizes == {"mini": [4, 1, 1], "full": [3, 2, 2], "fit on val": [3, 2, 3]}
    data = NuImagesDataModule(str(world), *["v1.0-mini"] * 3, size=[32, 32], batch_size=2, num_workers=0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 3, 32, 32)
    assert batch.semantic is not None
    assert batch.drivable is not None
    assert batch.lane is None
    assert torch.isin(batch.drivable, torch.tensor([0, 1, 255])).all()


def change(root: Path, table: str, edit: Callable[[list[dict[str, Any]]], None]) -> None:
    path = root / "v1.0-mini" / f"{table}.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("object_ann", lambda rows: rows[0].update(category_token="none"), "do not fit together: KeyError: 'none'"),
        ("ego_pose", lambda rows: rows.clear(), "do not fit together"),
        ("sample_data", lambda rows: [row.update(is_key_frame=False) for row in rows], "has no keyframe"),
    ],
)
def test_tables_that_do_not_fit_are_refused(own: Path, table: str, edit: Any, message: str) -> None:
    change(own, table, edit)
    with pytest.raises(InputError, match=message):
        NuImagesDataset(own)


def test_what_is_missing_is_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no version 'v1.0-val'; it has v1.0-mini"):
        NuImagesDataset(own, "v1.0-val")
    with pytest.raises(InputError, match="nowhere does not exist"):
        NuImagesDataset(tmp_path / "nowhere")
    (own / "v1.0-mini" / "object_ann.json").write_text("[{")
    with pytest.raises(InputError, match="is not JSON or is cut off"):
        NuImagesDataset(own)
    (own / "v1.0-mini" / "surface_ann.json").unlink()
    with pytest.raises(InputError, match=r"lacks the nuImages table surface_ann.json"):
        NuImagesDataset(own)


def test_broken_masks_and_images_are_named_when_read(own: Path) -> None:
    dataset = NuImagesDataset(own)
    Image.new("RGB", (8, 8)).save(own / dataset.rows[0]["filename"])
    with pytest.raises(InputError, match="is 8x8 but its sample_data record says 48x80"):
        dataset[0]
    good = encode(block(0, 0, 4, 4))
    assert decode_mask(good, SIZE).sum() == 16
    with pytest.raises(InputError, match="a mask has size"):
        decode_mask(good, (48, 81))
    for counts in ("not base64!", "AAAA", "", good["counts"][:-4], "MDAw", None):
        with pytest.raises(InputError, match="a mask does not decode"):
            decode_mask({**good, "counts": counts}, SIZE)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_any_mask_decodes_as_it_was_encoded(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    np.testing.assert_array_equal(decode_mask(encode(mask), (height, width)), mask)


@given(st.binary(max_size=40))
def test_any_other_bytes_are_a_mask_or_refused(code: bytes) -> None:
    counts = base64.b64encode(code).decode()
    with contextlib.suppress(InputError):
        assert decode_mask({"size": [6, 7], "counts": counts}, (6, 7)).shape == (6, 7)


def test_quarantined_records_are_left_out(own: Path) -> None:
    write_nuimages(own / "more", logs=2)
    broken = [
        Broken("image", "sample_data", "key-0", "cut off"),
        Broken("mask", "object_ann", "z-1", "does not decode"),
    ]
    write_quarantine(own / "more" / "quarantine.json", "nuimages", broken)
    (sample,) = [NuImagesDataset(own / "more").read(0)]
    assert sample.token == "key-1"
    assert sample.boxes is not None
    assert len(sample.boxes) == 2
    assert len(NuImagesDataset(own / "more")) == 1
    assert len(NuImagesDataset(own / "more", quarantine="off")) == 2


def test_a_path_outside_the_root_is_refused(own: Path) -> None:
    change(own, "sample_data", lambda rows: [row.update(filename="../../secret.png") for row in rows])
    with pytest.raises(InputError, match="leads outside the data folder"):
        NuImagesDataset(own)[0]

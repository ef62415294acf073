"""Records that belong together in time, splits of one's own, and batches of all cameras."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_map import add_lidar, change
from tiny_nuscenes import VERSION, write_nuscenes

from perception.datamodules.nuscenes import NuScenesDataModule
from perception.datasets.nuscenes import NuScenesDataset
from perception.datasets.nuscenes_sync import Timelines, group_frames
from perception.datasets.nuscenes_tables import Frame, open_tables
from perception.errors import InputError

SCENES = ("scene-0061", "scene-0103")
BOTH = ("CAM_FRONT", "CAM_BACK")
BEGIN_US = 1_600_000_000_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    root = write_nuscenes(tmp_path_factory.mktemp("sync") / "data", scenes=SCENES, size=(48, 80))
    add_lidar(root, np.ones((4, 3)))
    return root


def frame(channel: str, time_us: int, sample: str = "s", key: bool = False) -> Frame:
    return Frame(f"{channel}-{time_us}", sample, "scene-0061", channel, f"{channel}{time_us}.png", time_us, key)


def test_the_nearest_turn_within_the_tolerance(world: Path) -> None:
    lines = Timelines(open_tables(world, VERSION), SCENES, ("LIDAR_TOP", "CAM_FRONT"))
    for time_us, found in ((0, 0), (289_000, 0), (291_000, 1), (2_000_000, 2)):
        expected = f"scene-0061-sample-{found}-lidar"
        assert lines.find("scene-0061", "LIDAR_TOP", BEGIN_US + time_us, 10**9) == expected
    assert lines.find("scene-0061", "LIDAR_TOP", BEGIN_US, 39_999) is None
    assert lines.find("scene-0061", "LIDAR_TOP", BEGIN_US, 40_000) == "scene-0061-sample-0-lidar"
    assert lines.need("scene-0061", "LIDAR_TOP", BEGIN_US) == "scene-0061-sample-0-lidar"
    with pytest.raises(InputError, match=r"nearest to 1600000000250000 us is 210.0 ms away, more than .* 50 ms"):
        lines.need("scene-0061", "LIDAR_TOP", BEGIN_US + 250_000)
    with pytest.raises(InputError, match="has no record of RADAR"):
        lines.need("scene-0061", "RADAR", BEGIN_US)
    keys = Timelines(open_tables(world, VERSION), SCENES[:1], ("CAM_FRONT",), sweeps=False)
    assert keys.find("scene-0061", "CAM_FRONT", BEGIN_US + 260_000, 10**9) == "scene-0061-CAM_FRONT-2"
    assert keys.find("scene-0103", "CAM_FRONT", BEGIN_US, 10**9) is None


def test_keyframes_go_together_by_sample_and_sweeps_by_time() -> None:
    frames = [
        frame("CAM_FRONT", 0, "a", True), frame("CAM_BACK", 40, "a", True),
        frame("CAM_FRONT", 500, "b", True),  # its other camera is missing
        frame("CAM_FRONT", 100, "b"), frame("CAM_BACK", 130, "b"), frame("CAM_BACK", 160, "b"),
        frame("CAM_FRONT", 300, "b"),
    ]  # fmt: skip
    assert group_frames(frames, BOTH, 50) == [[0, 1], [3, 4]]
    assert group_frames(frames, BOTH, 20) == [[0, 1]]
    assert group_frames(frames, BOTH, 200) == [[0, 1], [3, 4], [6, 5]]
    assert group_frames(frames, BOTH[::-1], 50)[0] == [1, 0]
    assert group_frames(frames, ("CAM_FRONT",), 0) == [[0], [2], [3], [6]]
    assert group_frames([], BOTH) == []


@given(st.lists(st.tuples(st.sampled_from(BOTH), st.integers(0, 2000)), max_size=30), st.integers(0, 500))
def test_views_of_a_group_are_never_further_apart_than_the_tolerance(
    shots: list[tuple[str, int]], tolerance: int
) -> None:
    frames = [frame(channel, time) for channel, time in shots]
    for group in group_frames(frames, BOTH, tolerance):
        assert [frames[i].channel for i in group] == list(BOTH)
        first, second = (frames[i].timestamp_us for i in group)
        assert abs(first - second) <= tolerance
        assert all(
            abs(first - second) <= abs(first - other.timestamp_us) for other in frames if other.channel == "CAM_BACK"
        )


def test_batches_hold_all_cameras_of_each_sample(world: Path) -> None:
    data = NuScenesDataModule(
        str(world), cameras=list(BOTH), group_cameras=True, sweeps=True, size=[32, 48], batch_size=2,
        eval_batch_size=3, num_workers=0,
    )  # fmt: skip
    data.setup("fit")
    (batch,) = data.val_dataloader()
    assert batch.views == 2
    assert batch.image.unflatten(0, (-1, batch.views)).shape == (3, 2, 3, 48, 80)
    assert batch.channels == list(BOTH) * 3
    assert batch.sample_tokens[::2] == batch.sample_tokens[1::2] == [f"scene-0103-sample-{k}" for k in range(3)]
    assert batch.tokens[0] == "scene-0103-CAM_FRONT-0"
    assert batch.timestamps_us[0] == batch.timestamps_us[1]
    assert batch.global_from_ego[0] is not None
    assert batch.global_from_ego[0].shape == (4, 4)
    sizes = [len(batch) for batch in data.train_dataloader()]
    assert sizes == [4, 4]  # five instants, sweeps among them; the last is dropped


def test_images_come_alone_by_default(world: Path) -> None:
    data = NuScenesDataModule(str(world), cameras=list(BOTH), size=[32, 48], batch_size=4, num_workers=0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert (len(batch), batch.views) == (4, 1)


def test_samples_without_a_camera_are_left_out_and_none_left_is_an_error(tmp_path: Path) -> None:
    root = write_nuscenes(tmp_path / "data", scenes=SCENES, keyframes=2, sweeps_between=0, size=(48, 80))
    change(
        root, "sample_data", lambda rows: rows.remove(next(r for r in rows if r["token"] == "scene-0103-CAM_BACK-1"))
    )
    change(root, "sample_data", lambda rows: [r.update(next="") for r in rows if r["token"] == "scene-0103-CAM_BACK-0"])
    options = {"cameras": list(BOTH), "group_cameras": True, "size": [32, 48], "batch_size": 1, "num_workers": 0}
    data = NuScenesDataModule(str(root), **options)
    data.setup("validate")
    assert [batch.sample_tokens[0] for batch in data.val_dataloader()] == ["scene-0103-sample-0"]
    data.setup("fit")
    data.batch_size = 9
    with pytest.raises(InputError, match="2 training samples of all cameras are fewer than batch_size 9"):
        data.train_dataloader()
    dataset = data.datasets["val"].dataset
    assert isinstance(dataset, NuScenesDataset)
    dataset.frames = [f for f in dataset.frames if f.channel == "CAM_FRONT"]
    with pytest.raises(InputError, match="no sample of split 'val' has all of the cameras CAM_FRONT, CAM_BACK"):
        data.val_dataloader()


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_of_splits_comes_first(world: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    names = {"train": ["scene-0103"], "rain": ["scene-0061"]}
    path.write_text(json.dumps(names) if suffix == "json" else "train: [scene-0103]\nrain:\n  - scene-0061\n")
    for split, scene in (("train", "scene-0103"), ("rain", "scene-0061"), ("val", "scene-0103")):
        found = NuScenesDataset(world, split=split, split_file=path)
        assert {frame.scene for frame in found.frames} == {scene}
    data = NuScenesDataModule(str(world), train_split="rain", split_file=str(path), num_workers=0)
    assert {frame.scene for frame in data.build_dataset("train").frames} == {"scene-0061"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: [scene-9999]", r"names 'scene-9999', which is not a scene of"),
        ("- scene-0061", "must map split names to lists"),
        ("train: scene-0061", "must map split names to lists"),
        ("train: [1, 2]", "must map split names to lists"),
        ("train: [", "is not JSON or YAML"),
    ],
)
def test_a_file_of_splits_that_makes_no_sense_is_refused(
    world: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        NuScenesDataset(world, split_file=path)
    with pytest.raises(InputError, match=r"split file .*none.yaml does not exist"):
        NuScenesDataset(world, split_file=tmp_path / "none.yaml")

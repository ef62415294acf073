"""ROS 2 bags and MCAP files: written with the library, read back picture by picture."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perception.errors import InputError
from perception.runtime.source import open_source

pytest.importorskip("rosbags")
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

STORE: Any = get_typestore(Stores.ROS2_HUMBLE)
STORE.register(
    get_types_from_msg(
        "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n",
        "foxglove_msgs/msg/CompressedImage",
    )
)
SECOND = 1_700_000_000


def header(index: int) -> Any:
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=SECOND, nanosec=index * 100_000_000)
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def jpeg(value: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(file, format="JPEG")
    return np.frombuffer(file.getvalue(), np.uint8)


def compressed(index: int, data: np.ndarray) -> Any:
    return STORE.types["sensor_msgs/msg/CompressedImage"](header=header(index), format="jpeg", data=data)


def raw(index: int, pixels: np.ndarray, encoding: str, padding: int = 0) -> Any:
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)))
    return STORE.types["sensor_msgs/msg/Image"](
        header=header(index), height=height, width=width, encoding=encoding, is_bigendian=0, step=rows.shape[1],
        data=rows.ravel(),
    )  # fmt: skip


def write(folder: Path, topics: dict[str, list[Any]], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A bag; bytes among the messages are written as they are."""
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        for topic, messages in topics.items():
            kind = next(message.__msgtype__ for message in messages if not isinstance(message, bytes))
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, message in enumerate(messages):
                data = message if isinstance(message, bytes) else STORE.serialize_cdr(message, kind)
                writer.write(connection, SECOND * 1_000_000_000 + index * 100_000_000 + 5_000, data)
    return folder


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_gives_pictures_with_the_time_of_their_capture(tmp_path: Path, storage: StoragePlugin) -> None:
    bag = write(tmp_path / "bag", {"/front": [compressed(i, jpeg(40 * i)) for i in range(4)]}, storage)
    source = open_source(f"rosbag:{bag}")
    assert source.channels == ("/front",)
    assert source.total == 4
    assert source.interval_s == pytest.approx(0.1)
    frames = list(source)
    assert [frame.timestamp_us for frame in frames] == [SECOND * 1_000_000 + i * 100_000 for i in range(4)]
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame.image is not None] == [0, 40, 80, 120]
    assert [frame.name for frame in frames] == [f"/front#{i}" for i in range(4)]
    assert [frame.timestamp_us for frame in source] == [frame.timestamp_us for frame in frames]  # once more


def test_a_single_mcap_file_is_enough(tmp_path: Path) -> None:
    bag = write(
        tmp_path / "bag", {"/front": [compressed(i, jpeg(9)) for i in range(2)], "/rear": [compressed(0, jpeg(7))]}
    )
    file = next(bag.glob("*.mcap"))
    (bag / "metadata.yaml").unlink()
    frames = list(open_source(f"mcap:{file}#/rear"))
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame.image is not None] == [7]
    with pytest.raises(InputError, match="2 image topics; name one with #: /front, /rear"):
        open_source(f"mcap:{file}")
    with pytest.raises(InputError, match="no image topic '/side'; it has /front, /rear"):
        open_source(f"mcap:{file}#/side")


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("rgba8", (0, 1, 2, 3)), ("bgra8", (2, 1, 0, 3)), ("mono8", (0,))],
)
def test_raw_pictures_of_every_encoding(tmp_path: Path, encoding: str, order: tuple[int, ...]) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    stored = np.ascontiguousarray(colors[:, :, list(order)])
    bag = write(tmp_path / "bag", {"/image": [raw(0, stored, encoding, padding=3)]})
    image = next(iter(open_source(f"rosbag:{bag}"))).image
    assert image is not None
    expected = np.repeat(colors[:, :, :1], 3, axis=2) if encoding == "mono8" else colors[:, :, :3]
    assert np.array_equal(image, expected)


def test_foxglove_pictures(tmp_path: Path) -> None:
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=SECOND, nanosec=0)
    message = STORE.types["foxglove_msgs/msg/CompressedImage"](
        timestamp=stamp, frame_id="c", data=jpeg(90), format="jpeg"
    )
    bag = write(tmp_path / "bag", {"/image": [message]})
    (frame,) = open_source(f"rosbag:{bag}")
    assert frame.image is not None
    assert int(frame.image[0, 0, 0]) == 90
    assert frame.timestamp_us == SECOND * 1_000_000


def test_a_damaged_message_is_a_skipped_frame(tmp_path: Path) -> None:
    good = compressed(0, jpeg(50))
    whole = STORE.serialize_cdr(good, good.__msgtype__)
    bad = [
        bytes(whole[:30]), b"", compressed(3, jpeg(60)[:200]), compressed(4, np.zeros(0, np.uint8)),
        bytes(whole[:4]) + b"\xff" * 40,
    ]  # fmt: skip
    bag = write(tmp_path / "bag", {"/front": [good, *bad, compressed(6, jpeg(70))]})
    frames = list(open_source(f"rosbag:{bag}"))
    assert [frame.image is not None for frame in frames] == [True, *[False] * len(bad), True]
    assert all("does not decode" in (frame.error or "") for frame in frames[1:-1])
    times = [frame.timestamp_us for frame in frames]
    assert times == sorted(set(times))


def test_raw_pictures_that_lie_about_their_size_are_skipped(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    image = STORE.types["sensor_msgs/msg/Image"]
    lies = [
        raw(0, pixels, "yuv999"),
        image(header(1), height=4000, width=4, encoding="rgb8", is_bigendian=0, step=12, data=pixels.ravel()),
        image(header(2), height=4, width=4, encoding="rgb8", is_bigendian=0, step=1, data=pixels.ravel()),
        image(header(3), height=0, width=0, encoding="rgb8", is_bigendian=0, step=0, data=pixels.ravel()),
    ]
    frames = list(open_source(f"rosbag:{write(tmp_path / 'bag', {'/image': lies})}"))
    assert len(frames) == 4
    assert all(frame.image is None for frame in frames)
    assert "encoding 'yuv999' is none of" in (frames[0].error or "")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_bytes_are_a_picture_or_a_skipped_frame(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytes(STORE.serialize_cdr(compressed(0, jpeg(50, (8, 8))), "sensor_msgs/msg/CompressedImage"))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
    folder = tmp_path_factory.mktemp("bag") / "bag"
    bag = write(folder, {"/front": [damaged, compressed(1, jpeg(3))]})
    frames = list(open_source(f"rosbag:{bag}"))
    assert len(frames) == 2
    assert frames[1].image is not None
    assert (frames[0].image is None) == (frames[0].error is not None)


def test_what_is_no_bag_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no bag"):
        open_source("rosbag:")
    with pytest.raises(InputError, match="does not exist"):
        open_source(f"mcap:{tmp_path}/none.mcap")
    (tmp_path / "empty.mcap").write_bytes(b"")
    (tmp_path / "noise.mcap").write_bytes(b"\x89MCAP0\r\n" + bytes(range(256)))
    (tmp_path / "text.txt").write_text("no")
    for name in ("empty.mcap", "noise.mcap", "text.txt"):
        with pytest.raises(InputError, match="not a readable ROS 2 bag") as caught:
            open_source(f"mcap:{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="not a readable ROS 2 bag"):
        open_source(f"rosbag:{tmp_path}")  # a folder without metadata
    text = STORE.types["std_msgs/msg/String"](data="hello")
    with pytest.raises(InputError, match="has no pictures"):
        open_source(f"rosbag:{write(tmp_path / 'talk', {'/chatter': [text]})}")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", {"/front": [compressed(i, jpeg(9, (64, 64))) for i in range(5)]})
    file = next(bag.glob("*.mcap"))
    whole = file.read_bytes()
    for share in (0.2, 0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="not a readable ROS 2 bag"):
            open_source(f"mcap:{file}")


def test_without_the_extra_the_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rosbags", None)
    with pytest.raises(InputError, match=r"pip install 'drive-perception\[mcap\]'"):
        open_source(f"rosbag:{tmp_path}")

"""Pictures of a ROS 2 bag: a folder with ``metadata.yaml``, or a single ``.mcap`` or ``.db3`` file."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError, require
from perception.files import read_image
from perception.runtime.source import Frame

EXTRA = "mcap"
COMPRESSED = ("sensor_msgs/msg/CompressedImage", "foxglove_msgs/msg/CompressedImage")
RAW = "sensor_msgs/msg/Image"
CHANNELS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)),
            "mono8": (1, (0, 0, 0))}  # fmt: skip
"""Encoding to bytes per pixel and where red, green and blue lie in it."""
FOXGLOVE = "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n"
MAX_SIDE_PX = 1 << 15
_RATE_SAMPLES = 20


class BagSource:
    """The pictures of one topic, in the order in which they were recorded.

    Messages are decoded with the library's own definitions of the image types, so nothing in the bag is taken for
    code. A message that does not decode becomes a frame with an error.

    Args:
        path: folder of a bag, or one of its files.
        topic: default the only image topic.
        fps: rate to assume for a bag with a single picture.

    Raises:
        MissingExtra: without the ``mcap`` extra.
        InputError: for a bag that cannot be read, or that has no such image topic.
    """

    has_speed = False
    rendered = False

    def __init__(self, path: str | Path, topic: str | None, fps: float) -> None:
        self._path = Path(path).expanduser()
        require("rosbags", EXTRA)
        self._store = _typestore()
        with self._open() as reader:
            images = {c.topic: c for c in reader.connections if c.msgtype in (*COMPRESSED, RAW)}
            topic = _pick(images, topic, self._path)
            self.total: int | None = images[topic].msgcount
            if not self.total:
                raise InputError(f"topic {topic} of {self._path} has no messages")
            stamps = [stamp for _, stamp, _ in itertools.islice(self._messages(reader, topic), _RATE_SAMPLES)]
        self.channels = (topic,)
        self.name = f"{self._path}#{topic}"
        step_s = float(np.median(np.diff(stamps))) / 1e9 if len(stamps) > 1 else 0.0
        self.interval_s = step_s if 1e-3 <= step_s <= 3600 else 1.0 / fps

    def __iter__(self) -> Iterator[Frame]:
        topic = self.channels[0]
        last_us = -1
        with self._open() as reader:
            messages = self._messages(reader, topic)
            for index in itertools.count():
                image, error, stamp_ns = None, None, 0
                name = f"{topic}#{index}"
                try:
                    message_type, stamp_ns, data = next(messages)
                    image, header_ns = self._decode(data, message_type)
                    stamp_ns = header_ns or stamp_ns
                except StopIteration:
                    return
                except Exception as problem:  # damaged bytes fail in as many ways as there are fields
                    error = f"message {name} of {self._path.name} does not decode: {_one_line(problem)}"
                stamp_us = stamp_ns // 1000 if stamp_ns else last_us + round(self.interval_s * 1e6)
                last_us = max(stamp_us, last_us + 1)
                yield Frame(image, name, last_us, topic, error=error)

    def _open(self) -> Any:
        from rosbags.rosbag2 import Reader

        if not self._path.exists():
            raise InputError(f"bag {self._path} does not exist; name a folder with metadata.yaml, or a .mcap file")
        try:
            reader = Reader(self._path)
            reader.open()
        except Exception as error:  # of the reader, or of whatever it tripped over in a damaged file
            raise InputError(f"bag {self._path} is not a readable ROS 2 bag: {_one_line(error)}") from None
        return _Opened(reader)

    def _messages(self, reader: Any, topic: str) -> Iterator[tuple[str, int, bytes]]:
        connections = [connection for connection in reader.connections if connection.topic == topic]
        for connection, stamp_ns, data in reader.messages(connections=connections):
            yield connection.msgtype, stamp_ns, data

    def _decode(self, data: bytes, message_type: str) -> tuple[np.ndarray, int]:
        """``(H, W, 3)`` uint8 RGB, and nanoseconds of the capture or 0."""
        message = self._store.deserialize_cdr(data, message_type)
        stamp = message.timestamp if message_type == COMPRESSED[1] else message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        image = _raw_image(message) if message_type == RAW else read_image(io.BytesIO(message.data.tobytes()))
        return image, max(stamp_ns, 0)


class _Opened:
    """Closes a reader at the end of a block."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __enter__(self) -> Any:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def _typestore() -> Any:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(FOXGLOVE, COMPRESSED[1]))
    return store


def _pick(images: dict[str, Any], topic: str | None, path: Path) -> str:
    if not images:
        raise InputError(f"bag {path} has no pictures: no topic of {', '.join((*COMPRESSED, RAW))}")
    if topic is None and len(images) == 1:
        return next(iter(images))
    if topic is None:
        raise InputError(f"bag {path} has {len(images)} image topics; name one with #: {', '.join(sorted(images))}")
    if topic not in images:
        raise InputError(f"bag {path} has no image topic {topic!r}; it has {', '.join(sorted(images))}")
    return topic


def _raw_image(message: Any) -> np.ndarray:
    height, width, step = int(message.height), int(message.width), int(message.step)
    if message.encoding not in CHANNELS:
        raise ValueError(f"encoding {message.encoding!r} is none of {', '.join(CHANNELS)}")
    depth, order = CHANNELS[message.encoding]
    sound = 0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and step >= width * depth
    if not sound or len(message.data) < height * step:
        raise ValueError(f"{len(message.data)} bytes for {height}x{width} pixels with {step} bytes a row")
    rows = np.asarray(message.data, np.uint8)[: height * step].reshape(height, step)
    pixels = rows[:, : width * depth].reshape(height, width, depth)
    return np.ascontiguousarray(pixels[:, :, list(order)])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""A video file, decoded with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception.errors import InputError
from perception.runtime.source import Frame

if TYPE_CHECKING:
    import av


class VideoSource:
    """The frames of the first video stream.

    A packet that does not decode becomes a frame with an error; reading goes on behind it. Variable frame
    rates keep their own timestamps.

    Args:
        path: any container that FFmpeg reads.

    Raises:
        InputError: if the file cannot be opened or has no video.
    """

    channels = ("camera",)
    has_speed = False
    rendered = False

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.name = str(path)
        with self._open() as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate or 0
            self.interval_s = 1.0 / float(rate) if rate and 0 < float(rate) <= 1000 else 1.0 / 25.0
            self.total: int | None = stream.frames or None

    def _open(self) -> av.container.InputContainer:
        import av

        try:
            container: Any = av.open(str(self._path))
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"source {self._path} is not a readable video or image: {error}") from None
        if not container.streams.video:
            container.close()
            raise InputError(f"source {self._path} has no video stream")
        return container

    def __iter__(self) -> Iterator[Frame]:
        import av

        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            index, last_us = 0, -1
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                    pictures = packet.decode()
                    problem = None
                except StopIteration:
                    return
                except av.FFmpegError as error:
                    pictures, problem = [], f"frame {index} of {self._path.name} does not decode: {error}"
                if problem is not None:
                    last_us += round(self.interval_s * 1e6)
                    yield Frame(None, f"{self._path.name}#{index}", max(last_us, 0), self.channels[0], error=problem)
                    index += 1
                    continue
                for picture in pictures:
                    timestamp_us = round(index * self.interval_s * 1e6)
                    if picture.time is not None:
                        timestamp_us = round(picture.time * 1e6)
                    last_us = timestamp_us = max(timestamp_us, last_us + 1)
                    name = f"{self._path.name}#{index}"
                    if picture.is_corrupt:  # decoded from damaged data: parts of it are made up
                        yield Frame(None, name, timestamp_us, self.channels[0], error=f"frame {name} is damaged")
                    else:
                        yield Frame(picture.to_ndarray(format="rgb24"), name, timestamp_us, self.channels[0])
                    index += 1

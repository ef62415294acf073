"""Writes H.264 video that browsers and players open."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import atomic_path


class VideoWriter:
    """An mp4 file with one H.264 stream, yuv420p in BT.709, index in front, so that it plays while it loads.

    Used in a ``with`` block; the file appears when the block ends without an error. The first picture fixes
    the size; odd sides are padded by repeating the last row or column, since the format wants even ones.

    Args:
        path: the ``.mp4`` to write.
        fps: constant frame rate.
        quality: x264's constant rate factor, 0 (lossless) to 51.
    """

    def __init__(self, path: str | Path, fps: float, quality: int = 22) -> None:
        if not 0 < fps <= 1000:
            raise InputError(f"video rate {fps:g} is outside 0..1000 frames per second")
        self.path = Path(path)
        self.frames = 0
        self._rate = Fraction(fps).limit_denominator(1001)
        self._quality = quality
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> VideoWriter:
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
            self._stack = stack.pop_all()
        return self

    def write(self, picture: np.ndarray) -> None:
        """Append an ``(H, W, 3)`` uint8 RGB picture.

        Raises:
            ValueError: if its shape is not that of the first one.
        """
        import av

        if self._stream is None:
            self._open_stream(picture.shape)
        if picture.shape != self._shape:
            raise ValueError(f"picture of shape {picture.shape} in a video of {self._shape}")
        even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts = self.frames
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def _open_stream(self, shape: tuple[int, ...]) -> None:
        stream = self._container.add_stream("libx264", rate=self._rate)
        stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(self._quality), "preset": "veryfast"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16..235, as players expect
        self._stream, self._shape = stream, shape

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        problem: BaseException | None = error
        try:
            if error is None:
                if self._stream is None:
                    raise InputError(f"video {self.path} got no pictures")
                self._container.mux(self._stream.encode(None))
        except BaseException as failure:
            problem = failure
            raise
        finally:
            try:
                if self._stream is not None:
                    self._container.close()
            finally:
                # The block's error reaches atomic_path, which then removes the unfinished file.
                self._stack.__exit__(type(problem) if problem else None, problem, trace)

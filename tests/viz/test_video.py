"""The file that comes out plays in browsers, and appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from perception.viz.video import VideoWriter


def colors(height: int, width: int) -> np.ndarray:
    """Four saturated quarters, which a wrong colour matrix would shift."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 220, 40)
    picture[height // 2 :, : width // 2] = (40, 40, 220)
    picture[height // 2 :, width // 2 :] = (200, 200, 200)
    return picture


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (225, 400)])
def test_h264_yuv420p_with_the_index_in_front(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "out" / "clip.mp4"
    with VideoWriter(path, fps=15, quality=10) as writer:
        for _ in range(7):
            writer.write(colors(*size))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert (stream.height, stream.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert stream.average_rate == 15
        assert stream.codec_context.colorspace == 1  # BT.709
        frames = [frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray() for frame in container.decode()]
    assert len(frames) == 7
    decoded = frames[3][: size[0], : size[1]].astype(int)
    for y, x in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        row, column = int(y * size[0]), int(x * size[1])
        assert decoded[row, column] == pytest.approx(colors(*size)[row, column].astype(int), abs=10)


def test_an_error_leaves_no_file_and_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"earlier")

    def interrupted() -> None:
        with VideoWriter(path, 10) as writer:
            writer.write(colors(48, 64))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_another_size_is_refused(tmp_path: Path) -> None:
    def two_sizes() -> None:
        with VideoWriter(tmp_path / "clip.mp4", 10) as writer:
            writer.write(colors(48, 64))
            writer.write(colors(48, 66))

    with pytest.raises(ValueError, match=r"picture of shape \(48, 66, 3\)"):
        two_sizes()
    assert not list(tmp_path.iterdir())


def test_no_pictures_and_no_rate_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got no pictures"), VideoWriter(tmp_path / "clip.mp4", 10):
        pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="video rate 0"):
        VideoWriter(tmp_path / "clip.mp4", 0)


@pytest.mark.parametrize("fps", [2.0, 11.97, 29.97, 1000 / 83.3, 72.0])
def test_the_rate_is_kept(tmp_path: Path, fps: float) -> None:
    with VideoWriter(tmp_path / "clip.mp4", fps) as writer:
        for _ in range(5):
            writer.write(colors(48, 64))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(fps, rel=1e-3)

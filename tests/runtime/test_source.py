"""Sources: order, timestamps, speed, and what happens to frames that do not decode."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_nuscenes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perception.errors import InputError
from perception.geometry.camera import project
from perception.runtime.source import open_source
from perception.runtime.sources.folder import natural_key
from perception.runtime.sources.nuscenes import CAMERAS, stream_json_list
from perception.viz.video import VideoWriter


def paint(path: Path, value: int, size: tuple[int, int] = (24, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_a_folder_is_read_in_natural_order_with_timestamps(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        paint(tmp_path / f"f{number}.png", number)
    (tmp_path / "notes.txt").write_text("not a frame")
    source = open_source(str(tmp_path), fps=10)
    frames = list(source)
    assert [frame.name for frame in frames] == ["f9.png", "f10.png", "f100.png"]
    assert [frame.timestamp_us for frame in frames] == [0, 100_000, 200_000]
    assert [int(frame.image[0, 0, 0]) for frame in frames if frame.image is not None] == [9, 10, 100]
    assert source.total == 3
    assert not source.has_speed


@given(st.lists(st.integers(0, 10**12), unique=True, min_size=2, max_size=8))
def test_numbered_names_sort_by_number(numbers: list[int]) -> None:
    names = [f"frame_{number}.png" for number in numbers]
    assert sorted(names, key=natural_key) == [f"frame_{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def test_a_damaged_image_becomes_a_frame_with_an_error(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 1)
    paint(tmp_path / "b.png", 2, (200, 300))
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "c.png").write_bytes(b"")
    paint(tmp_path / "d.png", 4)
    frames = list(open_source(str(tmp_path)))
    assert [frame.image is None for frame in frames] == [False, True, True, False]
    assert "b.png does not decode" in (frames[1].error or "")


def test_max_frames_limits_and_counts(tmp_path: Path) -> None:
    for number in range(5):
        paint(tmp_path / f"{number}.png", number)
    source = open_source(str(tmp_path), max_frames=3)
    assert source.total == 3
    assert len(list(source)) == 3
    with pytest.raises(InputError, match="max_frames 0 is below 1"):
        open_source(str(tmp_path), max_frames=0)


def test_missing_and_empty_sources_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; use a folder of images"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="has no images"):
        open_source(str(tmp_path))
    paint(tmp_path / "left" / "0.png", 0)
    with pytest.raises(InputError, match="its subfolder left has"):
        open_source(str(tmp_path))
    with pytest.raises(InputError, match="has one camera"):
        open_source(str(tmp_path / "left"), camera="all")
    with pytest.raises(InputError, match="fps 0 is outside"):
        open_source(str(tmp_path / "left"), fps=0)
    (tmp_path / "clip.mp4").write_bytes(b"nothing like a video")
    with pytest.raises(InputError, match=r"clip\.mp4 is not a readable video"):
        open_source(str(tmp_path / "clip.mp4"))
    with pytest.raises(InputError, match="names no folder"):
        open_source("nuscenes:")
    with pytest.raises(InputError, match="world seed 'x' is not a whole number"):
        open_source("world:x")


def write_clip(path: Path, frames: int = 12, fps: float = 20) -> list[np.ndarray]:
    """Pictures that brighten in steps, so that each can be told from the next after compression."""
    pictures = [np.full((48, 64, 3), 20 + 18 * number, np.uint8) for number in range(frames)]
    with VideoWriter(path, fps, quality=5) as writer:
        for picture in pictures:
            writer.write(picture)
    return pictures


def test_a_video_gives_its_frames_and_its_timestamps(tmp_path: Path) -> None:
    pictures = write_clip(tmp_path / "clip.mp4")
    source = open_source(str(tmp_path / "clip.mp4"), fps=3)
    frames = list(source)
    assert source.interval_s == pytest.approx(0.05)
    assert source.total == len(frames) == 12
    assert [frame.timestamp_us for frame in frames] == [50_000 * number for number in range(12)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.image is not None
        assert frame.image.shape == picture.shape
        assert abs(frame.image.astype(int) - picture).mean() < 4


def test_a_video_cut_short_gives_what_there_is(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, frames=12)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) - 60])  # the index is in front, so the file still opens
    frames = list(open_source(str(clip)))
    assert 0 < sum(frame.image is not None for frame in frames) <= 12


def test_a_damaged_packet_does_not_end_a_video(tmp_path: Path) -> None:
    import av

    clip = tmp_path / "clip.avi"  # motion JPEG: every packet stands alone
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(clip.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 3] == b"\xff\xd8\xff"]
    data[starts[2] : starts[2] + 600] = bytes(600)
    clip.write_bytes(bytes(data))
    frames = list(open_source(str(clip)))
    assert len(frames) == 6
    assert [frame.image is None for frame in frames] == [False, False, True, False, False, False]
    assert "does not decode" in (frames[2].error or "")
    times = [frame.timestamp_us for frame in frames]
    assert times == sorted(set(times))


@pytest.fixture
def nuscenes(tmp_path: Path) -> Path:
    return tiny_nuscenes.write_nuscenes(tmp_path / "data", keyframes=4, sweeps_between=3)


def test_a_scene_has_its_keyframes_and_sweeps_in_order_with_calibration(nuscenes: Path) -> None:
    source = open_source(f"nuscenes:{nuscenes}#scene-0103")
    frames = list(source)
    assert source.total == len(frames) == 13
    assert source.interval_s == pytest.approx(0.125)
    assert {frame.channel for frame in frames} == {"CAM_FRONT"}
    steps = np.diff([frame.timestamp_us for frame in frames])
    assert (steps == 125_000).all()
    assert sum("scene-0103" in frame.name for frame in frames) == 13
    camera = frames[0].camera
    assert camera is not None
    ahead = np.array([[20.0, 0.0, tiny_nuscenes.CAMERA_HEIGHT_M, 1.0]])  # at the camera's own height
    pixels, depth = project(camera, (ahead @ np.linalg.inv(camera.ego_from_camera).T)[:, :3])
    assert pixels[0] == pytest.approx([80, 45])
    assert depth[0] == pytest.approx(20 - 1.7)


def test_speed_comes_from_the_poses(nuscenes: Path) -> None:
    frames = list(open_source(f"nuscenes:{nuscenes}"))
    for number, frame in enumerate(frames[3:-3], start=3):
        expected = tiny_nuscenes.SPEED_MPS + tiny_nuscenes.ACCELERATION_MPS2 * number * 0.125
        assert frame.speed_mps == pytest.approx(expected, abs=1e-3)
        assert frame.yaw_rate_radps == pytest.approx(0, abs=1e-6)
    assert frames[0].speed_mps == pytest.approx(tiny_nuscenes.SPEED_MPS, abs=0.25)  # one-sided at the ends


def test_all_cameras_come_interleaved(nuscenes: Path) -> None:
    source = open_source(f"nuscenes:{nuscenes}", camera="all", max_frames=5)
    assert source.channels == tuple(camera for camera in CAMERAS if camera in tiny_nuscenes.CAMERAS)
    frames = list(source)
    assert len(frames) == 10
    for first, second in zip(frames[::2], frames[1::2], strict=True):
        assert {first.channel, second.channel} == set(tiny_nuscenes.CAMERAS)
        assert first.timestamp_us == second.timestamp_us


def test_what_a_scene_lacks_is_named(nuscenes: Path) -> None:
    with pytest.raises(InputError, match=r"no scene 'scene-9'.*it has scene-0061, scene-0103"):
        open_source(f"nuscenes:{nuscenes}#scene-9")
    with pytest.raises(InputError, match="unknown camera 'FRONT'"):
        open_source(f"nuscenes:{nuscenes}", camera="FRONT")
    with pytest.raises(InputError, match="has no frames of CAM_BACK_LEFT"):
        open_source(f"nuscenes:{nuscenes}", camera="CAM_BACK_LEFT")
    with pytest.raises(InputError, match="is a nuScenes data set; write nuscenes:"):
        open_source(str(nuscenes))
    poses = nuscenes / "v1.0-mini" / "ego_pose.json"
    poses.write_text(json.dumps(json.loads(poses.read_text())[1:]))
    with pytest.raises(InputError, match=r"ego_pose\.json lacks 1 of the scene's"):
        list(open_source(f"nuscenes:{nuscenes}#scene-0061"))
    poses.write_text("[" + json.dumps({"token": "x"})[:-4])
    with pytest.raises(InputError, match="is cut off"):
        open_source(f"nuscenes:{nuscenes}")
    poses.unlink()
    with pytest.raises(InputError, match=r"table .*ego_pose\.json does not exist"):
        open_source(f"nuscenes:{nuscenes}")


def test_a_missing_picture_and_one_outside_the_root_are_skipped(nuscenes: Path) -> None:
    table = nuscenes / "v1.0-mini" / "sample_data.json"
    rows = json.loads(table.read_text())
    wanted = sorted((row for row in rows if row["filename"].split("/")[1] == "CAM_FRONT" and "0061" in row["token"]),
                    key=lambda row: row["timestamp"])  # fmt: skip
    (nuscenes / wanted[1]["filename"]).unlink()
    wanted[2]["filename"] = "../secret.png"
    paint(nuscenes.parent / "secret.png", 1)
    table.write_text(json.dumps(rows))
    frames = list(open_source(f"nuscenes:{nuscenes}#scene-0061"))
    assert [frame.image is None for frame in frames[:4]] == [False, True, True, False]
    assert "does not exist" in (frames[1].error or "")
    assert "outside the data folder" in (frames[2].error or "")


ROWS = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.integers() | st.text() | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        max_size=4,
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, chunk=st.integers(1, 64), indent=st.none() | st.integers(0, 2), ascii_only=st.booleans())
def test_streaming_a_table_equals_loading_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list, chunk: int, indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.mktemp("table") / "rows.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=ascii_only), encoding="utf-8", errors="surrogatepass")
    assert list(stream_json_list(path, chunk)) == json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))


@settings(deadline=None, max_examples=40)
@given(rows=ROWS.filter(bool), cut=st.integers(1, 10**6), chunk=st.integers(1, 64))
def test_a_table_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list, cut: int, chunk: int
) -> None:
    text = json.dumps(rows)
    path = tmp_path_factory.mktemp("table") / "rows.json"
    path.write_text(text[: cut % len(text)])
    with pytest.raises(InputError):
        list(stream_json_list(path, chunk))


@pytest.mark.parametrize("text", ["{}", '{"token": 1}', "[1, 2]", '"rows"', "null", "[[]]"])
def test_other_json_is_not_a_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a JSON list of objects"):
        list(stream_json_list(path))


@pytest.mark.slow
def test_the_world_drives_live() -> None:
    pytest.importorskip("open3d")
    source = open_source("world:4", fps=10, max_frames=3, size=(45, 80))
    frames = list(source)
    assert source.total == len(frames) == 3
    assert [frame.timestamp_us for frame in frames] == [0, 100_000, 200_000]
    assert all(frame.image is not None and frame.image.shape == (45, 80, 3) for frame in frames)
    assert all(frame.speed_mps is not None and frame.speed_mps >= 0 for frame in frames)
    assert all(frame.yaw_rate_radps is not None and abs(frame.yaw_rate_radps) < 1 for frame in frames)
    assert frames[0].camera is not None
    again = list(open_source("world:4", fps=10, max_frames=3, size=(45, 80)))
    assert np.array_equal(again[2].image, frames[2].image)

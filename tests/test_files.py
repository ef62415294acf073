"""Files that are whole or not there, paths that stay inside, and images that say what is wrong with them."""

from __future__ import annotations

import io
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perception.errors import InputError
from perception.files import (
    _is_plain_jpeg,
    atomic_path,
    encode_jpeg,
    inside,
    read_image,
    read_labels,
    require_dir,
    write_json,
    write_png,
)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.json"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert (temporary.parent, temporary.suffix) == (target.parent, ".json")
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["report.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_new_and_the_old_file_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "model.bin"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.bin"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640
    assert os.umask(before) == before


def test_json_that_other_readers_refuse_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert os.listdir(tmp_path) == []
    write_json(tmp_path / "a.json", {"größe": [1, 2.5]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, 2.5]}


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "link/x"])
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads outside the data folder"):
        inside(root, path)


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leads outside"):
        inside(tmp_path / "root", "../root2/x")


@given(parts=st.lists(st.sampled_from(["..", ".", "a", "b", "..."]), min_size=1, max_size=6))
def test_inside_agrees_with_counting_the_steps(parts: list[str]) -> None:
    depth: list[str] = []
    outside_at_the_end = False
    for part in parts:
        if part == "..":
            if depth:
                depth.pop()
            else:
                outside_at_the_end = True
                break
        elif part != ".":
            depth.append(part)
    root = Path("/nowhere/at/all")
    if not outside_at_the_end:
        assert inside(root, "/".join(parts)) == root.joinpath(*depth)
    elif not {"a", "b", "..."} & set(parts):
        with pytest.raises(InputError):
            inside(root, "/".join(parts))


def test_a_folder_must_be_one(tmp_path: Path) -> None:
    assert require_dir(tmp_path, "data folder") == tmp_path
    with pytest.raises(InputError, match=r"data folder .*none does not exist"):
        require_dir(tmp_path / "none", "data folder")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"data folder .*file is not a folder"):
        require_dir(tmp_path / "file", "data folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(InputError, match="is not readable; check its permissions"):
        require_dir(tmp_path / "closed", "data folder")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_every_picture_is_read_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (7, 5), (255, 255, 255)).convert(mode).save(path)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((5, 7, 3), np.uint8)
    np.testing.assert_array_equal(image, 255)


def test_images_that_do_not_decode_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image .*none\.png does not exist"):
        read_image(tmp_path / "none.png")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(whole)
    for name, content in (
        ("empty.png", b""),
        ("text.png", b"no image at all"),
        ("cut.png", whole.read_bytes()[:2000]),
        ("header.png", whole.read_bytes()[:20]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} does not decode"):
            read_image(tmp_path / name)
    with pytest.raises(InputError):
        read_image(tmp_path)


def picture() -> Image.Image:
    """Edges, ramps and noise, of an odd size."""
    rows, columns = np.mgrid[:75, :101]
    noise = np.random.default_rng(0).integers(0, 60, (75, 101, 3))
    ramps = np.stack([rows * 2, columns, 255 - rows - columns], axis=2)
    board = 80 * ((rows // 9 + columns // 7) % 2)[..., None]
    return Image.fromarray((ramps + board + noise).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray | None:
    """``None`` where it refuses."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError):
        return None


@pytest.mark.parametrize(
    ("mode", "options", "plain"),
    [
        ("RGB", {"subsampling": "4:4:4"}, True),
        ("RGB", {"subsampling": "4:2:2", "quality": 40}, True),
        ("RGB", {"subsampling": "4:2:0", "quality": 95}, True),
        ("RGB", {"subsampling": "4:2:0", "progressive": True}, True),
        ("RGB", {"keep_rgb": True}, True),
        ("RGB", {"restart_marker_blocks": 2, "comment": b"\xff\xd9"}, True),
        ("L", {}, True),
        ("CMYK", {}, False),
    ],
)
def test_jpeg_files_have_the_pixels_of_pillow(mode: str, options: dict[str, object], plain: bool) -> None:
    data = jpeg(picture().convert(mode), **options)
    assert _is_plain_jpeg(data) == plain
    image = read_image(io.BytesIO(data))
    assert (image.shape, image.dtype) == ((75, 101, 3), np.uint8)
    np.testing.assert_array_equal(image, by_pillow(data))


def test_a_photograph_is_not_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    data = jpeg(picture(), exif=exif)
    (tmp_path / "a.jpg").write_bytes(data)
    assert _is_plain_jpeg(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), by_pillow(data))


def test_an_open_file_is_read_from_its_beginning() -> None:
    buffer = io.BytesIO(jpeg(picture()))
    buffer.seek(40)
    assert read_image(buffer).shape == (75, 101, 3)


def test_jpeg_files_larger_than_pillow_takes_for_honest_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 75 * 101)
    assert _is_plain_jpeg(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(InputError, match="decompression bomb"):
        read_image(io.BytesIO(data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_jpeg_files_that_were_cut_off_are_refused(tmp_path: Path, progressive: bool, share: float) -> None:
    data = jpeg(picture(), progressive=progressive)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=r"cut\.jpg does not decode"):
        read_image(path)


JPEG = {progressive: jpeg(picture(), progressive=progressive, quality=60) for progressive in (False, True)}


@given(
    progressive=st.booleans(),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    gap=st.none() | st.tuples(st.floats(0, 1), st.integers(1, 300)),
    tail=st.sampled_from([b"", b"\xff\xd9", b"\0\0"]),
)
def test_of_broken_jpeg_files_those_are_refused_that_pillow_refuses(
    progressive: bool, changes: list[tuple[float, int]], gap: tuple[float, int] | None, tail: bytes
) -> None:
    data = bytearray(JPEG[progressive])
    for share, value in changes:
        data[int(share * (len(data) - 1))] = value
    if gap is not None:
        begin = int(gap[0] * len(data))
        del data[begin : begin + gap[1]]
    broken = bytes(data) + tail
    wanted = by_pillow(broken)
    if wanted is None:
        with pytest.raises(InputError):
            read_image(io.BytesIO(broken))
    else:
        np.testing.assert_array_equal(read_image(io.BytesIO(broken)), wanted)


@given(data=st.binary(max_size=200), cut=st.integers(0, 60))
def test_no_bytes_bring_the_reader_down(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:cut] + data)
    with suppress(InputError):  # anything else fails the test
        assert read_image(folder / "b.png").ndim == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_labels_come_back_as_written(tmp_path: Path, dtype: type[np.generic]) -> None:
    labels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (6, 8)).astype(dtype)
    write_png(tmp_path / "a.png", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


def test_a_palette_colours_the_picture_and_keeps_the_indices(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    palette[[1, 2, 255]] = [(10, 20, 30), (40, 50, 60), (70, 80, 90)]
    write_png(tmp_path / "a.png", labels, palette)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), palette[labels])


def test_labels_in_colour_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="has mode RGB; expected one channel of class indices"):
        read_labels(tmp_path / "a.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "b.png")
    assert read_labels(tmp_path / "b.png").max() in (1, 255)


def test_pictures_are_compressed_as_those_of_nuscenes() -> None:
    real = sorted((real_data("nuscenes_keyframe") / "samples" / "CAM_FRONT").glob("*.jpg"))
    pixels = read_image(real[0])
    with Image.open(real[0]) as wanted, Image.open(io.BytesIO(encode_jpeg(pixels))) as written:
        assert written.quantization == wanted.quantization
        assert written.layer == wanted.layer, "colour at half size"
    error = np.abs(read_image(io.BytesIO(encode_jpeg(pixels))).astype(int) - pixels)
    assert error.mean() < 2

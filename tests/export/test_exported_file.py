"""Files that are damaged, changed or not ours are refused with one line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from perception.errors import InputError
from perception.export.onnx_file import export_onnx
from perception.runtime.engine import load_engine
from perception.runtime.exported_file import FileInfo, open_exported
from perception.runtime.onnx_engine import OnnxEngine
from perception.runtime.plan import uniform_plan


def test_whole_file_is_accepted(exported) -> None:
    assert open_exported(exported.path) == exported.described


@pytest.mark.parametrize("position", [0.01, 0.3, 0.6, 0.99])
def test_a_changed_byte_is_found(exported, tmp_path: Path, position: float) -> None:
    content = bytearray(exported.path.read_bytes())
    at = int(position * len(content))
    content[at] ^= 0x40
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged or was changed|no description"):
        OnnxEngine(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_cut_off_file_is_found(exported, tmp_path: Path, share: float) -> None:
    content = exported.path.read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"damaged or was changed|no description"):
        OnnxEngine(path)


def test_other_files_are_refused(exported, tmp_path: Path) -> None:
    picture = tmp_path / "picture.onnx"
    picture.write_bytes(b"\x89PNG not a model")
    with pytest.raises(InputError, match="no description"):
        load_engine(str(picture))
    with pytest.raises(InputError, match="does not exist"):
        load_engine(str(tmp_path / "missing.onnx"))
    renamed = tmp_path / "model.xml"
    shutil.copy(exported.path, renamed)
    with pytest.raises(InputError, match=r"written as a \.onnx file"):
        load_engine(str(renamed))


def test_engines_go_with_files(exported) -> None:
    with pytest.raises(InputError, match="run on onnxruntime or openvino, not on torch"):
        load_engine(str(exported.path), engine="torch")
    with pytest.raises(InputError, match="not exported run on torch"):
        load_engine("multitask_resnet18_slim", engine="openvino")
    with pytest.raises(InputError, match="unknown engine"):
        load_engine(str(exported.path), engine="caffe")
    with pytest.raises(InputError, match="precision"):
        load_engine(str(exported.path), precision="bf16")
    with pytest.raises(InputError, match="--compile"):
        load_engine(str(exported.path), compile=True)


def test_weights_beside_the_file_belong_to_it(exported, tmp_path: Path) -> None:
    fixed = replace(exported.described, free_size=False, size=(64, 96))
    path = tmp_path / "model.onnx"
    described = export_onnx(exported.network, fixed, path, data_from_bytes=1)
    data = tmp_path / "model.onnx.data"
    assert set(described.data) == {data.name}
    engine = OnnxEngine(path)
    assert engine(exported.pictures[0], uniform_plan((64, 96))).semantic is not None
    with pytest.raises(InputError, match="64x96 alone, not 96x128"):
        engine(exported.pictures[0], uniform_plan((96, 128)))
    content = data.read_bytes()
    data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="damaged or of another export"):
        OnnxEngine(path)
    data.unlink()
    with pytest.raises(InputError, match=r"needs model\.onnx\.data beside it"):
        OnnxEngine(path)


def test_description_is_checked(exported) -> None:
    path = Path("model.onnx")
    text = exported.described.to_json()
    assert FileInfo.from_json(text, path) == exported.described
    with pytest.raises(InputError, match="damaged description"):
        FileInfo.from_json("{]", path)
    with pytest.raises(InputError, match="format 7"):
        FileInfo.from_json('{"format": 7}', path)
    with pytest.raises(InputError, match="damaged description"):
        FileInfo.from_json('{"format": 1}', path)
    other = replace(exported.described, classes=exported.described.classes[:-1])
    with pytest.raises(InputError, match="not those of this version"):
        other.labels(path)
    raw = replace(exported.described, postprocess=False)
    assert FileInfo.from_json(raw.to_json(), path).postprocess is False

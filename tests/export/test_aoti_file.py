"""AOTInductor packages: one is compiled for real, others are refused before anything of them runs."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_points import needs_cuda, shuffle_norms

from perception.errors import InputError
from perception.export import aoti_file
from perception.export.exporting import Options, check_options, export_model
from perception.export.onnx_file import describe_model
from perception.models.zoo import create_model
from perception.runtime.aoti_engine import AotiEngine, built_for
from perception.runtime.engine import load_engine
from perception.runtime.exported_file import FileInfo, open_exported, seal
from perception.runtime.host import has_compiler
from perception.runtime.plan import Plan

SIZE = (48, 64)
PICTURES = [np.random.default_rng(i).integers(0, 255, (*SIZE, 3), np.uint8) for i in range(2)]


def model() -> Any:
    torch.manual_seed(0)
    return shuffle_norms(create_model("unet", "camvid", width=4, depth=1)).eval()


def package(path: Path, **facts: Any) -> FileInfo:
    """A file that says something of itself and holds no program."""
    described = describe_model(model(), SIZE, free_size=False, scale=None, input="uint8", postprocess=True)
    described = replace(described, **({"suffix": ".pt2", "target": built_for("cpu")} | facts))
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("program", "none")
        content.comment = described.to_json().encode()
    seal(path)
    return described


@pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")
def test_a_package_says_what_the_model_says(tmp_path: Path) -> None:
    out = tmp_path / "model.pt2"
    network, described, parity = export_model(model(), out, Options("aoti", SIZE), PICTURES)
    assert [(entry["engine"], entry["size"], entry["passed"]) for entry in parity] == [("aoti", "48x64", True)]
    assert parity[0]["outputs"]["semantic"]["agreement"] >= 0.999
    assert described == open_exported(out)
    assert described.target[0] == "cpu"
    assert not described.free_size
    assert next(network.model.parameters()).device.type == "cpu"
    engine = load_engine(str(out))
    assert engine.info["engine"] == "aoti"
    plan = Plan("48x64", SIZE)
    engine.warm_up(plan)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(PICTURES[0].transpose(2, 0, 1)[None].copy()))["semantic"][0]
    got = engine(PICTURES[0], plan).semantic
    assert got is not None
    assert (got == wanted.numpy()).mean() >= 0.999
    with pytest.raises(InputError, match="takes pictures of 48x64 alone"):
        engine(np.zeros((32, 32, 3), np.uint8), Plan("32x32", (32, 32)))
    content = bytearray(out.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(content)
    with pytest.raises(InputError, match="damaged or was changed"):
        load_engine(str(out))


def test_programs_for_other_machines_are_not_started(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    package(path, target=("cpu", "avx9"))
    with pytest.raises(InputError, match=r"compiled for avx9, which cpu lacks"):
        AotiEngine(path)
    package(path, versions={"torch": "1.0"})
    with pytest.raises(InputError, match=r"compiled with torch 1\.0"):
        AotiEngine(path)
    package(path)
    with pytest.raises(InputError, match="compiled for cpu, not for cuda"):
        AotiEngine(path, "cuda")
    with pytest.raises(InputError, match="torch cannot open"):
        AotiEngine(path)
    if not torch.cuda.is_available():
        package(path, target=("cuda", "sm_90"))
        with pytest.raises(InputError, match="torch sees none here"):
            AotiEngine(path)


def test_what_is_refused_before_anything_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "model.pt2"
    for options, message in (
        (Options("aoti", SIZE, free_size=True), "has one size"),
        (Options("aoti", SIZE, half=True), "--half is for openvino and tensorrt"),
        (Options("onnx", SIZE, device="cuda"), "--device is for format aoti"),
        (Options("aoti", SIZE, device="cuda:1"), "--device is for format aoti"),
    ):
        with pytest.raises(InputError, match=message):
            check_options(model(), out if options.format == "aoti" else tmp_path / "model.onnx", options)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch sees none"):
            check_options(model(), out, Options("aoti", SIZE, device="cuda"))
    monkeypatch.setattr(aoti_file, "has_compiler", lambda: False)
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler"):
        export_model(model(), out, Options("aoti", SIZE), PICTURES)
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_a_package_says_what_torch_says(tmp_path: Path) -> None:
    _, described, parity = export_model(model(), tmp_path / "model.pt2", Options("aoti", SIZE, device="cuda"), PICTURES)
    assert described.target[0] == "cuda"
    assert parity[0]["outputs"]["semantic"]["agreement"] >= 0.999

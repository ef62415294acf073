"""TensorRT engines: what can be tested without a GPU, and with one the whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_points import needs_cuda, shuffle_norms

from perception.cli import main
from perception.errors import InputError
from perception.export.exporting import Options, check_options, export_model
from perception.export.network import ExportNetwork
from perception.export.onnx_file import describe_model, export_onnx
from perception.export.tensorrt_file import bytes_through_float, check_float8, write_plan
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.exported_file import NO_DIGEST, open_exported
from perception.runtime.onnx_engine import OnnxEngine
from perception.runtime.plan import Plan
from perception.runtime.tensorrt_engine import TensorRtEngine, check_gpu, read_plan

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SMALL: dict[str, Any] = {"channels": 8, "head_channels": 8, "backbone_options": {"channels": (8, 8, 8, 8)}}
SIZE = (64, 96)
PICTURES = [np.random.default_rng(i).integers(0, 255, (*SIZE, 3), np.uint8) for i in range(3)]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def model() -> Any:
    torch.manual_seed(0)
    return shuffle_norms(create_model("multitask_resnet18_slim", **SMALL)).eval()


def described(network: Any, **facts: Any) -> Any:
    return describe_model(network, SIZE, free_size=False, scale=None, input="uint8", postprocess=True, **facts)


@pytest.fixture(scope="module")
def half_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in half precision, as TensorRT gets it."""
    out = tmp_path_factory.mktemp("half") / "model.onnx"
    export_onnx(ExportNetwork(model(), half=True).eval(), described(model(), precision="fp16"), out)
    return out


def batches() -> list[np.ndarray]:
    return [picture.transpose(2, 0, 1)[None].copy() for picture in PICTURES]


def test_bytes_are_made_of_floats_alone_and_nothing_else_changes(half_file: Path) -> None:
    changed = bytes_through_float(onnx.load(str(half_file)))
    onnx.checker.check_model(changed)
    types = {
        out.name: out.type.tensor_type.elem_type for out in onnx.shape_inference.infer_shapes(changed).graph.value_info
    }
    casts = [
        node for node in changed.graph.node
        if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.UINT8
    ]  # fmt: skip
    assert len(casts) >= 3  # one for each mask
    assert all(types[node.input[0]] == onnx.TensorProto.FLOAT for node in casts)
    assert not changed.metadata_props
    session = ort.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    engine = OnnxEngine(half_file, "cpu")
    for batch in batches():
        wanted = engine.run(batch)
        for output, value in zip(session.get_outputs(), session.run(None, {"image": batch}), strict=True):
            np.testing.assert_array_equal(value, wanted[output.name])


def test_in_half_precision_most_pixels_stay_the_same(half_file: Path) -> None:
    network, engine = ExportNetwork(model()).eval(), OnnxEngine(half_file, "cpu")
    weights = [item.data_type for item in onnx.load(str(half_file)).graph.initializer if len(item.dims) == 4]
    assert weights
    assert set(weights) == {onnx.TensorProto.FLOAT16}
    for batch in batches():
        with torch.inference_mode():
            wanted = network(torch.from_numpy(batch))
        got = engine.run(batch)
        assert got["boxes"].dtype == np.float32
        for name in ("semantic", "drivable", "lane"):
            assert (wanted[name].numpy() == got[name]).mean() > 0.98


def test_the_plan_comes_back_out_of_its_file(tmp_path: Path) -> None:
    plan = np.random.default_rng(0).bytes(5000) + b'{"classes"'
    out = tmp_path / "model.engine"
    info = write_plan(plan, described(model(), suffix=".engine"), out)
    assert info == open_exported(out)
    assert info.digest != NO_DIGEST
    assert read_plan(out) == plan
    changed = bytearray(out.read_bytes())
    changed[100] ^= 1
    out.write_bytes(changed)
    with pytest.raises(InputError, match="damaged or was changed"):
        TensorRtEngine(out)


@without_gpu
def test_without_a_gpu_one_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.engine"
    save(model(), tmp_path / "saved")
    arguments = ["export", str(tmp_path / "saved"), "--size", "64x96", "--format", "tensorrt"]
    assert main([*arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "TensorRT needs an NVIDIA GPU" in error
    assert error.count("\n") == 1
    assert not out.exists()
    write_plan(b"plan", described(model(), suffix=".engine"), out)
    with pytest.raises(InputError, match="needs an NVIDIA GPU"):
        TensorRtEngine(out)


def test_what_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    options = Options("tensorrt", SIZE, free_size=True)
    with pytest.raises(InputError, match="has one size"):
        check_options(model(), tmp_path / "model.engine", options)
    with pytest.raises(InputError, match="several sizes are for format tensorrt"):
        check_options(model(), tmp_path / "model.onnx", Options("onnx", SIZE, more_sizes=((32, 48),)))
    segformer = create_model("segformer_b0", "camvid")
    with pytest.raises(InputError, match="attention fixes the size"):
        check_options(segformer, tmp_path / "model.engine", Options("tensorrt", SIZE, more_sizes=((32, 48),)))
    with pytest.raises(InputError, match=r"must end in \.engine"):
        check_options(model(), tmp_path / "model.onnx", options)
    for device in ("cpu", "cuda:x"):
        with pytest.raises(InputError, match="runs on auto, cuda"):
            check_gpu(device)


def test_a_file_of_several_sizes_says_which(tmp_path: Path) -> None:
    out = tmp_path / "model.engine"
    write_plan(b"plan", described(model(), suffix=".engine", sizes=((32, 48), (96, 128))), out)
    info = open_exported(out)
    assert info.sizes == ((32, 48), (96, 128))
    assert [info.takes(size) for size in (SIZE, (32, 48), (96, 128), (32, 32))] == [True, True, True, False]
    assert info.kind_digest() != described(model(), suffix=".engine").kind_digest()


@pytest.mark.gpu
@needs_cuda
def test_on_a_gpu_one_engine_runs_at_all_of_its_sizes(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    out = tmp_path / "model.engine"
    _, info, parity = export_model(model(), out, Options("tensorrt", SIZE, more_sizes=((32, 48), (96, 128))), PICTURES)
    assert not info.free_size
    assert [entry["size"] for entry in parity] == ["64x96", "32x48", "96x128"]
    assert all(entry["passed"] for entry in parity)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("half", [False, True])
def test_on_a_gpu_an_engine_says_what_torch_says(half: bool, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    out = tmp_path / "model.engine"
    _, info, parity = export_model(model(), out, Options("tensorrt", SIZE, half=half), PICTURES)
    assert info.precision == ("fp16" if half else "fp32")
    assert not info.free_size
    assert [entry["engine"] for entry in parity] == ["tensorrt"]
    agreements = [value["agreement"] for value in parity[0]["outputs"].values()]
    assert min(agreements) >= (0.98 if half else 0.999)
    engine = TensorRtEngine(out)
    engine.warm_up(Plan("64x96", SIZE), SIZE)
    assert engine(PICTURES[0], Plan("64x96", SIZE)).semantic.shape == SIZE  # type: ignore[union-attr]
    with pytest.raises(InputError, match="takes pictures of 64x96 alone"):
        engine(np.zeros((32, 32, 3), np.uint8), Plan("32x32", (32, 32)))
    assert (tmp_path / "model.engine.timing").is_file()


@pytest.mark.parametrize(("capability", "taken"), [((8, 7), False), ((8, 9), True), ((9, 0), True), ((12, 0), True)])
def test_float8_needs_a_gpu_that_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], taken: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Orin")
    check_float8(described(model(), precision="int8"))
    if taken:
        check_float8(described(model(), precision="fp8"))
    else:
        with pytest.raises(InputError, match=r"needs compute capability 8\.9 \(Ada, Hopper\), Orin has 8\.7"):
            check_float8(described(model(), precision="fp8"))

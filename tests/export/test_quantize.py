"""8-bit files: what is quantised, which layers are given back, and what the command reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_points import shuffle_norms

from perception.cli import main
from perception.errors import InputError
from perception.export.float8 import to_float8
from perception.export.network import ExportNetwork
from perception.export.onnx_file import describe_model, export_onnx
from perception.export.quantize import quantise
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.exported_file import open_exported
from perception.runtime.onnx_engine import OnnxEngine, open_session
from perception.runtime.openvino_engine import OpenVinoEngine

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

CONFIG = Path(__file__).parents[2] / "configs" / "camvid" / "multitask_resnet18_slim_208x288.yaml"
PICTURES = [np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8) for i in range(4)]


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    model = shuffle_norms(create_model("unet", "camvid", width=4, depth=1))
    with torch.no_grad():  # classes that differ from pixel to pixel
        model.head.classifier.weight.normal_(0, 3)
        model.head.classifier.bias.zero_()
    return model.eval()


@pytest.fixture
def exported(network: Any, tmp_path: Path) -> Path:
    described = describe_model(network, (64, 96), free_size=False, scale=None, input="uint8", postprocess=True)
    export_onnx(ExportNetwork(network).eval(), described, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def agreement(float_file: Path) -> Any:
    """Share of pixels as in float, in percent."""
    engine = OnnxEngine(float_file, "cpu")
    batches = [picture.transpose(2, 0, 1)[None].copy() for picture in PICTURES]
    wanted = [engine.run(batch)["semantic"] for batch in batches]

    def measure(path: Path) -> dict[str, float]:
        other = OnnxEngine(path, "cpu")
        got = [other.run(batch)["semantic"] for batch in batches]
        return {"same": 100 * float(np.mean([(a == b).mean() for a, b in zip(wanted, got, strict=True)]))}

    return measure


def quantised_layers(path: Path) -> int:
    graph = onnx.load(str(path)).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    return sum(
        node.op_type == "Conv" and made.get(node.input[1]) == "DequantizeLinear" for node in graph.node
    )  # fmt: skip


def test_the_file_is_8_bit_smaller_and_says_so(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    result = quantise(exported, out, PICTURES, agreement(exported), max_drop=100.0)
    (last,) = result.kept_float
    (named,) = [node for node in onnx.load(str(out)).graph.node if node.name == last]
    weights = {item.name: item.dims for item in onnx.load(str(out)).graph.initializer}
    assert weights[named.input[1]][0] == 11, "the layer that gives the classes stays in float"
    assert result.before == {"same": 100.0}
    assert result.after["same"] > 70
    assert quantised_layers(out) >= 5
    described = open_exported(out)
    assert described.precision == "int8"
    assert described.size == (64, 96)
    batch = PICTURES[0].transpose(2, 0, 1)[None].copy()
    first, second = OnnxEngine(out, "cpu").run(batch), OpenVinoEngine(out, "cpu").run(batch)
    assert (first["semantic"] == second["semantic"]).mean() > 0.9
    weights = [item for item in onnx.load(str(out)).graph.initializer if item.data_type == onnx.TensorProto.INT8]
    assert weights


def test_layers_are_given_back_until_the_loss_is_small_enough(exported: Path, tmp_path: Path) -> None:
    tried = []

    def measure(path: Path) -> dict[str, float]:
        tried.append(quantised_layers(path))
        return {"miou": 90.0 - tried[-1]}

    out = tmp_path / "int8.onnx"
    result = quantise(exported, out, PICTURES[:1], measure, max_drop=3.0)
    every = tried[1]
    assert tried[:2] == [0, every]
    assert tried[2:] == [every - kept for kept in (1, 2, 4, 8)[: len(tried) - 2]], "twice as many each time"
    assert quantised_layers(out) == tried[-1] <= 3
    assert len(result.kept_float) == len(set(result.kept_float)) == 1 + every - tried[-1]
    nothing = quantise(exported, out, PICTURES[:1], measure, max_drop=0.0)
    assert nothing.drop == 0.0
    assert open_exported(out).precision == "fp32", "with all layers given back it is the float network"
    batch = PICTURES[0].transpose(2, 0, 1)[None].copy()
    np.testing.assert_array_equal(
        OnnxEngine(out, "cpu").run(batch)["semantic"], OnnxEngine(exported, "cpu").run(batch)["semantic"]
    )
    wide = quantise(exported, out, PICTURES[:1], agreement(exported), max_drop=100.0, reduce_range=True)
    assert wide.reduce_range
    weights = [item for item in onnx.load(str(out)).graph.initializer if item.data_type == onnx.TensorProto.INT8]
    assert all(np.abs(onnx.numpy_helper.to_array(item).astype(int)).max() <= 64 for item in weights)


def test_command(network: Any, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(network, tmp_path / "model")
    out = tmp_path / "model.onnx"
    base = ["export", str(tmp_path / "model"), "--out", str(out), "--size", "48x64", "--pictures", "1", "--timing", "1",
            "--int8", "true", "--calibration_frames", "3"]  # fmt: skip
    data = ["--data", str(CONFIG), "--root", str(camvid)]
    assert main([*base, *data, "--max_drop", "100", "--json"]) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)["quantised"]
    assert report["precision"] == "int8"
    assert set(report["before"]) == set(report["after"]) == {"semantic/miou"}
    assert report["weight_bits"] in (7, 8)
    assert open_exported(out).precision == "int8"
    assert main([*base, *data, "--max_drop", "100"]) == 0
    assert "in int8" in capsys.readouterr().out
    assert main(base) == 2
    assert "8 bits need --data" in capsys.readouterr().err
    assert main([*base, *data, "--fp8", "true"]) == 2
    assert "--int8 and --fp8 exclude" in capsys.readouterr().err
    pt2 = [*base[:2], "--out", str(tmp_path / "m.pt2"), "--format", "aoti", "--int8", "true", *data]
    assert main(pt2) == 2
    assert "--int8 and --fp8 write onnx, openvino and tensorrt" in capsys.readouterr().err
    assert main([*base, *data, "--half", "true"]) == 2
    assert "--half goes without --int8 and --fp8" in capsys.readouterr().err
    world = CONFIG.parents[1] / "world" / "multitask_resnet18_slim_160x288.yaml"
    assert main([*base, "--data", str(world)]) == 2


def test_as_openvino_the_accuracy_is_that_of_the_file(
    network: Any, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(network, tmp_path / "model")
    out = tmp_path / "model.xml"
    arguments = ["export", str(tmp_path / "model"), "--out", str(out), "--format", "openvino", "--size", "48x64",
                 "--pictures", "1", "--timing", "1", "--int8", "true", "--calibration_frames", "3", "--max_drop", "100",
                 "--data", str(CONFIG), "--root", str(camvid), "--json"]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == ["model.xml", "model.bin"]
    assert open_exported(out).precision == "int8"
    assert set(report["quantised"]["after"]) == {"semantic/miou"}
    assert set(report["timing"]["engines"]) == {"torch", "torch channels_last", "openvino"}
    text = out.read_text()
    assert text.count('type="FakeQuantize"') >= 5
    assert not list(tmp_path.glob(".*")), "nothing is left behind"


def test_for_tensorrt_there_are_no_zero_points(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    result = quantise(exported, out, PICTURES, agreement(exported), max_drop=100.0, symmetric=True)
    assert not result.reduce_range
    assert result.after["same"] > 70
    graph = onnx.load(str(out)).graph
    values = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) > 10
    for node in nodes:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    made = {output: node.op_type for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type == "Conv" and node.name not in result.kept_float:
            assert made[node.input[1]] == "DequantizeLinear"
            assert len(node.input) < 3 or values[node.input[2]].dtype == np.float32, "biases stay in float"


def e4m3(values: np.ndarray) -> np.ndarray:
    """Values rounded to the nearest number of 4 exponent and 3 mantissa bits, as torch has them."""
    clipped = torch.from_numpy(values).clamp(-448, 448)
    return clipped.to(torch.float8_e4m3fn).float().numpy()


def test_float8_pairs_round_as_torch_does(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "fp8.onnx"
    result = quantise(exported, out, PICTURES, agreement(exported), max_drop=100.0, float8=True)
    assert open_exported(out).precision == "fp8"
    assert not result.reduce_range
    assert result.after["same"] > 70
    model = onnx.load(str(out))
    held = {item.name: item for item in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) > 10
    assert all(held[node.input[2]].data_type == onnx.TensorProto.FLOAT8E4M3FN for node in pairs)
    weights = next(node for node in pairs if node.input[0] in held and node.op_type == "QuantizeLinear")
    values, scale = (onnx.numpy_helper.to_array(held[name]) for name in weights.input[:2])
    scale = scale.reshape(-1, *[1] * (values.ndim - 1))
    assert 440 < (np.abs(values) / scale).max() < 456, "the largest weight takes the largest number"
    back = next(node for node in pairs if node.input[0] == weights.output[0])
    model.graph.output.append(onnx.helper.make_tensor_value_info(back.output[0], onnx.TensorProto.FLOAT, values.shape))
    onnx.save(model, str(tmp_path / "inside.onnx"))
    session = open_session(tmp_path / "inside.onnx", "cpu", precision="fp8")[0]
    batch = PICTURES[0].transpose(2, 0, 1)[None].copy()
    *_, rounded = session.run(None, {"image": batch})
    np.testing.assert_allclose(rounded, e4m3(values / scale) * scale, rtol=1e-5, atol=1e-7)
    assert not np.allclose(rounded, values, rtol=1e-3)


def test_float8_is_the_same_in_both_runtimes(exported: Path, tmp_path: Path) -> None:
    """ONNX Runtime left to itself drops the ReLUs of such files; OpenVINO is the witness."""
    out = tmp_path / "fp8.onnx"
    quantise(exported, out, PICTURES, agreement(exported), max_drop=100.0, float8=True)
    batch = PICTURES[0].transpose(2, 0, 1)[None].copy()
    first, second = OnnxEngine(out, "cpu").run(batch), OpenVinoEngine(out, "cpu").run(batch)
    assert (first["semantic"] == second["semantic"]).mean() > 0.98


def test_pairs_with_zero_points_do_not_become_float8(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    quantise(exported, out, PICTURES, agreement(exported), max_drop=100.0)
    with pytest.raises(ValueError, match="no zero point of symmetric"):
        to_float8(onnx.load(str(out)))


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_command_in_float8(
    network: Any, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    save(network, tmp_path / "model")
    out = tmp_path / {"onnx": "model.onnx", "openvino": "model.xml"}[kind]
    arguments = ["export", str(tmp_path / "model"), "--out", str(out), "--format", kind, "--size", "48x64",
                 "--pictures", "1", "--timing", "1", "--fp8", "true", "--calibration_frames", "3", "--max_drop", "100",
                 "--data", str(CONFIG), "--root", str(camvid), "--json"]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)["quantised"]
    assert report["precision"] == open_exported(out).precision == "fp8"
    assert report["weight_bits"] == 8


def test_a_drop_fails_the_command_unless_allowed(
    network: Any, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception.commands import export_file
    from perception.export.quantize import Quantised

    def spoiled(file: Path, out: Path, *rest: Any, **options: Any) -> Quantised:
        shutil.copyfile(file, out)
        return Quantised(open_exported(file), {"semantic/miou": 60.0}, {"semantic/miou": 58.0}, [], True)

    monkeypatch.setattr(export_file, "quantise", spoiled)
    save(network, tmp_path / "model")
    base = ["export", str(tmp_path / "model"), "--out", str(tmp_path / "m.onnx"), "--size", "48x64", "--pictures", "1",
            "--timing", "0", "--int8", "true", "--data", str(CONFIG), "--root", str(camvid)]  # fmt: skip
    assert main(base) == 1
    assert "loses 2.00 points" in capsys.readouterr().out
    assert main([*base, "--allow_drop", "true"]) == 0


def test_pooling_runs_on_bytes_and_the_result_is_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = shuffle_norms(
        create_model(
            "multitask_resnet18_slim", channels=8, head_channels=8, backbone_options={"channels": (8, 8, 8, 8)}
        )
    ).eval()
    facts = describe_model(model, (64, 96), free_size=False, mask_strides=model.mask_strides)
    export_onnx(ExportNetwork(model, coarse=True).eval(), facts, tmp_path / "model.onnx")
    out = tmp_path / "int8.onnx"
    quantise(tmp_path / "model.onnx", out, PICTURES, lambda path: {})
    changed = onnx.load(str(out))
    made = {output: node for node in changed.graph.node for output in node.output}
    (pool,) = [
        node for node in changed.graph.node
        if node.op_type == "MaxPool" and made[node.input[0]].op_type == "DequantizeLinear"
    ]  # fmt: skip
    rounding = made[made[pool.input[0]].input[0]]
    after = next(node for node in changed.graph.node if pool.output[0] in node.input)
    assert rounding.input[1:] == after.input[1:]
    engine = OnnxEngine(out, "cpu")
    batch = PICTURES[0].transpose(2, 0, 1)[None].copy()
    got = engine.run(batch)
    pool.input[0] = rounding.input[0]  # as the quantiser left it
    plain = open_bytes(changed.SerializeToString())
    names = [output.name for output in plain.get_outputs()]
    for name, value in zip(names, plain.run(None, {"image": batch}), strict=True):
        assert np.array_equal(got[name], value), name


def open_bytes(content: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_files_with_weights_beside_them_are_refused(network: Any, tmp_path: Path) -> None:
    described = describe_model(network, (64, 96), free_size=False, scale=None, input="uint8", postprocess=True)
    export_onnx(ExportNetwork(network).eval(), described, tmp_path / "model.onnx", data_from_bytes=1)
    with pytest.raises(InputError, match="keeps its weights beside it"):
        quantise(tmp_path / "model.onnx", tmp_path / "out.onnx", PICTURES, lambda path: {})

"""Rounding to 8 bits in training: against numpy, against ONNX Runtime's 8-bit file, and through ``perception fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_points import shuffle_norms
from torch import nn

import perception
from perception.callbacks.quantization import FakeQuantization, QuantizationAwareTraining
from perception.cli import main
from perception.errors import InputError
from perception.models.zoo import create_model

CONFIG = Path(__file__).parents[2] / "configs/camvid/multitask_resnet18_slim_208x288.yaml"


def rounded(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """An activation in 256 steps of which one is 0."""
    scale = (high - low) / 255
    zero = round(-low / scale)
    return (np.clip(np.rint(value / scale) + zero, 0, 255) - zero) * scale


def rounded_weight(weight: np.ndarray, axis: int, most: int) -> np.ndarray:
    scale = np.abs(weight).max(axis=tuple(dim for dim in range(weight.ndim) if dim != axis), keepdims=True) / most
    return np.rint(weight / scale) * scale


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("kind", ["conv", "transpose", "linear"])
def test_inputs_and_weights_are_rounded_as_numpy_rounds_them(kind: str, bits: int) -> None:
    torch.manual_seed(0)
    layer: Any = {
        "conv": nn.Conv2d(3, 5, 3), "transpose": nn.ConvTranspose2d(3, 5, 3), "linear": nn.Linear(6, 5)
    }[kind]  # fmt: skip
    image = torch.randn(2, 3, 8, 6)
    with FakeQuantization({id(layer.weight): "weight"}, bits) as rounding:
        got = layer(image)
    low, high = rounding.ranges["weight"]
    assert (low, high) == pytest.approx((float(image.min()), float(image.max())))
    axis = 1 if kind == "transpose" else 0
    weight = torch.from_numpy(rounded_weight(layer.weight.detach().numpy(), axis, 2 ** (bits - 1) - 1)).float()
    call = {"conv": F.conv2d, "transpose": F.conv_transpose2d, "linear": F.linear}[kind]
    wanted = call(torch.from_numpy(rounded(image.numpy(), low, high)).float(), weight, layer.bias)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(got, layer(image), atol=1e-5)


def test_gradients_pass_the_rounding_and_stop_where_values_are_cut_off() -> None:
    layer = nn.Linear(4, 1, bias=False)
    rounding = FakeQuantization({id(layer.weight): "weight"})
    rounding.ranges["weight"], rounding.learns = (0.0, 1.0), False
    image = torch.tensor([[0.2, 0.7, 3.0, -2.0]], requires_grad=True)
    with rounding:
        layer(image).sum().backward()
    assert image.grad is not None
    assert layer.weight.grad is not None
    assert (image.grad != 0).tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(layer.weight.grad.numpy(), rounded(image.detach().numpy(), 0, 1), atol=1e-6)
    assert rounding.ranges["weight"] == (0.0, 1.0), "evaluation moves no range"


def test_ranges_follow_the_batches_slowly() -> None:
    layer = nn.Linear(2, 2)
    with FakeQuantization({id(layer.weight): "weight"}, momentum=0.25) as rounding:
        layer(torch.tensor([[-4.0, 8.0]]))
        layer(torch.tensor([[1.0, 4.0]]))
    assert rounding.ranges["weight"] == (-3.0, 7.0)
    with rounding:  # nothing but zeros has no scale
        assert torch.isfinite(FakeQuantization({}).activation(torch.zeros(3), None)).all()


@pytest.mark.parametrize("bits", [7, 8])
def test_it_computes_as_the_exported_8_bit_file_does(bits: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from perception.export.network import ExportNetwork
    from perception.export.onnx_file import describe_model, export_onnx
    from perception.export.quantize import quantise
    from perception.runtime.onnx_engine import OnnxEngine

    torch.manual_seed(0)
    model = shuffle_norms(create_model("unet", "camvid", width=8, depth=2)).eval()
    for module in model.modules():  # one large weight takes the steps of all others of its channel
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.weight.data[:, 0, 1, 1] *= 40
    described = describe_model(model, (64, 96), free_size=False, scale=None, input="uint8", postprocess=False)
    network = ExportNetwork(model, postprocess=False).eval()
    export_onnx(network, described, tmp_path / "float.onnx")
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", [picture], lambda path: {}, reduce_range=bits == 7)
    batch = picture.transpose(2, 0, 1)[None].copy()
    (wanted,) = OnnxEngine(tmp_path / "int8.onnx", "cpu", raw=True).run(batch).values()
    names = {id(value): name for name, value in model.named_parameters()}
    with torch.no_grad():
        (plain,) = network(torch.from_numpy(batch)).values()
        losses = {}
        for each in (7, 8):
            with FakeQuantization(names, each):
                (simulated,) = network(torch.from_numpy(batch)).values()
            losses[each] = (simulated - plain).numpy()
    lost = wanted - plain.numpy()
    assert np.corrcoef(lost.ravel(), losses[bits].ravel())[0, 1] > 0.7
    assert np.abs(lost - losses[bits]).mean() < 0.75 * np.abs(lost).mean()
    assert np.abs(lost - losses[bits]).mean() < 0.5 * np.abs(lost - losses[15 - bits]).mean(), "the other width differs"


def test_fit_writes_plain_checkpoints_with_the_ranges_in_them(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: dict[str, list[bool]] = {"train": [], "val": []}
    enter = FakeQuantization.__enter__

    def noted(self: FakeQuantization) -> Any:
        seen["train" if self.learns else "val"].append(True)
        return enter(self)

    monkeypatch.setattr(FakeQuantization, "__enter__", noted)
    arguments = ["fit", "--config", str(CONFIG), f"--data.init_args.root={camvid}", "--data.init_args.size=[48,64]",
                 "--data.init_args.base_size=[48,64]", "--data.init_args.batch_size=2",
                 "--data.init_args.num_workers=0",
                 "--trainer.max_steps=3", "--trainer.check_val_every_n_epoch=1",
                 "--trainer.callbacks+=perception.callbacks.QuantizationAwareTraining"]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    assert len(seen["train"]) == 3
    assert seen["val"]
    path = tmp_path / "runs/camvid/checkpoints/last.ckpt"
    states = torch.load(path, weights_only=True)["callbacks"]
    ranges = next(value["ranges"] for key, value in states.items() if "QuantizationAware" in key)
    model = perception.load(path)
    assert set(ranges) <= {name for name, _ in model.named_parameters()}
    assert len(ranges) > 20
    assert all(low <= 0 <= high for low, high in ranges.values())
    callback = QuantizationAwareTraining()
    callback.load_state_dict({"ranges": ranges})
    assert callback.state_dict() == {"ranges": ranges}


def test_what_is_refused() -> None:
    for options in ({"weight_bits": 4}, {"start": 1.0}, {"momentum": 0.0}):
        with pytest.raises(InputError, match="must"):
            QuantizationAwareTraining(**options)  # type: ignore[arg-type]

"""Systems with attention as files of one size, in both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_zoo import EVERY

from perception.export.exporting import Options, export_model
from perception.export.network import ExportNetwork, at_one_size
from perception.models.zoo import create_model
from perception.runtime import openvino_engine

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

SIZE = (64, 96)
PICTURES = [np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)]
LARGER: dict[str, Any] = {"image_size": 256}
"""Trained on larger pictures than SIZE: position embeddings shrink, which is where antialiasing matters."""


def network(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return create_model(name, **(EVERY[name] | options)).eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("segmenter_mask_vit_tiny", LARGER),
        ("segmenter_linear_vit_base", LARGER),
        ("setr_pup_vit_large", LARGER),
        ("segformer_b0", {}),
        ("mask2former_resnet50", {}),
        ("mask2former_swin_tiny", {}),
    ],
)
def test_raw_maps_are_those_of_torch(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Raw maps, because untrained networks give classes that hang on rounding."""
    out = tmp_path / "model.onnx"
    _, described, records = export_model(
        network(name, **options), out, Options("onnx", SIZE, postprocess=False), PICTURES
    )
    assert not described.free_size
    assert {record["engine"] for record in records} == {"onnxruntime", "openvino"}
    for record in records:
        assert record["passed"], record
        assert record["outputs"]["semantic"]["relative_error"] < 1e-4


def test_mask2former_decodes_classes_alone(tmp_path: Path) -> None:
    _, _, records = export_model(network("mask2former_resnet50"), tmp_path / "m.onnx", Options("onnx", SIZE), PICTURES)
    assert all(set(record["outputs"]) == {"semantic"} for record in records)


def test_position_embeddings_of_one_size_leave_the_model_as_it_was() -> None:
    model = network("segmenter_mask_vit_tiny", **LARGER)
    whole = ExportNetwork(model, postprocess=False).eval()
    fixed = at_one_size(whole, SIZE)
    batch = torch.from_numpy(PICTURES[0].transpose(2, 0, 1)[None].copy())
    with torch.inference_mode():
        wanted, got = whole(batch)["semantic"], fixed(batch)["semantic"]
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    positions = {key: value.shape for key, value in fixed.state_dict().items() if key.endswith("pos_embed")}
    assert set(positions.values()) == {(1, 4 * 6, 64)}
    assert model.state_dict()[next(iter(positions)).removeprefix("model.")].shape == (1, 16 * 16, 64)
    plain = ExportNetwork(create_model("unet", "camvid", width=4, depth=1)).eval()
    assert at_one_size(plain, SIZE) is plain


class Fails:
    """An OpenVINO that does not merge small layers."""

    def __init__(self, message: str) -> None:
        self.message, self.tried = message, []  # type: ignore[var-annotated]

    def compile_model(self, network: str, device: str, options: dict[str, str]) -> str:
        self.tried.append(options)
        if options.get("SNIPPETS_MODE") != "DISABLE":
            raise RuntimeError(self.message)
        return f"{network} on {device}"


def test_openvino_is_asked_again_without_merged_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Fails("Check failed at src/common/snippets/src/lowered/pass.cpp")
    monkeypatch.setattr(openvino_engine, "openvino_core", lambda: core)
    assert openvino_engine.compile_network("network", {"A": "1"}) == "network on CPU"
    assert core.tried == [{"A": "1"}, {"A": "1", "SNIPPETS_MODE": "DISABLE"}]
    other = Fails("no memory")
    monkeypatch.setattr(openvino_engine, "openvino_core", lambda: other)
    with pytest.raises(RuntimeError, match="no memory"):
        openvino_engine.compile_network("network", {})
    assert len(other.tried) == 1

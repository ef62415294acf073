"""Files against the model that they were made from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from perception.errors import InputError
from perception.export.exporting import Options, check_options, open_engines, parities, write_model
from perception.export.network import ExportNetwork, takes_free_size
from perception.export.openvino_file import export_openvino
from perception.export.parity import box_agreement
from perception.models.adaptive_pool import adaptive_average
from perception.models.zoo import create_model
from perception.runtime.onnx_engine import OnnxEngine
from perception.runtime.plan import uniform_plan


def test_free_size_file_agrees_at_sizes_that_were_not_traced(exported) -> None:
    engines = {entry["engine"] for entry in exported.parity}
    sizes = {entry["size"] for entry in exported.parity}
    assert engines == {"onnxruntime", "openvino"}
    assert len(sizes) == 6
    assert all(entry["passed"] for entry in exported.parity), exported.parity
    assert set(exported.parity[0]["outputs"]) == {"semantic", "drivable", "lane", "boxes"}


def test_batches_of_any_length_run(exported) -> None:
    engine = open_engines(exported.path)["onnxruntime"]
    batch = np.random.default_rng(1).integers(0, 256, (3, 3, 64, 96), dtype=np.uint8)
    together = engine.run(batch)["semantic"]
    alone = np.concatenate([engine.run(batch[i : i + 1])["semantic"] for i in range(3)])
    assert together.shape == (3, 64, 96)
    assert (together == alone).mean() > 0.999


def test_parity_sees_another_network(exported) -> None:
    other = create_model(
        "multitask_resnet18_slim", channels=16, head_channels=8, backbone_options={"channels": (8, 8, 16, 16)}
    ).eval()
    records = parities(ExportNetwork(other).eval(), exported.described, exported.path, exported.pictures)
    assert not any(entry["passed"] for entry in records)


def test_openvino_file_agrees_and_says_what_it_is(exported, tmp_path: Path) -> None:
    out = tmp_path / "model.xml"
    described = export_openvino(exported.path, exported.described, out)
    assert set(described.data) == {"model.bin"}
    assert described.digest != exported.described.digest
    records = parities(exported.network, described, out, exported.pictures)
    assert {entry["engine"] for entry in records} == {"openvino"}
    assert all(entry["passed"] for entry in records), records
    weights = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(bytes([weights[0] ^ 255]) + weights[1:])
    with pytest.raises(InputError, match=r"model\.bin is damaged"):
        open_engines(out)
    (tmp_path / "model.bin").rename(tmp_path / "other.bin")
    with pytest.raises(InputError, match=r"needs model\.bin beside it"):
        open_engines(out)


def test_driving_a_file_needs_no_torch(exported) -> None:
    program = (
        "import sys, numpy as np\n"
        "from perception.runtime.engine import load_engine\n"
        "from perception.runtime.plan import uniform_plan\n"
        f"engine = load_engine({str(exported.path)!r})\n"
        "result = engine(np.zeros((90, 120, 3), np.uint8), uniform_plan((64, 96)))\n"
        "assert result.semantic.shape == (64, 96)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_engine_gives_what_torch_gives(exported) -> None:
    from perception.runtime.engine import TorchEngine
    from perception.runtime.exported_engine import resized

    picture = exported.pictures[0]
    plan = uniform_plan((64, 96))
    ours = OnnxEngine(exported.path, "cpu", score=0.0)(picture, plan)
    torch_engine = TorchEngine(exported.network.model, "cpu", score=0.0)
    theirs = torch_engine(resized(picture, plan.size), plan)  # torch's own resizing takes another filter
    assert (ours.semantic == theirs.semantic).mean() > 0.999
    assert len(ours.boxes) == len(theirs.boxes) == 100
    assert set(OnnxEngine(exported.path).info) >= {"engine", "device", "precision", "threads", "digest", "onnxruntime"}


@pytest.mark.parametrize("size", [(7, 13), (6, 6), (1, 5), (23, 40)])
def test_pooling_for_export_is_adaptive_pooling(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, *size)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for bins in (1, 2, 3, 6):
        torch.testing.assert_close(adaptive_average(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_attention_fixes_the_size() -> None:
    class WindowAttention(nn.Module):
        pass

    assert takes_free_size(nn.Sequential(nn.Conv2d(3, 3, 1)))
    assert not takes_free_size(nn.Sequential(WindowAttention()))


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("m.onnx", Options("tflite", (64, 96)), "unknown format"),
        ("m.xml", Options("onnx", (64, 96)), "must end in .onnx"),
        ("m.onnx", Options("onnx", (64, 96), scale=0.5), "norms per scale"),
    ],
)
def test_bad_options_are_refused(out: str, options: Options, message: str) -> None:
    model = create_model("multitask_resnet18_slim", channels=8, head_channels=8)
    with pytest.raises(InputError, match=message):
        check_options(model, Path(out), options)


def test_norms_per_scale_need_a_scale() -> None:
    model = create_model("multitask_resnet18_slim", channels=8, head_channels=8, scales=[0.5, 1.0])
    with pytest.raises(InputError, match=r"norms for scales 0\.5, 1"):
        check_options(model, Path("m.onnx"), Options("onnx", (64, 96)))
    check_options(model, Path("m.onnx"), Options("onnx", (64, 96), scale=0.5))


@pytest.mark.parametrize("boxes", [True, False])
def test_the_example_runs_a_file_without_this_library(exported, tmp_path: Path, boxes: bool) -> None:
    model = exported.path
    if not boxes:
        model = tmp_path / "unet.onnx"
        write_model(create_model("unet", "camvid", width=4, depth=1), model, Options("onnx", (32, 48)))
    picture = tmp_path / "picture.png"
    Image.fromarray(exported.pictures[0]).save(picture)
    example = Path(__file__).parents[2] / "examples" / "run_onnx.py"
    mask = tmp_path / "mask.png"
    result = subprocess.run(
        [sys.executable, str(example), str(model), str(picture), str(mask)],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert "%" in result.stdout
    assert np.asarray(Image.open(mask)).shape == (90, 120)
    source = example.read_text(encoding="utf-8")
    assert "import torch" not in source
    assert "import perception" not in source


def test_slivers_of_boxes_are_compared_by_their_edges() -> None:
    def found(*boxes: tuple[float, float, float, float]) -> dict[str, np.ndarray]:
        count = len(boxes)
        return {
            "boxes": np.array([boxes]), "scores": np.full((1, count), 0.9), "labels": np.zeros((1, count), np.int64)
        }  # fmt: skip

    sliver, body = (0.0, 0.0, 150.0, 4e-5), (10.0, 10.0, 50.0, 40.0)
    assert box_agreement(found(sliver, body), found((0.0, 0.0, 150.0, 2e-5), body)) == 1.0
    assert box_agreement(found(sliver, body), found((0.0, 0.0, 150.0, 0.3), body)) == 0.5
    assert box_agreement(found(body), found((10.05, 9.95, 50.0, 40.0))) == 1.0
    assert box_agreement(found(body), found((13.0, 13.0, 50.0, 40.0))) == 0.0


def test_which_cell_of_a_plateau_is_its_peak_and_which_box_a_full_list_drops_is_rounding() -> None:
    def found(*boxes: tuple[float, float, float, float, float]) -> dict[str, np.ndarray]:
        table = np.array(boxes).reshape(1, -1, 5)
        return {"boxes": table[..., :4], "scores": table[..., 4], "labels": np.zeros(table.shape[:2], np.int64)}

    peak, beside = (10.0, 10.0, 50.0, 40.0, 0.8), (16.0, 10.0, 56.0, 40.0, 0.8 + 1e-7)
    other, last = (200.0, 10.0, 250.0, 90.0, 0.3), (300.0, 10.0, 350.0, 90.0, 0.2)
    assert box_agreement(found(peak, other, last), found(peak, beside, other)) == 1.0
    assert box_agreement(found(peak, other), found(beside, other)) == 0.5  # moved
    moved = (*beside[:4], 0.81)
    assert box_agreement(found(peak, other, last), found(peak, moved, other)) == 4 / 5
    assert box_agreement(found(peak, other, last), found(peak, other)) == 4 / 5  # not full: a box was lost
    assert box_agreement(found(peak, other), found((90.0, 10.0, 130.0, 40.0, 0.8), other)) == 0.5
    padding = (0.0, 0.0, 0.0, 0.0, 0.0)
    assert box_agreement(found(peak, other, last), found(peak, other, padding)) == 4 / 5
    assert box_agreement(found(peak), found()) == 0.0

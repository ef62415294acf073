"""LiDAR networks as files: any number of points, the same classes as torch, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import real_data
from tiny_points import point_batch, shuffle_norms

from perception.errors import InputError
from perception.export.point_file import export_points, open_point_engines, point_parities
from perception.export.point_network import PointExportNetwork
from perception.geometry.sweep import spinning_sweep
from perception.models.zoo import create_model
from perception.runtime.exported_file import open_exported
from perception.runtime.onnx_engine import OnnxEngine
from perception.runtime.point_engine import PointEngine

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

SMALL: dict[str, Any] = {
    "encoder": (8, 16), "embedding": 16, "stem": (8, 16), "channels": (16, 16), "blocks": (1, 1), "strides": (1, 2),
    "join": (16, 8), "join_kernels": (1, 3), "grid": (16, 64),
}  # fmt: skip


def network(**options: Any) -> Any:
    torch.manual_seed(0)
    model = shuffle_norms(create_model("frnet_nano", **{**SMALL, **options}))
    with torch.no_grad():  # classes that differ from point to point
        model.head.classifier.weight.normal_(0, 3)
    return model.eval()


def classes_of(model: Any, points: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return PointExportNetwork(model)(torch.from_numpy(points))["lidar"].numpy()


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def exported(model: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("points") / "frnet.onnx"
    _, described, records = export_points(model, out, [spinning_sweep(3000)])
    assert described == open_exported(out)
    return out, records


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("count", [5000, 1234, 2, 1, 0])
def test_any_number_of_points_gets_the_classes_of_torch(
    model: Any, exported: tuple[Path, list[dict[str, Any]]], runtime: str, count: int
) -> None:
    points = point_batch(count, seed=count).points.numpy()
    wanted = classes_of(model, points)
    got = PointEngine(exported[0], runtime)(points)
    assert got.dtype == np.uint8
    assert got.shape == (count,)
    assert (got == wanted).mean() >= 0.999 if count else True
    assert count < 1000 or len(np.unique(wanted)) > 3, "a network that says one class proves nothing"


def test_the_report_covers_parts_of_the_sweep_in_both_runtimes(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    records = exported[1]
    assert {record["engine"] for record in records} == {"onnxruntime", "openvino"}
    assert [record["size"] for record in records if record["engine"] == "openvino"] == [
        "3000 points", "1500 points", "750 points", "150 points", "1 points"
    ]  # fmt: skip
    assert all(record["passed"] for record in records)


@pytest.mark.parametrize("voxel_m", [0.0, 0.5])
def test_neighbours_and_voxels_are_found_before_a_file_that_looks_at_them(voxel_m: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = shuffle_norms(create_model("waffleiron_6_64", depth=3, channels=8, neighbours=5, voxel_m=voxel_m)).eval()
    with torch.no_grad():
        model.classifier.weight.normal_(0, 3)
    out = tmp_path / "waffle.onnx"
    _, described, records = export_points(model, out, [spinning_sweep(3000)])
    assert all(record["passed"] for record in records)
    assert (described.neighbours, described.voxel_m) == (5, voxel_m)
    assert model.voxel_m == voxel_m, "the model is as it was"
    for count in (5000, 3, 1, 0):
        points = point_batch(count, seed=count).points.numpy()
        wanted = classes_of(model, points) if count else np.zeros(0, np.uint8)
        for runtime in ("onnxruntime", "openvino"):
            got = PointEngine(out, runtime)(points)
            assert got.shape == (count,)
            assert got.dtype == np.uint8
            assert (got == wanted).mean() >= 0.999 if count else True
    assert len(np.unique(classes_of(model, point_batch(5000, seed=5000).points.numpy()))) > 3


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_sums_do_not_hang_on_threads(suffix: str, tmp_path: Path) -> None:
    """ONNX Runtime's threads overwrite each other's sums in ScatterND; half of the runs at this size were wrong."""
    torch.manual_seed(0)
    model = shuffle_norms(create_model("waffleiron_6_64", depth=3)).eval()
    out = tmp_path / f"waffle{suffix}"
    formats = {".onnx": "onnx", ".xml": "openvino"}
    export_points(model, out, [spinning_sweep(500)], formats[suffix], postprocess=False)
    points = spinning_sweep(5000)
    with torch.inference_mode():
        wanted = PointExportNetwork(model, postprocess=False)(torch.from_numpy(points))["lidar"].numpy()
    engine = PointEngine(out)
    worst = max(float(np.abs(engine.run(points)["lidar"] - wanted).max()) for _ in range(20))
    assert worst < 1e-4 * np.abs(wanted).max()
    if suffix == ".onnx":
        reductions = [
            onnx.helper.get_node_attr_value(node, "reduction")
            for node in onnx.load(str(out)).graph.node
            if node.op_type == "ScatterND" and any(part.name == "reduction" for part in node.attribute)
        ]
        assert not reductions


def test_a_file_of_other_weights_does_not_pass(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    other = network()
    with torch.no_grad():
        other.head.classifier.weight.neg_()
    records = point_parities(PointExportNetwork(other), open_point_engines(exported[0]), [spinning_sweep(500)])
    assert not any(record["passed"] for record in records if record["size"] == "500 points")


def test_raw_scores_as_openvino(model: Any, tmp_path: Path) -> None:
    out = tmp_path / "frnet.xml"
    _, described, records = export_points(model, out, [spinning_sweep(1000)], "openvino", postprocess=False)
    assert (tmp_path / "frnet.bin").is_file()
    assert [record["engine"] for record in records] == ["openvino"] * 5
    assert all(record["passed"] for record in records)
    assert described.heads == ("lidar",)
    points = point_batch(700).points.numpy()
    engine = PointEngine(out)
    assert engine.info["engine"] == "openvino"
    assert engine.run(points)["lidar"].shape == (700, 16)
    assert (engine(points) == classes_of(model, points)).mean() >= 0.999
    with pytest.raises(InputError, match=r"does not run in 'onnxruntime'"):
        PointEngine(out, "onnxruntime")


def test_a_real_sweep(model: Any, exported: tuple[Path, list[dict[str, Any]]]) -> None:
    from perception.commands.lidar_sweep import open_sweep

    sweep, _ = open_sweep(real_data("nuscenes_keyframe"), 0)
    assert len(sweep) == 34_688
    records = point_parities(PointExportNetwork(model), open_point_engines(exported[0]), [sweep])
    assert all(record["passed"] for record in records)


def test_what_is_refused(model: Any, exported: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    with pytest.raises(InputError, match="camera features"):
        export_points(network(image_channels=8), out, [])
    with pytest.raises(InputError, match=r"7 outputs, but label set .* 16 classes"):
        export_points(network(num_classes=7), out, [])
    with pytest.raises(InputError, match=r"must end in \.xml"):
        export_points(model, out, [], "openvino")
    with pytest.raises(InputError, match="unknown format"):
        export_points(model, out, [], "tflite")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="takes LiDAR points, not pictures"):
        OnnxEngine(exported[0], "cpu")


def test_points_that_no_network_takes(exported: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    engine = PointEngine(exported[0])
    points = spinning_sweep(10)
    with pytest.raises(InputError, match=r"shape \(10, 4\)"):
        engine(points[:, :4])
    points[3, 1] = np.nan
    with pytest.raises(InputError, match="must be finite"):
        engine(points)
    with pytest.raises(InputError, match="unknown device"):
        PointEngine(exported[0], device="tpu")
    changed = bytearray(exported[0].read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "frnet.onnx").write_bytes(changed)
    with pytest.raises(InputError, match="damaged or was changed"):
        PointEngine(tmp_path / "frnet.onnx")

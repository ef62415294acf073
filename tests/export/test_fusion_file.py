"""Files of cameras and LiDAR together: the same masks, boxes and points as torch, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_fusion import NAME, SMALL, opened
from tiny_points import shuffle_norms

from perception.cli import main
from perception.errors import InputError
from perception.export.fusion_file import (
    FusionExportNetwork,
    example_inputs,
    export_fusion,
    fusion_parities,
    open_fusion_engines,
)
from perception.geometry.sweep import spinning_sweep
from perception.models.checkpoint import save
from perception.models.zoo import create_model
from perception.runtime.exported_engine import resized
from perception.runtime.exported_file import open_exported
from perception.runtime.fusion_engine import FusionEngine
from perception.runtime.onnx_engine import OnnxEngine
from perception.runtime.point_engine import PointEngine
from perception.types import PointBatch

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

SIZE = (64, 96)


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    model = opened(shuffle_norms(create_model(NAME, **SMALL), seed))
    model.eval()
    arrays = {name: torch.from_numpy(value) for name, value in example_inputs(spinning_sweep(500), 2, SIZE).items()}
    batch = PointBatch(
        arrays["points"], torch.zeros_like(arrays["camera"]), 1, image=arrays["camera"], pixel=arrays["pixel"]
    )  # fmt: skip
    with torch.no_grad():  # classes that differ from point to point
        classifier = model.lidar.head.classifier
        classifier.weight.normal_(0, 3)
        model.lidar.image_gate.project[1].weight.mul_(200)  # cameras that turn the classes of many points
        scores = model(arrays["image"].float() / 255, batch)["lidar"]
        classifier.bias -= scores.mean(0)
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("fusion") / "fused.onnx"
    model = network()
    _, described, records = export_fusion(model, out, SIZE, spinning_sweep(2000))
    assert described == open_exported(out)
    assert described.heads == ("semantic", "drivable", "lane", "detection", "lidar")
    return out, model, records


def test_any_number_of_cameras_and_points_in_both_runtimes(exported: tuple[Path, Any, list[dict[str, Any]]]) -> None:
    records = exported[2]
    assert all(record["passed"] for record in records)
    assert [record["size"] for record in records if record["engine"] == "openvino"] == [
        "1 x 64x96, 200 points", "2 x 64x96, 2000 points", "6 x 64x96, 1000 points"
    ]  # fmt: skip
    assert {record["engine"] for record in records} == {"onnxruntime", "openvino"}


def test_pictures_of_other_sizes_and_the_cameras_matter(exported: tuple[Path, Any, list[dict[str, Any]]]) -> None:
    path, model, _ = exported
    engine = FusionEngine(path)
    arrays = example_inputs(spinning_sweep(1500), 2, SIZE, seed=5)
    pictures = [image.transpose(1, 2, 0) for image in arrays["image"]]
    points, camera, pixel = arrays["points"], arrays["camera"], arrays["pixel"]
    found = engine(pictures, points, camera, pixel)
    with torch.inference_mode():
        wanted = FusionExportNetwork(model)(**{name: torch.from_numpy(value) for name, value in arrays.items()})
    assert (found["lidar"] == wanted["lidar"].numpy()).mean() >= 0.999
    assert found["semantic"].shape == (2, *SIZE)
    twice = [picture.repeat(2, axis=0).repeat(2, axis=1) for picture in pictures]
    larger = engine(twice, points, camera, 2 * pixel)
    small = engine([resized(picture, SIZE) for picture in twice], points, camera, pixel)
    np.testing.assert_array_equal(larger["lidar"], small["lidar"])
    assert len(np.unique(found["lidar"])) > 3, "a network that says one class proves nothing"
    alone = engine(pictures, points, np.full(len(points), -1), pixel)
    assert (alone["lidar"] != found["lidar"]).mean() > 0.005
    assert engine.point_labels.name == "lidarseg"
    assert engine(pictures, points[:0], camera[:0], pixel[:0])["lidar"].shape == (0,)


def test_a_file_of_other_weights_does_not_pass(exported: tuple[Path, Any, list[dict[str, Any]]]) -> None:
    records = fusion_parities(FusionExportNetwork(network(1)), open_fusion_engines(exported[0]), spinning_sweep(500))
    assert not any(record["passed"] for record in records)


def test_what_is_refused(exported: tuple[Path, Any, list[dict[str, Any]]], tmp_path: Path) -> None:
    path, model, _ = exported
    with pytest.raises(InputError, match="takes cameras and LiDAR"):
        OnnxEngine(path, "cpu")
    with pytest.raises(InputError, match="not LiDAR points alone"):
        PointEngine(path)
    with pytest.raises(InputError, match="exported to onnx and openvino, not to aoti; --lidar false"):
        export_fusion(model, tmp_path / "f.pt2", SIZE, spinning_sweep(10), "aoti")
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export_fusion(model, tmp_path / "f.xml", SIZE, spinning_sweep(10))
    waffle = create_model(NAME, **(SMALL | {"lidar_options": {"depth": 1, "channels": 8}}), lidar=_waffle)
    with pytest.raises(InputError, match="WaffleIron beside cameras"):
        FusionExportNetwork(waffle)
    engine, arrays = FusionEngine(path), example_inputs(spinning_sweep(10), 1, SIZE)
    picture, points = [np.zeros((*SIZE, 3), np.uint8)], arrays["points"]
    camera, pixel = arrays["camera"], arrays["pixel"]
    for inputs, message in (
        (([], points, camera, pixel), "there is no picture"),
        ((picture, points, camera[:3], pixel), "one integer for each point"),
        ((picture, points, camera + 1, pixel), r"lies in 0\.\.1, there are 1"),
        ((picture, points, camera, pixel[:, :1]), r"pixel has shape \(10, 1\)"),
        ((picture, points, camera, pixel * np.nan), "must be finite"),
        ((picture, points[:, :4], camera, pixel), r"shape \(10, 4\)"),
    ):
        with pytest.raises(InputError, match=message):
            engine(*inputs)


def _waffle(label_set: Any, **options: Any) -> Any:
    from perception.models.lidar.waffleiron import WaffleIron

    return WaffleIron(label_set, **options)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(network(), tmp_path / "model")
    base = ["export", str(tmp_path / "model"), "--out", str(tmp_path / "m.xml"), "--format", "openvino",
            "--size", "64x96"]  # fmt: skip
    assert main([*base, "--json", "--timing", "2"]) == 0, capsys.readouterr().err
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert report["files"] == ["m.xml", "m.bin"]
    assert report["size"].startswith("64x96, ")
    assert report["timing"]["size"].startswith("6 x 64x96, ")
    assert set(report["timing"]["engines"]) == {"torch", "torch channels_last", "openvino"}
    assert main([*base, "--half", "true"]) == 2
    assert "--lidar false exports the camera part" in " ".join(capsys.readouterr().err.split())
    assert main([*base, "--lidar", "false", "--pictures", "1", "--timing", "0"]) == 0
    assert "lidar" not in open_exported(tmp_path / "m.xml").heads

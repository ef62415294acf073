"""Files whose masks leave the network as coarse logits: the same masks in the end, whatever runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_points import shuffle_norms

from perception.errors import InputError
from perception.export.accuracy import accuracy_of
from perception.export.exporting import Options, check_options, export_model, open_engines, parities
from perception.export.onnx_file import describe_model
from perception.export.openvino_file import export_openvino
from perception.export.quantize import quantise
from perception.models.zoo import create_model
from perception.runtime.engine import TorchEngine, load_engine
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import FileInfo, open_exported
from perception.runtime.plan import Fovea, Window, fovea_plan, uniform_plan
from perception.types import Batch

onnx = pytest.importorskip("onnx")

SIZE = (70, 100)
STRIDES = {"semantic": 8, "drivable": 4, "lane": 4}


class Coarse:
    """A file with coarse masks of a network whose semantic head has another stride than the others."""

    def __init__(self, path: Path) -> None:
        torch.manual_seed(0)
        model = shuffle_norms(
            create_model(
                "multitask_resnet18_slim", channels=16, head_channels=8, semantic_head="lraspp",
                backbone_options={"channels": (8, 8, 16, 16)},
            )
        )  # fmt: skip
        for name in ("semantic", "drivable", "lane"):  # classes that differ from place to place
            for weight in model.heads[name].parameters():
                torch.nn.init.normal_(weight, 0, 1)
        random = np.random.default_rng(0)
        self.pictures = [random.integers(0, 256, (90, 120, 3), dtype=np.uint8)]
        self.path = path
        options = Options("onnx", SIZE, masks="coarse")
        self.network, self.described, self.parity = export_model(model, path, options, self.pictures)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Coarse:
    return Coarse(tmp_path_factory.mktemp("coarse") / "model.onnx")


def test_the_file_gives_logits_and_the_engines_masks(coarse: Coarse) -> None:
    assert coarse.described.mask_strides == STRIDES
    assert open_exported(coarse.path) == coarse.described
    batch = np.random.default_rng(1).integers(0, 256, (1, 3, *SIZE), dtype=np.uint8)  # 70x100, padded to 96x128
    for engine in open_engines(coarse.path).values():
        outputs = engine.run(batch)
        assert outputs["semantic"].dtype == np.float32
        assert outputs["semantic"].shape == (1, 20, 12, 16)
        assert outputs["lane"].shape == (1, 1, 24, 32)
        assert outputs["boxes"].shape[2] == 4
        decoded = engine.decoded(batch)
        wanted = coarse.network.decoded(torch.from_numpy(batch))
        assert len(np.unique(decoded["semantic"])) > 2
        for name in STRIDES:
            assert decoded[name].dtype == np.uint8
            assert (decoded[name] == wanted[name].numpy()).mean() > 0.999
        prediction = engine(coarse.pictures[0], uniform_plan((64, 96)))
        assert prediction.semantic.shape == prediction.lane.shape == (64, 96)


def test_nothing_is_enlarged_or_chosen_in_the_graph(coarse: Coarse) -> None:
    nodes = {node.op_type for node in onnx.load(str(coarse.path)).graph.node}
    assert "ArgMax" not in nodes
    sizes = {entry["size"] for entry in coarse.parity}
    assert len(sizes) == 6
    assert all(entry["passed"] for entry in coarse.parity), coarse.parity
    assert set(coarse.parity[0]["outputs"]) == {"semantic", "drivable", "lane", "boxes"}


def test_parity_is_with_the_masks_of_the_model(coarse: Coarse, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(self: ExportedEngine, image: np.ndarray) -> Any:
        return dict(self.run(image)) | {"semantic": np.zeros((1, *image.shape[2:]), np.uint8)}

    monkeypatch.setattr(ExportedEngine, "decoded", shifted)
    records = parities(coarse.network, coarse.described, coarse.path, coarse.pictures)
    assert not any(entry["passed"] for entry in records)


def test_a_view_with_a_fovea_runs(coarse: Coarse) -> None:
    plan = fovea_plan((48, 64), Fovea(Window(20, 30, 40, 52), (90, 120)))
    ours = load_engine(str(coarse.path), score=0.0)(coarse.pictures[0], plan)
    theirs = TorchEngine(coarse.network.model, "cpu", score=0.0)(coarse.pictures[0], plan)
    assert ours.semantic.shape == (90, 120)
    window = (slice(20, 60), slice(30, 82))  # not resized, so nothing but the network differs
    assert (ours.semantic[window] == theirs.semantic[window]).mean() > 0.999


def test_openvino_files_say_so_too(coarse: Coarse, tmp_path: Path) -> None:
    out = tmp_path / "model.xml"
    described = export_openvino(coarse.path, coarse.described, out)
    assert open_exported(out).mask_strides == STRIDES
    records = parities(coarse.network, described, out, coarse.pictures)
    assert all(entry["passed"] for entry in records), records


def test_accuracy_is_that_of_the_masks(coarse: Coarse) -> None:
    picture = torch.from_numpy(coarse.pictures[0]).permute(2, 0, 1)[None].float() / 255
    engine = next(iter(open_engines(coarse.path).values()))
    plan = uniform_plan(SIZE)
    semantic = torch.from_numpy(engine(coarse.pictures[0], plan).semantic)[None, None].float()
    truth = torch.nn.functional.interpolate(semantic, size=(90, 120), mode="nearest-exact")[:, 0].long()
    batch = Batch(picture, ["one"], semantic=truth)
    assert accuracy_of(coarse.path, coarse.network.model, [batch])["semantic/miou"] == 100.0


def test_in_8_bits_the_masks_stay_coarse(coarse: Coarse, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    quantise(coarse.path, out, coarse.pictures, lambda path: {"same": 1.0})
    described = open_exported(out)
    assert described.precision == "int8"
    assert described.mask_strides == STRIDES
    for name in ("onnxruntime", "openvino"):
        prediction = load_engine(str(out), engine=name)(coarse.pictures[0], uniform_plan((64, 96)))
        assert prediction.semantic.shape == (64, 96)


def test_files_that_do_not_say_give_full_masks(coarse: Coarse, exported) -> None:
    values = json.loads(exported.described.to_json())
    del values["mask_strides"]
    found = FileInfo.from_json(json.dumps(values), exported.path)
    assert found.mask_strides == {}
    assert found == exported.described
    latency_differs = replace(exported.described, mask_strides=STRIDES)
    assert latency_differs.kind_digest() != exported.described.kind_digest()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": "small"}, "unknown masks 'small'"),
        ({"masks": "coarse", "postprocess": False}, "--postprocess false"),
    ],
)
def test_bad_options_are_refused(coarse: Coarse, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_options(coarse.network.model, Path("m.onnx"), Options("onnx", SIZE, **options))


def test_models_without_coarse_outputs_are_refused() -> None:
    model = create_model("unet", "camvid", width=4, depth=1)
    with pytest.raises(InputError, match="UNet has no masks from a head of known stride"):
        check_options(model, Path("m.onnx"), Options("onnx", SIZE, masks="coarse"))
    assert describe_model(model, SIZE, free_size=True).mask_strides == {}


def test_driving_needs_no_torch(coarse: Coarse) -> None:
    program = (
        "import sys, numpy as np\n"
        "from perception.runtime.engine import load_engine\n"
        "from perception.runtime.plan import uniform_plan\n"
        f"engine = load_engine({str(coarse.path)!r})\n"
        "assert engine(np.zeros((90, 120, 3), np.uint8), uniform_plan((64, 96))).semantic.shape == (64, 96)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

"""A ladder of files: each view of a plan in the file of its scale, and folders that are not whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perception.errors import InputError
from perception.export.exporting import Options, write_model
from perception.geometry.size import nearest_scale
from perception.models.switchable import SwitchableBatchNorm2d
from perception.models.zoo import create_model
from perception.runtime import engine as engines
from perception.runtime.engine import LADDER, TorchEngine, load_engine
from perception.runtime.ladder_engine import LadderEngine, Rung, read_ladder, write_ladder
from perception.runtime.plan import Fovea, Plan, Window, fovea_plan, ladder, trained_scales, uniform_plan
from perception.types import Boxes, Prediction

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

NATIVE = (96, 144)
SCALES = (0.5, 1.0)
PICTURE = np.random.default_rng(0).integers(0, 256, (*NATIVE, 3), dtype=np.uint8)
FOVEA = fovea_plan((48, 72), Fovea(Window(20, 30, 48, 64), NATIVE))
ENLARGED = fovea_plan((48, 72), Fovea(Window(20, 30, 48, 64), NATIVE, 1.5))


def make_model() -> Any:
    """Its norms differ between the scales, so that the wrong file is seen."""
    torch.manual_seed(0)
    model = create_model(
        "multitask_resnet18_slim", channels=8, head_channels=8, backbone_options={"channels": (8, 8, 8, 8)},
        scales=list(SCALES),
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, SwitchableBatchNorm2d):
            for norm in module.norms:
                torch.nn.init.normal_(norm.weight, 1, 0.5)
                torch.nn.init.normal_(norm.bias, 0, 1)
    for parameter in model.heads["semantic"].parameters():
        torch.nn.init.normal_(parameter, 0, 1)
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masks of one file are coarse, those of the other full; both take all sizes."""
    folder, rungs = tmp_path_factory.mktemp("ladder"), []
    for scale, masks in zip(SCALES, ("coarse", "full"), strict=True):
        file = folder / f"scale_{scale:g}.onnx"
        size = ladder(NATIVE, [scale])[0].size
        described = write_model(make_model(), file, Options("onnx", size, scale=scale, masks=masks))[1]
        rungs.append(Rung(scale, file.name, described.digest))
    write_ladder(folder, rungs)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "ladder"))


class FakeFile:
    """Says its own number at every pixel."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen: list[tuple[int, ...]] = []

    def predict(self, view: np.ndarray, share: float) -> Prediction:
        self.seen.append(view.shape)
        boxes = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
        return Prediction(semantic=np.full(view.shape[:2], self.number, np.uint8), boxes=boxes)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    "plan", [uniform_plan((48, 72)), uniform_plan(NATIVE), FOVEA, ENLARGED], ids=lambda plan: plan.name
)
def test_each_plan_says_what_torch_says(folder: Path, engine: str, plan: Plan) -> None:
    # What is not resized is the same to the byte; torch and the files resize in other ways.
    picture = PICTURE if plan.size == NATIVE else PICTURE[::2, ::2].repeat(2, 0).repeat(2, 1)
    ours = load_engine(str(folder), engine=engine, score=0.0)(picture, plan)
    theirs = TorchEngine(make_model(), "cpu", score=0.0)(picture, plan)
    window = (slice(20, 68), slice(30, 94)) if plan.fovea else (slice(None), slice(None))
    assert ours.semantic.shape == theirs.semantic.shape == plan.output_size
    assert len(np.unique(ours.semantic)) > 2
    assert (ours.semantic[window] == theirs.semantic[window]).mean() > (0.9 if plan.size != NATIVE else 0.999)
    assert ours.boxes is not None


def test_the_nearest_scale_by_ratio_is_used(folder: Path) -> None:
    runner = LadderEngine(folder, "onnxruntime")
    files = [FakeFile(0), FakeFile(1)]
    runner._files = files  # type: ignore[assignment]
    for size, wanted in (((48, 72), 0), ((66, 99), 0), ((70, 105), 1), ((96, 144), 1), ((192, 288), 1)):
        assert (runner(PICTURE, uniform_plan(size)).semantic == wanted).all(), size
    fused = runner(PICTURE, FOVEA).semantic
    assert (fused[20:68, 30:94] == 1).all()  # the window is at full resolution
    assert fused[0, 0] == 0
    assert files[0].seen[-1] == (48, 72, 3)
    assert files[1].seen[-1] == (48, 64, 3)
    fused = runner(PICTURE, ENLARGED).semantic
    assert fused.shape == NATIVE
    assert (fused[20:68, 30:94] == 1).all()
    assert files[1].seen[-1] == (72, 96, 3)


@pytest.mark.parametrize(("share", "wanted"), [(0.01, 0), (0.35, 0), (0.36, 1), (0.7, 1), (0.71, 2), (1.0, 2)])
def test_nearest_scale(share: float, wanted: int) -> None:
    assert nearest_scale((0.25, 0.5, 1.0), share) == wanted


def test_info_names_the_scales_and_covers_all_files(folder: Path, copied: Path) -> None:
    runner = load_engine(str(folder))
    assert runner.info["engine"] == "openvino"
    assert set(runner.info) >= {"device", "device_name", "precision", "threads", "architecture", "label_set"}
    assert trained_scales(runner.info) == SCALES
    values = json.loads((copied / LADDER).read_text())
    values["rungs"] = values["rungs"][:1]
    (copied / LADDER).write_text(json.dumps(values))
    fewer = load_engine(str(copied), engine="onnxruntime")
    assert trained_scales(fewer.info) == SCALES[:1]
    assert fewer.info["digest"] != runner.info["digest"]
    assert load_engine(str(folder), engine="onnxruntime").info["digest"] == runner.info["digest"]


def test_without_openvino_onnxruntime_is_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert load_engine(str(folder)).info["engine"] == "onnxruntime"


def test_driving_a_ladder_needs_no_torch(folder: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from perception.runtime.engine import load_engine\n"
        "from perception.runtime.plan import uniform_plan\n"
        f"engine = load_engine({str(folder)!r})\n"
        "assert engine(np.zeros((96, 144, 3), np.uint8), uniform_plan((48, 72))).semantic.shape == (48, 72)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        values = json.loads((folder / LADDER).read_text())
        change(values)
        (folder / LADDER).write_text(json.dumps(values))

    return apply


def exchanged(folder: Path) -> None:
    first, second = sorted(folder.glob("*.onnx"))
    first.rename(folder / "between")
    second.rename(first)
    (folder / "between").rename(second)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / LADDER).write_text("{]"), r"ladder\.json cannot be read"),
        (lambda folder: (folder / LADDER).write_bytes(b"\xff"), r"ladder\.json cannot be read"),
        (lambda folder: (folder / LADDER).write_text("[]"), "ladder format None"),
        (edited(lambda values: values.update(format=9)), "ladder format 9"),
        (edited(lambda values: values.pop("rungs")), "damaged"),
        (edited(lambda values: values["rungs"][0].pop("digest")), "damaged"),
        (edited(lambda values: values["rungs"].reverse()), "must ascend"),
        (edited(lambda values: values["rungs"].clear()), "must ascend"),
        (edited(lambda values: values["rungs"][0].update(scale=float("nan"))), "must ascend"),
        (edited(lambda values: values["rungs"][0].update(file="../model.onnx")), "leads outside"),
        (edited(lambda values: values["rungs"][0].update(file="other.onnx")), "does not exist"),
        (edited(lambda values: values["rungs"][0].update(scale=0.4)), "another export"),
        (lambda folder: (folder / "scale_1.onnx").unlink(), "does not exist"),
        (lambda folder: (folder / "scale_1.onnx").write_bytes(b"cut off"), "no description"),
        (exchanged, "another export"),
    ],
)
def test_folders_that_are_not_whole_are_refused_in_one_line(
    copied: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copied)
    with pytest.raises(InputError, match=message) as caught:
        load_engine(str(copied), engine="onnxruntime")
    assert "\n" not in str(caught.value)


def test_files_of_different_models_are_refused(copied: Path) -> None:
    other = create_model("multitask_resnet18_slim", channels=4, head_channels=4, scales=list(SCALES))
    described = write_model(other, copied / "scale_1.onnx", Options("onnx", NATIVE, scale=1.0))[1]
    write_ladder(copied, [read_ladder(copied)[0], Rung(1.0, "scale_1.onnx", described.digest)])
    with pytest.raises(InputError, match="different models: their options differ"):
        LadderEngine(copied, "onnxruntime")


def test_engines_that_run_no_ladder_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="ladders of exported files run on openvino or onnxruntime, not on torch"):
        load_engine(str(folder), engine="torch")
    with pytest.raises(InputError, match="not on tensorrt"):
        LadderEngine(folder, "tensorrt")
    with pytest.raises(InputError, match="precision that it was exported in"):
        load_engine(str(folder), engine="onnxruntime", precision="bf16")
    with pytest.raises(InputError, match=r"ladder\.json cannot be read"):
        LadderEngine(folder.parent)

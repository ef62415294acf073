"""The torch engine with a small network whose answers are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from perception.errors import InputError
from perception.runtime.engine import TorchEngine, resolve_device
from perception.runtime.plan import Fovea, Plan, Window, fovea_plan
from perception.taxonomy import CAMVID

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class Threshold(nn.Module):
    """Class 3 where red is above 0.5, else 0; boxes with given scores."""

    label_set = CAMVID
    scores: Tensor

    def __init__(self, scores: tuple[float, ...] = (0.9, 0.2, math.nan), heads: tuple[str, ...] = ("boxes",)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        self.conv.weight.data = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        self.conv.bias.data.zero_()
        # A buffer: made from numbers in decode, it would be copied from the host, which a CUDA graph cannot capture.
        self.register_buffer("scores", torch.tensor(scores))
        self.heads = heads
        self.seen: Tensor | None = None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.seen = image.detach().float().cpu().clone() if image.device.type == "cpu" else None
        return {"red": self.conv(image)}

    def decode(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        red = outputs["red"][:, 0]
        decoded = {"semantic": (3 * (red > 0.5)).to(torch.uint8)}
        if "drivable" in self.heads:
            decoded["drivable"] = (red > 0.5).to(torch.uint8)
        if "boxes" in self.heads:
            count = len(self.scores)
            corners = torch.arange(4 * count, dtype=torch.float32, device=red.device).reshape(1, count, 4)
            decoded["boxes"] = corners
            decoded["scores"] = torch.zeros_like(corners[..., 0]) + self.scores
            decoded["labels"] = torch.zeros((1, count), dtype=torch.int64, device=red.device)
        return decoded


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :, 0] = 255
    return image


PLAN = Plan("32x48", (32, 48))


def check(engine: TorchEngine) -> None:
    prediction = engine(picture(), PLAN)
    assert prediction.semantic is not None
    assert prediction.semantic.shape == PLAN.size
    assert prediction.semantic.dtype == np.uint8
    expected = np.zeros(PLAN.size, np.uint8)
    expected[:, 24:] = 3
    assert np.array_equal(prediction.semantic, expected)
    assert prediction.drivable is None
    assert prediction.boxes is not None
    assert prediction.boxes.xyxy.tolist() == [[0, 1, 2, 3]]  # 0.2 is below the threshold, NaN is dropped
    assert prediction.boxes.scores == pytest.approx([0.9], abs=1e-2)


@pytest.mark.parametrize("channels_last", [False, True])
def test_answers_at_the_plan_size(channels_last: bool) -> None:
    engine = TorchEngine(Threshold(), "cpu", channels_last=channels_last)
    engine.warm_up(PLAN)
    check(engine)


def test_bf16_on_the_cpu_answers_the_same() -> None:
    engine = TorchEngine(Threshold(), "cpu", precision="bf16")
    check(engine)
    assert engine.info["precision"] == "bf16"


def test_the_network_sees_an_antialiased_picture_in_0_to_1() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    model = Threshold()
    TorchEngine(model, "cpu")(image, PLAN)
    expected = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR)) / 255
    assert model.seen is not None
    assert np.abs(model.seen[0].permute(1, 2, 0).numpy() - expected).max() < 1.5 / 255  # Pillow rounds to uint8


def test_a_picture_of_the_plan_size_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (*PLAN.size, 3), dtype=np.uint8)
    model = Threshold()
    TorchEngine(model, "cpu")(image, PLAN)
    assert model.seen is not None
    assert np.array_equal(np.round(model.seen[0].permute(1, 2, 0).numpy() * 255), image)


def test_a_read_only_or_strided_picture_is_taken() -> None:
    engine = TorchEngine(Threshold(), "cpu")
    mirrored = picture()[:, ::-1]
    mirrored.flags.writeable = False
    prediction = engine(mirrored, PLAN)
    assert prediction.semantic is not None
    assert (prediction.semantic[:, :24] == 3).all()


def test_a_model_without_boxes_has_none() -> None:
    prediction = TorchEngine(Threshold(heads=("drivable",)), "cpu")(picture(), PLAN)
    assert prediction.boxes is None
    assert prediction.drivable is not None
    assert set(np.unique(prediction.drivable)) == {0, 1}


def test_predictions_do_not_share_memory() -> None:
    engine = TorchEngine(Threshold(), "cpu")
    first = engine(picture(), PLAN)
    kept = first.semantic.copy() if first.semantic is not None else None
    engine(np.zeros((40, 60, 3), np.uint8), PLAN)
    assert first.semantic is not None
    assert np.array_equal(first.semantic, kept)


def test_what_cannot_be_driven_is_refused() -> None:
    with pytest.raises(InputError, match="model Conv2d cannot be driven: it has no label_set"):
        TorchEngine(nn.Conv2d(3, 3, 1))
    with pytest.raises(InputError, match=r"score 1.5 is outside 0\.\.1"):
        TorchEngine(Threshold(), score=1.5)
    with pytest.raises(InputError, match="unknown precision 'int3'"):
        TorchEngine(Threshold(), precision="int3")
    with pytest.raises(InputError, match="fp16 is for CUDA"):
        TorchEngine(Threshold(), "cpu", precision="fp16")
    for shape, kind in (((40, 60), np.uint8), ((40, 60, 4), np.uint8), ((40, 60, 3), np.float32)):
        with pytest.raises(InputError, match="is not \\(H, W, 3\\) uint8"):
            TorchEngine(Threshold(), "cpu")(np.zeros(shape, kind), PLAN)


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99", "mps", ""])
def test_devices_that_are_not_there(device: str) -> None:
    with pytest.raises(InputError, match="device"):
        resolve_device(device)


def test_info_is_what_ran() -> None:
    info: dict[str, Any] = TorchEngine(Threshold(), "cpu").info
    assert info["device"] == "cpu"
    assert info["precision"] == "fp32"
    assert info["parameters"] == 4
    assert info["threads"] == torch.get_num_threads()
    assert info["label_set"] == "camvid"


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
def test_on_cuda_a_graph_is_captured_and_answers_the_same(precision: str) -> None:
    engine = TorchEngine(Threshold(), "cuda", precision=precision)
    engine.warm_up(PLAN, picture().shape[:2])
    assert engine.info["cuda_graphs"] == 1
    check(engine)
    other = Plan("64x96", (64, 96))
    assert engine(picture(), other).semantic.shape == (64, 96)  # type: ignore[union-attr]
    check(engine)  # the first plan's graph still stands


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_nothing_is_allocated_after_warm_up() -> None:
    engine = TorchEngine(Threshold(), "cuda")
    engine.warm_up(PLAN, picture().shape[:2])
    for _ in range(3):
        engine(picture(), PLAN)
    before = torch.cuda.memory_reserved()
    for _ in range(50):
        engine(picture(), PLAN)
    assert torch.cuda.memory_reserved() == before


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_a_model_that_cannot_be_captured_still_runs() -> None:
    class Looks(Threshold):
        def forward(self, image: Tensor) -> dict[str, Tensor]:
            image.sum().item()  # waits for the device, which a capture forbids
            return super().forward(image)

    engine = TorchEngine(Looks(), "cuda", precision="fp32")
    engine.warm_up(PLAN, picture().shape[:2])
    assert engine.info["cuda_graphs"] == 0
    check(engine)


FOVEA_PLAN = fovea_plan((40, 60), Fovea(Window(30, 50, 40, 64), (120, 180)))


def test_a_fovea_sees_detail_that_the_whole_picture_loses() -> None:
    image = np.zeros((120, 180, 3), np.uint8)
    image[35:65:2, 60:110, 0] = 255  # lines of one pixel: grey in the small picture, distinct in the window
    image[100:120, 0:60, 0] = 255
    prediction = TorchEngine(Threshold(), "cpu")(image, FOVEA_PLAN)
    assert prediction.semantic is not None
    assert prediction.semantic.shape == (120, 180)
    inside = (slice(30, 70), slice(50, 114))
    assert np.array_equal(prediction.semantic[inside], 3 * (image[inside][..., 0] > 0))
    assert (prediction.semantic[105:120, 0:54] == 3).all()
    assert (prediction.semantic[75:95] == 0).all()
    assert prediction.boxes is not None
    # The same answer twice, scaled by 3 and shifted by the window's corner.
    assert sorted(map(tuple, prediction.boxes.xyxy.tolist())) == [(0, 3, 6, 9), (50, 31, 52, 33)]


def test_an_enlarged_fovea_is_shown_to_the_network_at_its_size() -> None:
    image = np.zeros((120, 180, 3), np.uint8)
    image[40:60, 70:90, 0] = 255
    model = Threshold()
    assert FOVEA_PLAN.fovea is not None
    prediction = TorchEngine(model, "cpu")(image, fovea_plan((40, 60), replace(FOVEA_PLAN.fovea, zoom=2.0)))
    assert model.seen is not None
    assert model.seen.shape == (1, 3, 80, 128)
    assert prediction.semantic is not None
    assert np.array_equal(prediction.semantic, 3 * (image[..., 0] > 0))
    assert prediction.boxes is not None
    assert (50, 30.5, 51, 31.5) in set(map(tuple, prediction.boxes.xyxy.tolist()))


def test_a_fovea_of_another_picture_size_is_refused() -> None:
    with pytest.raises(InputError, match="is for pictures of 120x180, not 40x60"):
        TorchEngine(Threshold(), "cpu")(picture(), FOVEA_PLAN)


@pytest.mark.gpu
@needs_cuda
def test_on_cuda_a_fovea_plan_is_one_graph_and_answers_as_on_the_cpu() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 180, 3), dtype=np.uint8)
    engine = TorchEngine(Threshold(), "cuda", precision="fp32")
    engine.warm_up(FOVEA_PLAN, (120, 180))
    assert engine.info["cuda_graphs"] == 1
    here, there = TorchEngine(Threshold(), "cpu")(image, FOVEA_PLAN), engine(image, FOVEA_PLAN)
    assert here.semantic is not None
    assert there.semantic is not None
    assert (here.semantic == there.semantic).mean() > 0.99  # values at 0.5 may fall either way

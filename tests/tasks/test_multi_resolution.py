"""Training over a ladder of resolutions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.switchable import SwitchableBatchNorm2d
from perception.tasks import MultiResolution, multi_resolution
from perception.tasks.multi_resolution import (
    PER_PICTURE,
    Window,
    distillation,
    focus_windows,
    random_window,
    relative,
    rung_size,
)
from perception.transforms.window import batch_windows
from perception.types import Batch

SCALES = [0.25, 0.5, 1.0]


def task(**options: object) -> MultiResolution:
    defaults: dict[str, object] = {"size": [64, 96], "scales": SCALES, "heads": ["semantic", "detection"]}
    return MultiResolution("multitask_resnet18_slim", "road_scene", **(defaults | options))  # type: ignore[arg-type]


def batch(height: int = 128, width: int = 192) -> Batch:
    torch.manual_seed(0)
    return Batch(
        torch.rand(2, 3, height, width), ["a", "b"], semantic=torch.randint(0, 20, (2, height, width)),
        boxes=torch.tensor([[[10.0, 10, 60, 60]], [[80.0, 40, 120, 90]]]), box_labels=torch.tensor([[0], [1]]),
        has_boxes=torch.tensor([True, True]),
    )  # fmt: skip


@given(
    st.tuples(st.integers(32, 900), st.integers(32, 1600)),
    st.tuples(st.integers(32, 300), st.integers(32, 400)),
    st.sampled_from([0.25, 0.4, 0.7, 1.0]),
)
def test_windows_stay_inside_and_keep_the_scale(picture: tuple[int, int], size: tuple[int, int], scale: float) -> None:
    outer, shown = random_window((0, 0, *picture), size, scale)
    inner, _ = random_window(outer, size, 1.0)
    for axis in range(2):
        assert outer[axis] >= 0
        assert outer[axis] + outer[axis + 2] <= picture[axis]
        assert outer[axis] <= inner[axis]
        assert inner[axis] + inner[axis + 2] <= outer[axis] + outer[axis + 2]
        assert inner[axis + 2] == min(size[axis], outer[axis + 2])
        assert shown[axis] <= size[axis]
        assert abs(shown[axis] / scale - outer[axis + 2]) <= 1 / scale
    at = relative(inner, outer)
    assert 0 <= at[0] < at[2] <= 1 + 1e-9
    assert 0 <= at[1] < at[3] <= 1 + 1e-9


def test_windows_of_a_fovea_lie_mostly_about_the_middle_at_full_resolution() -> None:
    torch.manual_seed(0)
    windows = [random_window((0, 0, 900, 1600), (192, 384), 1.0, central=True) for _ in range(400)]
    assert {shown for _, shown in windows} == {(192, 384)}
    tops = torch.tensor([window[0] for window, _ in windows]).double()
    lefts = torch.tensor([window[1] for window, _ in windows]).double()
    for starts, room in ((tops, 900 - 192), (lefts, 1600 - 384)):
        assert starts.min() >= 0
        assert starts.max() <= room
        assert abs(float(starts.mean()) - room / 2) < 0.05 * room
        assert float(starts.std()) == pytest.approx(room / 24**0.5, rel=0.15)  # of the mean of two uniform numbers


@given(st.integers(0, 1000), st.sampled_from([0.25, 0.5, 1.0]))
def test_windows_about_boxes_hold_them(seed: int, scale: float) -> None:
    frames = batch()
    torch.manual_seed(seed)
    windows, shown = focus_windows(frames, (32, 64), scale)
    large = scale == 1.0  # both boxes are 50 pixels high, which 32 do not hold
    assert [index for index, _ in windows] == ([0, 1] if large else [0] * PER_PICTURE + [1] * PER_PICTURE)
    rows, columns = (64, 128) if large else (32, 64)
    for index, (top, left, height, width) in windows:
        assert (height, width) == (min(128, rows / scale), min(192, columns / scale))
        assert top >= 0 <= left
        assert top + height <= 128
        assert left + width <= 192
        x0, y0, x1, y1 = frames.boxes[index, 0].tolist()  # type: ignore[index]
        assert top - 1 <= y0 <= y1 <= top + height + 1
        assert left - 1 <= x0 <= x1 <= left + width + 1
    assert shown == ((rows, columns) if scale > 0.25 else (32, 48))  # the whole width of the picture


def test_windows_about_boxes_are_small_or_large_as_the_boxes_are() -> None:
    """Of 20 small cars and a large truck every second call is about the truck, the others are about cars alone."""
    cars = torch.tensor([[10.0 + 8 * i, 100, 14 + 8 * i, 104] for i in range(20)])
    frames = replace(
        batch(),
        boxes=torch.cat([cars, torch.tensor([[20.0, 10, 24, 60]])])[None].repeat(2, 1, 1),
        box_labels=torch.tensor([0] * 20 + [6])[None].repeat(2, 1),
    )
    torch.manual_seed(0)
    calls = [focus_windows(frames, (32, 32), 1.0) for _ in range(200)]
    large = [windows for windows, shown in calls if shown == (64, 64)]
    assert 80 < len(large) < 120
    for windows in large:
        assert [index for index, _ in windows] == [0, 1]
        assert all(top <= 10 <= 60 <= top + 64 and left <= 20 <= left + 64 for _, (top, left, *_) in windows)
    for windows, shown in calls:
        if shown == (32, 32):
            assert len(windows) == 2 * PER_PICTURE
            assert all(top <= 102 <= top + 32 for _, (top, *_) in windows)


def test_windows_about_boxes_show_rare_classes_as_often_as_others() -> None:
    cars = torch.tensor([[10.0 + 8 * i, 100, 14 + 8 * i, 104] for i in range(20)])
    frames = replace(
        batch(),
        boxes=torch.cat([cars, torch.tensor([[20.0, 10, 24, 14], [0, 0, 0, 0]])])[None].repeat(2, 1, 1),
        box_labels=torch.tensor([0] * 20 + [6, -1])[None].repeat(2, 1),
    )
    torch.manual_seed(0)
    windows = [window for _ in range(50) for _, window in focus_windows(frames, (32, 32), 1.0)[0]]
    rare = sum(top <= 12 <= top + 32 and left <= 22 <= left + 32 for top, left, *_ in windows)
    assert 0.4 < rare / len(windows) < 0.6


def test_pictures_without_boxes_train_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = batch()
    bare = replace(frames, box_labels=torch.full_like(frames.box_labels, -1))
    assert focus_windows(bare, (32, 32), 1.0)[0] == []
    half = replace(frames, box_labels=torch.tensor([[-1], [1]]))
    assert {index for index, _ in focus_windows(half, (32, 32), 1.0)[0]} == {1}
    module, logged = task(focus=1.0, distill=0.0), []
    monkeypatch.setattr(module, "log", lambda name, *a, **k: logged.append(name))
    module.training_step(bare, 0).backward()
    module.training_step(replace(frames, boxes=None, box_labels=None, has_boxes=None), 0).backward()
    assert "train/focus_loss" not in logged
    module.training_step(half, 0).backward()
    assert "train/focus_loss" in logged


def test_windows_about_boxes_are_enlarged_beyond_the_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of 128 x 192 at a scale of a half: windows of 32 x 64 show 64 x 128 pixels of them, or down to half."""
    frames = replace(batch(), boxes=torch.tensor([[[90.0, 60, 94, 64]]]).repeat(2, 1, 1))
    module = task(scales=[0.5], focus=1.0, focus_size=[32, 64], focus_zoom=2.0, distill=0.0)
    zooms = []

    def record(frames: Batch, windows: list[tuple[int, Window]], size: tuple[int, int], halving: bool) -> Batch:
        assert size == (32, 64)
        (height, width), *others = {window[2:] for _, window in windows}
        assert not others
        assert width == pytest.approx(2 * height, abs=1)
        zooms.append(64 / height)
        return batch_windows(frames, windows, size, halving)

    monkeypatch.setattr(multi_resolution, "batch_windows", record)
    monkeypatch.setattr(module, "log", lambda *a, **k: None)
    monkeypatch.setattr(module, "_trained", lambda scale, about: ({}, torch.zeros(())))
    torch.manual_seed(0)
    for _ in range(200):
        module.training_step(frames, 0)
    zooms.sort()
    assert 1 <= zooms[0] < 1.1
    assert 1.9 < zooms[-1] <= 2
    assert zooms[100] == pytest.approx(2**0.5, abs=0.12)  # evenly drawn on a logarithmic scale


def test_a_teacher_that_agrees_costs_nothing_and_one_that_differs_does() -> None:
    coarse = torch.randn(1, 5, 8, 12)
    fine = coarse[..., 2:6, 3:9].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    at = (2 / 8, 3 / 12, 6 / 8, 9 / 12)
    assert float(distillation(coarse, fine, at)) == pytest.approx(0.0, abs=1e-6)
    assert float(distillation(coarse, fine.flip(1), at)) > 0.1
    student = coarse.clone().requires_grad_()
    distillation(student, fine.flip(1), at, temperature=2.0).backward()
    assert student.grad is not None
    outside = student.grad.clone()
    outside[..., 2:6, 3:9] = 0
    assert not outside.any()


def test_the_divergence_is_that_of_the_formula() -> None:
    student, teacher = torch.randn(1, 4, 1, 1), torch.randn(1, 4, 1, 1)
    p, q = (teacher / 3).softmax(1).flatten(), (student / 3).softmax(1).flatten()
    expected = 9 * float((p * (p / q).log()).sum())
    assert float(distillation(student, teacher, (0, 0, 1, 1), 3.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "trained"),
    [({"distill": 1.0}, [True, False, True]), ({"distill": 0.0}, [True, False, False]),
     ({"distill": 0.0, "fovea": 0.5}, [True, False, True]),
     ({"distill": 1.0, "fovea": 0.5, "focus": 1.0, "focus_size": [32, 32]}, [True, False, False])],
)  # fmt: skip
def test_a_step_trains_the_rung_that_was_drawn_its_teacher_and_the_fovea_or_windows_about_boxes(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, float], trained: list[bool]
) -> None:
    module = task(balance="fixed", **options)
    monkeypatch.setattr(module, "log", lambda *a, **k: None)
    before = {i: norm.clone() for i, norm in enumerate(_means(module))}
    frames = batch()
    monkeypatch.setattr("perception.tasks.multi_resolution.torch.randint", _first)
    module.training_step(frames, 0).backward()
    moved = [not torch.equal(norm, before[i]) for i, norm in enumerate(_means(module))]
    assert moved == trained


def _first(high: int, size: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.int64)


def _means(module: MultiResolution) -> list[torch.Tensor]:
    norm = next(m for m in module.model.modules() if isinstance(m, SwitchableBatchNorm2d))
    return [part.running_mean for part in norm.norms]  # type: ignore[misc]


def test_every_rung_is_measured_and_their_mean_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    module = task(heads=["semantic"]).eval()
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log_dict", lambda values: logged.update({k: float(v) for k, v in values.items()}))
    seen = []
    run = module.forward
    monkeypatch.setattr(module, "forward", lambda image: seen.append(tuple(image.shape[-2:])) or run(image))
    with torch.no_grad():
        module.validation_step(batch(), 0)
    module.on_validation_epoch_end()
    assert seen == [rung_size((128, 192), scale) for scale in SCALES]
    rungs = [logged[f"val/{scale:g}/semantic/miou"] for scale in SCALES]
    assert logged["val/semantic/miou"] == pytest.approx(sum(rungs) / 3)


@pytest.mark.parametrize(
    "options",
    [
        {"distill": -1.0},
        {"temperature": 0.0},
        {"size": [16, 96]},
        {"scales": [1.0, 0.5]},
        {"fovea": -1.0},
        {"focus": 1.5},
        {"focus_zoom": 0.5},
        {"focus_size": [128]},
    ],
)
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        task(**options)


def test_a_model_without_a_pyramid_is_refused() -> None:
    with pytest.raises(InputError):
        MultiResolution("lraspp_mobilenetv3_large", "road_scene", [64, 96], SCALES)


@pytest.mark.parametrize("fixed", [False, True])
def test_fixed_norms_keep_their_statistics_and_still_learn(tmp_path, fixed: bool) -> None:
    start = save(task().model, tmp_path / "start")
    trained = task(init_from=str(start), fixed_norms=fixed)
    trained.train()
    trained.on_train_epoch_start()
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    for scale in SCALES:
        trained.run_at(scale, torch.rand(2, 3, 64, 96))["semantic"].square().mean().backward()
    moved = [name for name, value in trained.model.state_dict().items() if not torch.equal(value, before[name])]
    assert bool(moved) is not fixed
    norms = [module for module in trained.modules() if isinstance(module, SwitchableBatchNorm2d)]
    assert norms[0].norms[0].weight.grad.abs().sum() > 0


def test_fixed_norms_need_trained_ones() -> None:
    with pytest.raises(InputError, match="name the weights with init_from"):
        task(fixed_norms=True)

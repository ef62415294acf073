"""Training over a ladder of resolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.switchable import SwitchableBatchNorm2d
from perception.tasks import MultiResolution
from perception.tasks.multi_resolution import distillation, random_window, relative, rung_size
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
     ({"distill": 0.0, "fovea": 0.5}, [True, False, True])],
)  # fmt: skip
def test_a_step_trains_the_rung_that_was_drawn_its_teacher_and_the_fovea(
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
    "options", [{"distill": -1.0}, {"temperature": 0.0}, {"size": [16, 96]}, {"scales": [1.0, 0.5]}, {"fovea": -1.0}]
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

"""Options of evaluation and the measures of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_frames import write_cityscapes, write_coco
from torch import Tensor

from perception.datamodules import CityscapesDataModule, COCODataModule
from perception.errors import InputError
from perception.tasks.evaluation import EvaluationOptions
from perception.tasks.multitask import MultiTask
from perception.types import Batch

SIZE = (40, 56)


def batch(seed: int = 0, **targets: Any) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, 11, (2, *SIZE), generator=generator)
    return Batch(image=torch.rand(2, 3, *SIZE, generator=generator), names=["a", "b"], semantic=semantic, **targets)


def task(heads: tuple[str, ...] = ("semantic",), **options: Any) -> MultiTask:
    torch.manual_seed(0)
    return MultiTask("multitask_resnet18_slim", "camvid", heads=list(heads), **options).eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": True}, "no option 'flip'"),
        ({"tta_flip": 1}, "tta_flip must be true or false"),
        ({"tta_scales": [0.5, -1]}, "factors above 0"),
        ({"tta_scales": 2.0}, "factors above 0"),
        ({"window": [512]}, "window must be"),
        ({"window": [512, 0.5]}, "window must be"),
        ({"stride": [4, 4]}, "needs a window"),
        ({"window": [8, 8], "stride": [4, 9]}, "needs a window that is at least as large"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvaluationOptions.parse(options)


def test_options_in_force() -> None:
    assert not EvaluationOptions.parse(None).augments
    assert not EvaluationOptions.parse({"boundary": True, "yolop": True}).augments
    for options in ({"tta_flip": True}, {"tta_scales": [1.0, 2]}, {"window": [4, 4]}):
        assert EvaluationOptions.parse(options).augments


def test_an_augmented_pass_without_augmentation_is_the_single_pass() -> None:
    module = task(("semantic", "drivable"), evaluation={"tta_scales": [1.0]}, eval_size=[32, 48])
    data = batch()
    with torch.inference_mode():
        single, augmented = module.evaluate(data), module.evaluate_augmented(data)
    assert augmented["semantic"].shape == (2, *SIZE)
    assert (augmented["semantic"] == single["semantic"]).float().mean() > 0.9  # resized before the argmax or after
    module = task(("semantic", "drivable"), evaluation={"tta_scales": [1.0]})
    with torch.inference_mode():
        single, augmented = module.evaluate(data), module.evaluate_augmented(data)
    assert all(torch.equal(single[name], augmented[name]) for name in ("semantic", "drivable"))


def test_mirrors_make_answers_symmetric() -> None:
    module = task(evaluation={"tta_flip": True, "tta_scales": [1.0]})
    data = batch()
    data.image = torch.cat([data.image[:1], data.image[:1].flip(-1)])
    with torch.inference_mode():
        augmented = module.evaluate_augmented(data)["semantic"]
        single = module.evaluate(data)["semantic"]
    assert torch.equal(augmented[0], augmented[1].flip(-1))
    assert not torch.equal(single[0], single[1].flip(-1))


def test_windows_run_at_their_size() -> None:
    module = task(evaluation={"window": [32, 32], "stride": [8, 24]})
    sizes: list[tuple[int, ...]] = []
    forward = module.forward

    def spy(image: Tensor) -> dict[str, Any]:
        sizes.append(tuple(image.shape[-2:]))
        return forward(image)

    module.forward = spy  # type: ignore[method-assign]
    with torch.inference_mode():
        assert module.evaluate_augmented(batch())["semantic"].shape == (2, *SIZE)
    assert sizes == [(32, 32)] * 4


def test_augmented_figures_have_keys_of_their_own() -> None:
    module = task(("semantic", "drivable", "detection"), evaluation={"tta_flip": True, "boundary": True, "yolop": True})
    module.val_metrics.open(module.model, None, further=True)
    drivable = torch.ones(2, *SIZE, dtype=torch.int64)
    data = batch(drivable=drivable)
    with torch.inference_mode():
        module.validation_step(data, 0)
    found = module.val_metrics.compute()
    assert {"semantic/miou", "semantic/boundary_miou", "tta/semantic/miou", "tta/drivable/iou"} <= set(found)
    assert "yolop/drivable/miou" in found
    assert not [key for key in found if "detection" in key or "lane" in key]
    assert module.val_metrics.compute() == {}
    module.val_metrics.open(module.model, None, further=False)  # as in training
    with torch.inference_mode():
        module.validation_step(data, 0)
    assert not [key for key in module.val_metrics.compute() if key.startswith(("tta", "yolop")) or "boundary" in key]


def test_data_sets_are_measured_apart() -> None:
    module = task()
    module.val_metrics.open(module.model, ["good", "bad"], further=False)
    truth = batch()
    module.val_metrics.update({"semantic": truth.semantic.clone()}, truth, 0)
    module.val_metrics.update({"semantic": (truth.semantic + 1) % 11}, truth, 1)
    confusions = module.val_metrics.confusions()
    assert (confusions["good"].diagonal() == confusions["good"].sum(axis=1)).all()
    assert confusions["bad"].diagonal().sum() == 0
    assert confusions["bad"].sum() == 2 * SIZE[0] * SIZE[1]
    found = module.val_metrics.compute()
    assert float(found["good/semantic/miou"]) == 1
    assert float(found["bad/semantic/miou"]) == 0
    assert module.val_metrics.confusions() == {}


def test_classes_that_a_data_set_does_not_label_have_no_figure() -> None:
    module = task(evaluation={"boundary": True})
    known = torch.ones(11, dtype=torch.bool)
    known[10] = False
    truth = batch()
    truth.semantic.clamp_(max=9)
    answer = truth.semantic.clone()
    answer[:, :, :5] = 10
    values = []
    for labelled in (None, [known]):
        module.val_metrics.open(module.model, None, True, labelled)
        module.val_metrics.update({"semantic": answer}, truth)
        values.append(module.val_metrics.compute())
    assert float(values[0]["semantic/iou_bicyclist"]) == 0
    assert "semantic/iou_bicyclist" not in values[1]
    for key in ("semantic/miou", "semantic/boundary_miou"):
        assert float(values[1][key]) == pytest.approx(float(values[0][key]) * 11 / 10)


def test_panoptic_quality_of_segments(tmp_path: Path) -> None:
    for write, build, classes in (
        (write_coco, COCODataModule, ("sky-other-merged", "road", "car")),
        (write_cityscapes, CityscapesDataModule, ("sky", "road", "car")),
    ):
        data = build(str(write(tmp_path / write.__name__)), size=[32, 48], num_workers=0, segments=True)
        data.setup("fit")
        assert next(iter(data.datasets["train"])).panoptic is None
        labels = data.label_set
        module = MultiTask("multitask_resnet18_slim", labels.name, heads=["semantic"], evaluation={"panoptic": True})
        module.val_metrics.open(module.model, None, further=True)
        for truth in data.val_dataloader():
            if truth.semantic is None:  # a picture without annotations
                assert not truth.panoptic
                continue
            semantic = truth.semantic.clamp(max=len(labels.classes) - 1)
            # A perfect answer in the form of the decoder: a query for each segment that is no crowd.
            segments = [s for s in truth.segments[0] if not s.crowd]
            queries = torch.full_like(truth.panoptic[0], -1)
            for query, segment in enumerate(segments):
                queries[truth.panoptic[0] == segment.number] = query
            found = torch.tensor([[segment.label for segment in segments] + [-1]])
            large = queries[None].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
            answer = {"semantic": semantic, "segments": large, "segment_labels": found}
            module.val_metrics.update(answer, truth)
            assert {labels.classes[i] for i in found[0, :-1].tolist()} == set(classes)
        values = module.val_metrics.compute()
        assert values["panoptic/pq"] == values["panoptic/things/sq"] == values["panoptic/stuff/rq"] == 1
        assert "panoptic/pq" not in module.val_metrics.compute()
        with pytest.raises(InputError, match="needs a model that gives segments"):
            module.val_metrics.update({"semantic": semantic}, next(iter(data.val_dataloader())))

"""Several data sets in one training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import write_camvid
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_frames import write_bdd100k, write_folder

from perception.cli import main
from perception.datamodules import BDD100KDataModule, CamVidDataModule, FolderDataModule, MixedDataModule
from perception.datamodules.collate import collate
from perception.datamodules.mixed import MixedDataset, MixedSampler, RelabelledDataset
from perception.datasets.bdd100k import BDD100KDataset
from perception.datasets.camvid import CamVidDataset
from perception.errors import InputError
from perception.losses.detection import center_loss
from perception.metrics.multitask import MultiTaskMetrics
from perception.models.zoo import create_model
from perception.taxonomy import BDD100K, CAMVID, ROAD_SCENE, label_mapping
from perception.types import Batch

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {"size": [32, 48], "num_workers": 0}


@pytest.fixture
def bdd100k(tmp_path: Path) -> Path:
    return write_bdd100k(tmp_path / "bdd100k")


def test_labels_become_those_of_the_road_scene(camvid: Path, bdd100k: Path) -> None:
    plain = CamVidDataset(camvid)
    sample = RelabelledDataset(plain, label_mapping(CAMVID, ROAD_SCENE))[0]
    before = plain[0]
    for old, new in (("sky", "sky"), ("road", "road"), ("car", "car")):
        where = before.semantic == CAMVID.index(old)
        assert where.any()
        assert (sample.semantic[where] == ROAD_SCENE.index(new)).all()
    assert ((sample.semantic == 255) == (before.semantic == 255)).all()
    assert [ROAD_SCENE.detection[i] for i in sample.boxes.labels] == ["car"]
    mapped = RelabelledDataset(BDD100KDataset(bdd100k), label_mapping(BDD100K, ROAD_SCENE))[0]
    assert [ROAD_SCENE.detection[i] for i in mapped.boxes.labels] == ["car"]  # the traffic light is left out
    assert mapped.known_boxes.sum() == 6
    assert mapped.semantic is None
    assert mapped.lane is not None


def test_batches_of_partly_labelled_samples(camvid: Path, bdd100k: Path) -> None:
    boxed = RelabelledDataset(BDD100KDataset(bdd100k), label_mapping(BDD100K, ROAD_SCENE))
    semantic = RelabelledDataset(BDD100KDataset(bdd100k, images="10k"), label_mapping(BDD100K, ROAD_SCENE))
    mixed = MixedDataset([boxed, semantic])
    assert len(mixed) == 5
    batch = collate([mixed[0], mixed[3]])
    assert batch.has_boxes.tolist() == [True, False]
    assert batch.known_boxes.shape == (2, len(ROAD_SCENE.detection))
    assert (batch.semantic[0] == 255).all()
    assert (batch.drivable[1] == 255).all()
    assert batch.semantic[1].max() < 20


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.05, 1.0)), min_size=1, max_size=4),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_sampler_keeps_the_shares_and_repeats_no_frame_early(
    sources: list[tuple[int, float]], count: int, epoch: int
) -> None:
    lengths, weights = zip(*sources, strict=True)
    sampler = MixedSampler(lengths, weights, count, seed=3)
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert drawn == list(sampler)
    assert len(drawn) == len(sampler) == count
    starts = np.cumsum([0, *lengths])
    for i, length in enumerate(lengths):
        mine = [index for index in drawn if starts[i] <= index < starts[i + 1]]
        assert abs(len(mine) - count * weights[i] / sum(weights)) <= len(lengths)
        times = Counter(mine)
        assert not mine or max(times.values()) - (min(times.values()) if len(times) == length else 0) <= 1


def test_sampler_draws_anew_in_each_epoch() -> None:
    sampler = MixedSampler([50, 20], [0.5, 0.5], 40)
    first = list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)
    assert sum(index < 50 for index in first) == 20


def test_unknown_box_classes_cost_nothing_and_count_nothing() -> None:
    torch.manual_seed(0)
    count = len(ROAD_SCENE.detection)
    outputs = {"heatmap": torch.randn(1, count, 8, 8, requires_grad=True), "box": torch.zeros(1, 4, 8, 8)}
    boxes, labels = torch.tensor([[[4.0, 4, 20, 20]]]), torch.tensor([[0]])
    known = torch.zeros(1, count, dtype=torch.bool)
    known[0, 0] = True
    box_map = torch.zeros(count, dtype=torch.int64)
    center_loss(outputs, boxes, labels, torch.tensor([True]), 4, box_map, known=known).backward()
    gradient = outputs["heatmap"].grad.abs().sum(dim=(0, 2, 3))
    assert gradient[0] > 0
    assert not gradient[1:].any()

    metrics = MultiTaskMetrics(create_model("multitask_resnet18_slim", ROAD_SCENE, heads=["detection"]))
    batch = Batch(
        image=torch.zeros(1, 3, 32, 32), names=["x"], boxes=boxes, box_labels=labels, has_boxes=torch.tensor([True])
    )
    decoded = {
        "boxes": torch.tensor([[[0.0, 0, 9, 9], [4, 4, 20, 20]]]),
        "scores": torch.tensor([[0.9, 0.5]]),
        "labels": torch.tensor([[9, 0]]),
    }
    batch.known_boxes = known
    metrics.update(decoded, batch)
    assert float(metrics.compute()["detection/map50"]) == pytest.approx(1.0)
    wrong = dict(decoded, labels=torch.tensor([[0, 0]]))  # of a class that is labelled, so it is a false alarm
    metrics.reset()
    metrics.update(wrong, batch)
    assert float(metrics.compute()["detection/map50"]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {}}, "sources is empty"),
        ({"weights": {"camvid": 1.0}}, "give each source one"),
        ({"weights": {"camvid": 0.0, "bdd": 1.0}}, "above 0"),
        ({"validate": "world"}, "'world' must be each or one of camvid, bdd"),
        ({"size": [64, 64]}, r"'camvid' has crops of \(32, 48\), the mix of \(64, 64\)"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"frames_per_epoch": 2, "batch_size": 4}, "frames_per_epoch 2 is less than batch_size 4"),
        ({"label_set": "roads"}, "unknown label set 'roads'"),
    ],
)
def test_mixes_that_do_not_fit_are_refused(options: dict, message: str, camvid: Path, bdd100k: Path) -> None:
    sources = {"camvid": CamVidDataModule(str(camvid), **SMALL), "bdd": BDD100KDataModule(str(bdd100k), **SMALL)}
    with pytest.raises(InputError, match=message):
        MixedDataModule(**{"sources": sources, **options})


def test_source_names_with_a_slash_are_refused(camvid: Path) -> None:
    with pytest.raises(InputError, match="slash"):
        MixedDataModule({"a/b": CamVidDataModule(str(camvid), **SMALL)})


def test_own_folders_can_be_mixed_in(camvid: Path, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "yard")
    data = MixedDataModule(
        {"camvid": CamVidDataModule(str(camvid), **SMALL), "yard": FolderDataModule(str(root), **SMALL)},
        validate="yard",
        batch_size=2,
        num_workers=0,
    )
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    assert {int(v) for batch in batches for v in batch.semantic.unique()} <= {0, 10, 13, 255}
    loader = data.val_dataloader()
    assert data.eval_names is None
    assert len(loader) == 2


@pytest.fixture
def mixed_config(tiny_world: Path, bdd100k: Path, tmp_path: Path) -> Path:
    """The shipped config on tiny data, for two epochs."""
    config = yaml.safe_load((CONFIGS / "mixed" / "multitask_resnet18_slim_160x288.yaml").read_text())
    options = config["data"]["init_args"]
    roots = {"camvid": write_camvid(tmp_path / "camvid"), "world": tiny_world, "bdd100k": bdd100k}
    for name, source in options["sources"].items():
        source["init_args"] |= {"root": str(roots[name]), "size": [32, 64], "eval_size": None}
    options |= {"num_workers": 0, "batch_size": 4, "size": [32, 64], "frames_per_epoch": 12}
    config["trainer"] |= {"max_epochs": 2, "log_every_n_steps": 1, "precision": "32-true"}
    path = tmp_path / "mixed.yaml"
    path.write_text(yaml.safe_dump(config).replace("runs/mixed", str(tmp_path / "runs")))
    return path


def test_one_fit_on_three_data_sets(mixed_config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", str(mixed_config)]) == 0
    runs = tmp_path / "runs"
    header = next((runs / "logs").rglob("metrics.csv")).read_text().splitlines()[0].split(",")
    # Every head was trained.
    assert {f"train/{name}_loss" for name in ("semantic", "drivable", "lane", "detection")} <= set(header)
    # Every data set was measured by the labels that it has, and by no other.
    heads = {
        name: {key.split("/")[2] for key in header if key.startswith(f"val/{name}/")}
        for name in ("camvid", "world", "bdd100k")
    }
    assert heads == {
        "camvid": {"semantic", "drivable", "detection"},
        "world": {"semantic", "drivable", "lane", "detection"},
        "bdd100k": {"drivable", "lane", "detection"},
    }
    assert not [key for key in header if key.startswith("val/") and key.split("/")[1] not in heads]
    assert (runs / "checkpoints" / "best.ckpt").is_file()
    assert (runs / "confusion_val_camvid.png").is_file()
    assert (runs / "confusion_val_world.png").is_file()
    assert not (runs / "confusion_val_bdd100k.png").exists()
    assert len(list((runs / "pictures").glob("*.png"))) == 4 + 4 + 3  # four of each, of BDD100K all
    # A class that CamVid does not label has no figure there, whatever the model calls by its name.
    named = {key.split("iou_")[1] for key in header if key.startswith("val/camvid/semantic/iou_")}
    assert named <= set(label_mapping(CAMVID, ROAD_SCENE).classes.values())
    rows = json.loads((runs / "classes_val_camvid.json").read_text())
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-4)

    capfd.readouterr()
    command = ["validate", "--config", str(mixed_config), "--ckpt_path", str(runs / "checkpoints" / "best.ckpt")]
    extra = ["--data.init_args.validate", "bdd100k", "--model.init_args.evaluation.yolop", "true"]
    assert main([*command, *extra]) == 0
    found = json.loads((runs / "metrics_validate.json").read_text())
    assert {"val/drivable/iou", "val/yolop/drivable/miou", "val/yolop/lane/accuracy", "val/yolop/vehicle/map50"} <= set(
        found
    )
    assert not [key for key in found if key.startswith(("val/bdd100k", "val/semantic"))]

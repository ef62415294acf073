"""Counting classes, weights from the counts, and rare classes drawn more often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_camvid
from PIL import Image

from perception.cli import main
from perception.datamodules import CamVidDataModule, MixedDataModule, NuScenesDataModule
from perception.datamodules.rare_classes import RareClassSampler, of_groups
from perception.errors import InputError
from perception.losses.hard_pixels import balanced_class_weights
from perception.tasks import MultiTask
from perception.taxonomy import CAMVID, ROAD_SCENE


def module(root: Path, **options) -> CamVidDataModule:
    data = CamVidDataModule(str(root), size=[32, 32], num_workers=0, batch_size=2, **options)
    data.setup("fit")
    return data


def test_counts_are_those_of_the_files(camvid: Path) -> None:
    data = module(camvid)
    for frame, name in enumerate((camvid / "train.txt").read_text().split()):
        labels = np.array(Image.open(camvid / "trainannot" / f"{name}.png"))
        wanted = np.bincount(labels.ravel(), minlength=256)[: len(CAMVID.classes)]
        assert data.class_counts()[frame].tolist() == wanted.tolist()
    assert data.class_pixels().tolist() == data.class_counts().sum(dim=0).tolist()


def test_draws_follow_the_paper() -> None:
    counts = torch.tensor([[900, 0, 100], [1000, 0, 0], [500, 499, 1], [990, 10, 0]])
    sampler = RareClassSampler(counts, 0.5, 30_000)
    share = counts.sum(dim=0) / counts.sum()
    wanted = torch.exp((1 - share) / 0.5)
    wanted /= wanted.sum()
    torch.testing.assert_close(sampler.probability, wanted)
    drawn = torch.bincount(torch.tensor(list(sampler)), minlength=4) / 30_000
    frames = torch.zeros(4)
    shows = [[0, 1, 2, 3], [2, 3], [0, 2]]  # a thousandth of a picture is enough
    for c, where in enumerate(shows):
        frames[where] += wanted[c] / len(where)
    torch.testing.assert_close(drawn, frames, atol=0.01, rtol=0.05)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    counts = torch.randint(0, 50, (20, 4))
    first, second = RareClassSampler(counts, 0.1, 40, seed=3), RareClassSampler(counts, 0.1, 40, seed=3)
    epochs = [list(first), list(first)]
    assert epochs == [list(second), list(second)]
    assert epochs[0] != epochs[1]
    second.set_epoch(1)
    assert list(second) == epochs[1]
    assert len(second) == 40
    assert RareClassSampler(counts, 1e-6, 10).probability.isfinite().all()


def test_a_rare_class_is_shown_more_often(tmp_path: Path) -> None:
    root = write_camvid(tmp_path / "camvid", frames=12)
    path = root / "trainannot" / f"{(root / 'train.txt').read_text().split()[0]}.png"
    labels = np.array(Image.open(path))
    labels[:3, :3] = 10
    Image.fromarray(labels).save(path)
    loader = module(root, rare_class_temperature=0.01).train_dataloader()
    drawn = [name for _ in range(4) for batch in loader for name in batch.names]
    assert drawn.count(path.stem) > 0.6 * len(drawn)
    even = [name for batch in module(root).train_dataloader() for name in batch.names]
    assert even.count(path.stem) == 1


def test_views_of_a_sample_count_together(rig_world: Path) -> None:
    rig = ["CAM_FRONT", "CAM_BACK"]
    data = NuScenesDataModule(str(rig_world), cameras=rig, group_cameras=True, size=[48, 80], num_workers=0,
                              batch_size=1, rare_class_temperature=0.1)  # fmt: skip
    data.setup("fit")
    counts = of_groups(data.class_counts(), data.groups("train"))
    assert len(counts) == len(data.datasets["train"]) // 2
    assert counts.sum() == data.class_counts().sum()
    assert next(iter(data.train_dataloader())).views == 2


def test_weights_come_from_the_data(camvid: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = {}
    balance = MultiTask._balance_classes

    def spy(task, data) -> None:
        balance(task, data)
        seen["weights"], seen["pixels"] = task.class_weights, data.class_pixels()

    monkeypatch.setattr(MultiTask, "_balance_classes", spy)
    config = Path(__file__).parents[2] / "configs/camvid/multitask_resnet18_slim_208x288.yaml"
    arguments = ["fit", "--config", str(config), "--data.root", str(camvid), "--data.size", "[32,32]",
                 "--data.num_workers", "0", "--data.batch_size", "2", "--trainer.max_time", "null",
                 "--trainer.max_steps", "1", "--trainer.logger", "false", "--trainer.callbacks", "[]"]  # fmt: skip
    assert main([*arguments, "--model.class_weights", "auto"]) == 0, capsys.readouterr().err
    assert "class weights: sky" in capsys.readouterr().err
    torch.testing.assert_close(seen["weights"], balanced_class_weights(seen["pixels"]))
    assert seen["weights"][CAMVID.index("car")] > seen["weights"][CAMVID.index("road")]
    assert main([*arguments, "--model.class_weights", "balanced"]) == 2
    assert "must be auto or a number" in " ".join(capsys.readouterr().err.split())


def test_a_mix_counts_what_it_shows(camvid: Path, tiny_world: Path) -> None:
    sources = {
        "camvid": CamVidDataModule(str(camvid), size=[32, 32]),
        "world": NuScenesDataModule(str(tiny_world), size=[32, 32]),
    }
    mix = MixedDataModule(sources, weights={"camvid": 3.0, "world": 1.0}, num_workers=0, batch_size=2)
    mix.setup("fit")
    pixels = mix.class_pixels()
    mean = sources["camvid"].class_counts().double().mean(dim=0)[CAMVID.index("car")]
    other = sources["world"].class_counts().double().mean(dim=0)[ROAD_SCENE.index("car")]
    assert pixels[ROAD_SCENE.index("car")] == pytest.approx(float(3 * mean + other))


def test_what_cannot_be_drawn_is_refused(camvid: Path) -> None:
    with pytest.raises(InputError, match="must be above 0"):
        CamVidDataModule(str(camvid), size=[32, 32], rare_class_temperature=0.0)
    with pytest.raises(InputError, match="no training frame"):
        RareClassSampler(torch.zeros(3, 4, dtype=torch.int64), 0.01, 5)
    source = CamVidDataModule(str(camvid), size=[32, 32], rare_class_temperature=0.01)
    with pytest.raises(InputError, match="draws frames by its weights"):
        MixedDataModule({"camvid": source})

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import perception
from perception.cli import main
from perception.models.zoo import create_model
from perception.tasks.multitask import MultiTask
from perception.tasks.optim import parameter_groups, warmup_cosine
from perception.taxonomy import CAMVID
from perception.types import Batch

CONFIGS = Path(__file__).parents[2] / "configs"


def batch(classes: int = 11, size: tuple[int, int] = (64, 64)) -> Batch:
    return Batch(
        image=torch.rand(2, 3, *size),
        names=["a", "b"],
        semantic=torch.randint(0, classes, (2, *size)),
        drivable=torch.randint(0, 2, (2, *size)),
        lane=torch.randint(0, 2, (2, *size)),
        boxes=torch.tensor([[[4.0, 4, 30, 30]], [[0.0, 0, 0, 0]]]),
        box_labels=torch.tensor([[2], [-1]]),
        has_boxes=torch.tensor([True, True]),
    )


@pytest.mark.parametrize(
    "name",
    [
        "multitask_resnet18_slim",
        pytest.param("multitask_resnet18", marks=pytest.mark.slow),
        pytest.param("multitask_resnet50", marks=pytest.mark.slow),
        pytest.param("multitask_swin_tiny", marks=pytest.mark.slow),
    ],
)
def test_a_step_lowers_the_loss_of_every_head(name: str) -> None:
    torch.manual_seed(0)
    task = MultiTask(name, "road_scene", lr=1e-3, balance="fixed")
    data = batch(20)
    optimizer = torch.optim.AdamW(parameter_groups(task.model, task.balance, 1e-3, 0.0))
    before = task.losses(task(data.image), data)
    assert set(before) == {"semantic", "drivable", "lane", "detection"}
    for _ in range(6):
        optimizer.zero_grad()
        task.balance(task.losses(task(data.image), data)).backward()
        optimizer.step()
    after = task.losses(task(data.image), data)
    for head, loss in after.items():
        assert float(loss.detach()) < float(before[head].detach()), head


def test_missing_targets_are_skipped() -> None:
    task = MultiTask("multitask_resnet18_slim", "camvid", heads=["semantic", "drivable", "detection"])
    data = batch()
    data.semantic = data.boxes = None
    assert set(task.losses(task(data.image), data)) == {"drivable"}


def test_heads_that_weigh_nothing_do_not_run_while_the_model_trains() -> None:
    task = MultiTask(
        "multitask_resnet18_slim", "road_scene", balance="fixed", task_weights={"semantic": 0.0, "lane": 0.0}
    )
    task.train()
    assert set(task(batch(20).image)) == {"drivable", "detection"}
    task.eval()
    assert set(task(batch(20).image)) == {"semantic", "drivable", "lane", "detection"}


def test_freezing_leaves_parts_unchanged_and_out_of_the_optimiser() -> None:
    task = MultiTask(
        "multitask_resnet18_slim", "camvid", heads=["semantic", "drivable"], freeze=["backbone", "drivable"]
    )
    groups = parameter_groups(task.model, task.balance, 1e-3, 0.01)
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    assert not trained & {id(p) for p in task.model.backbone.parameters()}
    assert not trained & {id(p) for p in task.model.heads["drivable"].parameters()}
    assert {id(p) for p in task.model.heads["semantic"].parameters()} <= trained
    task.train()
    task.on_train_epoch_start()
    assert not task.model.backbone.training
    assert task.model.heads["semantic"].training
    torchvision = MultiTask("lraspp_mobilenetv3_large", "camvid", freeze=["backbone"])
    assert not any(p.requires_grad for p in torchvision.model.parts()["backbone"].parameters())
    assert any(p.requires_grad for p in torchvision.model.parameters())
    with pytest.raises(ValueError, match="cannot freeze 'wheels'"):
        MultiTask("multitask_resnet18_slim", "camvid", heads=["semantic"], freeze=["wheels"])


def test_layer_wise_rates_grow_with_depth() -> None:
    model = create_model("multitask_resnet18_slim", CAMVID, heads=["semantic"])
    groups = parameter_groups(model, torch.nn.Module(), 1.0, 0.1, stem_lr_scale=0.01)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(rate) == len(list(model.parameters()))
    stem = model.get_parameter("backbone.features.conv1.weight")
    middle = model.get_parameter("backbone.features.layer2.1.conv1.weight")
    last = model.get_parameter("backbone.features.layer4.1.conv2.weight")
    assert rate[id(stem)] == pytest.approx(0.01)
    assert rate[id(stem)] < rate[id(middle)] < rate[id(last)] <= 1.0
    assert all(rate[id(p)] == 1.0 for p in model.heads.parameters())
    assert decay[id(stem)] == 0.1
    assert decay[id(model.get_parameter("backbone.features.bn1.weight"))] == 0


def test_schedule_rises_then_falls_to_zero() -> None:
    values = [warmup_cosine(progress / 100, 0.1) for progress in range(101)]
    assert values[0] == 0
    assert max(values) == values[10] == 1
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)
    assert values[-1] == pytest.approx(0)
    assert warmup_cosine(1.7, 0.1) == pytest.approx(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balance": "magic"}, "unknown balance 'magic'"),
        ({"balance": "fixed", "task_weights": {"lanes": 1.0}}, "names 'lanes'"),
        ({"task_weights": {"semantic": 1.0}}, "go with balance: fixed"),
        ({"semantic_loss": "wild"}, "unknown semantic_loss 'wild'; use one of cross_entropy, ohem, focal"),
        ({"class_weights": [1.0]}, "1 class_weights for 11 classes"),
        ({"init_from": "nowhere.ckpt"}, "do not exist"),
    ],
)
def test_contradictory_options_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        MultiTask("multitask_resnet18_slim", "camvid", heads=["semantic"], **options)


@pytest.mark.parametrize(
    "options", [{"semantic_loss": "ohem"}, {"semantic_loss": "focal"}, {"dice": 1.0, "lovasz": 1.0}]
)
def test_semantic_losses_reach_the_task(options) -> None:
    torch.manual_seed(0)
    options = {"heads": ["semantic"], "balance": "fixed", "jaccard": 0.0} | options
    task = MultiTask("multitask_resnet18_slim", "camvid", **options)
    plain = MultiTask("multitask_resnet18_slim", "camvid", heads=["semantic"], balance="fixed", jaccard=0.0)
    example, logits = batch(), {"semantic": torch.randn(2, 11, 64, 64)}
    assert task.losses(logits, example)["semantic"] != plain.losses(logits, example)["semantic"]


def test_evaluation_at_another_size_comes_back_at_the_label_size() -> None:
    task = MultiTask("multitask_resnet18_slim", "camvid", heads=["semantic", "detection"], eval_size=[32, 48]).eval()
    with torch.inference_mode():
        decoded = task.evaluate(batch(size=(64, 96)))
    assert decoded["semantic"].shape == (2, 64, 96)
    assert decoded["boxes"][..., 2].max() > 48  # scaled from the evaluation size to the label size


def _short_config(folder: Path, data: Path, **trainer: object) -> Path:
    config = yaml.safe_load((CONFIGS / "camvid" / "multitask_resnet18_slim_208x288.yaml").read_text())
    config["data"]["init_args"] |= {"root": str(data), "size": [32, 32], "base_size": [48, 64], "batch_size": 2}
    config["data"]["init_args"]["num_workers"] = 0
    config["model"]["init_args"]["eval_size"] = None
    del config["trainer"]["max_time"]
    config["trainer"] |= {
        "log_every_n_steps": 1,
        "max_epochs": 2,
        "check_val_every_n_epoch": 1,
        "precision": "32-true",
        **trainer,
    }
    text = yaml.safe_dump(config).replace("runs/camvid", str(folder / "runs"))
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.slow
def test_fit_resume_validate_predict_and_load(camvid, tmp_path, capfd) -> None:
    config = _short_config(tmp_path, camvid)
    assert main(["fit", "--config", str(config)]) == 0
    assert "images per second" in capfd.readouterr().err
    checkpoints = tmp_path / "runs" / "checkpoints"
    best, last = checkpoints / "best.ckpt", checkpoints / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 4
    header = next((tmp_path / "runs" / "logs").rglob("metrics.csv")).read_text().splitlines()[0].split(",")
    assert {"train/loss", "val/semantic/miou", "val/drivable/iou", "val/detection/map50"} <= set(header)
    assert len(list((tmp_path / "runs" / "pictures").glob("*.png"))) == 4

    assert main(["fit", "--config", str(config), "--ckpt_path", str(last), "--trainer.max_epochs", "3"]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 6

    assert main(["validate", "--config", str(config), "--ckpt_path", str(best)]) == 0
    assert json.loads((tmp_path / "runs" / "metrics_validate.json").read_text())["val/semantic/miou"] >= 0
    assert json.loads((tmp_path / "runs" / "metrics_fit.json").read_text())["steps"] == 6
    assert main(["predict", "--config", str(config), "--ckpt_path", str(best)]) == 0
    written = tmp_path / "runs" / "predictions"
    mask = np.array(Image.open(written / "semantic" / "0016E5_00000.png"))
    assert mask.shape == (48, 64)
    assert mask.max() < 11
    assert Image.open(written / "overlay" / "0016E5_00000.png").size == (64, 48)
    from pycocotools.coco import COCO

    coco = COCO(str(written / "detections.json"))
    assert len(coco.imgs) == 4
    assert [category["name"] for category in coco.cats.values()] == list(CAMVID.detection)

    model = perception.load(best)
    with torch.inference_mode():
        image = torch.from_numpy(np.array(Image.open(camvid / "val" / "0016E5_00000.png"))).permute(2, 0, 1) / 255
        again = model.decode(model(image[None]))["semantic"][0]
    assert (again.numpy() == mask).mean() > 0.999

    capfd.readouterr()
    assert main(["validate", "--config", str(config), "--ckpt_path", str(best), "--model.heads", "[semantic]"]) == 2
    assert "the checkpoint is of model multitask_resnet18_slim" in capfd.readouterr().err
    tuned = MultiTask("multitask_resnet18_slim", "road_scene", heads=["semantic"], init_from=str(best))
    assert torch.equal(
        tuned.model.get_parameter("backbone.features.conv1.weight"), model.backbone.features.conv1.weight
    )


@pytest.mark.slow
def test_a_run_that_ends_by_the_clock_ends_with_a_validation(camvid, tmp_path) -> None:
    config = _short_config(tmp_path, camvid, max_epochs=-1, max_time="00:00:00:03", check_val_every_n_epoch=1000)
    assert main(["fit", "--config", str(config)]) == 0
    rows = next((tmp_path / "runs" / "logs").rglob("metrics.csv")).read_text()
    assert "val/semantic/miou" in rows
    assert (tmp_path / "runs" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.root", "/nowhere"], "CamVid folder /nowhere does not exist"),
        (["--data.rooot", "x"], "'rooot' is not accepted"),
        (["--model.model", "resnet99"], "unknown model 'resnet99'"),
        (["--model.heads", "[semantic, lanes]"], "heads ['semantic', 'lanes'] must be distinct"),
        (["--model.lr", "fast"], "Got value: fast"),
        (["--model.label_set", "road_scene"], "the model predicts label set road_scene, the data has camvid"),
        (["--ckpt_path", "none.ckpt"], "none.ckpt"),
    ],
)
def test_bad_training_input_is_one_line(arguments, message, camvid, tmp_path, capfd) -> None:
    config = _short_config(tmp_path, camvid)
    assert main(["fit", "--config", str(config), *arguments]) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("perception fit: error:")]
    assert len(errors) == 1
    assert message in errors[0]


@pytest.mark.slow
def test_wandb_offline_tensorboard_and_pictures(camvid, tmp_path) -> None:
    import wandb

    package = "pytorch_lightning.loggers"
    loggers = [
        {
            "class_path": "pytorch_lightning.loggers.WandbLogger",
            "init_args": {"save_dir": "runs/camvid", "offline": True},
        },
        {"class_path": f"{package}.TensorBoardLogger", "init_args": {"save_dir": "runs/camvid"}},
    ]
    config = _short_config(tmp_path, camvid, max_epochs=1, logger=loggers)
    for _ in range(2):  # a second run into the same folder is allowed
        assert main(["fit", "--config", str(config)]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = sorted((tmp_path / "runs").rglob("events.out.tfevents.*"))
    reader = EventAccumulator(str(events[0])).Reload()
    assert "val/semantic/miou" in reader.Tags()["scalars"]
    assert "val/0" in reader.Tags()["images"]
    wandb.finish()  # a later test starts a run of its own
    assert list((tmp_path / "runs" / "wandb").glob("offline-run-*"))
    assert (tmp_path / "runs" / "checkpoints" / "best.ckpt").is_file()

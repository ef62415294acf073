from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
import yaml

from perception.cli import main
from perception.models.zoo import create_model

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_parses_and_names_a_model_that_builds(path: Path, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "folder").mkdir(parents=True)
    (tmp_path / "data" / "folder" / "classes.yaml").write_text("classes: [ground, sky]")
    with contextlib.suppress(SystemExit):
        assert main(["fit", "--config", str(path), "--print_config"]) == 0
    parsed = yaml.safe_load(capsys.readouterr().out)
    options = parsed["model"]["init_args"]
    if parsed["model"]["class_path"].endswith("LidarSegmentation"):
        assert path.stem == f"lidar_{options['model']}"
        with torch.device("meta"):
            create_model(options["model"], options["label_set"])
        return
    assert path.stem.startswith(options["model"])
    size = parsed["data"]["init_args"]["size"] or parsed["data"]["init_args"].get("dict_kwargs", {}).get("size")
    assert path.stem.rsplit("_", 1)[1] == f"{size[0]}x{size[1]}"
    with torch.device("meta"):
        model = create_model(options["model"], options["label_set"], heads=options["heads"])
    assert list(model.head_names) == options["heads"]


@pytest.mark.parametrize("data", ["cityscapes", "bdd100k", "coco", "voc", "ade20k", "folder", "mixed"])
def test_every_public_data_set_has_a_config_for_a_cpu_and_one_for_a_gpu(data: str) -> None:
    names = {path.stem.rsplit("_", 1)[0] for path in CONFIGS if path.parent.name == data}
    assert {"multitask_resnet18_slim", "multitask_resnet50"} <= names


def test_three_data_sets_have_gpu_and_cpu_configs() -> None:
    names = {f"{path.parent.name}/{path.stem.rsplit('_', 1)[0]}" for path in CONFIGS}
    for data in ("camvid", "nuscenes", "world"):
        for model in ("multitask_resnet50", "multitask_swin_tiny", "multitask_resnet18_slim"):
            assert f"{data}/{model}" in names

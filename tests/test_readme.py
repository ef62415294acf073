"""Every command that the README shows is run, in order, on small data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_camvid
from PIL import Image
from tiny_products import product

ROOT = Path(__file__).parents[1]
SMALLER_DATA = "--data.batch_size=2 --data.num_workers=0"
SHORT = f"--trainer.max_time=null --trainer.max_epochs=1 --trainer.check_val_every_n_epoch=1 {SMALLER_DATA}"
PICTURES = "--data.size=[64,64]"

# What makes each command small enough for a test; later options win over those the README shows.
SMALLER = {
    "world": "--scenes 2 --keyframes 2 --size 64x96",
    "fit": SHORT,
    "test": SMALLER_DATA,
    "predict": SMALLER_DATA,
    "drive": "--max_frames 3",
    "models": "--size 64x64",
    "export": "--size 64x96 --pictures 1 --timing 1",
    "calibrate": "--miss_rate 0.5 --fps 100",
    "bench stream": "--settle_s 0 --timing_frames 3 --resamples 20 --max_frames 4 --scales 0.5,1 --fovea false",
}


def shown_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("perception ")]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)[1:]
    name = " ".join(words[:2]) if words[0] == "bench" else words[0]
    arguments = [*words, *shlex.split(SMALLER.get(name, ""))]
    if name in ("fit", "test", "predict") and "lidar" not in command:
        arguments.append(PICTURES)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "perception", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_commands_of_the_readme_run(tmp_path: Path) -> None:
    commands = shown_commands()
    shown = {shlex.split(command)[1] for command in commands}
    required = "world fit test predict drive models calibrate bench check show export cutout"
    assert shown >= set(required.split())
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    write_camvid(tmp_path / "data" / "camvid")
    bottle = product("bottle")
    Image.fromarray(bottle.image).save(tmp_path / "photo.jpg")
    Image.fromarray(bottle.mask).save(tmp_path / "mask.png")
    for command in commands:
        if "data/nuscenes" in command and not (tmp_path / "data" / "nuscenes").exists():
            # The world is in nuScenes format; it stands in for the download.
            shutil.copytree(tmp_path / "data" / "rig", tmp_path / "data" / "nuscenes")
        if "configs/nuscenes" in command:
            command += " --data.eval_size=null"
        result = run(command, tmp_path)
        assert result.returncode == 0, f"{command}\n{result.stderr[-2000:]}"
    for path in (
        "runs/world/metrics_test.json", "runs/world/predictions/detections.json", "runs/drive/report.html",
        "runs/adaptive/report.html", "runs/camvid_drive/report.json", "runs/nuscenes/checkpoints/last.ckpt",
        "runs/keyframe.png", "runs/product.png", "runs/world_lidar/official/official.json", "runs/points.png",
        "runs/exported/report.json",
    ):  # fmt: skip
        assert (tmp_path / path).is_file(), path


def test_readme_names_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"(?:configs|notebooks|tools|tests|perception)/[\w./-]+\.\w+", text):
        assert (ROOT / path).is_file(), path

"""Data that the tests make, and where real data may be found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# Tests import OpenVINO and ONNX Runtime before the library does, which keeps both from reporting to their makers.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# tools/test draws the same examples every time; plain pytest explores new ones.
settings.register_profile("repeatable", derandomize=True)


def real_data(name: str) -> Path:
    """A folder of real data, from ``PERCEPTION_DATA`` or beside the repository; the test skips without it."""
    root = Path(os.environ.get("PERCEPTION_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root / name
    if not path.is_dir():
        pytest.skip(f"no {path}; set PERCEPTION_DATA")
    return path


def write_camvid(root: Path, frames: int = 4, size: tuple[int, int] = (48, 64)) -> Path:
    """A CamVid folder of painted scenes: sky, road, and a car that moves."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        names = [f"{'0006R0' if i % 2 else '0016E5'}_{i:05d}" for i in range(frames)]
        for i, name in enumerate(names):
            labels = np.zeros(size, np.uint8)
            labels[size[0] // 2 :] = 3
            labels[size[0] // 2 : size[0] // 2 + 12, 4 + i : 24 + i] = 8
            labels[-2:] = 11
            image = np.array([[90, 140, 200]] * 3 + [[80, 80, 80]] * 5 + [[180, 20, 20]] * 4, np.uint8)[labels]
            image = np.clip(image + random.integers(-8, 8, image.shape), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / split / f"{name}.png")
            Image.fromarray(labels).save(root / f"{split}annot" / f"{name}.png")
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "camvid")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of the procedural world, both official mini validation scenes among them."""
    from perception.world.writer import write_dataset

    root = tmp_path_factory.mktemp("world") / "data"
    write_dataset(root, scenes=4, keyframes=3, size=(96, 160), seed=1, sweep_hz=4.0)
    return root


@pytest.fixture(scope="session")
def rig_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of two keyframes with six cameras."""
    from perception.world.writer import write_dataset

    root = tmp_path_factory.mktemp("rig") / "data"
    write_dataset(root, scenes=4, keyframes=2, size=(96, 160), seed=1, sweep_hz=0.0, cameras="all")
    return root

"""The ego's speed in ``perception world``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("open3d")

from perception.commands.world import main
from perception.datasets.nuscenes import NuScenesDataset
from perception.errors import InputError
from perception.runtime.traces import make_trace


def test_scenes_are_driven_at_the_speed_of_their_traces(tmp_path: Path) -> None:
    main(tmp_path / "world", scenes=2, keyframes=3, size="64x128", sweep_hz=4.0, speed="mixed", seed=2, workers=1)
    frames = NuScenesDataset(tmp_path / "world", split="train", sweeps=True)
    trace = make_trace("urban", 2000, 1.0)
    speeds = [frames.read(i).speed_mps for i, frame in enumerate(frames.frames) if frame.scene == "scene-0061"]
    assert len(speeds) == 5
    assert speeds == pytest.approx([trace.speed(i / 4) for i in range(5)], abs=0.6)


def test_an_unknown_speed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown speed 'fast'; use traffic, mixed or one of urban"):
        main(tmp_path / "world", speed="fast")
    assert not (tmp_path / "world").exists()

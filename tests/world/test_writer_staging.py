"""Interrupted data sets: what is kept, what is refused, and that they end up with the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("open3d")

from perception.errors import InputError
from perception.world import writer_workers
from perception.world.record import Recording
from perception.world.tables import SceneTables
from perception.world.writer import write_dataset

OPTIONS: dict[str, Any] = {"scenes": 3, "keyframes": 1, "size": (32, 48), "seed": 5, "sweep_hz": 0.0}


def _digest(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _draw(recording: Recording, index: int, done: Callable[[], None]) -> SceneTables:
    """A scene that is made in no time."""
    path = recording.out / "samples" / "CAM_FRONT" / f"{recording.seed}-{index}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([index]) * 100)
    scene = SceneTables(drive_side=1 - 2 * (index % 2), mask=np.full((500, 900), 255 * (index % 2), np.uint8))
    scene.add("log", token=f"log{index}", location="")
    scene.add("ego_pose", token=f"pose{index}", translation=[10.0 * index, 5.25, 0.0])
    scene.can = {"pose": [{"pos": [0.5, 0.0, 0.0], "utime": index}], "route": [[0.5, 0.0]]}
    scene.expansion = {"node": [{"token": f"node{index}", "x": 1.0, "y": 2.0}]}
    done()
    return scene


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_workers, "record_scene", _draw)


def _write_until(out: Path, stop_at: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Write with an error in scene ``stop_at``, after its files; the scenes that were recorded."""
    recorded = []

    def record(recording: Recording, index: int, done: Callable[[], None]) -> SceneTables:
        recorded.append(index)
        result = _draw(recording, index, done)
        if index == stop_at:
            raise error
        return result

    with monkeypatch.context() as patch:
        patch.setattr(writer_workers, "record_scene", record)
        with contextlib.suppress(type(error)):
            write_dataset(out, workers=1, **OPTIONS)
    return recorded


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.usefixtures("drawn")
def test_it_goes_on_where_it_stopped(error: BaseException, tmp_path: Path, monkeypatch, capsys) -> None:
    write_dataset(tmp_path / "whole" / "data", workers=1, **OPTIONS)
    whole = _digest(tmp_path / "whole" / "data")
    assert [path.name for path in (tmp_path / "whole").iterdir()] == ["data"]
    assert len(whole) > 20
    out = tmp_path / "stopped" / "data"
    assert _write_until(out, 1, error, monkeypatch) == [0, 1]
    assert "1 finished scenes are kept in" in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()
    assert _write_until(out, 99, error, monkeypatch) == [1, 2]
    assert _digest(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["data"]


@pytest.mark.usefixtures("drawn")
def test_nothing_stays_behind_where_no_scene_was_finished(tmp_path: Path, monkeypatch) -> None:
    _write_until(tmp_path / "data", 0, OSError(28, "No space left on device"), monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("drawn")
def test_other_arguments_are_refused_until_they_overwrite(tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "data"
    _write_until(out, 1, KeyboardInterrupt(), monkeypatch)
    other = {**OPTIONS, "scenes": 1, "seed": 6}
    told = r"\.data\.partial holds an unfinished.*scenes 3 then, 1 now.*seed 5.*--overwrite"
    with pytest.raises(InputError, match=told):
        write_dataset(out, workers=1, **other)
    write_dataset(out, workers=1, overwrite=True, **other)
    write_dataset(tmp_path / "fresh", workers=1, **other)
    assert _digest(out) == _digest(tmp_path / "fresh")
    assert not (tmp_path / ".data.partial").exists()


@pytest.mark.usefixtures("drawn")
def test_other_code_is_refused(tmp_path: Path, monkeypatch) -> None:
    from perception.world import writer_staging

    _write_until(tmp_path / "data", 1, KeyboardInterrupt(), monkeypatch)
    monkeypatch.setattr(writer_staging, "_source_digest", lambda: "another")
    with pytest.raises(InputError, match="source"):
        write_dataset(tmp_path / "data", workers=1, **OPTIONS)


@pytest.mark.usefixtures("drawn")
def test_maps_may_change_when_it_goes_on(tmp_path: Path, monkeypatch) -> None:
    """They are made from finished scenes, so that scenes that do not fit are not lost."""
    from perception.world import map_expansion_canvas

    out = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(map_expansion_canvas, "CANVASES", dict.fromkeys(map_expansion_canvas.CANVASES, (2979.5, 60.0)))
        with pytest.raises(InputError, match=r"3 scenes do not fit.*take the first 0.*--maps off"):
            write_dataset(out, workers=1, maps="on", **OPTIONS)
    result = write_dataset(out, workers=1, maps="off", **OPTIONS)
    assert result["maps"] is False
    assert result["images_per_second"] == 0  # nothing was drawn again
    assert not (out / "maps" / "expansion").exists()
    assert len(list((out / "maps").glob("*.png"))) == 3


def test_only_data_sets_of_the_world_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(InputError, match="holds no data set of this command"):
        write_dataset(tmp_path / "mine", overwrite=True, **OPTIONS)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "keep"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / ".data.partial").mkdir()
    with (tmp_path / ".data.partial" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is writing"):
            write_dataset(tmp_path / "data", **OPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl_c", "parent_killed"])
def test_stopped_with_two_workers_none_is_left_and_it_goes_on(how: str, tmp_path: Path) -> None:
    """Ctrl-C for all processes of the group, as from a terminal, or a kill of the first alone, once a scene is done."""
    options = {**OPTIONS, "scenes": 4}
    write_dataset(tmp_path / "whole", workers=1, **options)
    command = [
        sys.executable, "-m", "perception", "world", str(tmp_path / "data"), "--scenes", "4", "--keyframes", "1",
        "--size", "32x48", "--seed", "5", "--sweep_hz", "0", "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    scenes = tmp_path / ".data.partial" / "scenes"
    while process.poll() is None and not list(scenes.glob("*.json")):
        time.sleep(0.02)
    if how == "ctrl_c":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    try:
        process.communicate(timeout=60)  # returns when no process has its stderr any more
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if not (tmp_path / "data").exists():
        assert list(scenes.glob("*.json"))
        assert process.returncode != 0
    subprocess.run(command, check=not (tmp_path / "data").exists(), capture_output=True)
    assert _digest(tmp_path / "data") == _digest(tmp_path / "whole")

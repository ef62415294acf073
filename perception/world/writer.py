"""The world as a nuScenes v1.0-mini data set, with dense labels beside it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perception.console import progress_bar
from perception.errors import InputError
from perception.files import write_json
from perception.taxonomy import ROAD_SCENE
from perception.world.raycast import open3d
from perception.world.record import KEYFRAME_HZ, Recording, record_scene
from perception.world.scene import MAX_DURATION_S, SpeedProfile, check_scene_arguments
from perception.world.tables import TABLES, VERSION, SceneTables, scene_name, shared_tables, splits

MIN_SIDE_PX = 32
MAX_SWEEP_HZ = 24.0


def write_dataset(
    out: str | Path,
    scenes: int = 10,
    keyframes: int = 20,
    size: tuple[int, int] = (225, 400),
    seed: int = 0,
    sweep_hz: float = 12.0,
    weather: str = "clear",
    workers: int = 2,
    speeds: Sequence[SpeedProfile] = (),
) -> dict[str, Any]:
    """Write a data set that the nuScenes devkit loads.

    Everything is written into a temporary folder beside ``out`` that takes its name when it is complete. The same
    arguments give the same bytes, whatever the number of workers.

    Args:
        out: folder to make; it must not exist or be empty.
        scenes: the first ten carry the official mini names, further ones are ``scene-2001`` and on.
        keyframes: per scene, at 2 Hz, with LiDAR and boxes.
        size: ``(height, width)`` of the pictures.
        seed: of the world.
        sweep_hz: camera rate between keyframes, rounded to a multiple of 2 Hz; 0 writes keyframes only.
        weather: ``clear``, ``overcast`` or ``random``.
        workers: processes.
        speeds: the ego's speed in m/s at a time in seconds, one profile per scene in turn; they travel to the
            workers, so they must be picklable. By default the ego drives with the traffic.

    Returns:
        What was written: ``scenes``, ``keyframes``, ``images``, ``seconds``, ``images_per_second``, ``path``.

    Raises:
        InputError: for arguments out of range or a folder that is in use.
    """
    out = Path(out)
    _check(out, scenes, keyframes, size, sweep_hz, workers)
    check_scene_arguments(seed, 0, (keyframes - 1) / KEYFRAME_HZ, weather)
    open3d()  # a missing extra is said here, not from a worker
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    started = time.monotonic()
    try:
        recording = Recording(staging, seed, weather, keyframes, size, sweep_hz, tuple(speeds))
        results = _record_all(recording, scenes, workers)
        _write_tables(staging, results)
        umask = os.umask(0)
        os.umask(umask)
        staging.chmod(0o777 & ~umask)
        if out.exists():
            out.rmdir()
        staging.replace(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    seconds = time.monotonic() - started
    images = scenes * recording.frames
    return {
        "path": str(out),
        "scenes": scenes,
        "keyframes": scenes * keyframes,
        "images": images,
        "size": f"{size[0]}x{size[1]}",
        "seed": seed,
        "seconds": round(seconds, 2),
        "images_per_second": round(images / seconds, 2),
        "splits": splits(scenes),
    }


def _check(out: Path, scenes: int, keyframes: int, size: tuple[int, int], sweep_hz: float, workers: int) -> None:
    most = int(MAX_DURATION_S * KEYFRAME_HZ) + 1
    for name, value, low, high in (
        ("scenes", scenes, 1, 5000),
        ("keyframes", keyframes, 1, most),
        ("height", size[0], MIN_SIDE_PX, 4096),
        ("width", size[1], MIN_SIDE_PX, 8192),
        ("workers", workers, 1, 256),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high}, got {value}")
    if not 0 <= sweep_hz <= MAX_SWEEP_HZ:
        raise InputError(f"sweep_hz must be 0 to {MAX_SWEEP_HZ:g}, got {sweep_hz}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; name a new folder or remove it")


# In a worker: the number of frames finished over all workers, and whether to give up.
_finished: Any = None
_stop: Any = None


def _share(counter: Any, stop: Any) -> None:
    global _finished, _stop
    _finished, _stop = counter, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop


def _count() -> None:
    with _finished.get_lock():
        _finished.value += 1
    if _stop.is_set():
        raise InterruptedError("another worker failed")


def _work(recording: Recording, index: int) -> SceneTables:
    return record_scene(recording, index, _count)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread each for linear algebra: more only wait for one another."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _record_all(recording: Recording, scenes: int, workers: int) -> list[SceneTables]:
    """All scenes, in order. Workers are spawned, so that no thread or lock of this process is copied."""
    count = min(workers, scenes)
    with progress_bar() as progress:
        task = progress.add_task("camera frames", total=scenes * recording.frames)
        if count == 1:
            return [record_scene(recording, index, lambda: progress.advance(task)) for index in range(scenes)]
        context = multiprocessing.get_context("spawn")
        counter, stop = context.Value("q", 0), context.Event()
        with _one_thread_each(), ProcessPoolExecutor(count, context, _share, (counter, stop)) as pool:
            futures = [pool.submit(_work, recording, index) for index in range(scenes)]
            pending = set(futures)
            try:
                while pending:
                    done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                    progress.update(task, completed=counter.value)
                    for future in done:
                        future.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [future.result() for future in futures]


def _write_tables(root: Path, results: list[SceneTables]) -> None:
    tables: dict[str, list[Any]] = {name: [] for name in TABLES} | shared_tables()
    for result in results:
        for name, rows in result.tables.items():
            tables[name].extend(rows)
    folder = root / VERSION
    for name in TABLES:
        write_json(folder / f"{name}.json", tables[name])
    write_json(folder / "lidarseg.json", [row for result in results for row in result.lidarseg])
    write_json(folder / "splits.json", splits(len(results)))
    tokens = {scene_name(i): result.instance_tokens for i, result in enumerate(results)}
    labels = {"label_set": ROAD_SCENE.name, "classes": list(ROAD_SCENE.classes), "instance_tokens": tokens}
    write_json(root / "dense" / "label_set.json", labels)

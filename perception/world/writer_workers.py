"""Scenes recorded by several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from perception.console import progress_bar
from perception.world.record import Recording, record_scene
from perception.world.writer_staging import Staging

# In a worker: the number of frames finished over all workers, and whether to give up.
_finished: Any = None
_stop: Any = None


def _share(counter: Any, stop: Any) -> None:
    global _finished, _stop
    _finished, _stop = counter, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work without end: it holds the queue open itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _count() -> None:
    with _finished.get_lock():
        _finished.value += 1
    if _stop.is_set():
        raise InterruptedError("another worker failed")


def _work(recording: Recording, staging: Staging, index: int) -> None:
    staging.save(index, record_scene(recording, index, _count))


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


def record_all(recording: Recording, staging: Staging, scenes: int, workers: int) -> int:
    """Record the scenes that are not finished and return how many camera frames that took.

    Workers are spawned, so that no thread or lock of this process is copied.
    """
    todo = [index for index in range(scenes) if not staging.is_done(index)]
    before = (scenes - len(todo)) * recording.frames
    with progress_bar() as progress:
        task = progress.add_task("camera frames", total=scenes * recording.frames, completed=before)
        count = min(workers, len(todo))
        if count == 1:
            for index in todo:
                staging.save(index, record_scene(recording, index, lambda: progress.advance(task)))
        elif count:
            context = multiprocessing.get_context("spawn")
            counter, stop = context.Value("q", 0), context.Event()
            with _one_thread_each(), ProcessPoolExecutor(count, context, _share, (counter, stop)) as pool:
                pending = {pool.submit(_work, recording, staging, index) for index in todo}
                try:
                    while pending:
                        done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                        progress.update(task, completed=before + counter.value)
                        for future in done:
                            future.result()
                except BaseException:
                    stop.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    return len(todo) * recording.frames

"""A process that keeps one core and the memory bus busy, as other software in the vehicle may."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

import numpy as np

_READY = b"busy\n"
_STOP_S = 5.0


class CoRunner:
    """Runs the busy process for the length of a ``with`` block, which begins once it is busy."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CoRunner:
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            # By path, and without this folder on the module path: it needs no installed package and hides none.
            [sys.executable, "-P", __file__, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **single},
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != _READY:
            self._stop()
            raise OSError("the co-runner process did not start; calibrate without a co-runner")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def burn(parent: int) -> None:
    """Multiply matrices and copy memory in turn until the parent process is gone."""
    matrix = np.full((384, 384), 1e-3, np.float32)
    source, target = np.zeros(8 << 20), np.empty(8 << 20)  # 64 MiB each: larger than caches
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    while os.getppid() == parent:
        for _ in range(20):
            matrix = np.clip(matrix @ matrix, 1e-3, 1.0)
        np.copyto(target, source)


if __name__ == "__main__":
    burn(int(sys.argv[1]))

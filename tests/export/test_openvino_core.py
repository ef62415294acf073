"""What OpenVINO leaves behind in a process when engines come and go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

ENGINES_COME_AND_GO = """
import gc, signal, sys
import numpy as np
from perception.runtime.engine import load_engine

first, second = (load_engine(sys.argv[1], engine="openvino") for _ in range(2))
for engine in (first, second):
    engine.run(np.zeros((1, 3, 70, 100), np.float32))
del first, engine
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_is_handled_after_engines_have_gone(exported) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENGINES_COME_AND_GO, str(exported.path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr

from __future__ import annotations

import subprocess
import sys


def test_opencv_keeps_to_the_thread_that_calls_it() -> None:
    script = "from perception.opencv import opencv; print(opencv().getNumThreads())"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"

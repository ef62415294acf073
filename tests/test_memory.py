from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from perception.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(40_000_000, np.uint8)
before = faults()
for _ in range(20):
    np.ones(40_000_000, np.uint8)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_blocks_are_reused_without_page_faults() -> None:
    faults = {
        mode: int(
            subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True).stdout
        )
        for mode in ("keep", "plain")
    }
    assert faults["plain"] > 20 * 40_000_000 / 4096 * 0.9 or faults["plain"] > 20 * 15  # small or huge pages
    assert faults["keep"] < faults["plain"] / 5

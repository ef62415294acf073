"""``python -m perception`` and the console script."""

import os
import sys

from perception.cli import main

PASSIVE = ("drive", "calibrate", "bench")
SPINNING = (["bench", "train"], ["bench", "rungs"], ["bench", "lidar"])


def run() -> None:
    # OpenMP's threads spin at barriers by default. Training is half as fast again with it, but an answer that is
    # wanted in time suffers beside a busy process: its median doubles instead of growing by two thirds. It is read
    # when torch loads. A bench of training takes what training has, and so does that of LiDAR networks, which the
    # loop does not run.
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if words[:1] and words[0] in PASSIVE and words[:2] not in SPINNING:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())


if __name__ == "__main__":
    run()

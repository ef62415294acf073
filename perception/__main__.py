"""``python -m perception`` and the console script."""

import os
import sys

from perception.cli import main


def run() -> None:
    # OpenMP's threads spin at barriers by default. Beside any other process, such as a loader worker, that turns
    # milliseconds into seconds; waiting passively costs a few percent alone. It is read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())


if __name__ == "__main__":
    run()

"""``python -m perception`` and the console script."""

import sys

from perception.cli import main


def run() -> None:
    sys.exit(main())


if __name__ == "__main__":
    run()

"""How useful the answers of each plan are at a speed, so that the adaptive policy can rank the safe ones."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from perception.errors import InputError
from perception.runtime.plan import Plan

KEY = "utility"
"""Name of the table in the JSON of ``perception bench stream``."""


@dataclass(frozen=True)
class Utility:
    """A table of usefulness by speed, such as the streaming mean IoU that was measured on drives.

    At rest the sharpest plan is the most useful one; the faster the vehicle, the more a late answer costs. Only
    differences between plans at the same speed count. Between the speeds of the table it is interpolated linearly,
    beyond them it stays.

    Args:
        speeds_mps: increasing.
        values: by the plan's name, one finite number for each speed; larger is better.

    Raises:
        InputError: for a table that does not have this form.
    """

    speeds_mps: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        rows = {"speeds_mps": self.speeds_mps, **self.values}
        for name, row in rows.items():
            if len(row) != len(self.speeds_mps) or not row or not all(map(math.isfinite, row)):
                raise InputError(f"utility: {name} must be {len(self.speeds_mps) or 'some'} finite numbers, got {row}")
        if any(low >= high for low, high in pairwise(self.speeds_mps)) or self.speeds_mps[0] < 0:
            raise InputError(f"utility: speeds_mps {list(self.speeds_mps)} must increase from 0 or more")

    def at(self, plan: Plan, speed_mps: float) -> float:
        """Usefulness of a plan at a speed.

        >>> utility = Utility((0.0, 10.0), {"360x640": (0.6, 0.4)})
        >>> utility.at(Plan("360x640", (360, 640)), 5.0)
        0.5
        """
        speeds, row = self.speeds_mps, self.values[plan.name]
        after = bisect_right(speeds, speed_mps)
        if after == 0 or after == len(speeds):
            return row[min(after, len(speeds) - 1)]
        low, high = speeds[after - 1], speeds[after]
        share = (speed_mps - low) / (high - low)
        return row[after - 1] + share * (row[after] - row[after - 1])

    def check(self, plans: Sequence[Plan]) -> None:
        """Raise InputError if a plan is not in the table."""
        missing = [plan.name for plan in plans if plan.name not in self.values]
        if missing:
            raise InputError(
                f"utility: no values for {', '.join(missing)}; it has {', '.join(self.values)}; measure it with "
                "perception bench stream --choose_on DRIVES --latencies of the same table"
            )

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"speeds_mps": list(self.speeds_mps), "plans": {name: list(row) for name, row in self.values.items()}}

    @classmethod
    def load(cls, path: Path) -> Utility:
        """The table in a file that ``perception bench stream --choose_on`` wrote.

        Raises:
            InputError: for a file that is missing, is not JSON, or has no such table.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))[KEY]
            speeds, plans = record["speeds_mps"], record["plans"]
            return cls(tuple(map(float, speeds)), {str(name): tuple(map(float, row)) for name, row in plans.items()})
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except OSError as error:
            raise InputError(f"utility file {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{path} holds no table of utilities; name the stream.json of a run of perception bench stream with "
                "--choose_on"
            ) from None

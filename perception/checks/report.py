"""What the checks of a data set found."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from perception.datasets.quarantine import Broken


class Report:
    """Counts of what was looked at, by check, and the broken records among it."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.broken: list[Broken] = []

    def count(self, check: str, number: int) -> None:
        """Say that ``number`` more things were looked at."""
        self.counts[check] = self.counts.get(check, 0) + number

    def add(self, broken: Broken) -> None:
        self.counts.setdefault(broken.check, 0)
        self.broken.append(broken)

    def rows(self) -> list[dict[str, Any]]:
        """One row a check: ``check``, ``count``, ``broken``, ``example``."""
        found: dict[str, list[Broken]] = {check: [] for check in self.counts}
        for item in self.broken:
            found[item.check].append(item)
        return [
            {
                "check": check,
                "count": self.counts[check],
                "broken": len(items),
                "example": describe(items[0]) if items else "",
            }
            for check, items in found.items()
        ]


def describe(item: Broken) -> str:
    """One line on a broken record.

    >>> describe(Broken("images", "sample_data", "b1", "does not exist", "CAM_FRONT", "samples/CAM_FRONT/a.jpg"))
    'samples/CAM_FRONT/a.jpg: does not exist (sample_data b1)'
    """
    where = item.file or f"{item.table}.json"
    record = f" ({item.table} {item.token})" if item.token else ""
    return f"{where}: {item.reason}{record}"


def findings_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each check: how many were looked at, how many are broken, and one of them."""
    table = Table("check", "count", "broken", "example")
    for name in ("count", "broken"):
        column = next(column for column in table.columns if column.header == name)
        column.justify = "right"
    for row in rows:
        style = "red" if row["broken"] else None
        table.add_row(row["check"], f"{row['count']:,}", f"{row['broken']:,}", row["example"], style=style)
    return table

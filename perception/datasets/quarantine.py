"""The list of broken records that ``perception check`` writes and that the data sets leave out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from perception.console import warn
from perception.errors import InputError
from perception.files import write_json

FILE_NAME = "quarantine.json"
KIND = "perception quarantine"
AUTO, OFF = "auto", "off"


@dataclass(frozen=True)
class Broken:
    """One broken record.

    Args:
        check: name of the check that found it.
        table: that it is a record of, or the split, for data sets without tables.
        token: of the record, or the frame's name; "" where the table or a file as a whole is broken.
        reason: what is wrong, in words.
        channel: sensor that measured it, "" where it is not a measurement.
        file: relative to the data folder, "" where no file is concerned.
        leave_out: whether the record cannot be used; a wrong count, say, harms nobody.
    """

    check: str
    table: str
    token: str
    reason: str
    channel: str = ""
    file: str = ""
    leave_out: bool = True


@dataclass(frozen=True)
class Quarantine:
    """Records to leave out.

    Args:
        tokens: by table.
        path: of the list; ``None`` where there is none.
    """

    tokens: Mapping[str, frozenset[str]] = field(default_factory=dict)
    path: Path | None = None

    def __bool__(self) -> bool:
        """Whether there is a list; even one that names no record tells that some have no token."""
        return self.path is not None

    def of(self, table: str) -> frozenset[str]:
        return self.tokens.get(table, frozenset())


def open_quarantine(root: str | Path, option: str = AUTO) -> Quarantine:
    """The list of a data folder.

    Args:
        option: ``auto``: ``quarantine.json`` of the folder where there is one; ``off``: leave nothing out; else the
            path of a list.

    Raises:
        InputError: for a list that is missing or has another form.
    """
    path = Path(root) / FILE_NAME if option == AUTO else Path(option)
    if option == OFF or (option == AUTO and not path.is_file()):
        return Quarantine()
    return read_quarantine(path)


def read_quarantine(path: str | Path) -> Quarantine:
    """Read a list.

    Raises:
        InputError: for a file that is missing or has another form.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"quarantine list {path} does not exist; write it with perception check, or set quarantine: off"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError(f"kind {content['kind']!r}")
        tokens: dict[str, set[str]] = {}
        for row in content["records"]:
            if row["token"] and row.get("leave_out", True):
                tokens.setdefault(str(row["table"]), set()).add(str(row["token"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a quarantine list ({type(error).__name__}: {error}); write it again with perception check, "
            "or set quarantine: off"
        ) from error
    return Quarantine({table: frozenset(found) for table, found in tokens.items()}, path)


def write_quarantine(path: str | Path, data_format: str, broken: Iterable[Broken]) -> int:
    """Write a list, one entry per record, whatever the number of reasons; returns how many records it holds."""
    records: dict[tuple[str, str, str], dict[str, Any]] = {}
    for item in broken:
        key = (item.table, item.token, "" if item.token else item.file)
        if key in records:
            records[key]["reason"] += f"; {item.reason}"
            records[key]["leave_out"] |= item.leave_out
        else:
            records[key] = asdict(item)
    write_json(path, {"kind": KIND, "format": data_format, "records": list(records.values())})
    return len(records)


def remedy(root: str | Path) -> str:
    """What helps against broken data."""
    return f"perception check {root} finds broken records and lists them in {FILE_NAME}, to be left out"


@lru_cache(maxsize=64)
def say_left_out(path: Path, count: int) -> None:
    """Say once that records are left out."""
    warn(f"records left out, as {path} says: {count}; quarantine: off reads them")

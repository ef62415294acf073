"""``perception check``: whether a data set is whole, and which records training should leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from perception.checks.camvid import check_camvid
from perception.checks.frames import KINDS, check_frames, guess
from perception.checks.nuimages import check_nuimages
from perception.checks.nuscenes import check_nuscenes
from perception.checks.report import Report, findings_table
from perception.console import console
from perception.datasets.quarantine import FILE_NAME, write_quarantine
from perception.errors import InputError
from perception.files import require_dir

FORMATS = ("auto", "nuscenes", "nuimages", "camvid", *KINDS)
MAX_WORKERS = 64


def main(
    data: Path,
    format: str = "auto",
    version: str = "auto",
    full: bool = False,
    quarantine: Path | None = None,
    workers: int = 4,
) -> dict[str, Any]:
    """Check a data set: links, files, values, poses and times. Exit code 1 when something is broken.

    Args:
        data: folder of the data set.
        format: ``nuscenes``, ``nuimages``, ``camvid``, ``cityscapes``, ``bdd100k``, ``coco``, ``voc``, ``ade20k``,
            ``folder`` (``images/SPLIT``, ``masks/SPLIT``, ``classes.yaml``) or ``auto``: by what the folder holds.
        version: folder of the tables, such as ``v1.0-trainval``; ``auto`` takes the only one.
        full: decode every image whole, and look at all values of label images; else header, size and end.
        quarantine: where to write the list of broken records; by default ``quarantine.json`` in the data folder, which
            the data modules find by themselves. Nothing is written for whole data, unless an older list is there.
        workers: threads that read files.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"workers must be 1 to {MAX_WORKERS}, got {workers}")
    require_dir(data, "data folder")
    kind = find_format(data, format)
    if kind == "camvid":
        report = check_camvid(data, full, workers)
    elif kind in KINDS:
        report = check_frames(data, kind, full, workers)
    else:
        check = check_nuscenes if kind == "nuscenes" else check_nuimages
        report = check(data, version, full, workers)
    rows = report.rows()
    target = Path(quarantine) if quarantine is not None else data / FILE_NAME
    records = 0
    console.print(findings_table(rows))
    if report.broken or target.is_file():
        records = _write(target, kind, report)
    return {
        "data": str(data),
        "format": kind,
        "full": full,
        "checks": rows,
        "broken": len(report.broken),
        "records": records,
        "quarantine": str(target) if target.is_file() else None,
    }


def find_format(data: Path, asked: str) -> str:
    """The data set's format, by the folders that it has.

    Raises:
        InputError: for an unknown format, or a folder of none.
    """
    if asked not in FORMATS:
        raise InputError(f"unknown format {asked!r}; use one of {', '.join(FORMATS)}")
    if asked != "auto":
        return asked
    if any(data.glob("*/object_ann.json")):
        return "nuimages"
    if any(data.glob("*/sample_data.json")):
        return "nuscenes"
    if any((data / f"{split}annot").is_dir() for split in ("train", "val", "test")):
        return "camvid"
    if (found := guess(data)) is not None:
        return found
    raise InputError(
        f"data folder {data} is none that check knows: it has neither tables of nuScenes or nuImages "
        "(<version>/sample_data.json) nor the folders of another format; name it with --format"
    )


def _write(target: Path, kind: str, report: Report) -> int:
    try:
        return write_quarantine(target, kind, report.broken)
    except OSError as error:
        raise InputError(
            f"quarantine list {target} cannot be written ({error.strerror}); name another place with --quarantine FILE "
            "and give it to the data module as quarantine"
        ) from error


def exit_code(result: dict[str, Any]) -> int:
    """1 when something is broken."""
    return 1 if result["broken"] else 0


def show(result: dict[str, Any]) -> None:
    out = Console()
    if not result["broken"]:
        looked = sum(row["count"] for row in result["checks"])
        out.print(f"{result['data']}: whole ({looked:,} things looked at)", highlight=False, soft_wrap=True)
        return
    out.print(
        f"{result['data']}: {result['broken']} faults in {result['records']} records, listed in "
        f"{result['quarantine']}; data modules leave them out",
        highlight=False,
        soft_wrap=True,
    )

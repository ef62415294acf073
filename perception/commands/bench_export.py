"""``perception bench export``: export every model of the zoo and prove each file equal."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

from perception.console import console
from perception.errors import InputError
from perception.export.exporting import FORMATS, Options, export_model
from perception.export.fusion_file import export_fusion
from perception.export.point_file import export_points
from perception.geometry.size import parse_size
from perception.geometry.sweep import spinning_sweep
from perception.models.zoo import ZOO, create_model, list_models
from perception.runtime.calibration import decode
from perception.runtime.pictures import timing_pictures

SWEEP_POINTS = 20_000


def main(models: list[str] | None = None, size: str = "128x192", format: str = "onnx") -> dict[str, Any]:
    """Export each model with random weights, and compare the file with it at every size that it takes.

    Exit code 1 where one of them cannot be exported or differs.

    Args:
        models: names from `perception models`; default all.
        size: HEIGHTxWIDTH that is traced; LiDAR networks get a made-up sweep.
        format: onnx, or openvino.

    Raises:
        InputError: for an unknown model, size or format.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
    traced = parse_size(size)
    names = models or list_models()
    for name in names:
        if name not in ZOO:
            raise InputError(f"{name!r} is no model of the zoo; see perception models")
    pictures = [decode(jpeg) for jpeg in timing_pictures(traced, 1)]
    rows = []
    for name in names:
        with console.status(f"exporting {name}"), tempfile.TemporaryDirectory() as folder:
            rows.append(_row(name, Path(folder) / f"model{FORMATS[format]}", Options(format, traced), pictures))
        gc.collect()
    return {"format": format, "size": size, "passed": all(row["passed"] for row in rows), "models": rows}


def _row(name: str, out: Path, options: Options, pictures: list[Any]) -> dict[str, Any]:
    begin = time.perf_counter()
    row: dict[str, Any] = {"name": name, "passed": False, "error": None}
    try:
        if ZOO[name].kind == "lidar":
            sweep = spinning_sweep(SWEEP_POINTS)
            _, described, parity = export_points(create_model(name), out, [sweep], options.format)
        elif ZOO[name].kind == "fusion":
            sweep = spinning_sweep(SWEEP_POINTS)
            _, described, parity = export_fusion(create_model(name), out, options.size, sweep, options.format)
        else:
            _, described, parity = export_model(create_model(name), out, options, pictures)
    except InputError as error:
        return row | {"error": str(error), "seconds": round(time.perf_counter() - begin, 1)}
    worst = [
        value["agreement"] for entry in parity for value in entry["outputs"].values() if "agreement" in value
    ]  # fmt: skip
    failed = [entry for entry in parity if not entry["passed"]]
    return row | {
        "passed": not failed,
        "error": None if not failed else failed[0].get("error", f"differs at {failed[0]['size']}"),
        "opset": described.opset,
        "free_size": described.free_size,
        "sizes": len({entry["size"] for entry in parity}),
        "engines": sorted({entry["engine"] for entry in parity}),
        "agreement": min(worst, default=None),
        "megabytes": round(sum(part.stat().st_size for part in out.parent.iterdir()) / 1e6, 1),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def show(result: dict[str, Any]) -> None:
    """Print the table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "", "opset", "sizes", "agreement", "MB", "s")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in result["models"]:
        if "opset" not in row:
            table.add_row(row["name"], f"[red]{row['error']}[/red]", "", "", "", "", f"{row['seconds']:.0f}")
            continue
        sizes = f"{row['sizes']}, free" if row["free_size"] else "1, fixed"
        mark = "same" if row["passed"] else f"[red]{row['error']}[/red]"
        agreement = "" if row["agreement"] is None else f"{row['agreement']:.6g}"
        table.add_row(
            row["name"], mark, str(row["opset"]), sizes, agreement, f"{row['megabytes']:.1f}", f"{row['seconds']:.0f}"
        )
    Console().print(table)


def exit_code(result: dict[str, Any]) -> int:
    """1 where a model cannot be exported or differs."""
    return 0 if result["passed"] else 1

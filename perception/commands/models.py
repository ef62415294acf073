"""``perception models``: what can be built."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from perception.console import track
from perception.geometry.size import parse_size
from perception.models.zoo import describe, list_models


def main(kind: str | None = None, size: str = "512x1024") -> list[dict[str, Any]]:
    """List the models.

    Args:
        kind: only models of this kind: ``multitask``, ``semantic`` or ``lidar``.
        size: image size ``HxW`` at which multiply-accumulates of camera models are counted; those of LiDAR models
            are counted at a nuScenes sweep.
    """
    height_width = parse_size(size)
    return [describe(name, height_width) for name in track(list_models(kind), "counting")]


def show(result: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("name", no_wrap=True)
    for heading in ("kind", "backbone"):
        table.add_column(heading, overflow="fold")
    table.add_column("M params", justify="right")
    table.add_column("GMACs", justify="right")
    table.add_column("at", no_wrap=True)
    table.add_column("arXiv", no_wrap=True)
    for row in result:
        params, gmacs = f"{row['params'] / 1e6:.2f}", f"{row['gmacs']:.1f}"
        table.add_row(row["name"], row["kind"], row["backbone"], params, gmacs, row["size"], row["paper"].split()[-1])
    Console().print(table)

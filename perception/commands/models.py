"""``perception models``: what can be built."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from perception.console import track
from perception.geometry.size import parse_size
from perception.models.zoo import describe, list_models


def main(kind: str | None = None, size: str = "512x1024", markdown: bool = False) -> list[dict[str, Any]]:
    """List the models. Their backbones are in the JSON.

    Args:
        markdown: print a table in Markdown, with titles of the papers.
        kind: only models of this kind: ``multitask``, ``semantic``, ``detection``, ``lidar``, or ``fusion`` of both
            sensors.
        size: image size ``HxW`` at which multiply-accumulates of camera models are counted; those of LiDAR models
            are counted at a nuScenes sweep.
    """
    height_width = parse_size(size)
    rows = [describe(name, height_width) for name in track(list_models(kind), "counting")]
    return [{**row, "table": markdown_row(row)} for row in rows] if markdown else rows


def markdown_row(row: dict[str, Any]) -> str:
    paper, arxiv = row["paper"].split(" - arXiv ")
    link = f"[{paper}](https://arxiv.org/abs/{arxiv})"
    figures = f"{row['params']:,} | {row['gmacs']:.2f} | {row['size']}"
    return f"| `{row['name']}` | {row['kind']} | {row['backbone']} | {figures} | {link} |"


def show(result: list[dict[str, Any]]) -> None:
    if result and "table" in result[0]:
        print("| name | kind | backbone | parameters | GMACs | of | paper |\n|---|---|---|---:|---:|---|---|")
        print("\n".join(row["table"] for row in result))
        return
    sizes = dict.fromkeys(row["size"] for row in result)
    table = Table(caption=f"GMACs of {' or '.join(sizes)}" if sizes else None)
    table.add_column("name", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("M params", justify="right", no_wrap=True)
    table.add_column("GMACs", justify="right", no_wrap=True)
    table.add_column("arXiv", no_wrap=True)
    for row in result:
        params, gmacs = f"{row['params'] / 1e6:.2f}", f"{row['gmacs']:.1f}"
        table.add_row(row["name"], row["kind"], params, gmacs, row["paper"].split()[-1])
    Console().print(table)

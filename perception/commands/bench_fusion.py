"""What camera features add to a LiDAR network: both trained from the same seeds, and the former without its cameras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.commands.paired_training import check_paired, claim, interval, shown_interval, train
from perception.console import console
from perception.errors import InputError
from perception.files import write_json

ARMS = ("alone", "fusion")


def main(
    *,
    config: Path,
    out: Path,
    root: Path | None = None,
    camera: Path | None = None,
    lidar: Path | None = None,
    steps: int = 300,
    batch_size: int | None = None,
    seeds: list[int] = [0, 1, 2],  # noqa: B006 - parsed from the signature, never changed
) -> dict[str, Any]:
    """Train a LiDAR network with and without camera features, from the same seeds and for the same number of steps.

    Both see the same clouds in the same order. What is measured is kept in OUT, so a run that was interrupted goes on
    where it stopped, and further seeds can be added.

    Args:
        config: as for `perception fit`, whose model is perception.tasks.SensorFusion.
        out: folder for the figures of each training.
        root: of the data; default the config's.
        camera: checkpoint or saved camera model whose features are borrowed; it stays as it is. Without, the camera
            heads train beside the points in both.
        lidar: checkpoint or saved LiDAR network that both go on from; by default they start from random weights.
        steps: of each training.
        batch_size: samples a step; default the config's.
        seeds: paired trainings.

    Returns:
        ``seeds``: mIoU in percent of LiDAR alone, of the fusion, and of the fusion with all cameras lost; ``gain`` and
        ``lost``: mean gaps of the latter two to LiDAR alone with 95 % intervals, in points.

    Raises:
        InputError: for bad input, or a folder that holds figures of other settings.
    """
    check_paired(steps, batch_size, seeds)
    options = [] if root is None else [f"--data.init_args.root={root}"]
    options += [] if batch_size is None else [f"--data.init_args.batch_size={batch_size}"]
    if camera is not None:
        options.append(f"--model.init_args.init_from={camera}")
    if lidar is not None:
        options.append(f"--model.init_args.init_lidar_from={lidar}")
    claim(out, {"config": config.read_text(encoding="utf-8"), "options": options, "steps": steps})
    for seed in seeds:
        for arm in ARMS:
            path = _figures(out, seed, arm)
            if not path.exists():
                console.print(f"seed {seed}, {arm}", highlight=False)
                write_json(path, train(*_build(config, options, arm, seed, camera is not None), steps, "test"))
    return compare(out, seeds) | {
        "bench": "fusion", "config": str(config), "steps": steps, "machine": machine(),
    }  # fmt: skip


def compare(out: Path, seeds: list[int]) -> dict[str, Any]:
    """Gaps from the figures in a folder, in points of mIoU."""
    rows = []
    for seed in seeds:
        alone, fusion = (json.loads(_figures(out, seed, arm).read_text(encoding="utf-8")) for arm in ARMS)
        rows.append(
            {
                "seed": seed,
                "alone": 100 * alone["test/lidar/miou"],
                "fusion": 100 * fusion["test/lidar/miou"],
                "no_camera": 100 * fusion["test/no_camera/lidar/miou"],
            }
        )
    gain = interval([row["fusion"] - row["alone"] for row in rows])
    lost = interval([row["no_camera"] - row["alone"] for row in rows])
    shown = [{key: value if key == "seed" else round(value, 2) for key, value in row.items()} for row in rows]
    return {"seeds": shown, "gain": gain, "lost": lost}


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    output = Console()
    table = Table("seed", "LiDAR alone", "fusion", "fusion, cameras lost", title=f"mIoU %, {result['steps']} steps")
    for row in result["seeds"]:
        table.add_row(str(row["seed"]), *(f"{row[key]:.2f}" for key in ("alone", "fusion", "no_camera")))
    output.print(table)
    output.print(f"fusion minus LiDAR alone: {shown_interval(result['gain'])}")
    output.print(f"cameras lost minus LiDAR alone: {shown_interval(result['lost'])}")


def _figures(out: Path, seed: int, arm: str) -> Path:
    return out / f"{arm}_seed{seed}.json"


def _build(config: Path, options: list[str], arm: str, seed: int, frozen: bool) -> tuple[Any, Any]:
    from perception.commands.lightning import parse
    from perception.tasks import SensorFusion

    arguments = ["--config", str(config), f"--seed_everything={seed}", *options]
    cli = parse(arguments)
    if not isinstance(cli.model, SensorFusion):
        raise InputError(f"{config} trains {type(cli.model).__name__}; bench fusion compares SensorFusion")
    given = dict(cli.model.hparams.get("model_options") or {})
    if frozen:
        parts = [name for name in cli.model.fused.parts() if name != "lidar"]
        arguments.append(f"--model.init_args.freeze={json.dumps(parts)}")
    arguments.append(f"--model.init_args.model_options={json.dumps({**given, 'fusion': arm == 'fusion'})}")
    cli = parse(arguments)
    return cli, cli.model

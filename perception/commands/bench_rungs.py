"""What one set of weights for a ladder of resolutions costs: each rung against a model trained at that rung alone."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.commands.paired_training import check_paired, claim, interval, shown_interval, train
from perception.console import console
from perception.errors import InputError
from perception.files import write_json

LADDER = "ladder"


def main(
    *,
    config: Path,
    out: Path,
    root: Path | None = None,
    steps: int = 600,
    batch_size: int | None = None,
    scales: list[float] | None = None,
    seeds: list[int] = [0, 1, 2],  # noqa: B006 - parsed from the signature, never changed
) -> dict[str, Any]:
    """Train the ladder and, with equal budget, a model for each rung alone; compare them rung by rung.

    All trainings of a seed begin with the same weights and take the same number of steps of as many pictures. What is
    trained is kept in OUT, so a run that was interrupted goes on where it stopped, and further seeds can be added.

    Args:
        config: as for `perception fit`, whose model is perception.tasks.MultiResolution.
        out: folder for the figures of each training.
        root: of the data; default the config's.
        steps: of each training.
        batch_size: pictures a step; default the config's.
        scales: rungs; default the config's.
        seeds: paired trainings.

    Returns:
        ``rungs``: for each rung the mIoU of both by seed and their mean gap; ``gap``: over all rungs with its 95 %
        interval, in points of mIoU.

    Raises:
        InputError: for bad input, or a folder that holds figures of other settings.
    """
    check_paired(steps, batch_size, seeds)
    options = [] if root is None else [f"--data.init_args.root={root}"]
    options += [] if batch_size is None else [f"--data.init_args.batch_size={batch_size}"]
    rungs = sorted(scales) if scales else _scales_of(config, options)
    settings = {"config": config.read_text(encoding="utf-8"), "options": options, "steps": steps, "scales": rungs}
    claim(out, settings)
    for seed in seeds:
        for wanted in (rungs, *([rung] for rung in rungs)):
            path = _figures(out, seed, wanted, rungs)
            if not path.exists():
                console.print(f"seed {seed}, {path.stem.split('_')[0]}", highlight=False)
                values = train(*_build(config, options, wanted, seed), steps, "validate")
                write_json(path, {f"{scale:g}": values[f"val/{scale:g}/semantic/miou"] for scale in wanted})
    return compare(out, rungs, seeds) | {
        "bench": "rungs", "config": str(config), "steps": steps, "seeds": seeds, "machine": machine(),
    }  # fmt: skip


def compare(out: Path, rungs: list[float], seeds: list[int]) -> dict[str, Any]:
    """Gaps from the figures in a folder: ladder minus dedicated, in points of mIoU."""
    rows, per_seed = [], {seed: list[float]() for seed in seeds}
    for rung in rungs:
        pairs = []
        for seed in seeds:
            both = [
                100 * json.loads(_figures(out, seed, wanted, rungs).read_text(encoding="utf-8"))[f"{rung:g}"]
                for wanted in (rungs, [rung])
            ]
            pairs.append(both)
            per_seed[seed].append(both[0] - both[1])
        gaps = [ladder - alone for ladder, alone in pairs]
        rows.append(
            {"scale": rung, LADDER: [round(p[0], 2) for p in pairs], "alone": [round(p[1], 2) for p in pairs]}
            | {"gap": round(statistics.fmean(gaps), 2)}
        )
    return {"rungs": rows, "gap": interval([statistics.fmean(gaps) for gaps in per_seed.values()])}


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    output = Console()
    table = Table("rung", "ladder mIoU %", "alone mIoU %", "gap", title=f"{result['steps']} steps each")
    for row in result["rungs"]:
        shown = [", ".join(f"{value:.2f}" for value in row[side]) for side in (LADDER, "alone")]
        table.add_row(f"{row['scale']:g}", *shown, f"{row['gap']:+.2f}")
    output.print(table)
    gap = shown_interval(result["gap"])
    output.print(f"ladder minus alone, mean over rungs and {len(result['seeds'])} seeds: {gap}")


def _figures(out: Path, seed: int, wanted: list[float], rungs: list[float]) -> Path:
    name = LADDER if wanted == rungs else f"{wanted[0]:g}"
    return out / f"{name}_seed{seed}.json"


def _scales_of(config: Path, options: list[str]) -> list[float]:
    return list(_build(config, options, None, 0)[1].scales)


def _build(config: Path, options: list[str], scales: list[float] | None, seed: int) -> tuple[Any, Any]:
    """The parsed command line, with trainer and data, and the task."""
    from perception.commands.lightning import parse
    from perception.tasks import MultiResolution

    arguments = ["--config", str(config), f"--seed_everything={seed}", *options]
    if scales is not None:
        arguments.append(f"--model.init_args.scales={json.dumps(scales)}")
    cli = parse(arguments)
    if not isinstance(cli.model, MultiResolution):
        raise InputError(f"{config} trains {type(cli.model).__name__}; bench rungs compares MultiResolution")
    return cli, cli.model

"""What one set of weights for a ladder of resolutions costs: each rung against a model trained at that rung alone."""

from __future__ import annotations

import json
import logging
import math
import statistics
import warnings
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.console import console
from perception.errors import InputError
from perception.files import write_json

LADDER = "ladder"
T_95 = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantile of Student's t by degrees of freedom; 1.96 beyond."""


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
    if steps < 1 or (batch_size is not None and batch_size < 1):
        raise InputError(f"steps {steps} and batch_size {batch_size} must be at least 1")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise InputError(f"seeds {seeds} must be different numbers from 0 on")
    options = [] if root is None else [f"--data.init_args.root={root}"]
    options += [] if batch_size is None else [f"--data.init_args.batch_size={batch_size}"]
    rungs = sorted(scales) if scales else _scales_of(config, options)
    settings = {"config": config.read_text(encoding="utf-8"), "options": options, "steps": steps, "scales": rungs}
    _claim(out, settings)
    for seed in seeds:
        for wanted in (rungs, *([rung] for rung in rungs)):
            path = _figures(out, seed, wanted, rungs)
            if not path.exists():
                console.print(f"seed {seed}, {path.stem.split('_')[0]}", highlight=False)
                write_json(path, _train(config, options, wanted, steps, seed))
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
    means = [statistics.fmean(gaps) for gaps in per_seed.values()]
    value, spread = statistics.fmean(means), None
    if len(means) > 1:
        freedom = len(means) - 1
        quantile = T_95[freedom] if freedom < len(T_95) else 1.96
        spread = quantile * statistics.stdev(means) / math.sqrt(len(means))
    gap = {"mean": round(value, 2), "low": None, "high": None}
    if spread is not None:
        gap |= {"low": round(value - spread, 2), "high": round(value + spread, 2)}
    return {"rungs": rows, "gap": gap}


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    output = Console()
    table = Table("rung", "ladder mIoU %", "alone mIoU %", "gap", title=f"{result['steps']} steps each")
    for row in result["rungs"]:
        shown = [", ".join(f"{value:.2f}" for value in row[side]) for side in (LADDER, "alone")]
        table.add_row(f"{row['scale']:g}", *shown, f"{row['gap']:+.2f}")
    output.print(table)
    gap = result["gap"]
    interval = "" if gap["low"] is None else f" ({gap['low']:+.2f} to {gap['high']:+.2f} at 95 %)"
    output.print(f"ladder minus alone, mean over rungs and {len(result['seeds'])} seeds: {gap['mean']:+.2f}{interval}")


def _figures(out: Path, seed: int, wanted: list[float], rungs: list[float]) -> Path:
    name = LADDER if wanted == rungs else f"{wanted[0]:g}"
    return out / f"{name}_seed{seed}.json"


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InputError(f"{out} holds figures of other settings (see {path}); name a new folder")
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} exists and is not empty; name a new folder")
        write_json(path, settings)


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


def _train(config: Path, options: list[str], scales: list[float], steps: int, seed: int) -> dict[str, float]:
    """mIoU of each rung after training."""
    import pytorch_lightning as pl

    from perception.callbacks import EMA

    cli, task = _build(config, options, scales, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
        trainer = pl.Trainer(
            max_steps=steps,
            precision=cli.trainer.precision,
            gradient_clip_val=cli.trainer.gradient_clip_val,
            callbacks=[each for each in cli.trainer.callbacks if isinstance(each, EMA)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            accelerator="auto",
            devices=1,
        )
        trainer.fit(task, datamodule=cli.datamodule)
        trainer.limit_val_batches = 1.0
        (values,) = trainer.validate(task, datamodule=cli.datamodule, verbose=False)
    return {f"{scale:g}": float(values[f"val/{scale:g}/semantic/miou"]) for scale in scales}

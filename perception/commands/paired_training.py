"""Trainings that differ in one thing, from the same seeds: how they run, and what interval their gap has."""

from __future__ import annotations

import json
import logging
import math
import statistics
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from perception.errors import InputError
from perception.files import write_json

T_95 = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantile of Student's t by degrees of freedom; 1.96 beyond."""


def check_paired(steps: int, batch_size: int | None, seeds: Sequence[int]) -> None:
    """Refuse settings that no pair of trainings can have."""
    if steps < 1 or (batch_size is not None and batch_size < 1):
        raise InputError(f"steps {steps} and batch_size {batch_size} must be at least 1")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise InputError(f"seeds {list(seeds)} must be different numbers from 0 on")


def claim(out: Path, settings: dict[str, Any]) -> None:
    """Make a folder for figures of these settings, or find that it is one already.

    Raises:
        InputError: for a folder of other settings, or with other content.
    """
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise InputError(f"{out} holds figures of other settings (see {path}); name a new folder")
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} exists and is not empty; name a new folder")
        write_json(path, settings)


def interval(gaps: Sequence[float]) -> dict[str, float | None]:
    """Mean of paired gaps and its 95 % interval after Student; a single one has none.

    >>> interval([1.0, 2.0, 3.0])
    {'mean': 2.0, 'low': -0.48, 'high': 4.48}
    """
    value = statistics.fmean(gaps)
    found: dict[str, float | None] = {"mean": round(value, 2), "low": None, "high": None}
    if len(gaps) > 1:
        freedom = len(gaps) - 1
        quantile = T_95[freedom] if freedom < len(T_95) else 1.96
        spread = quantile * statistics.stdev(gaps) / math.sqrt(len(gaps))
        found |= {"low": round(value - spread, 2), "high": round(value + spread, 2)}
    return found


def shown_interval(gap: dict[str, float | None]) -> str:
    """``+1.20 (-0.30 to +2.70 at 95 %)``."""
    text = f"{gap['mean']:+.2f}"
    return text if gap["low"] is None else f"{text} ({gap['low']:+.2f} to {gap['high']:+.2f} at 95 %)"


def train(cli: Any, task: Any, steps: int | None, measure: str, minutes: float | None = None) -> dict[str, float]:
    """Train for so many steps or minutes, without logs or files, and return the figures of ``validate`` or ``test``.

    Figures that the data leave undefined are left out; ``steps`` says how many were taken.

    Args:
        cli: what :func:`perception.commands.lightning.parse` gave for the task.
    """
    import pytorch_lightning as pl

    from perception.callbacks import EMA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
        trainer = pl.Trainer(
            max_steps=-1 if steps is None else steps,
            max_time=None if minutes is None else timedelta(minutes=minutes),
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
        taken = trainer.global_step
        trainer.limit_val_batches = 1.0
        (values,) = getattr(trainer, measure)(task, datamodule=cli.datamodule, verbose=False)
    return {name: float(value) for name, value in values.items() if math.isfinite(value)} | {"steps": taken}

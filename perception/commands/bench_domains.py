"""What a model loses where the weather or the light differs from what it learnt: its figures on several data sets."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.console import track
from perception.errors import InputError

COLUMNS = ("semantic/miou", "drivable/iou", "lane/iou", "detection/map50")


def main(
    *,
    config: Path,
    model: Path,
    data: dict[str, Path],
    split: str | None = None,
) -> dict[str, Any]:
    """Measure one model on several data sets side by side; differences are against the first.

    Args:
        config: as for `perception validate`: the task and how the data is read.
        model: checkpoint file or saved folder.
        data: folders by name, the first being the domain that the model was trained on, such as
            --data.clear DIR --data.night DIR --data.fog DIR.
        split: of each data set; default the config's validation split.

    Returns:
        ``domains``: for each one its figures; ``against``: the name of the first.

    Raises:
        InputError: for bad input.
    """
    if not data:
        raise InputError("no data set; name them, such as --data.clear DIR --data.night DIR")
    for name, root in data.items():
        if not Path(root).is_dir():
            raise InputError(f"data set {name}: folder {root} does not exist")
    rows = {name: _measure(config, model, Path(root), split) for name, root in track(list(data.items()), "measuring")}
    first = next(iter(rows))
    return {
        "bench": "domains", "config": str(config), "model": str(model), "against": first, "domains": rows,
        "machine": machine(),
    }  # fmt: skip


def _measure(config: Path, model: Path, root: Path, split: str | None) -> dict[str, float]:
    import pytorch_lightning as pl

    from perception.commands.lightning import parse
    from perception.models.checkpoint import load_weights, read_weights
    from perception.models.multitask import MultiTaskModel
    from perception.models.slimming import PRUNED, apply_pruning

    options = [] if split is None else [f"--data.init_args.val_split={split}"]
    cli = parse(["--config", str(config), f"--data.init_args.root={root}", *options])
    network = getattr(cli.model, "model", None)
    if not isinstance(network, MultiTaskModel):
        raise InputError(f"{config} trains {type(cli.model).__name__}; bench domains needs a multi-task model")
    recipe, weights = read_weights(model)
    if PRUNED in recipe:
        apply_pruning(network, recipe[PRUNED])
    load_weights(network, weights, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
        trainer = pl.Trainer(
            precision=cli.trainer.precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        (values,) = trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    return {name.removeprefix("val/"): round(float(value), 5) for name, value in values.items()}


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    rows, first = result["domains"], result["against"]
    table = Table("domain", *COLUMNS, title=f"{result['model']}, differences against {first}")
    for name, values in rows.items():
        cells = []
        for column in COLUMNS:
            value, base = values.get(column), rows[first].get(column)
            text = "-" if value is None else f"{100 * value:.1f}"
            if name != first and value is not None and base is not None:
                text += f" ({100 * (value - base):+.1f})"
            cells.append(text)
        table.add_row(name, *cells)
    Console().print(table)

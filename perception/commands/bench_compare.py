"""Segmentation networks trained alike for the same time: accuracy, size and speed side by side."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perception.commands.bench import machine, take_turns
from perception.commands.paired_training import claim, train
from perception.console import console
from perception.errors import InputError, require
from perception.files import write_json
from perception.geometry.size import parse_size
from perception.models.pretrained import save_pretrained
from perception.models.recipe import Recipe
from perception.models.zoo import ZOO, count_macs, create_model

CONFIG = Path("configs/camvid/multitask_resnet18_slim_208x288.yaml")
PEER = "smp_fpn_resnet18"
MODELS = (
    "multitask_resnet18_slim",
    "lraspp_mobilenetv3_large",
    "unet_resnet18",
    "deeplabv3plus_mobilenetv3_large",
    PEER,
)


def main(
    *,
    out: Path,
    config: Path = CONFIG,
    root: Path | None = None,
    models: list[str] = list(MODELS),  # noqa: B006 - parsed from the signature, never changed
    minutes: float = 15.0,
    size: str = "240x320",
    batch_size: int | None = None,
    seed: int = 0,
    rounds: int = 15,
) -> dict[str, Any]:
    """Train each network's semantic head from random weights for the same wall time, then time all of them.

    Data, augmentation, losses, optimiser and precision are the config's for all. Evaluation is at SIZE, scored on the
    labels as stored. What is trained is measured once and kept in OUT, so models can be added later; the weights of
    models of the zoo are in OUT/NAME, for `--model`. Times are of one picture from tensor to classes, in turns.

    Args:
        out: folder for figures and weights of each training.
        config: as for `perception fit`, whose model is perception.tasks.MultiTask.
        root: of the data; default the config's.
        models: names of the zoo, or ``smp_fpn_resnet18``: the FPN of segmentation-models-pytorch.
        minutes: of training for each.
        size: ``HxW`` of training crops and of evaluation.
        batch_size: pictures a step; default the config's.
        seed: of weights and data.
        rounds: timed rounds after one that warms up.

    Raises:
        InputError: for bad input, or a folder that holds figures of other settings.
    """
    height, width = parse_size(size)
    if not minutes > 0 or rounds < 1:
        raise InputError(f"minutes {minutes:g} and rounds {rounds} must be above 0")
    with _peer(PEER in models):
        unknown = [name for name in models if name not in ZOO]
        if unknown:
            raise InputError(f"unknown model {unknown[0]!r}; use names of perception models, or {PEER}")
        options = [f"--seed_everything={seed}", f"--model.init_args.eval_size=[{height},{width}]"]
        options += [f"--data.init_args.{name}=[{height},{width}]" for name in ("size", "base_size")]
        options += [] if root is None else [f"--data.init_args.root={root}"]
        options += [] if batch_size is None else [f"--data.init_args.batch_size={batch_size}"]
        claim(out, {"config": config.read_text(encoding="utf-8"), "options": options, "minutes": minutes})
        for name in models:
            path = out / f"{name}.json"
            if not path.exists():
                console.print(f"training {name}", highlight=False)
                write_json(path, _train(config, options, name, minutes, out))
        rows = _rows(out, models, (height, width), rounds)
    return {"bench": "compare", "size": size, "minutes": minutes, "models": rows, "machine": machine()}


def _rows(out: Path, models: list[str], size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """Figures of each model, and its speed beside the others'."""
    found = {name: json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in models}
    times = take_turns({name: _inference(name, found[name]["classes"], size) for name in models}, rounds)
    rows = []
    for name in models:
        facts = _semantic_facts(name, found[name]["classes"], size)
        rows.append(
            {
                "name": name,
                "miou": round(100 * found[name]["miou"], 2),
                "params": facts["params"],
                "gmacs": facts["gmacs"],
                "images_per_second": round(1e3 / statistics.median(times[name]), 1),
                "steps": found[name]["steps"],
            }
        )
    return rows


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{result['minutes']:g} minutes each at {result['size']}"
    table = Table("model", "mIoU %", "M params", "GMACs", "images/s", "steps", title=title)
    for row in sorted(result["models"], key=lambda row: -row["miou"]):
        table.add_row(
            row["name"], f"{row['miou']:.1f}", f"{row['params'] / 1e6:.2f}", f"{row['gmacs']:.2f}",
            f"{row['images_per_second']:.1f}", str(row["steps"]),
        )  # fmt: skip
    Console().print(table)


def _train(config: Path, options: list[str], name: str, minutes: float, out: Path) -> dict[str, Any]:
    from perception.commands.lightning import parse
    from perception.tasks import MultiTask

    arguments = [
        "--config", str(config), *options, f"--model.init_args.model={name}", "--model.init_args.heads=[semantic]",
        "--model.init_args.task_weights={semantic: 1.0}",
    ]  # fmt: skip
    cli = parse(arguments)
    if type(cli.model) is not MultiTask:
        raise InputError(f"{config} trains {type(cli.model).__name__}; bench compare trains MultiTask")
    values = train(cli, cli.model, None, "validate", minutes)
    if name != PEER:
        save_pretrained(cli.model.model, out / name)
    return {"miou": values["val/semantic/miou"], "steps": int(values["steps"]), "classes": cli.model.num_classes}


def _inference(name: str, classes: int, size: tuple[int, int]) -> Callable[[], None]:
    import torch

    network = create_model(name, num_classes=classes, heads=["semantic"]).eval().to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, *size).to(memory_format=torch.channels_last)

    def call() -> None:
        with torch.inference_mode():
            network.decode(network(image))

    return call


def _semantic_facts(name: str, classes: int, size: tuple[int, int]) -> dict[str, Any]:
    import torch

    with torch.device("meta"):
        model = create_model(name, num_classes=classes, heads=["semantic"]).eval()
        macs = count_macs(model, torch.empty(1, 3, *size))
    return {"params": sum(p.numel() for p in model.parameters()), "gmacs": round(macs / 1e9, 2)}


@contextmanager
def _peer(wanted: bool) -> Iterator[None]:
    """Let the tasks build the FPN of segmentation-models-pytorch by a name for a while."""
    if not wanted:
        yield
        return
    from perception.models.semantic.base import SemanticModel

    smp = require("segmentation_models_pytorch", "dev")

    class PeerFPN(SemanticModel):
        def __init__(self, label_set: Any, **options: Any) -> None:
            options.pop("pretrained", None)
            super().__init__(label_set, **options)
            self.network = smp.FPN("resnet18", encoder_weights=None, classes=self.num_classes)

        stride = 32

        def parts(self) -> dict[str, Any]:
            return {"backbone": self.network.encoder, "semantic": self.network.decoder}

        def logits(self, image: Any) -> Any:
            return self.network(image), []

    paper = "Panoptic Feature Pyramid Networks - arXiv 1901.02446"
    ZOO[PEER] = Recipe(PeerFPN, "semantic", "resnet18", paper)
    try:
        yield
    finally:
        del ZOO[PEER]

"""Every model of the zoo trains: its loss on one batch before and after a few steps, and its weights saved and read."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from perception.commands.bench import machine
from perception.console import track
from perception.errors import InputError
from perception.geometry.size import parse_size
from perception.models.zoo import ZOO, list_models

POINTS = (900, 700)
"""Points of the two clouds of a made-up batch."""


def main(
    models: list[str] | None = None,
    sizes: list[str] = ["65x97", "50x110"],  # noqa: B006 - parsed from the signature, never changed
    steps: int = 5,
    lr: float = 2e-5,
) -> dict[str, Any]:
    """Train models for a few steps on one made-up batch, from random weights, and save and read them.

    Args:
        models: names; default all of the zoo.
        sizes: of the pictures, ``HxW`` each; LiDAR networks take the same two clouds every time.
        steps: of AdamW.
        lr: its learning rate.

    Returns:
        ``models``: name, parameters, and for each size the loss before and after; ``falls``: whether it fell at each;
        ``unreached``: parameters that no loss reaches;
        ``saved``: whether the weights came back the same.
    """
    names = models or list_models()
    unknown = [name for name in names if name not in ZOO]
    if unknown:
        raise InputError(f"unknown model {unknown[0]!r}; perception models lists them")
    if steps < 1 or not lr > 0:
        raise InputError(f"steps {steps} and lr {lr:g} must be above 0")
    rows = [check_model(name, [parse_size(size) for size in sizes], steps, lr) for name in track(names, "training")]
    return {"bench": "zoo", "steps": steps, "lr": lr, "models": rows, "machine": machine()}


def check_model(
    name: str, sizes: list[tuple[int, int]], steps: int = 5, lr: float = 2e-5, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Losses of a model at each size, from the same weights, and whether its weights come back from a file."""
    import torch

    start = time.perf_counter()
    losses = {}
    for size in sizes:
        torch.manual_seed(0)
        task = _task(name, options or {})
        losses[f"{size[0]}x{size[1]}"], unreached = _falling(task, _batch(size), steps, lr)
    return {
        "name": name,
        "params": sum(parameter.numel() for parameter in task.model.parameters()),
        "losses": losses,
        "falls": all(last < first for first, last in losses.values()),
        "unreached": unreached,
        "saved": _comes_back(task.model),
        "seconds": round(time.perf_counter() - start, 1),
    }


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "M params", "loss before and after", "falls", "saved")
    for row in result["models"]:
        shown = ", ".join(f"{first:.2f} -> {last:.2f} ({size})" for size, (first, last) in row["losses"].items())
        marks = ["yes" if row[key] else "NO" for key in ("falls", "saved")]
        table.add_row(row["name"], f"{row['params'] / 1e6:.2f}", shown, *marks)
    Console().print(table)


def _task(name: str, options: dict[str, Any]) -> Any:
    from perception.tasks import LidarSegmentation, MultiTask, SensorFusion

    kind = ZOO[name].kind
    if kind == "lidar":
        return LidarSegmentation(name, ZOO[name].label_set.name, model_options=options)
    task = SensorFusion if kind == "fusion" else MultiTask
    return task(name, "road_scene", model_options=options, balance="fixed")


def _batch(size: tuple[int, int]) -> Any:
    """Two pictures of halves and a square each, with every target, and two clouds that lie in them."""
    import torch

    from perception.types import Batch, PointBatch

    generator = torch.Generator().manual_seed(0)
    height, width = size
    image = 0.3 * torch.rand(2, 3, *size, generator=generator)
    semantic = torch.full((2, *size), 255)
    semantic[0, :, : width // 2], semantic[0, :, width // 2 :] = 0, 8
    semantic[1, height // 5 : height // 2], semantic[1, height // 2 :] = 13, 2
    boxes = torch.tensor([[[0.1, 0.1, 0.4, 0.6]], [[0.5, 0.3, 0.9, 0.9]]]) * torch.tensor([width, height] * 2)
    for picture, (left, top, right, bottom) in enumerate(boxes[:, 0].long().tolist()):
        image[picture, picture, top:bottom, left:right] += 0.7
    total = sum(POINTS)
    spread = torch.tensor([30.0, 30.0, 2.0])
    points = torch.cat([(2 * torch.rand(total, 3, generator=generator) - 1) * spread, torch.zeros(total, 2)], dim=1)
    cloud = torch.repeat_interleave(torch.arange(2), torch.tensor(POINTS))
    lidar = PointBatch(
        points=points,
        cloud=cloud,
        clouds=2,
        labels=(points[:, 2] > 0).long() * 10 + (points[:, 0] > 0).long(),
        image=cloud,
        pixel=torch.rand(total, 2, generator=generator) * torch.tensor([width, height]),
    )
    mask = (semantic == 2).long()
    return Batch(
        image, ["a", "b"], semantic=semantic, drivable=mask, lane=mask, boxes=boxes,
        box_labels=torch.tensor([[0], [5]]), has_boxes=torch.tensor([True, True]), lidar=lidar,
    )  # fmt: skip


def _falling(task: Any, batch: Any, steps: int, lr: float) -> tuple[tuple[float, float], list[str]]:
    """The loss before and after training, with the same dropout at every step, and parameters without a gradient."""
    import torch

    from perception.tasks import LidarSegmentation

    task.train()
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=lr)
    values, unreached = [], []
    for step in range(steps + 1):
        torch.manual_seed(1)
        if isinstance(task, LidarSegmentation):
            loss = task.loss(task.model(batch.lidar), batch.lidar.labels, task.model.grid_labels(batch.lidar))
        else:
            loss = sum(task.losses(task.forward_batch(batch, batch.image), batch).values())
        values.append(float(loss.detach()))
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            unreached = [key for key, value in task.model.named_parameters() if value.grad is None]
            optimizer.step()
    return (values[0], values[-1]), unreached


def _comes_back(model: Any) -> bool:
    import torch

    from perception.models.checkpoint import load, save

    with tempfile.TemporaryDirectory() as folder:
        again = load(save(model, Path(folder) / "model")).state_dict()
    own = model.state_dict()
    return list(own) == list(again) and all(torch.equal(value, again[key]) for key, value in own.items())

"""What Lightning costs: its training step against a bare loop over the same model, data and optimiser."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from perception.console import track
from perception.tasks.multitask import MultiTask
from perception.taxonomy import ROAD_SCENE
from perception.types import Batch

STEPS = 10
"""Steps of each contestant in a round."""

CLIP = 5.0


def random_batch(batch_size: int, size: tuple[int, int], seed: int) -> Batch:
    """Random pictures with a target for every head."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch_size, *size)
    corner = torch.rand(batch_size, 8, 2, generator=generator) * torch.tensor([size[1] * 0.7, size[0] * 0.7])
    extent = 8 + torch.rand(batch_size, 8, 2, generator=generator) * min(size) * 0.25
    return Batch(
        image=torch.rand(batch_size, 3, *size, generator=generator),
        names=[f"{seed}_{i}" for i in range(batch_size)],
        semantic=torch.randint(0, len(ROAD_SCENE.classes), shape, generator=generator),
        drivable=torch.randint(0, 2, shape, generator=generator),
        lane=torch.randint(0, 2, shape, generator=generator),
        boxes=torch.cat([corner, corner + extent], dim=2),
        box_labels=torch.randint(0, len(ROAD_SCENE.detection), (batch_size, 8), generator=generator),
        has_boxes=torch.ones(batch_size, dtype=torch.bool),
    )


def bench_train(model: str, size: tuple[int, int], rounds: int, batch_size: int, precision: str) -> dict[str, Any]:
    options: dict[str, Any] = {"label_set": ROAD_SCENE.name, "balance": "fixed"}
    batches = [random_batch(batch_size, size, seed) for seed in range(4)]
    bare = BareLoop(MultiTask(model, **options), batches, precision)
    shares = HandOver(batches, rounds, bare)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
        trainer = pl.Trainer(
            max_epochs=1,
            precision=precision,  # type: ignore[arg-type]
            logger=pl.loggers.CSVLogger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=CLIP,
            log_every_n_steps=20,
            default_root_dir=folder,
        )
        trainer.fit(MultiTask(model, **options), DataLoader(shares, batch_size=None))
    lightning, bare_times = shares.seconds, bare.seconds[1 : rounds + 1]
    ratios = [a / b for a, b in zip(lightning, bare_times, strict=True)]
    step = {"lightning": statistics.median(lightning) / STEPS, "bare loop": statistics.median(bare_times) / STEPS}
    return {
        "milliseconds": {f"{name}, step of {batch_size}": round(value * 1e3, 2) for name, value in step.items()},
        "ratios": {"lightning / bare loop": round(statistics.median(ratios), 3)},
        "figures": {"images per second through Lightning": round(batch_size / step["lightning"], 1)},
    }


class BareLoop:
    """A plain PyTorch loop: forward, losses, backward, clip, step, schedule."""

    def __init__(self, task: MultiTask, batches: list[Batch], precision: str) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.task = task.to(self.device).train()
        self.batches = batches
        self.autocast = precision.startswith("bf16")
        parameters = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=task.lr, weight_decay=task.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda _: 1.0)
        self.seconds: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        for step in range(STEPS):
            batch = self.batches[step % len(self.batches)].to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                losses = self.task.losses(self.task(batch.image), batch)
                total = self.task.balance(losses)
            self.optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.task.parameters(), CLIP)
            self.optimizer.step()
            self.schedule.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - start)


class HandOver(torch.utils.data.IterableDataset[Batch]):
    """Batches for Lightning; before each share of steps the bare loop has its turn.

    Both then see the same machine in the same minute, inside one ``fit``. Lightning fetches one batch ahead, so a
    share begins and ends one step before its first and last batch; its number of steps is the same.
    """

    def __init__(self, batches: list[Batch], rounds: int, bare: BareLoop) -> None:
        self.batches = batches
        self.rounds = rounds
        self.bare = bare
        self.seconds: list[float] = []
        """Lightning's time for each share but the first, which warms up, and the last, which is cut short."""

    def __iter__(self) -> Iterator[Batch]:
        started = 0.0
        for number in track(range(self.rounds + 2), "timing"):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number > 1:
                self.seconds.append(time.perf_counter() - started)
            self.bare.run()
            started = time.perf_counter()
            for step in range(STEPS):
                yield self.batches[step % len(self.batches)]

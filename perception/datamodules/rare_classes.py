"""How often each class occurs in a training set, and a sampler that shows rare ones more often."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from perception.console import track
from perception.errors import InputError
from perception.types import Sample

MIN_SHARE = 0.001
"""A picture shows a class where at least this share of its pixels is of it."""


def count_classes(read: Callable[[int], Sample], frames: int, classes: int) -> Tensor:
    """``(frames, classes)`` int64 pixels of each semantic class in each frame; frames without labels have none.

    Args:
        read: gives the sample of a frame.
    """
    counts = torch.zeros(frames, classes, dtype=torch.int64)
    for frame in track(range(frames), "counting classes"):
        semantic = read(frame).semantic
        if semantic is not None:
            counts[frame] = torch.bincount(semantic.flatten(), minlength=256)[:classes]
    return counts


class RareClassSampler(Sampler[int]):
    """Draws a class, rare ones more often, then a frame that shows it; frames may come again.

    Paper: DAFormer - arXiv 2111.14887. The probability of class c with share f_c of the labelled pixels is
    proportional to ``exp((1 - f_c) / temperature)``.

    Args:
        counts: ``(N, C)`` pixels of each class in each frame.
        temperature: small ones prefer rare classes more, large ones draw all classes alike.
        count: draws in an epoch.
        seed: of the order; with the epoch it decides it.

    Raises:
        InputError: for a temperature that is not above 0, or frames without any labelled pixel.
    """

    def __init__(self, counts: Tensor, temperature: float, count: int, seed: int = 0) -> None:
        if not temperature > 0:
            raise InputError(f"rare_class_temperature must be above 0, got {temperature}")
        total = counts.sum()
        if not total:
            raise InputError("no training frame has semantic labels; leave out rare_class_temperature")
        shows = counts >= (MIN_SHARE * counts.sum(dim=1, keepdim=True)).clamp(min=1)
        self.frames = [shows[:, c].nonzero().flatten() for c in range(counts.shape[1])]
        share = counts.sum(dim=0) / total
        # exp of the gap to the rarest class: the same ratios without overflow
        weight = torch.exp((share[shows.any(dim=0)].min() - share) / temperature)
        self.probability = torch.where(shows.any(dim=0), weight, torch.zeros_like(weight))
        self.probability /= self.probability.sum()
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        self.epoch += 1  # a trainer that calls set_epoch sets it anew
        drawn = torch.multinomial(self.probability, self.count, replacement=True, generator=generator)
        for index in drawn.tolist():
            frames = self.frames[index]
            yield int(frames[torch.randint(len(frames), (), generator=generator)])


def of_groups(counts: Tensor, groups: Sequence[Sequence[int]] | None) -> Tensor:
    """Counts of each group of frames that come together; those of the frames where each comes alone."""
    if groups is None:
        return counts
    return torch.stack([counts[list(group)].sum(dim=0) for group in groups])

"""What every data module does: loaders with seeded workers, and a cache of decoded samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perception.datamodules.collate import collate, collate_groups
from perception.datamodules.loading import STAGES, LoadingDataModule
from perception.datamodules.rare_classes import RareClassSampler, count_classes, of_groups
from perception.errors import InputError
from perception.taxonomy import LabelSet
from perception.transforms import eval_transform, train_transform
from perception.types import MASK_TARGETS, Batch, Sample


class ReadableDataset(Protocol):
    """A data set that can hand out samples before its transform."""

    label_set: LabelSet

    def __len__(self) -> int: ...
    def read(self, index: int) -> Sample: ...


class TransformedDataset(Dataset[Sample]):
    """A data set with a transform, and with decoded samples kept in memory on request.

    Decoding a PNG costs several times the work of augmenting it; on a machine with few cores it takes time from
    training. Each loader worker holds its own copy of what it has read, masks in a byte a pixel.
    """

    def __init__(self, dataset: ReadableDataset, transform: Callable[[Sample], Sample], cache: bool = False) -> None:
        self.dataset = dataset
        self.transform = transform
        self.cache: dict[int, Sample] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.transform(self.read(index))

    def read(self, index: int) -> Sample:
        """The sample before the transform."""
        if self.cache is None:
            return self.dataset.read(index)
        if index not in self.cache:
            sample = self.dataset.read(index)
            small: dict[str, Any] = {name: mask.to(torch.uint8) for name, mask in _masks(sample) if _fits_byte(mask)}
            self.cache[index] = replace(sample, **small)
        kept = self.cache[index]
        masks: dict[str, Any] = {name: mask.long() for name, mask in _masks(kept)}
        return replace(kept, **masks)


def _masks(sample: Sample) -> list[tuple[str, Tensor]]:
    return [(name, mask) for name in MASK_TARGETS if (mask := getattr(sample, name)) is not None]


def _fits_byte(mask: Tensor) -> bool:
    return bool(mask.numel()) and int(mask.min()) >= 0 and int(mask.max()) <= 255


class GroupedDataset(Dataset[list[Sample]]):
    """The views of each group of a data set together.

    Args:
        views: the data set of single images.
        groups: indices into it, one list a group.
    """

    def __init__(self, views: TransformedDataset, groups: Sequence[Sequence[int]]) -> None:
        self.views = views
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> list[Sample]:
        return [self.views[i] for i in self.groups[index]]


class DrivingDataModule(LoadingDataModule):
    """Base of the data modules: subclasses say which data set each split reads.

    Args:
        size: ``(height, width)`` of training crops.
        eval_size: ``(height, width)`` to which evaluation images and labels are resized; ``None`` as stored.
        base_size: size of the whole picture at scale 1 in training; ``size`` by default.
        scale, flip, jitter, hue, blur, noise, grayscale: see :func:`perception.transforms.train_transform`.
        batch_size: images per training step and device; with grouped cameras, samples of several images.
        eval_batch_size: images, or samples, per evaluation step.
        num_workers: loader processes.
        cache: keep decoded training samples in memory.
        rare_class_temperature: draw training frames by the semantic classes that they show, rare ones more often, see
            :class:`perception.datamodules.rare_classes.RareClassSampler`; the paper's is 0.01. ``None`` shows every
            frame once an epoch.
    """

    label_set: LabelSet

    def __init__(
        self,
        size: Sequence[int],
        eval_size: Sequence[int] | None = None,
        base_size: Sequence[int] | None = None,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: float = 0.5,
        jitter: float = 0.4,
        hue: float = 0.05,
        blur: float = 0.0,
        noise: float = 0.0,
        grayscale: float = 0.0,
        batch_size: int = 8,
        eval_batch_size: int = 1,
        num_workers: int = 2,
        cache: bool = False,
        rare_class_temperature: float | None = None,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers)
        self.cache = cache
        self.train_transform = train_transform(
            size, scale, flip, jitter, hue, blur, noise, grayscale, base=base_size or size
        )
        self.eval_transform = eval_transform(eval_size)
        self.size = (size[0], size[1])
        self.datasets: dict[str, TransformedDataset] = {}
        if rare_class_temperature is not None and not rare_class_temperature > 0:
            raise InputError(f"rare_class_temperature must be above 0, got {rare_class_temperature}")
        self.rare_class_temperature = rare_class_temperature
        self._class_counts: Tensor | None = None

    @abstractmethod
    def build_dataset(self, stage: str) -> ReadableDataset:
        """The data set of ``train``, ``val``, ``test`` or ``predict``."""

    def setup(self, stage: str) -> None:
        for name in STAGES.get(stage, (stage,)):
            if name not in self.datasets:
                train = name == "train"
                transform = self.train_transform if train else self.eval_transform
                self.datasets[name] = TransformedDataset(self.build_dataset(name), transform, self.cache and train)

    def class_counts(self) -> Tensor:
        """``(frames, C)`` int64 pixels of each semantic class in each training frame, counted once."""
        if self._class_counts is None:
            frames = self.datasets["train"]
            self._class_counts = count_classes(frames.read, len(frames), len(self.label_set.classes))
        return self._class_counts

    def class_pixels(self) -> Tensor:
        """``(C,)`` float64 pixels of each semantic class in the training frames."""
        return self.class_counts().sum(dim=0).double()

    def groups(self, stage: str) -> list[list[int]] | None:
        """Indices of the images that come together, one list a sample; ``None`` where each comes alone."""
        return None

    def items(self, stage: str) -> tuple[Dataset[Any], Callable[[Any], Batch]]:
        """What the loader of a stage draws from, and what makes batches of it."""
        groups = self.groups(stage)
        if groups is None:
            return self.datasets[stage], collate
        return GroupedDataset(self.datasets[stage], groups), collate_groups

    def split_loader(self, stage: str) -> DataLoader[Batch]:
        train = stage == "train"
        dataset: Any
        dataset, collate_fn = self.items(stage)
        if train and len(dataset) < self.batch_size:
            what = "frames" if collate_fn is collate else "samples of all cameras"
            raise InputError(f"{len(dataset)} training {what} are fewer than batch_size {self.batch_size}")
        sampler = None
        if train and self.rare_class_temperature is not None:
            counts = of_groups(self.class_counts(), self.groups(stage))
            if len(counts) != len(dataset):
                raise InputError("rare_class_temperature does not go with LiDAR that some keyframes lack")
            sampler = RareClassSampler(counts, self.rare_class_temperature, len(dataset), torch.initial_seed() % 2**31)
        return self.loader(dataset, train, collate_fn, sampler)

"""Several data sets in one training, in one label set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from perception.datamodules.base import DrivingDataModule
from perception.datamodules.collate import collate
from perception.datamodules.loading import LoadingDataModule
from perception.errors import InputError
from perception.taxonomy import LabelMapping, get_label_set, label_mapping
from perception.transforms.joint import check_size
from perception.types import IGNORE_INDEX, Sample

EACH = "each"


class RelabelledDataset(Dataset[Sample]):
    """A data set in another label set.

    Semantic classes without a counterpart become 255, boxes without one are left out, and ``known_boxes`` says for
    which box classes the data set has labels.

    Args:
        dataset: of transformed samples.
        mapping: from its label set.
    """

    def __init__(self, dataset: Dataset[Sample], mapping: LabelMapping) -> None:
        self.dataset = dataset
        self.classes = torch.from_numpy(mapping.table()).long()
        self.box_labels = mapping.box_table()
        self.known_boxes = mapping.known_boxes()
        self.has_detection = bool(mapping.detection)
        self.has_semantic = bool(mapping.classes)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        return self.relabel(self.dataset[index])

    def relabel(self, sample: Sample) -> Sample:
        semantic, boxes = sample.semantic, sample.boxes
        if semantic is not None:
            semantic = self.classes[semantic] if self.has_semantic else None
        if boxes is not None:
            labels = self.box_labels[boxes.labels]
            boxes = replace(boxes, labels=labels)[labels >= 0] if self.has_detection else None
        return replace(sample, semantic=semantic, boxes=boxes, known_boxes=None if boxes is None else self.known_boxes)


class MixedDataset(Dataset[Sample]):
    """Data sets one after the other, with an index over all of them."""

    def __init__(self, datasets: Sequence[RelabelledDataset]) -> None:
        self.datasets = list(datasets)
        self.starts = [0]
        for dataset in datasets:
            self.starts.append(self.starts[-1] + len(dataset))

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> Sample:
        place = next(i for i, end in enumerate(self.starts[1:]) if index < end)
        return self.datasets[place][index - self.starts[place]]


class MixedSampler(Sampler[int]):
    """Draws data sets by weight and their frames in random order, each once before any comes again.

    Over any number of draws the share of a data set is within one frame of its weight: the next frame is of the data
    set that is furthest behind its share.

    Args:
        lengths: of the data sets, in the order of :class:`MixedDataset`.
        weights: relative shares.
        count: draws in an epoch.
        seed: of the order; with the epoch it decides it, on every device alike.
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float], count: int, seed: int = 0) -> None:
        self.lengths, self.count, self.seed = list(lengths), count, seed
        total = sum(weights)
        self.shares = [weight / total for weight in weights]
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        starts = [sum(self.lengths[:i]) for i in range(len(self.lengths))]
        order: list[list[int]] = [[] for _ in self.lengths]
        drawn = [0] * len(self.lengths)
        for step in range(1, self.count + 1):
            place = max(range(len(self.lengths)), key=lambda i: self.shares[i] * step - drawn[i])
            if not order[place]:
                order[place] = torch.randperm(self.lengths[place], generator=generator).tolist()
            drawn[place] += 1
            yield starts[place] + order[place].pop()


class MixedDataModule(LoadingDataModule):
    """Trains on several data sets at once, each with the labels that it has.

    Every source keeps its own transforms; the training crops of all must have one size. Labels are mapped to one label
    set (:func:`perception.taxonomy.label_mapping`). A target that a data set does not have is skipped by the loss, and
    so are box classes that it does not label.

    Args:
        sources: data modules by a name of yours, which stands in the keys of measures. Their batch sizes and loader
            options do not count.
        weights: share of each source in the training frames; equal by default.
        label_set: what the labels become.
        validate: ``each`` measures every source under ``val/<name>/...``; the name of one measures that one only,
            under ``val/...``. The same goes for tests and predictions.
        frames_per_epoch: training frames in an epoch; by default as many as there are.
        seed: of the order of frames.
        size: ``[height, width]`` of training crops; every source must have the same. By default that of the
            first.
        batch_size, eval_batch_size, num_workers: as in :class:`DrivingDataModule`.

    Raises:
        InputError: for sources, weights or sizes that do not fit together.
    """

    def __init__(
        self,
        sources: dict[str, DrivingDataModule],
        weights: dict[str, float] | None = None,
        label_set: str = "road_scene",
        validate: str = EACH,
        frames_per_epoch: int | None = None,
        seed: int = 0,
        size: list[int] | None = None,
        batch_size: int = 8,
        eval_batch_size: int = 1,
        num_workers: int = 2,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers)
        if not sources:
            raise InputError("sources is empty; name at least one data module")
        bad = [name for name in sources if not name or "/" in name]
        if bad:
            raise InputError(f"source name {bad[0]!r} must not be empty or have a slash")
        weights = dict.fromkeys(sources, 1.0) if weights is None else weights
        if set(weights) != set(sources):
            raise InputError(f"weights name {sorted(weights)}, sources {sorted(sources)}; give each source one")
        if not all(weight > 0 for weight in weights.values()):
            raise InputError(f"weights must be above 0, got {weights}")
        drawing = [name for name, source in sources.items() if source.rare_class_temperature is not None]
        if drawing:
            raise InputError(f"source {drawing[0]!r} has a rare_class_temperature; a mix draws frames by its weights")
        if validate != EACH and validate not in sources:
            raise InputError(f"validate {validate!r} must be {EACH} or one of {', '.join(sources)}")
        if frames_per_epoch is not None and frames_per_epoch < batch_size:
            raise InputError(f"frames_per_epoch {frames_per_epoch} is less than batch_size {batch_size}")
        self.size = next(iter(sources.values())).size if size is None else check_size(size)
        for name, source in sources.items():
            if source.size != self.size:
                raise InputError(
                    f"source {name!r} has crops of {source.size}, the mix of {self.size}; give all one size"
                )
        self.sources = sources
        self.weights = weights
        self.label_set = get_label_set(label_set)
        self.validate = validate
        self.frames_per_epoch = frames_per_epoch
        self.seed = seed

    @property
    def eval_names(self) -> list[str] | None:
        """Names of the evaluation loaders in their order; ``None`` where there is one, which needs no name."""
        return list(self.sources) if self.validate == EACH else None

    @property
    def eval_labelled(self) -> list[Tensor]:
        """``(C,)`` bool of each evaluation loader: the semantic classes that its data set can tell. What the model
        calls by another name is an error of the true class, and no class of its own."""
        rows = []
        for name, source in self.sources.items():
            if self.validate in (EACH, name):
                rows.append(torch.zeros(len(self.label_set.classes), dtype=torch.bool))
                mapping = label_mapping(source.label_set, self.label_set)
                rows[-1][list(self.label_set.indices(tuple(mapping.classes.values())))] = True
        return rows

    def class_pixels(self) -> Tensor:
        """``(C,)`` float64 pixels of each semantic class that a training frame has on average, over the weights."""
        total = torch.zeros(len(self.label_set.classes), dtype=torch.float64)
        for name, source in self.sources.items():
            table = torch.from_numpy(label_mapping(source.label_set, self.label_set).table()).long()
            counts = source.class_counts().double().mean(dim=0) * self.weights[name]
            classes = table[: len(counts)]
            known = classes != IGNORE_INDEX
            total.index_add_(0, classes[known], counts[known])
        return total

    def setup(self, stage: str) -> None:
        for name, source in self.sources.items():
            source.trainer = self.trainer
            if stage in ("fit", "validate") or self.validate in (EACH, name):
                source.setup(stage)
                if any(source.groups(part) is not None for part in source.datasets):
                    raise InputError(f"source {name!r} groups its cameras or reads LiDAR; a mix takes single images")

    def _datasets(self, stage: str) -> dict[str, RelabelledDataset]:
        chosen = {n: s for n, s in self.sources.items() if stage == "train" or self.validate in (EACH, n)}
        return {
            name: RelabelledDataset(source.datasets[stage], label_mapping(source.label_set, self.label_set))
            for name, source in chosen.items()
        }

    def split_loader(self, stage: str) -> Any:
        if stage != "train":
            loaders = [self.loader(dataset, False, collate) for dataset in self._datasets(stage).values()]
            return loaders if self.eval_names else loaders[0]
        datasets = self._datasets("train")
        lengths = [len(dataset) for dataset in datasets.values()]
        count = self.frames_per_epoch or sum(lengths)
        if count < self.batch_size:
            raise InputError(f"{count} training frames are fewer than batch_size {self.batch_size}")
        sampler = MixedSampler(lengths, [self.weights[name] for name in datasets], count, self.seed)
        return self.loader(MixedDataset([*datasets.values()]), True, collate, sampler)

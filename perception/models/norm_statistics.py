"""Batch-norm statistics measured anew on whole pictures.

Training sees windows, a few at a time, and a norm's running statistics remember the last ones: with few pictures a
step and norms of their own for each resolution they are noisy, and of other content than what inference sees.

Papers: Rethinking "Batch" in BatchNorm (precise batch norm) - arXiv 2105.07576; Universally Slimmable Networks
(statistics measured after training) - arXiv 1903.05134.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError
from perception.models.base import PerceptionModel


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """All batch norms of a model, those of every scale among them."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def recalibrate(model: PerceptionModel, pictures: Sequence[Tensor], scales: Sequence[float] | None = None) -> None:
    """Replace the running statistics of all batch norms by their averages over pictures.

    Args:
        model: left in the mode that it was in; weights do not change.
        pictures: each ``(3, H, W)``, float in 0..1, as the model takes them.
        scales: sizes that they are shown at, as shares of their own; by default those that the model has norms for,
            else their own size.

    Raises:
        InputError: for no pictures.
    """
    if not pictures:
        raise InputError("no pictures to measure batch-norm statistics on")
    norms = batch_norms(model)
    if not norms:
        return
    own = getattr(model, "scales", None)
    training, momenta = model.training, [norm.momentum for norm in norms]
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over calls
            norm.train()
        with torch.no_grad():
            for scale in scales or own or (1.0,):
                if own is not None:
                    model.select_scale(scale)
                for picture in pictures:
                    model(_shown_at(picture, scale)[None].contiguous(memory_format=torch.channels_last))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(training)


def _shown_at(picture: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return picture
    size = [max(32, round(side * scale)) for side in picture.shape[-2:]]
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True)[0]

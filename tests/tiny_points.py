"""Made-up LiDAR batches, and networks whose batch norms are not what they were made as."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from perception.types import PointBatch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def point_batch(*sizes: int, seed: int = 0, classes: int = 16, extent_m: float = 30.0) -> PointBatch:
    """Clouds of so many points each: uniform around the sensor, some of them beyond any range, labels with gaps."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(sizes)
    spread = torch.tensor([extent_m, extent_m, 3.0])
    xyz = (2 * torch.rand(total, 3, generator=generator) - 1) * spread
    xyz[::50] *= 4  # outside the field of view and the range
    intensity = torch.rand(total, 1, generator=generator)
    labels = torch.randint(0, classes + 1, (total,), generator=generator)
    labels[labels == classes] = 255
    cloud = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.int64))
    return PointBatch(torch.cat([xyz, intensity, torch.zeros(total, 1)], dim=1), cloud, len(sizes), labels=labels)


def shuffle_norms(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics and weights that matter."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                for tensor, low, high in (
                    (module.running_mean, -0.3, 0.3),
                    (module.running_var, 0.5, 1.5),
                    (module.weight, 0.7, 1.3),
                    (module.bias, -0.3, 0.3),
                ):
                    tensor.uniform_(low, high, generator=generator)
    return model

"""Batch norms that keep statistics of their own for every input scale.

The activations of a picture at a quarter of its resolution are distributed differently from those at full
resolution, so one set of weights serves several resolutions only with normalisation of each.

Papers: Resolution Switchable Networks for Runtime Efficient Image Recognition - arXiv 2007.09558; Slimmable
Neural Networks - arXiv 1812.08928.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from perception.errors import InputError
from perception.geometry.size import nearest_scale


class SwitchableBatchNorm2d(nn.Module):
    """One batch norm, statistics and affine parameters, per scale.

    Args:
        like: the batch norm that is replaced; every scale starts from its values.
        count: number of scales.

    Shape:
        - input, output: ``(B, C, H, W)``
    """

    def __init__(self, like: nn.BatchNorm2d, count: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(like.num_features, like.eps, like.momentum, like.affine, like.track_running_stats)
            for _ in range(count)
        )
        for norm in self.norms:
            norm.load_state_dict(like.state_dict())
        self.active = count - 1

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[self.active](x)


def make_switchable(model: nn.Module, scales: Sequence[float]) -> None:
    """Replace every batch norm of ``model``; layers that timm derives from ``BatchNorm2d`` keep their activation.

    Raises:
        InputError: for scales that do not ascend within 0..1, or a model without batch norms.
    """
    if not scales or list(scales) != sorted(set(scales)) or not 0 < scales[0] <= scales[-1] <= 1:
        raise InputError(f"scales {list(scales)} must ascend within 0..1")
    found = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, SwitchableBatchNorm2d(child, len(scales)))
                found += 1
            elif isinstance(child, nn.BatchNorm2d):
                # A norm with a fused activation: the activation follows the switchable norm.
                after = [
                    getattr(child, part)
                    for part in ("drop", "act")
                    if isinstance(getattr(child, part, None), nn.Module)
                ]
                setattr(parent, name, nn.Sequential(SwitchableBatchNorm2d(child, len(scales)), *after))
                found += 1
    if not found:
        raise InputError("scales need a network with batch norms; others run at every scale as they are")


def select_scale(model: nn.Module, scales: Sequence[float], scale: float) -> int:
    """Switch to the norms of the scale that is nearest by ratio, and return its position."""
    position = nearest_scale(scales, scale)
    for module in model.modules():
        if isinstance(module, SwitchableBatchNorm2d):
            module.active = position
    return position

"""Detection as centre points: fixed shapes, no anchors, no NMS, so that it captures in a graph and exports whole.

Paper: Objects as Points - arXiv 1904.07850.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.models.necks import ConvNormAct, Refinement

PRIOR = 0.01  # focal loss starts stable when every score starts near the share of positives


class CenterHead(nn.Module):
    """Class heatmaps with the offset and size of the box at each centre.

    Args:
        in_channels: of the pyramid level that it reads.
        num_classes: number of box classes.
        hidden_channels: width of the shared 3x3 convolution.
        level: stride of the map that it reads; one centre fits in each of its cells.
        top_k: number of boxes that :meth:`decode` returns.
        refinements: number of :class:`Refinement` before that convolution.
        box_groups: classes whose boxes come from a map of their own, a list for each such map; the other classes share
            the first map. A motorcycle before a car has its centre where the car has its own, and one map gives one
            box there. Groups of classes are those of CenterPoint (arXiv 2006.11275), there with a head for each.

    Shape:
        - input: ``(B, in_channels, h, w)``
        - output: ``{"heatmap": (B, num_classes, h, w) logits, "box": (B, 4 * maps, h, w)}``. Four channels of a map
          are the distances left, top, right, bottom from the cell centre to the edges, in input pixels, as
          ``level * exp(value)``.

    Attributes:
        box_map: ``(num_classes,)`` int64, the map that a class has its boxes from.

    The regression is of four edge distances (FCOS, arXiv 1904.01355) rather than size and offset: one map
    serves both, and a box cut off by the image border keeps its visible edges.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden_channels: int = 64,
        level: int = 4,
        top_k: int = 100,
        refinements: int = 0,
        box_groups: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        self.level = level
        self.num_classes = num_classes
        self.top_k = top_k
        self.refine = nn.Sequential(*(Refinement(in_channels) for _ in range(refinements)))
        self.conv = ConvNormAct(in_channels, hidden_channels)
        self.heatmap = nn.Conv2d(hidden_channels, num_classes, 1)
        self.box = nn.Conv2d(hidden_channels, 4 * (1 + len(box_groups)), 1)
        box_map = torch.zeros(num_classes, dtype=torch.int64)
        for number, group in enumerate(box_groups, start=1):
            box_map[list(group)] = number
        self.register_buffer("box_map", box_map, persistent=False)
        nn.init.constant_(self.heatmap.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]
        nn.init.constant_(self.box.bias, math.log(2.0))  # type: ignore[arg-type]

    box_map: Tensor

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.conv(self.refine(x))
        return {"heatmap": self.heatmap(x), "box": self.box(x)}

    def decode(self, outputs: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """The ``top_k`` best peaks as boxes.

        Args:
            outputs: of :meth:`forward`.
            size: ``(height, width)`` of the image, to which boxes are clipped.

        Returns:
            ``boxes`` ``(B, K, 4)`` float32 xyxy in pixels, ``scores`` ``(B, K)`` falling, ``labels`` ``(B, K)``
            int64, with ``K = min(top_k, num_classes * h * w)``.
        """
        scores = outputs["heatmap"].float().sigmoid()  # (B, C, h, w)
        # A peak is a cell that is the maximum of its 3x3 neighbourhood: this takes the place of NMS.
        peaks = scores * (F.max_pool2d(scores, 3, stride=1, padding=1) == scores)
        _, classes, height, width = peaks.shape
        top, index = peaks.flatten(1).topk(min(self.top_k, classes * height * width))  # (B, K)
        labels = index // (height * width)
        cell = index - labels * (height * width)
        row = cell // width
        column = cell - row * width
        edges = outputs["box"].float().flatten(1)  # (B, 4 * maps * h * w), of which only the peaks' are read
        channel = 4 * self.box_map[labels][..., None] + torch.arange(4, device=labels.device)  # (B, K, 4)
        place = channel * (height * width) + cell[..., None]
        edges = edges.gather(1, place.flatten(1)).unflatten(1, (-1, 4))  # (B, K, 4)
        left, above, right, below = (self.level * edges.clamp(max=8.0).exp()).unbind(2)
        x, y = (column + 0.5) * self.level, (row + 0.5) * self.level
        boxes = torch.stack(
            [
                (x - left).clamp(0, size[1]),
                (y - above).clamp(0, size[0]),
                (x + right).clamp(0, size[1]),
                (y + below).clamp(0, size[0]),
            ],
            dim=2,
        )
        return {"boxes": boxes, "scores": top, "labels": labels}

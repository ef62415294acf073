"""FRNet: Frustum-Range Networks for Scalable LiDAR Segmentation - arXiv 2312.04484.

Points are grouped into the frustums of a coarse range picture. A convolutional network works on that picture and,
stage by stage, hands its features to the points and takes theirs back, so that every point keeps features of its own
and none has to be guessed from a neighbour afterwards.

Departures from the paper: one output for each class, none for ignored points, and ignored points have no vote in the
labels of frustums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from perception.errors import InputError
from perception.models.lidar.base import LidarModel
from perception.models.lidar.frnet_backbone import FRNetBackbone
from perception.models.lidar.frustum_encoder import FrustumEncoder
from perception.models.lidar.grid import FrustumGrid
from perception.models.lidar.layers import linear_norm
from perception.taxonomy import LabelSet
from perception.types import PointBatch

NORM = {"eps": 1e-3, "momentum": 0.01}


class PointHead(nn.Module):
    """From a point's pixel to its scores, with the point's own features added on the way.

    Args:
        channels: width of the joined features, then those of the encoder's hidden layers from the last to the first.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        widths = [in_channels, *channels]
        self.layers = nn.ModuleList(
            nn.Sequential(*linear_norm(widths[i], widths[i + 1], **NORM)) for i in range(len(channels))
        )
        self.classifier = nn.Linear(channels[-1], classes)

    def forward(self, features: Tensor, skips: Sequence[Tensor]) -> Tensor:
        for layer, skip in zip(self.layers, skips, strict=True):
            features = layer(features) + skip
        return self.classifier(features)


class FRNet(LidarModel):
    """The frustum-range network; the defaults are the published nuScenes form.

    Args:
        label_set: what the outputs mean; ``num_classes`` overrides the number of outputs.
        image_channels: width of the camera features that are gated into the point embedding, 0 for none.
        grid: (height, width) of the frustum grid; elevation_deg: its upper and lower end.
        intensity_scale, age: as :class:`FrustumEncoder` takes them.
        encoder, embedding: widths of the point encoder; compressed: width of the frustum features made of it.
        stem, channels, blocks, strides, join, join_kernels, fusion_kernel: as :class:`FRNetBackbone` takes them.
        aux: whether the joined level and the levels from the second stage on have auxiliary heads in training.

    Raises:
        InputError: for a grid that the strides do not divide, or camera features that the model has no gate for.
    """

    def __init__(
        self,
        label_set: LabelSet,
        image_channels: int = 0,
        num_classes: int | None = None,
        grid: Sequence[int] = (32, 480),
        elevation_deg: Sequence[float] = (10.0, -30.0),
        intensity_scale: float = 255.0,
        age: bool = False,
        encoder: Sequence[int] = (64, 128, 256),
        embedding: int = 256,
        compressed: int = 16,
        stem: Sequence[int] = (64, 128, 128),
        channels: Sequence[int] = (128, 128, 128, 128),
        blocks: Sequence[int] = (3, 4, 6, 3),
        strides: Sequence[int] = (1, 2, 2, 2),
        join: Sequence[int] = (256, 128),
        join_kernels: Sequence[int] = (3, 3),
        fusion_kernel: int = 3,
        aux: bool = True,
    ) -> None:
        super().__init__(label_set, image_channels)
        self.classes = num_classes or len(label_set.classes)
        self.grid = FrustumGrid((grid[0], grid[1]), (elevation_deg[0], elevation_deg[1]))
        self.encoder = FrustumEncoder(encoder, embedding, intensity_scale, age, **NORM)
        self.compress = nn.Sequential(nn.Linear(embedding, compressed), nn.ReLU(inplace=True))
        self.backbone = FRNetBackbone(
            compressed, embedding, stem, channels, blocks, strides, join, join_kernels, fusion_kernel, **NORM
        )
        stride = self.backbone.total_stride
        if grid[0] % stride or grid[1] % stride:
            raise InputError(f"frustum grid {grid[0]}x{grid[1]} must be divisible by the total stride {stride}")
        self.head = PointHead(join[-1], [join[-1], *reversed(encoder)], self.classes)
        self.image_gate = self.build_gate(embedding)
        aux_channels = [join[-1], *channels[1:]] if aux else []
        self.aux_heads = nn.ModuleList(nn.Conv2d(width, self.classes, 1) for width in aux_channels)

    def forward(self, batch: PointBatch, image_features: Tensor | None = None) -> dict[str, Any]:
        cells = self.grid.locate(batch.points, batch.cloud, batch.clouds)
        hidden, embedding = self.encoder(batch.points, cells)
        embedding = self.gate_images(embedding, image_features)
        frustums = cells.to_pixels(embedding)
        occupied = cells.as_pixels(cells.occupied()[:, None])
        compressed = self.compress(frustums.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) * occupied
        joined, points, levels = self.backbone(compressed, embedding, cells)
        outputs: dict[str, Any] = {"lidar": self.head(cells.to_points(joined), [points, *reversed(hidden)])}
        if self.training and len(self.aux_heads):
            sources = [joined, *levels[2:]]
            outputs["lidar_aux"] = [head(source) for head, source in zip(self.aux_heads, sources, strict=True)]
        return outputs

    def grid_labels(self, batch: PointBatch) -> Tensor | None:
        if batch.labels is None or not len(self.aux_heads):
            return None
        return self.grid.locate(batch.points, batch.cloud, batch.clouds).majority(batch.labels, self.classes)

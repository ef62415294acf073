"""One backbone and one neck feeding any number of heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from perception.errors import InputError
from perception.models.backbones import build_backbone
from perception.models.base import DENSE_HEADS, HEADS, PerceptionModel, resize_logits
from perception.models.heads.center import CenterHead
from perception.models.heads.dense import SEMANTIC_HEADS, build_semantic_head
from perception.models.heads.detr import DetrHead
from perception.models.heads.fcn import FCNHead
from perception.models.necks import FeaturePyramid
from perception.models.switchable import make_switchable, select_scale
from perception.taxonomy import LabelSet

DETECTION_HEADS = ("center", "detr")

DETR_LEVELS = [8, 16, 32]

REFINEMENTS = 3
"""Of each level but the finest in the detection head's own pyramid; they cost little at strides of 8 and more."""


class Maps(NamedTuple):
    """What the heads read.

    Args:
        shared: ``(B, channels, h, w)`` map of each stride.
        boxes: ``(B, channels, h, w)`` of the detection head's own pyramid; ``None`` without one.
    """

    shared: dict[int, Tensor]
    boxes: Tensor | None


class MultiTaskModel(PerceptionModel):
    """Backbone, feature pyramid, and a ``ModuleDict`` of heads.

    Args:
        label_set: names the classes; ``num_classes`` overrides the number of semantic classes.
        backbone: timm name.
        heads: any of ``semantic``, ``drivable``, ``lane``, ``detection``.
        pretrained: backbone weights, as in :func:`build_backbone`.
        channels: width of the pyramid.
        head_channels: hidden width of each head; a single number for all or one per head name.
        semantic_head: ``fcn``, ``deeplabv3plus``, ``semantic_fpn``, ``lraspp`` or ``unet``, over the pyramid's levels.
        detection_level: stride of the map that the centre head reads.
        detection_head: ``center``, see :class:`CenterHead`, or ``detr``, the slower and more accurate
            :class:`DetrHead`, which reads strides 8, 16 and 32.
        detection_pyramid: the centre head has a pyramid of its own, which refines its levels and pools nothing over
            the picture, so that boxes are the same in a window as in the whole picture; by default it reads the
            shared one.
        detection_options: further options of that head, such as ``queries`` and ``layers`` of ``detr``;
            ``box_groups`` of ``center`` by names of classes, as ``[[pedestrian, motorcycle, bicycle]]``.
        context: pyramid pooling on the coarsest level.
        backbone_options: further options of the backbone.
        scales: ascending shares of the camera's resolution, each of which gets batch norms of its own; see
            :meth:`select_scale`.

    Attributes:
        train_stride: stride of the dense outputs in training mode: 1, 2 or 4. Losses on every second pixel cost a
            quarter of the memory traffic, which on a small network is much of a step.
        idle_heads: heads that do not run in training mode.

    Raises:
        InputError: for an unknown or repeated head, or a head whose classes the label set lacks.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str,
        heads: Sequence[str] = HEADS,
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        channels: int = 128,
        head_channels: int | dict[str, int] = 64,
        semantic_head: str = "fcn",
        detection_level: int = 4,
        detection_head: str = "center",
        detection_pyramid: bool = False,
        detection_options: dict[str, Any] | None = None,
        context: bool = True,
        backbone_options: dict[str, Any] | None = None,
        scales: Sequence[float] | None = None,
    ) -> None:
        super().__init__(label_set, in_channels)
        unknown = [name for name in heads if name not in HEADS]
        if unknown or not heads or len(set(heads)) != len(heads):
            raise InputError(f"heads {list(heads)} must be distinct and among {', '.join(HEADS)}")
        width = {name: head_channels if isinstance(head_channels, int) else head_channels[name] for name in heads}
        if detection_head not in DETECTION_HEADS:
            raise InputError(f"unknown detection_head {detection_head!r}; use one of {', '.join(DETECTION_HEADS)}")
        if semantic_head not in SEMANTIC_HEADS:
            raise InputError(f"unknown semantic_head {semantic_head!r}; use one of {', '.join(SEMANTIC_HEADS)}")
        self.semantic_levels = SEMANTIC_HEADS[semantic_head] if "semantic" in heads else ()
        self.queries = detection_head == "detr" and "detection" in heads
        if self.queries and detection_pyramid:
            raise InputError("detection_pyramid is for detection_head center; detr reads the shared pyramid")
        own = detection_pyramid and "detection" in heads
        self.levels = levels = {name: detection_level if name == "detection" else 4 for name in heads}
        apart = {"semantic"} | ({"detection"} if self.queries or own else set())
        read = [level for name, level in levels.items() if name not in apart]
        if self.queries:
            read += DETR_LEVELS
        read += self.semantic_levels
        read = read or [detection_level]
        if "semantic" in heads:
            levels["semantic"] = self.semantic_levels[0]
        self.backbone = build_backbone(backbone, pretrained, in_channels=in_channels, **(backbone_options or {}))
        self.neck = FeaturePyramid(self.backbone.channels, self.backbone.reductions, channels, read, context)
        self.detection_neck: FeaturePyramid | None = None
        if own:
            self.detection_neck = FeaturePyramid(
                self.backbone.channels,
                self.backbone.reductions,
                channels,
                [detection_level],
                context=False,
                refine=REFINEMENTS,
            )
        self.train_stride = 1
        self.idle_heads: frozenset[str] = frozenset()
        self.heads = nn.ModuleDict()
        for name in heads:
            if name == "detection":
                if not label_set.detection:
                    raise InputError(f"label set {label_set.name} has no detection classes; leave out head 'detection'")
                options = dict(detection_options or {})
                boxes = len(label_set.detection)
                if self.queries:
                    self.heads[name] = DetrHead(channels, boxes, width[name], DETR_LEVELS, **options)
                else:
                    options["box_groups"] = _box_groups(options.get("box_groups", ()), label_set)
                    self.heads[name] = CenterHead(channels, boxes, width[name], levels[name], **options)
            elif name == "semantic":
                classes = num_classes or len(label_set.classes)
                self.heads[name] = build_semantic_head(semantic_head, channels, classes, width[name])
            else:
                self.heads[name] = FCNHead(channels, 1, width[name], levels[name])

        self.scales = None if scales is None else tuple(scales)
        if self.scales is not None:
            make_switchable(self, self.scales)

    @property
    def head_names(self) -> tuple[str, ...]:
        return tuple(self.heads)

    def select_scale(self, scale: float) -> None:
        if self.scales is not None:
            select_scale(self, self.scales, scale)

    def parts(self) -> dict[str, nn.Module]:
        parts = {"backbone": self.backbone, "neck": self.neck, **self.heads}
        if self.detection_neck is not None:
            parts["detection"] = nn.ModuleList([self.detection_neck, self.heads["detection"]])
        return parts

    def forward(self, image: Tensor) -> dict[str, Any]:
        return self.predict(self.pyramid(image), (image.shape[-2], image.shape[-1]))

    @property
    def mask_strides(self) -> dict[str, int]:
        return {name: self.levels[name] for name in self.heads if name in DENSE_HEADS}

    def coarse(self, image: Tensor) -> dict[str, Any]:
        return self.predict(self.pyramid(image), (image.shape[-2], image.shape[-1]), coarse=True)

    def pyramid(self, image: Tensor) -> Maps:
        """Map of each stride that a head reads."""
        features = self.backbone(self.normalise(image))
        boxes = None
        if self.detection_neck is not None and not (self.training and "detection" in self.idle_heads):
            boxes = self.detection_neck(features)[self.levels["detection"]]
        return Maps(self.neck(features), boxes)

    def predict(self, maps: Maps, size: tuple[int, int], coarse: bool = False) -> dict[str, Any]:
        """Outputs of the heads from the pyramid of images of ``size``; coarse ones stay at the stride of their head."""
        stride = self.train_stride if self.training else 1
        dense = (size[0] // stride, size[1] // stride)
        outputs: dict[str, Any] = {}
        shared = maps.shared
        for name, head in self.heads.items():
            if self.training and name in self.idle_heads:
                continue
            if name == "detection" and self.queries:
                outputs[name] = head(shared)
            elif name == "detection":
                outputs[name] = head(shared[self.levels[name]] if maps.boxes is None else maps.boxes)
            else:
                several = name == "semantic" and len(self.semantic_levels) > 1
                read = [shared[level] for level in self.semantic_levels] if several else shared[self.levels[name]]
                logits = head(read)
                outputs[name] = logits if coarse else resize_logits(logits, dense, self.levels[name] // stride)
        if "detection" in outputs:
            outputs["detection"] |= {"size": size, "level": self.levels["detection"]}
        return outputs

    def decode(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        decoded = super().decode(outputs)
        if "detection" in outputs:
            detection = outputs["detection"]
            decoded |= self.heads["detection"].decode(detection, detection["size"])  # type: ignore[operator]
        return decoded


def _box_groups(groups: Sequence[Sequence[str]], label_set: LabelSet) -> list[list[int]]:
    """Numbers of the classes that share a map of boxes, from their names."""
    names = list(label_set.detection)
    if any(isinstance(group, str) for group in groups):
        raise InputError(f"box_groups {list(groups)} must be a list of lists of classes, as [[pedestrian, bicycle]]")
    named = [name for group in groups for name in group]
    unknown = [name for name in named if name not in names]
    if unknown:
        raise InputError(
            f"box_groups: {unknown[0]!r} is no box class of label set {label_set.name}; use {', '.join(names)}"
        )
    if len(set(named)) < len(named) or not all(groups):
        raise InputError(f"box_groups {list(map(list, groups))} must name each class once, at least one a group")
    return [[names.index(name) for name in group] for group in groups]

"""Mask2Former on this library's contract; pixel decoder, masked attention and loss are transformers' own.

Paper: Masked-attention Mask Transformer for Universal Image Segmentation - arXiv 2112.01527.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError, require
from perception.models.backbones import Backbone, build_backbone
from perception.models.base import resize_logits
from perception.models.semantic.base import SemanticModel
from perception.models.semantic.mask2former_segments import Instances, instances, panoptic
from perception.taxonomy import LabelSet
from perception.types import IGNORE_INDEX, Batch

SWIN: dict[str, dict[str, Any]] = {
    "swin_tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    "swin_large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}

SWIN_WEIGHTS = {
    "swin_tiny": "microsoft/swin-tiny-patch4-window7-224",
    "swin_small": "microsoft/swin-small-patch4-window7-224",
    "swin_base": "microsoft/swin-base-patch4-window12-384",
    "swin_large": "microsoft/swin-large-patch4-window12-384",
}

STRIDE = 4
"""Of the mask logits."""


class PyramidEncoder(nn.Module):
    """A backbone of this library where transformers' pixel decoder expects one of its own.

    Attributes:
        channels: of the four maps, at strides 4, 8, 16 and 32.

    Raises:
        InputError: for a backbone without maps at these strides.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        missing = [stride for stride in (4, 8, 16, 32) if stride not in backbone.reductions]
        if missing:
            raise InputError(f"Mask2Former reads strides 4 to 32; the backbone has {backbone.reductions}")
        self.backbone = backbone
        self.levels = [backbone.reductions.index(stride) for stride in (4, 8, 16, 32)]
        self.channels = [backbone.channels[level] for level in self.levels]

    def forward(self, image: Tensor) -> Any:
        from transformers.modeling_outputs import BackboneOutput

        maps = self.backbone(image)
        return BackboneOutput(feature_maps=tuple(maps[level] for level in self.levels))


class Mask2Former(SemanticModel):
    """One set of queries for semantic, instance and panoptic segmentation.

    In evaluation ``semantic`` is the logarithm of each class's share of the evidence, so that a softmax gives the
    shares back; they are summed over the queries at stride 4 and brought to the image's size bilinearly. Outputs also
    hold ``queries``: ``class_logits`` ``(B, Q, C + 1)``, the last for no object, ``mask_logits`` ``(B, Q, h, w)`` at
    stride 4 of the padded image, in training ``aux`` of the earlier layers, and the image's ``size``.

    Args:
        label_set, heads, num_classes, in_channels: see :class:`SemanticModel`.
        backbone: one of :data:`SWIN`, in transformers' form, or any timm name.
        pretrained: backbone weights. ``True`` downloads them; a path reads a local folder of transformers for Swin,
            a local safetensors file for others.
        things: classes whose objects are counted one by one in panoptic results; by default those of the label set
            that are also box classes.
        segments: whether :meth:`decode` also gives panoptic segments.
        score_threshold: confidence below which a query is no segment.
        overlap_threshold: share of a query's own mask that has to remain after the others took their pixels.
        config: further values of transformers' ``Mask2FormerConfig``, such as ``num_queries``.
        backbone_options: further values of transformers' ``SwinConfig``, or of the timm model.

    Raises:
        InputError: for a backbone that does not fit, or things that are not classes.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str = "resnet50",
        heads: Sequence[str] = ("semantic",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        things: Sequence[str] | None = None,
        segments: bool = True,
        score_threshold: float = 0.8,
        overlap_threshold: float = 0.8,
        config: dict[str, Any] | None = None,
        backbone_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(label_set, heads, num_classes, in_channels)
        transformers = require("transformers", "hub")
        names = tuple(name for name in label_set.classes if name in label_set.detection) if things is None else things
        self.thing_classes = [index for index in label_set.indices(tuple(names)) if index < self.num_classes]
        self.segments, self.score_threshold, self.overlap_threshold = segments, score_threshold, overlap_threshold
        options = dict(backbone_options or {})
        # A backbone of ours takes the place of the smallest Swin that can be built.
        swin = {"embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4}
        if backbone in SWIN:
            swin = {"drop_path_rate": 0.3, **SWIN[backbone], "num_channels": in_channels, **options}
        stages = ["stage1", "stage2", "stage3", "stage4"]
        settings = transformers.Mask2FormerConfig(
            backbone_config=transformers.SwinConfig(**swin, out_features=stages),
            num_labels=self.num_classes,
            output_auxiliary_logits=True,
            **(config or {}),
        )
        # Other kinds of attention do not survive an export to ONNX.
        settings._attn_implementation = "eager"
        self.network = transformers.Mask2FormerForUniversalSegmentation(settings)
        pixels = self.network.model.pixel_level_module
        if backbone in SWIN:
            pixels.encoder.swin.layernorm = nn.Identity()  # normalises what nobody reads
            if pretrained:
                from perception.models.pretrained_transformers import read_encoder

                source = SWIN_WEIGHTS[backbone] if pretrained is True else pretrained
                read_encoder(transformers.SwinModel, source, pixels.encoder.swin)
        else:
            pixels.encoder = PyramidEncoder(build_backbone(backbone, pretrained, None, in_channels, **options))
            pixels.decoder = type(pixels.decoder)(settings, feature_channels=pixels.encoder.channels)
            pixels.decoder.apply(self.network._init_weights)

    @property
    def stride(self) -> int:
        return 32

    def parts(self) -> dict[str, nn.Module]:
        pixels = self.network.model.pixel_level_module
        return {"backbone": pixels.encoder, "neck": pixels.decoder, "semantic": self.network.model.transformer_module}

    def forward(self, image: Tensor) -> dict[str, Any]:
        size = (image.shape[-2], image.shape[-1])
        raw = self.network(self.padded(image))
        queries: dict[str, Any] = {
            "class_logits": raw.class_queries_logits,
            "mask_logits": raw.masks_queries_logits,
            "size": size,
        }
        if self.training:
            queries["aux"] = raw.auxiliary_logits
        scores = class_scores(queries["class_logits"], queries["mask_logits"])
        semantic = resize_logits(scores, size, STRIDE).clamp(min=1e-6).log()
        return {"semantic": semantic, "queries": queries}

    def loss(self, outputs: dict[str, Any], batch: Batch) -> dict[str, Tensor]:
        """The paper's loss: matched classes, and masks at uncertain points, of every decoder layer.

        Every class of an image is one mask; ignored pixels are in none. Images without a labelled pixel are skipped.
        """
        if batch.semantic is None:
            return {}
        queries = outputs["queries"]
        masks, labels, used = [], [], []
        height, width = (STRIDE * side for side in queries["mask_logits"].shape[-2:])
        for i, target in enumerate(batch.semantic):
            classes = target.unique()
            classes = classes[classes != IGNORE_INDEX]
            if not len(classes):
                continue
            padding = (0, width - target.shape[-1], 0, height - target.shape[-2])
            target = F.pad(target, padding, value=IGNORE_INDEX)
            masks.append((target == classes[:, None, None]).float())
            labels.append(classes)
            used.append(i)
        if not used:
            return {"semantic": queries["class_logits"].sum() * 0.0 + queries["mask_logits"].sum() * 0.0}
        aux = [{key: value[used].float() for key, value in layer.items()} for layer in queries.get("aux") or []]
        class_logits, mask_logits = queries["class_logits"][used].float(), queries["mask_logits"][used].float()
        parts = self.network.get_loss_dict(mask_logits, class_logits, masks, labels, aux)
        return {"semantic": self.network.get_loss(parts)}

    def decode(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """Beside ``semantic``: ``segments`` ``(B, H, W)`` int64, the query of each pixel's segment or -1, and for each
        query ``segment_labels`` ``(B, Q)`` int64, -1 where it has no segment, and ``segment_scores`` ``(B, Q)``. Stuff
        has one segment for each class."""
        decoded = super().decode(outputs)
        if self.segments and not torch.compiler.is_exporting():
            masks = self._masks(outputs)
            class_logits = outputs["queries"]["class_logits"]
            limits = {"score": self.score_threshold, "overlap": self.overlap_threshold}
            found = [
                panoptic(classes, mask, self.thing_classes, **limits)
                for classes, mask in zip(class_logits, masks, strict=True)
            ]
            for i, name in enumerate(("segments", "segment_labels", "segment_scores")):
                decoded[name] = torch.stack([result[i] for result in found])
        return decoded

    def instances(self, outputs: dict[str, Any], top_k: int = 100) -> list[Instances]:
        """Objects of each image, most certain first."""
        things = self.thing_classes or list(range(self.num_classes))
        masks = self._masks(outputs)
        return [
            instances(classes, mask, things, top_k)
            for classes, mask in zip(outputs["queries"]["class_logits"], masks, strict=True)
        ]

    def _masks(self, outputs: dict[str, Any]) -> list[Tensor]:
        """``(Q, H, W)`` mask logits of each image at the size of its semantic map."""
        queries, size = outputs["queries"], outputs["semantic"].shape[-2:]
        masks = []
        for logits in queries["mask_logits"]:  # one at a time: at full size the queries of a batch fill gigabytes
            full = resize_logits(logits[None].float(), queries["size"], STRIDE)
            if full.shape[-2:] != size:
                full = F.interpolate(full, size=size, mode="bilinear", align_corners=False)
            masks.append(full[0])
        return masks


def class_scores(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Evidence for each class at each pixel, summed over the queries.

    Args:
        class_logits: ``(B, Q, C + 1)``, the last for no object.
        mask_logits: ``(B, Q, h, w)``.

    Returns:
        ``(B, C, h, w)``, not negative.
    """
    classes = class_logits.float().softmax(dim=-1)[..., :-1]
    return torch.einsum("bqc,bqhw->bchw", classes, mask_logits.float().sigmoid())

"""RT-DETR whole, as published, for its checkpoints; the network is transformers' own.

Paper: DETRs Beat YOLOs on Real-time Object Detection - arXiv 2304.08069. The same decoder on the shared pyramid of a
multi-task model is :class:`perception.models.heads.detr.DetrHead`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.errors import InputError, require
from perception.models.backbones import pad_to_multiple
from perception.models.base import PerceptionModel
from perception.models.heads.detr import decode_queries
from perception.taxonomy import LabelSet

STRIDE = 32

SMALLEST = 160
"""Pixels of a side to which smaller images are padded, so that there are more cells than queries."""

BACKBONES: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "resnet34": {"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "resnet50": {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
    "resnet101": {"depths": [3, 4, 23, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
}

SIZES: dict[str, dict[str, Any]] = {
    "resnet18": {"encoder_in_channels": [128, 256, 512], "decoder_layers": 3, "hidden_expansion": 0.5},
    "resnet34": {"encoder_in_channels": [128, 256, 512], "decoder_layers": 4, "hidden_expansion": 0.5},
    "resnet50": {},
    "resnet101": {
        "encoder_hidden_dim": 384,
        "encoder_ffn_dim": 2048,
        "decoder_in_channels": [384, 384, 384],
    },
}


class RTDetr(PerceptionModel):
    """A detector with the head ``detection`` alone. It takes images as they are, in 0..1.

    Images are padded to a multiple of 32, and to 160 pixels a side. Departure: there are no denoising queries in
    training.

    Args:
        label_set: names the box classes; ``num_classes`` overrides their number.
        backbone: one of :data:`BACKBONES`, in the ``vd`` form of the paper.
        heads: ``detection``.
        pretrained: a folder or hub id with the backbone's weights as safetensors, such as ``PekingU/rtdetr_r50vd``'s.
        config: further values of transformers' ``RTDetrConfig``.
        backbone_options: further values of transformers' ``RTDetrResNetConfig``.
        top_k: number of boxes that :meth:`decode` returns.

    Raises:
        InputError: for other heads or backbones, or a label set without box classes.
    """

    def __init__(
        self,
        label_set: LabelSet,
        backbone: str = "resnet50",
        heads: Sequence[str] = ("detection",),
        num_classes: int | None = None,
        pretrained: bool | str = False,
        in_channels: int = 3,
        config: dict[str, Any] | None = None,
        backbone_options: dict[str, Any] | None = None,
        top_k: int = 100,
    ) -> None:
        super().__init__(label_set, in_channels)
        if list(heads) != ["detection"]:
            raise InputError(f"RT-DETR has the head 'detection' only, not {list(heads)}; use a multitask_* model")
        if backbone not in BACKBONES:
            raise InputError(f"unknown backbone {backbone!r} of RT-DETR; use one of {', '.join(BACKBONES)}")
        if not label_set.detection and not num_classes:
            raise InputError(f"label set {label_set.name} has no detection classes; give num_classes")
        transformers = require("transformers", "hub")
        self.mean.zero_()
        self.std.fill_(1.0)
        resnet = {**BACKBONES[backbone], "num_channels": in_channels, **(backbone_options or {})}
        values = {**SIZES[backbone], **(config or {}), "num_denoising": 0}
        settings = transformers.RTDetrConfig(
            backbone_config=transformers.RTDetrResNetConfig(**resnet, out_indices=[2, 3, 4]),
            num_labels=num_classes or len(label_set.detection),
            **values,
        )
        settings._attn_implementation = "eager"  # survives an export to ONNX
        self.network = transformers.RTDetrForObjectDetection(settings)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):  # as the authors do; transformers starts them near 0
                nn.init.ones_(module.weight)
        self.top_k = top_k
        if pretrained:
            from perception.models.pretrained_transformers import read_encoder

            if pretrained is True:
                raise InputError("RT-DETR takes the folder or hub id of its backbone in pretrained, not true")
            read_encoder(transformers.RTDetrResNetBackbone, pretrained, self.network.model.backbone.model)

    @property
    def head_names(self) -> tuple[str, ...]:
        return ("detection",)

    def parts(self) -> dict[str, nn.Module]:
        model = self.network.model
        return {"backbone": model.backbone, "neck": model.encoder, "detection": model.decoder}

    def forward(self, image: Tensor) -> dict[str, Any]:
        size = (image.shape[-2], image.shape[-1])
        padded = pad_to_multiple(self.normalise(image), STRIDE)
        below, right = (max(SMALLEST - side, 0) for side in padded.shape[-2:])
        if below or right:
            padded = F.pad(padded, (0, right, 0, below), mode="replicate")
        raw = self.network(padded)
        extent = torch.tensor([padded.shape[-2], padded.shape[-1]], device=padded.device)
        detection = {"logits": raw.logits, "boxes": raw.pred_boxes, "extent": extent, "size": size}
        if self.training:
            logits, boxes = raw.intermediate_logits[:, :-1], raw.intermediate_reference_points[:, :-1]
            detection["layer_logits"] = torch.cat([raw.enc_topk_logits[:, None], logits], dim=1)
            detection["layer_boxes"] = torch.cat([raw.enc_topk_bboxes[:, None], boxes], dim=1)
        return {"detection": detection}

    def decode(self, outputs: dict[str, Any]) -> dict[str, Tensor]:
        """``boxes`` ``(B, K, 4)`` float32 xyxy in pixels, ``scores`` ``(B, K)``, ``labels`` ``(B, K)`` int64."""
        found = outputs["detection"]
        return decode_queries(found["logits"], found["boxes"], found["extent"], found["size"], self.top_k)

"""Detection as a set of queries: fixed shapes, no anchors, no NMS; the accurate option beside the centre head.

Paper: DETRs Beat YOLOs on Real-time Object Detection - arXiv 2304.08069.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert

from perception.errors import InputError, require

ANCHOR = 0.05
"""Side of the anchors of the finest level, as a share of the image; it doubles with each level."""

BORDER = 0.01
"""Cells nearer to the image's border than this share of it propose no box."""


class DetrHead(nn.Module):
    """RT-DETR's query selection and decoder, the latter from transformers, on levels of a shared pyramid.

    The best cells by class score become the queries; every decoder layer looks at a few points around each query's
    box and refines it. Departures: the shared pyramid takes the place of the paper's hybrid encoder, and there are no
    denoising queries in training.

    Args:
        in_channels: of the pyramid.
        num_classes: number of box classes.
        hidden_channels: width of queries; a multiple of 8, the number of attention heads.
        levels: strides of the maps that it reads, fine to coarse.
        queries: number of queries; fewer where the maps have fewer cells.
        layers: number of decoder layers.
        top_k: number of boxes that :meth:`decode` returns.

    Shape:
        - input: ``{stride: (B, in_channels, H / stride, W / stride)}``
        - output: ``logits`` ``(B, Q, num_classes)`` and ``boxes`` ``(B, Q, 4)``: centre, width and height as shares of
          ``extent``, the size in pixels that the maps cover. In training also ``layer_logits`` and ``layer_boxes``
          ``(B, layers, Q, ...)``, of the selection and all layers but the last.

    Raises:
        InputError: for a width that the attention heads do not divide.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden_channels: int = 256,
        levels: Sequence[int] = (8, 16, 32),
        queries: int = 300,
        layers: int = 6,
        top_k: int = 100,
    ) -> None:
        super().__init__()
        if hidden_channels % 8:
            raise InputError(f"detection width {hidden_channels} is not a multiple of 8, the number of attention heads")
        transformers = require("transformers", "hub")
        network = require("transformers.models.rt_detr.modeling_rt_detr", "hub")
        self.levels = tuple(levels)
        self.num_classes, self.queries, self.top_k = num_classes, queries, top_k
        config = transformers.RTDetrConfig(
            d_model=hidden_channels,
            decoder_in_channels=[hidden_channels] * len(levels),
            num_feature_levels=len(levels),
            decoder_layers=layers,
            decoder_ffn_dim=4 * hidden_channels,
            num_queries=queries,
            num_labels=num_classes,
        )
        config._attn_implementation = "eager"  # survives an export to ONNX
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(in_channels, hidden_channels, 1, bias=False), nn.BatchNorm2d(hidden_channels))
            for _ in levels
        )
        self.select = nn.Sequential(nn.Linear(hidden_channels, hidden_channels), nn.LayerNorm(hidden_channels))
        box_head = network.RTDetrMLPPredictionHead
        self.select_class = nn.Linear(hidden_channels, num_classes)
        self.select_box = box_head(hidden_channels, hidden_channels, 4, num_layers=3)
        self.decoder = network.RTDetrDecoder(config)
        self.decoder.class_embed = nn.ModuleList(nn.Linear(hidden_channels, num_classes) for _ in range(layers))
        self.decoder.bbox_embed = nn.ModuleList(
            box_head(hidden_channels, hidden_channels, 4, num_layers=3) for _ in range(layers)
        )
        prior = torch.tensor(1 / (num_classes + 1)).logit().item()
        for classifier in (self.select_class, *self.decoder.class_embed):
            nn.init.xavier_uniform_(classifier.weight)
            nn.init.constant_(classifier.bias, prior)
        for regressor in (self.select_box, *self.decoder.bbox_embed):
            nn.init.zeros_(regressor.layers[-1].weight)
            nn.init.zeros_(regressor.layers[-1].bias)

    def forward(self, maps: Mapping[int, Tensor]) -> dict[str, Tensor]:
        projected = [project(maps[level]) for project, level in zip(self.project, self.levels, strict=True)]
        shapes = [(x.shape[-2], x.shape[-1]) for x in projected]
        memory = torch.cat([x.flatten(2).transpose(1, 2) for x in projected], dim=1)  # (B, cells, channels)
        anchors, valid = anchor_logits(shapes, memory.device, memory.dtype)
        selected = self.select(memory * valid)
        class_logits = self.select_class(selected)
        box_logits = self.select_box(selected) + anchors
        _, index = class_logits.amax(dim=-1).topk(min(self.queries, memory.shape[1]), dim=1)  # (B, Q)
        picked = index[..., None]
        query = selected.gather(1, picked.expand(-1, -1, selected.shape[-1])).detach()
        reference = box_logits.gather(1, picked.expand(-1, -1, 4))
        decoded = self.decoder(
            inputs_embeds=query,
            encoder_hidden_states=memory,
            reference_points=reference.detach(),
            spatial_shapes_list=shapes,
        )
        logits, boxes = decoded.intermediate_logits, decoded.intermediate_reference_points  # (B, layers, Q, ...)
        outputs = {"logits": logits[:, -1], "boxes": boxes[:, -1]}
        if self.training:
            first_logits = class_logits.gather(1, picked.expand(-1, -1, self.num_classes))
            outputs["layer_logits"] = torch.cat([first_logits[:, None], logits[:, :-1]], dim=1)
            outputs["layer_boxes"] = torch.cat([reference.sigmoid()[:, None], boxes[:, :-1]], dim=1)
        # Filled on the device: a copy from the host could not be captured in a graph.
        sides = [torch.full((), side * self.levels[0], device=memory.device) for side in shapes[0]]
        outputs["extent"] = torch.stack(sides)
        return outputs

    def decode(self, outputs: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """The ``top_k`` best pairs of a query and a class as boxes.

        Args:
            outputs: of :meth:`forward`.
            size: ``(height, width)`` of the image, to which boxes are clipped.

        Returns:
            ``boxes`` ``(B, K, 4)`` float32 xyxy in pixels, ``scores`` ``(B, K)`` falling, ``labels`` ``(B, K)``
            int64, with ``K = min(top_k, Q * num_classes)``.
        """
        return decode_queries(outputs["logits"], outputs["boxes"], outputs["extent"], size, self.top_k)


def decode_queries(
    logits: Tensor, boxes: Tensor, extent: Tensor, size: tuple[int, int], top_k: int
) -> dict[str, Tensor]:
    """The best pairs of a query and a class; see :meth:`DetrHead.decode`.

    Args:
        logits: ``(B, Q, C)``.
        boxes: ``(B, Q, 4)``, centre, width and height as shares of ``extent``.
        extent: ``(2,)`` height and width in pixels.
        size: ``(height, width)`` to which boxes are clipped.
    """
    scores = logits.float().sigmoid()  # (B, Q, C)
    classes = scores.shape[-1]
    top, index = scores.flatten(1).topk(min(top_k, scores[0].numel()))  # (B, K)
    query = index // classes
    pixels = box_convert(boxes.float(), "cxcywh", "xyxy") * extent.flip(0).repeat(2)
    pixels = pixels.gather(1, query[..., None].expand(-1, -1, 4))
    x, y = pixels[..., 0::2].clamp(0, size[1]), pixels[..., 1::2].clamp(0, size[0])
    corners = torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)
    return {"boxes": corners, "scores": top, "labels": index - query * classes}


def anchor_logits(shapes: Sequence[tuple[int, int]], device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A box around the middle of every cell, as logits of shares of the image.

    Args:
        shapes: ``(h, w)`` of each level.

    Returns:
        ``(1, cells, 4)``, and ``(1, cells, 1)`` with 1 where all four shares lie inside the borders, else 0; the
        logits are the largest number there.
    """
    levels = []
    for level, (height, width) in enumerate(shapes):
        y = ((torch.arange(height, device=device, dtype=dtype) + 0.5) / height)[:, None].expand(height, width)
        x = ((torch.arange(width, device=device, dtype=dtype) + 0.5) / width)[None].expand(height, width)
        side = torch.full_like(x, ANCHOR * 2.0**level)
        levels.append(torch.stack([x, y, side, side], dim=-1).flatten(0, 1))
    anchors = torch.cat(levels)[None]
    valid = ((anchors > BORDER) & (anchors < 1 - BORDER)).all(dim=-1, keepdim=True)
    logits = anchors.logit(eps=1e-6).masked_fill(~valid, torch.finfo(dtype).max)
    return logits, valid.to(dtype)

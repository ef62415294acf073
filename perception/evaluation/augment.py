"""Sliding windows and test-time augmentation of dense outputs.

What comes out is a probability for each pixel. Figures measured this way are reported apart from those of a single
pass, which is what runs in the car.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perception.errors import InputError

Size = tuple[int, int]
Run = Callable[[Tensor], dict[str, Tensor]]
"""From ``(B, 3, H, W)`` to dense logits ``(B, C, H, W)`` by head; one channel means a sigmoid, several a softmax."""


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of windows that cover a side; the last one ends where the side does.

    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(11, 4, 3)
    [0, 3, 6, 7]
    >>> window_starts(3, 4, 3)
    [0]
    """
    if window >= length:
        return [0]
    return [*range(0, length - window, stride), length - window]


def sliding_window(run: Run, image: Tensor, window: Size, stride: Size) -> dict[str, Tensor]:
    """Mean logits of overlapping windows.

    Args:
        image: ``(B, 3, H, W)``.
        window: ``(height, width)``; an image that is smaller in one direction is taken whole in it.
        stride: between windows.

    Returns:
        ``(B, C, H, W)`` logits by head.

    Raises:
        InputError: for sizes below 1, or a stride above the window, which would leave gaps.
    """
    if not all(0 < step <= side for step, side in zip(stride, window, strict=True)):
        raise InputError(f"stride {list(stride)} must lie between 1 and the window {list(window)}")
    height, width = image.shape[-2:]
    rows, columns = min(window[0], height), min(window[1], width)
    sums: dict[str, Tensor] = {}
    count = image.new_zeros((1, 1, height, width), dtype=torch.float32)
    for top in window_starts(height, rows, stride[0]):
        for left in window_starts(width, columns, stride[1]):
            place = (..., slice(top, top + rows), slice(left, left + columns))
            for name, logits in run(image[place]).items():
                if name not in sums:
                    sums[name] = logits.new_zeros((*logits.shape[:2], height, width), dtype=torch.float32)
                sums[name][place] += logits.float()
            count[place] += 1
    return {name: total / count for name, total in sums.items()}


def probabilities(logits: Tensor) -> Tensor:
    """``(B, C, H, W)``: sigmoid of a single channel, softmax over several."""
    return logits.float().sigmoid() if logits.shape[1] == 1 else logits.float().softmax(dim=1)


def augmented(run: Run, image: Tensor, scales: Sequence[float] = (1.0,), flip: bool = False) -> dict[str, Tensor]:
    """Mean probabilities over scaled and mirrored copies of an image, at the size of the image.

    Args:
        image: ``(B, 3, H, W)``.
        scales: factors of the image's sides.
        flip: also run every copy mirrored.

    Returns:
        ``(B, C, H, W)`` probabilities by head.
    """
    size = (image.shape[-2], image.shape[-1])
    sums: dict[str, Tensor] = {}
    for scale in scales:
        inner = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        scaled = image if inner == size else F.interpolate(image, size=inner, mode="bilinear", antialias=True)
        for mirrored in (False, True) if flip else (False,):
            for name, logits in run(scaled.flip(-1) if mirrored else scaled).items():
                logits = logits.flip(-1) if mirrored else logits
                if logits.shape[-2:] != size:
                    logits = F.interpolate(logits.float(), size=size, mode="bilinear")
                share = probabilities(logits)
                sums[name] = sums[name] + share if name in sums else share
    copies = len(scales) * (2 if flip else 1)
    return {name: total / copies for name, total in sums.items()}


def decode_dense(shares: dict[str, Tensor]) -> dict[str, Tensor]:
    """``(B, H, W)`` uint8 by head: the most probable class, or 1 where a single probability is above one half."""
    return {
        name: (share[:, 0] > 0.5).to(torch.uint8) if share.shape[1] == 1 else share.argmax(dim=1).to(torch.uint8)
        for name, share in shares.items()
    }

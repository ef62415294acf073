"""Masks at full size from the coarse logits of a network's heads, on the host: numpy, no torch.

The masks are those of bilinear upsampling and argmax over all pixels, of which hardly any are interpolated: between
four cell centres of one class nothing else can win, because every pixel mixes the corners of all classes with the same
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from perception.errors import InputError


def decode_masks(
    outputs: Mapping[str, np.ndarray], strides: Mapping[str, int], size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """A network's outputs with coarse logits turned into masks; other outputs stay as they are.

    Args:
        outputs: by name; coarse ones ``(N, C, h, w)`` float32 logits.
        strides: of the coarse outputs, by name; ``semantic`` is a choice of classes, the others are yes or no.
        size: ``(height, width)`` of the pictures.

    Returns:
        The outputs, with masks ``(N, height, width)`` uint8.

    Raises:
        InputError: for coarse logits that do not cover the pictures.
    """
    decoded = dict(outputs)
    for name in strides.keys() & outputs.keys():
        make = class_mask if name == "semantic" else binary_mask
        decoded[name] = np.stack([make(logits, size, strides[name]) for logits in outputs[name]])
    return decoded


def class_mask(logits: np.ndarray, size: tuple[int, int], level: int) -> np.ndarray:
    """The class of the highest logit at each pixel; of equal ones the first.

    Same as bilinear upsampling by ``level`` (cell centres, borders repeated), cutting to ``size`` and argmax, but for
    rounding where two classes are as good as equal.

    Args:
        logits: ``(C, h, w)`` float32.
        size: ``(height, width)``, up to ``level * h`` and ``level * w``.
        level: stride of the logits in pixels.

    Returns:
        ``(height, width)`` uint8.

    Raises:
        InputError: for logits that do not cover ``size``, or more classes than a byte tells apart.
    """
    _check(logits, size, level)
    if len(logits) > 256:
        raise InputError(f"{len(logits)} classes do not fit into a mask of bytes; at most 256 do")
    best, labels = logits[0].copy(), np.zeros(logits.shape[1:], np.uint8)
    for index in range(1, len(logits)):
        _raise(labels, logits[index] > best, index)
        np.maximum(best, logits[index], out=best)
    blocks = _Blocks(labels, size, level)
    return blocks.filled(_winners(logits, labels, blocks))


def binary_mask(logits: np.ndarray, size: tuple[int, int], level: int) -> np.ndarray:
    """1 where the upsampled logit is positive, else 0; see :func:`class_mask`.

    Args:
        logits: ``(1, h, w)`` float32.

    Raises:
        InputError: for logits that do not cover ``size``, or of several classes.
    """
    _check(logits, size, level)
    if len(logits) != 1:
        raise InputError(f"a mask of yes or no comes from one logit for each cell, not {len(logits)}")
    blocks = _Blocks((logits[0] > 0).view(np.uint8), size, level)
    values = logits[0].ravel().take(blocks.corners)
    return blocks.filled((values.T @ blocks.weights > 0).view(np.uint8))


def _check(logits: np.ndarray, size: tuple[int, int], level: int) -> None:
    tall, wide = logits.shape[-2] * level, logits.shape[-1] * level
    if logits.ndim != 3 or min(size) < 1 or size[0] > tall or size[1] > wide:
        raise InputError(
            f"logits of shape {logits.shape} and stride {level} cover {tall}x{wide} pixels, not {size[0]}x{size[1]}; "
            "the file does not fit its description, export it again"
        )


class _Blocks:
    """The ``level x level`` pixels between four neighbouring cell centres, beyond the border of the outermost ones.

    Args:
        labels: ``(h, w)`` uint8 of the cells.

    Attributes:
        corners: ``(4, N)`` positions in the flat map of the corners of blocks with several labels.
        weights: ``(4, level * level)`` float32: what the corners weigh at each pixel.
    """

    def __init__(self, labels: np.ndarray, size: tuple[int, int], level: int) -> None:
        self.size, self.level = size, level
        self.weights = _weights(level)
        rows, columns = (_cells(count, side, level) for count, side in zip(labels.shape, size, strict=True))
        padded = labels[rows[:, None], columns]
        self._first = first = padded[:-1, :-1]
        differ = (first != padded[:-1, 1:]) | (first != padded[1:, :-1]) | (first != padded[1:, 1:])
        self._row, self._column = np.nonzero(differ)
        above, below = rows[self._row] * labels.shape[1], rows[self._row + 1] * labels.shape[1]
        left, right = columns[self._column], columns[self._column + 1]
        self.corners = np.stack([above + left, above + right, below + left, below + right])

    def filled(self, pixels: np.ndarray) -> np.ndarray:
        """``(height, width)`` uint8 mask.

        Args:
            pixels: ``(N, level * level)`` uint8 of the blocks with several labels; the others have that of their cells.
        """
        level, (rows, columns) = self.level, self._first.shape
        wide = np.repeat(self._first, level, axis=1)  # (rows, columns * level)
        mask = np.repeat(wide[:, None], level, axis=1).reshape(rows * level * columns, level)
        starts = self._row * (level * columns) + self._column
        mask[starts[:, None] + np.arange(level) * columns] = pixels.reshape(-1, level, level)
        half = (level + 1) // 2  # that much of the outermost blocks lies beyond the border
        full = mask.reshape(rows * level, columns * level)
        return np.ascontiguousarray(full[half : half + self.size[0], half : half + self.size[1]])


def _cells(count: int, side: int, level: int) -> np.ndarray:
    """Cells whose centres bound the blocks that ``side`` pixels lie in; beyond the border the outermost ones."""
    blocks = -(-(side + (level + 1) // 2) // level)
    return np.arange(-1, blocks).clip(0, count - 1)


@cache
def _weights(level: int) -> np.ndarray:
    along = (np.arange(level) + level // 2 + 0.5 - level / 2) / level
    one = np.stack([1 - along, along])  # (2, level)
    return np.einsum("pi,qj->pqij", one, one).reshape(4, level * level).astype(np.float32)


def _winners(logits: np.ndarray, labels: np.ndarray, blocks: _Blocks) -> np.ndarray:
    """``(N, level * level)`` uint8 classes of the pixels of blocks with several labels."""
    planes = logits.reshape(len(logits), -1)
    seen = labels.ravel().take(blocks.corners)  # (4, N)
    other = np.argmax(seen != seen[0], axis=0)  # a corner of another label than the first one's
    pair = (seen[0], seen[other, np.arange(len(other))])
    rivals = [planes.ravel().take(label.astype(np.intp) * planes.shape[1] + blocks.corners) for label in pair]
    best = np.full((seen.shape[1], blocks.weights.shape[1]), -np.inf, np.float32)
    found = np.zeros(best.shape, np.uint8)
    for index, plane in enumerate(planes):
        values = plane.take(blocks.corners)
        # A class that is below another one at all corners is so at all pixels.
        chosen = np.flatnonzero((values >= rivals[0]).any(axis=0) & (values >= rivals[1]).any(axis=0))
        mixed = values.take(chosen, axis=1).T @ blocks.weights
        before, winner = best.take(chosen, axis=0), found.take(chosen, axis=0)
        _raise(winner, mixed > before, index)
        found[chosen], best[chosen] = winner, np.maximum(before, mixed)
    return found


def _raise(labels: np.ndarray, where: np.ndarray, index: int) -> None:
    """Set labels to an index that is above all of theirs; quicker than assigning through a mask."""
    np.maximum(labels, where.view(np.uint8) * np.uint8(index), out=labels)

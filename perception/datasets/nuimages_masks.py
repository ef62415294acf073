"""Semantic and instance masks of nuImages, composed as the devkit composes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perception.errors import InputError

SURFACE_INDEX = {"flat.driveable_surface": 24, "vehicle.ego": 31}
"""Fixed indices; the other categories are counted from 1 by name. 0 is what nobody annotated."""


def category_indices(categories: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Category name to its index in the devkit's semantic masks.

    >>> category_indices([{"name": "vehicle.ego"}, {"name": "vehicle.car"}, {"name": "animal"}])["vehicle.car"]
    2
    """
    names = sorted(str(row["name"]) for row in categories if row["name"] not in SURFACE_INDEX)
    if len(names) >= SURFACE_INDEX["flat.driveable_surface"]:
        raise InputError(f"category.json has {len(names)} object categories; nuImages has at most 23")
    return {name: i for i, name in enumerate(names, start=1)} | SURFACE_INDEX


def decode_mask(mask: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """``(H, W)`` bool of a run-length code as the tables hold it: ``size`` and base64 ``counts``.

    Raises:
        InputError: for a code that does not decode, or whose runs do not fill the image.
    """
    try:
        if tuple(mask["size"]) != size:
            raise InputError(f"a mask has size {tuple(mask['size'])} but its image {size}")
        runs = run_lengths(base64.b64decode(mask["counts"], validate=True))
    except (KeyError, TypeError, binascii.Error) as error:
        raise InputError(f"a mask does not decode: {type(error).__name__}: {error}") from error
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise InputError(f"a mask does not decode: its {len(runs)} runs do not fill an image of {size[0]}x{size[1]}")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[1], size[0]).T  # runs go down the columns


def run_lengths(code: bytes) -> np.ndarray:
    """Lengths of alternating runs, the first outside, from COCO's compressed form.

    Each number is written in groups of five bits, lowest first, as a character from "0" on; 32 marks that another
    group follows, and the highest bit of the last group is the sign. From the fourth number on it is the difference
    from the number two before.
    """
    groups = np.frombuffer(code, np.uint8).astype(np.int64) - 48
    if not len(groups) or (groups < 0).any() or (groups > 63).any() or groups[-1] & 32:
        return np.array([-1])
    last = (groups & 32) == 0
    start = np.flatnonzero(np.r_[True, last[:-1]])
    place = 5 * (np.arange(len(groups)) - np.repeat(start, np.diff(np.r_[start, len(groups)])))
    if place.max() > 30:
        return np.array([-1])
    values = np.add.reduceat((groups & 31) << place, start)
    negative = groups[last] & 16 != 0
    values = values - np.where(negative, np.int64(1) << (place[last] + 5), 0)
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def compose_masks(
    surfaces: Sequence[Mapping[str, Any]],
    objects: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    index_of: Mapping[str, int],
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Paint surfaces, then objects; what comes later covers what came before.

    Args:
        surfaces, objects: annotation records in the order of painting; those without a mask are left out.
        names: category token to name; ``index_of``: name to index, see :func:`category_indices`.

    Returns:
        ``(H, W)`` uint8 category index, 0 where nobody annotated, and ``(H, W)`` uint16 number of the object, counted
        from 1 in the order of ``objects``.
    """
    semantic, instance = np.zeros(size, np.uint8), np.zeros(size, np.uint16)
    for row in surfaces:
        if row["mask"] is not None:
            semantic[decode_mask(row["mask"], size)] = index_of[names[row["category_token"]]]
    for number, row in enumerate(objects, start=1):
        if row["mask"] is not None:
            inside = decode_mask(row["mask"], size)
            semantic[inside] = index_of[names[row["category_token"]]]
            instance[inside] = number
    return semantic, instance

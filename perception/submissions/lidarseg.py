"""LiDAR segmentation submissions: a file of labels per sweep.

Format: nuScenes-lidarseg challenge. Paper: Panoptic nuScenes - arXiv 2109.03805
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.files import atomic_path, write_json
from perception.submissions.detection import submission_meta
from perception.taxonomy import LIDARSEG

CHALLENGE_CLASSES = ("ignore", *LIDARSEG.classes)
"""The classes of the challenge; the position is the label. Nothing may be predicted as 0."""


def lidarseg_path(folder: str | Path, split: str, token: str) -> Path:
    """Where the labels of a LiDAR ``sample_data`` record go."""
    return Path(folder) / "lidarseg" / split / f"{token}_lidarseg.bin"


def write_lidarseg(folder: str | Path, split: str, token: str, labels: np.ndarray) -> Path:
    """Write the labels of one sweep.

    Args:
        folder: of the submission.
        token: of the LiDAR's ``sample_data`` record.
        labels: ``(N,)`` integers 1..16 of :data:`CHALLENGE_CLASSES`, in the order of the sweep's points.

    Raises:
        InputError: for labels of another shape, kind or range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels of sweep {token} must be (N,) integers, got {labels.shape} {labels.dtype}")
    if len(labels) and not (labels.min() >= 1 and labels.max() < len(CHALLENGE_CLASSES)):
        raise InputError(
            f"labels of sweep {token} are {labels.min()}..{labels.max()}; a submission holds 1..16, see "
            "perception.submissions.lidarseg.CHALLENGE_CLASSES"
        )
    path = lidarseg_path(folder, split, token)
    with atomic_path(path) as temporary:
        temporary.write_bytes(labels.astype(np.uint8).tobytes())
    return path


def write_lidarseg_meta(folder: str | Path, split: str, used: Iterable[str]) -> None:
    """Write ``<split>/submission.json``, which says what the labels were made of.

    Args:
        used: of ``camera``, ``lidar``, ``radar``, ``map`` and ``external``.
    """
    write_json(Path(folder) / split / "submission.json", {"meta": submission_meta(used)})

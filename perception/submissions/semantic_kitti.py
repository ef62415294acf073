"""SemanticKITTI submissions: a file of labels per scan, and the archive of them.

Format: semantic segmentation benchmark of SemanticKITTI - arXiv 1904.01416
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perception.datasets.semantic_kitti_labels import OFFICIAL, KittiLabels
from perception.errors import InputError
from perception.files import atomic_path, require_dir

LABEL_BYTES, POINT_BYTES = 4, 16


def kitti_path(folder: str | Path, token: str) -> Path:
    """Where the labels of a scan ``XX/NNNNNN`` go.

    >>> kitti_path("out", "08/000123").as_posix()
    'out/sequences/08/predictions/000123.label'
    """
    sequence, _, scan = token.partition("/")
    if not (sequence.isalnum() and scan.isalnum()):
        raise InputError(f"scan {token!r} must be named by sequence and number, such as 08/000123")
    return Path(folder) / "sequences" / sequence / "predictions" / f"{scan}.label"


def write_kitti(folder: str | Path, token: str, labels: np.ndarray, table: KittiLabels = OFFICIAL) -> Path:
    """Write the labels of one scan as the numbers of SemanticKITTI's own files.

    Args:
        folder: of the submission.
        token: sequence and scan, such as ``08/000123``.
        labels: ``(N,)`` class indices of :data:`perception.taxonomy.SEMANTIC_KITTI`, in the order of the scan's points.
        table: the learning map that the data set was read with.

    Raises:
        InputError: for labels of another shape, kind or range.
    """
    path = kitti_path(folder, token)
    try:
        raw = table.to_raw(labels)
    except InputError as error:
        raise InputError(f"scan {token}: {error}") from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(raw.astype("<u4").tobytes())
    return path


def validate_kitti(folder: str | Path, root: str | Path, sequences: Sequence[str]) -> int:
    """Check that a submission has a label for every point of every scan, as the benchmark's own script does.

    Args:
        folder: of the submission.
        root: of the data set.

    Returns:
        The number of scans.

    Raises:
        InputError: for the first scan whose labels are missing or of another number.
    """
    count = 0
    for sequence in sequences:
        scans = require_dir(Path(root) / "sequences" / sequence / "velodyne", "folder of scans")
        for scan in sorted(scans.glob("*.bin")):
            path = kitti_path(folder, f"{sequence}/{scan.stem}")
            if not path.is_file():
                raise InputError(f"{path} is missing; predict every scan of sequence {sequence}")
            found, expected = path.stat().st_size / LABEL_BYTES, scan.stat().st_size // POINT_BYTES
            if found != expected:
                raise InputError(f"{path} has {found:g} labels but its scan has {expected} points")
            count += 1
    return count


def zip_kitti(folder: str | Path, archive: str | Path, sequences: Sequence[str]) -> Path:
    """Pack a submission as the benchmark takes it; the same labels give the same bytes.

    The archive has an entry for each folder, without which the benchmark's script refuses it.

    Args:
        folder: of the submission.
        archive: path of the result, which must end with ``.zip``.

    Raises:
        InputError: for another ending, or a sequence without predictions.
    """
    archive = Path(archive)
    if archive.suffix != ".zip":
        raise InputError(f"archive {archive} must end with .zip")
    folders = [Path("sequences")]
    files = []
    for sequence in sequences:
        predictions = Path("sequences") / sequence / "predictions"
        folders += [predictions.parent, predictions]
        found = sorted(require_dir(Path(folder) / predictions, "folder of predictions").glob("*.label"))
        if not found:
            raise InputError(f"{Path(folder) / predictions} has no *.label")
        files += found
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in folders:
            packed.writestr(zipfile.ZipInfo(f"{path.as_posix()}/"), "")
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    return archive

"""SemanticKITTI submissions, read back by hand."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_kitti import write_kitti_sequence

from perception.datasets.semantic_kitti import SemanticKittiDataset
from perception.errors import InputError
from perception.submissions.semantic_kitti import kitti_path, validate_kitti, write_kitti, zip_kitti
from perception.taxonomy import SEMANTIC_KITTI


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("11", "12"):
        write_kitti_sequence(tmp_path / "data", name, scans=2, points=7, labelled=False)
    return tmp_path / "data"


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    for token in SemanticKittiDataset(root, "test", sequences=["11", "12"]).tokens:
        write_kitti(tmp_path / "out", token, np.arange(7))
    return tmp_path / "out"


def test_files_hold_the_numbers_of_the_data_set(tmp_path: Path):
    labels = [SEMANTIC_KITTI.index(name) for name in ("car", "road", "traffic-sign", "car")]
    path = write_kitti(tmp_path, "08/000123", np.array(labels, np.uint8))
    assert path == tmp_path / "sequences" / "08" / "predictions" / "000123.label"
    assert struct.unpack("<4I", path.read_bytes()) == (10, 40, 81, 10)
    assert write_kitti(tmp_path, "08/000124", np.zeros(0, int)).stat().st_size == 0


def test_written_predictions_are_read_back_as_labels(tmp_path: Path):
    folder = write_kitti_sequence(tmp_path, "08", scans=1, points=19)
    path = write_kitti(tmp_path, "08/000000", np.arange(19))
    path.replace(folder / "labels" / "000000.label")
    np.testing.assert_array_equal(SemanticKittiDataset(tmp_path, "val")[0].labels, np.arange(19))


@pytest.mark.parametrize("labels", [[19], [255], [-1], [0.5], [[1]]])
def test_what_is_no_class_is_refused_before_a_file_is_made(tmp_path: Path, labels: list):
    with pytest.raises(InputError, match="scan 08/000000"):
        write_kitti(tmp_path, "08/000000", np.array(labels))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", ["000000", "../x", "08/../x", "", "08/"])
def test_tokens_of_another_form_are_refused(token: str):
    with pytest.raises(InputError, match="sequence and number"):
        kitti_path("out", token)


def test_a_whole_submission_passes_and_gaps_are_named(root: Path, folder: Path):
    assert validate_kitti(folder, root, ["11", "12"]) == 4
    write_kitti(folder, "12/000001", np.arange(6))
    with pytest.raises(InputError, match=r"000001\.label has 6 labels but its scan has 7 points"):
        validate_kitti(folder, root, ["11", "12"])
    kitti_path(folder, "11/000001").unlink()
    with pytest.raises(InputError, match=r"11/predictions/000001\.label is missing"):
        validate_kitti(folder, root, ["11", "12"])
    with pytest.raises(InputError, match="13"):
        validate_kitti(folder, root, ["13"])


def test_the_archive_has_what_the_benchmark_looks_for(folder: Path, tmp_path: Path):
    path = zip_kitti(folder, tmp_path / "a.zip", ["11", "12"])
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
        folders = [name for name in names if name.endswith("/")]
        assert folders == [
            "sequences/", "sequences/11/", "sequences/11/predictions/", "sequences/12/", "sequences/12/predictions/",
        ]  # fmt: skip
        assert sorted(set(names) - set(folders)) == [
            f"sequences/{sequence}/predictions/{scan:06d}.label" for sequence in (11, 12) for scan in (0, 1)
        ]
        assert packed.testzip() is None
        assert len(packed.read("sequences/11/predictions/000000.label")) == 28
    assert zip_kitti(folder, tmp_path / "b.zip", ["11", "12"]).read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match=r"must end with \.zip"):
        zip_kitti(folder, tmp_path / "a.tar", ["11"])
    with pytest.raises(InputError, match="13"):
        zip_kitti(folder, tmp_path / "c.zip", ["13"])

"""Training on SemanticKITTI and its submission, through the commands and the config."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_kitti import write_kitti_sequence

from perception.cli import main
from perception.datasets.semantic_kitti_labels import OFFICIAL

CONFIG = Path(__file__).parents[2] / "configs" / "semantic_kitti" / "lidar_frnet_semantic_kitti.yaml"


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    write_kitti_sequence(tmp_path / "data", "00", scans=2, points=120)
    write_kitti_sequence(tmp_path / "data", "08", scans=3, points=90)
    scan = tmp_path / "data/sequences/08/velodyne/000002.bin"
    raw = np.fromfile(scan, np.float32).reshape(-1, 4)
    raw[11] = np.nan
    scan.write_bytes(raw.tobytes())
    writer = "{class_path: perception.callbacks.SemanticKittiSubmission, init_args: {folder: out}}"
    return [
        "--config", str(CONFIG), "--data.root", "data", "--data.train_sequences", "['00']", "--data.num_workers", "0",
        "--data.batch_size", "2", "--model.model", "frnet_nano", "--trainer.precision", "32-true",
        "--trainer.logger", "false", "--trainer.callbacks", f"[{writer}]",
    ]  # fmt: skip


def test_fit_and_predict_make_a_submission(arguments: list[str], tmp_path: Path) -> None:
    assert main(["fit", *arguments, "--trainer.max_epochs", "1", "--trainer.enable_checkpointing", "true"]) == 0
    checkpoint = next(tmp_path.rglob("*.ckpt"))
    assert main(["predict", *arguments, "--ckpt_path", str(checkpoint)]) == 0
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as packed:
        files = [name for name in packed.namelist() if name.endswith(".label")]
        assert files == [f"sequences/08/predictions/{scan:06d}.label" for scan in range(3)]
        for name in files:
            raw = np.frombuffer(packed.read(name), "<u4")
            assert len(raw) == 90
            assert (OFFICIAL.to_classes(raw) < 19).all()
        # The row that could not be read has the commonest class of its scan.
        last = np.frombuffer(packed.read(files[2]), "<u4")
        assert last[11] == np.bincount(np.delete(last, 11)).argmax()


def test_a_part_of_the_scans_is_not_packed(arguments: list[str], tmp_path: Path) -> None:
    assert main(["predict", *arguments, "--trainer.limit_predict_batches", "2"]) == 0
    assert len(list((tmp_path / "out").rglob("*.label"))) == 2
    assert not (tmp_path / "out" / "submission.zip").exists()


def test_other_data_is_refused(arguments: list[str], tiny_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = CONFIG.parents[1] / "world" / "lidar_frnet_nano.yaml"
    changed = ["--config", str(world), "--data.root", str(tiny_world), "--data.num_workers", "0", *arguments[12:]]
    assert main(["predict", *changed]) == 2
    assert "need data from perception.datamodules.SemanticKittiDataModule" in capsys.readouterr().err

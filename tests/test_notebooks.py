"""The notebooks run from top to bottom on the world, and are stored without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
DRIVABLE = Path(__file__).parents[1] / "notebooks" / "drivable_area.ipynb"
LIDAR_NOTEBOOK = DRIVABLE.with_name("lidar.ipynb")
MODEL = "multitask_resnet18_slim"


def run(path: Path, folder: Path) -> tuple[str, int]:
    """Execute a notebook in a folder; returns its text outputs and how many figures it drew."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    text = "\n".join(item.get("text/markdown", "") for item in data)
    return text, sum("image/png" in item for item in data)


def test_there_are_notebooks():
    assert {DRIVABLE, LIDAR_NOTEBOOK} <= set(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path: Path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_drivable_area_reports_the_iou_of_the_run(tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import perception
    from perception.datasets.nuscenes import NuScenesDataset
    from perception.models.checkpoint import save

    torch.manual_seed(0)
    saved = save(perception.create_model(MODEL), tmp_path / "model")
    monkeypatch.setenv("PERCEPTION_RUN", str(saved))
    monkeypatch.setenv("PERCEPTION_WORLD", str(tiny_world))
    monkeypatch.setenv("PERCEPTION_FRAMES", "6")
    text, figures = run(DRIVABLE, tmp_path)
    assert figures >= 6
    assert "random weights" not in text

    model = perception.load(saved)
    shared = either = 0
    for sample in (NuScenesDataset(tiny_world, split="val", sweeps=True)[i] for i in range(6)):
        with torch.inference_mode():
            mask = model.decode(model(sample.image[None] / 255))["drivable"][0].numpy() == 1
        truth = sample.drivable.numpy()
        shared += int(np.count_nonzero(mask & (truth == 1)))
        either += int(np.count_nonzero((mask | (truth == 1)) & (truth != 255)))
    assert re.search(rf"\| 6 \| \*\*{shared / either:.3f}\*\*", text)


@pytest.mark.slow
def test_drivable_area_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("PERCEPTION_RUN", "PERCEPTION_WORLD", "PERCEPTION_SPLIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERCEPTION_FRAMES", "4")
    text, figures = run(DRIVABLE, tmp_path)
    assert "random weights" in text
    assert figures >= 6


@pytest.mark.slow
def test_lidar_reports_the_iou_of_the_run(tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import perception
    from perception.datasets.nuscenes_lidar import LIDAR, read_sweep
    from perception.datasets.nuscenes_points import point_view
    from perception.datasets.nuscenes_tables import open_tables
    from perception.models.checkpoint import save
    from perception.types import PointBatch

    torch.manual_seed(0)
    saved = save(perception.create_model("frnet_nano"), tmp_path / "model")
    monkeypatch.setenv("PERCEPTION_RUN", str(saved))
    monkeypatch.setenv("PERCEPTION_WORLD", str(tiny_world))
    monkeypatch.setenv("PERCEPTION_SPLIT", "all")
    monkeypatch.setenv("PERCEPTION_FRAMES", "3")
    text, figures = run(LIDAR_NOTEBOOK, tmp_path)
    assert figures >= 6
    assert "random weights" not in text

    model, tables = perception.load(saved), open_tables(tiny_world, "v1.0-mini")
    counts = np.zeros((16, 16))
    for record in tables.sample[:3]:
        sweep = torch.from_numpy(read_sweep(tiny_world, tables, record["data"][LIDAR]).copy())
        sweep[:, 3] /= 255
        sweep[:, 4] = 0
        with torch.inference_mode():
            guess = model(PointBatch(sweep, torch.zeros(len(sweep), dtype=torch.int64), 1))["lidar"].argmax(1).numpy()
        truth = point_view(tables, record).labels
        np.add.at(counts, (truth[truth != 255], guess[truth != 255]), 1)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    miou = np.mean(counts.diagonal()[union > 0] / union[union > 0])
    assert re.search(rf"\| 3 \| [\d,]+ \| {counts.trace() / counts.sum():.1%} \| \*\*{miou:.3f}\*\*", text)


@pytest.mark.slow
def test_lidar_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("PERCEPTION_RUN", "PERCEPTION_WORLD", "PERCEPTION_SPLIT"):
        monkeypatch.delenv(name, raising=False)
    text, figures = run(LIDAR_NOTEBOOK, tmp_path)
    assert "random weights" in text
    assert figures >= 6

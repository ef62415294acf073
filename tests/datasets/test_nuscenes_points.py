from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data

from perception.datasets.nuscenes_lidar import LIDAR, lidarseg_tokens, read_lidarseg, read_sweep
from perception.datasets.nuscenes_points import open_point_view, point_view
from perception.datasets.nuscenes_tables import open_tables
from perception.errors import InputError
from perception.submissions.lidarseg import lidarseg_path, write_lidarseg
from perception.taxonomy import LIDARSEG
from perception.viz.pointcloud_view import check_sanity


def test_points_have_their_labels_boxes_and_predictions(tiny_world: Path, tmp_path: Path) -> None:
    tables = open_tables(tiny_world, "v1.0-mini")
    record = tables.sample[4]
    token = record["data"][LIDAR]
    sweep = read_sweep(tiny_world, tables, token)
    categories = read_lidarseg(tiny_world, lidarseg_tokens(tables)[token], len(sweep))
    guesses = np.random.default_rng(0).integers(1, 17, len(sweep))
    write_lidarseg(tmp_path, "val", token, guesses)
    view = open_point_view(tiny_world, sample=record["token"], predictions=tmp_path)
    assert len(view.points) == len(sweep) == len(view.intensity)
    assert 0 <= view.intensity.min() <= view.intensity.max() <= 1
    assert view.predictions is not None
    assert (view.predictions == guesses - 1).all()
    names = {row["index"]: row["name"] for row in tables.category}
    assert view.labels is not None
    for index, label in {"flat.driveable_surface": "driveable_surface", "static.vegetation": "vegetation"}.items():
        held = np.array([names[c] == index for c in categories])
        assert held.any()
        assert (view.labels[held] == LIDARSEG.index(label)).all()
    road = view.points[view.labels == LIDARSEG.index("driveable_surface")]
    assert np.abs(np.median(road[:, 2])) < 0.2  # the ground of the ego frame
    assert len(view.boxes) == len(record["anns"])


def test_rows_that_are_not_finite_are_left_out_with_their_labels(tiny_world: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_world, root, ignore=shutil.ignore_patterns("dense"))
    tables = open_tables(root, "v1.0-mini")
    token = tables.sample[0]["data"][LIDAR]
    whole = point_view(tables, tables.sample[0])
    path = root / tables.get("sample_data", token)["filename"]
    sweep = np.fromfile(path, np.float32).reshape(-1, 5)
    sweep[[3, 70], [0, 3]] = np.nan, np.inf
    sweep.tofile(path)
    write_lidarseg(tmp_path, "val", token, np.arange(len(sweep)) % 16 + 1)
    view = point_view(tables, tables.sample[0], tmp_path)
    kept = np.delete(np.arange(len(sweep)), [3, 70])
    assert (view.points == whole.points[kept]).all()
    assert whole.labels is not None
    assert (view.labels == whole.labels[kept]).all()
    assert (view.predictions == kept % 16).all()


def test_bad_predictions_are_said(tiny_world: Path, tmp_path: Path) -> None:
    tables = open_tables(tiny_world, "v1.0-mini")
    token = tables.sample[0]["data"][LIDAR]
    count = len(read_sweep(tiny_world, tables, token))
    with pytest.raises(InputError, match="does not exist"):
        open_point_view(tiny_world, predictions=tmp_path / "absent")
    with pytest.raises(InputError, match="has no lidarseg/<split>/"):
        open_point_view(tiny_world, predictions=tmp_path)
    path = lidarseg_path(tmp_path, "val", token)
    path.parent.mkdir(parents=True)
    for content, message in ((np.ones(7, np.uint8), "has 7 labels"), (np.full(count, 40, np.uint8), "has a label 40")):
        path.write_bytes(content.tobytes())
        with pytest.raises(InputError, match=message):
            open_point_view(tiny_world, predictions=tmp_path)


def test_points_of_a_real_keyframe_lie_in_its_boxes_and_on_the_ground() -> None:
    view = open_point_view(real_data("nuscenes_keyframe"))
    assert view.labels is None
    found = check_sanity(view)
    tables = open_tables(real_data("nuscenes_keyframe"), "v1.0-mini")
    counted = [tables.get("sample_annotation", token)["num_lidar_pts"] for token in tables.sample[0]["anns"]]
    assert found.counts.tolist() == counted
    assert 0.35 < found.ground.mean() < 0.5
    assert 0.2 < found.own.mean() < 0.3

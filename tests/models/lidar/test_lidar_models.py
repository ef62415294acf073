"""What every LiDAR network must do, whatever is inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import real_data
from tiny_points import needs_cuda, point_batch, shuffle_norms

import perception
from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.lidar.base import LidarModel
from perception.models.lidar.neighbours import batch_neighbours
from perception.models.zoo import ZOO, create_model, describe, list_models
from perception.taxonomy import LIDARSEG, SEMANTIC_KITTI
from perception.types import PointBatch

SMALL = {
    "frnet_nano": {"grid": (16, 64)},
    "waffleiron_6_64": {"depth": 4, "channels": 16},
    "waffleiron_48_384": {"depth": 3, "channels": 16},  # merges voxels
    "frnet_nuscenes": {
        "encoder": (8, 16),
        "embedding": 16,
        "stem": (8, 16),
        "channels": (16, 16, 16),
        "blocks": (1, 1, 1),
        "strides": (1, 2, 2),
        "join": (16, 8),
        "grid": (16, 64),
    },
}
"""Every kind of network, made small."""


def _model(name: str, **options) -> LidarModel:
    torch.manual_seed(0)
    model = create_model(name, **{**SMALL[name], **options})
    shuffle_norms(model)
    if model.image_gate is not None:  # it starts closed
        torch.nn.init.normal_(model.image_gate.project[1].weight)
    return model.eval()


def _scores(model: LidarModel, batch: PointBatch, image_features: torch.Tensor | None = None) -> torch.Tensor:
    with torch.inference_mode():
        return model(batch, image_features)["lidar"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("sizes", [(400, 300), (0,), (1,), (2, 0, 1), (0, 150), (150, 0), ()])
@pytest.mark.parametrize("training", [True, False])
def test_every_point_gets_finite_scores(name: str, sizes: tuple[int, ...], training: bool) -> None:
    model, batch = _model(name).train(training), point_batch(*sizes)
    outputs = model(batch)
    assert outputs["lidar"].shape == (sum(sizes), 16)
    assert outputs["lidar"].isfinite().all()
    labels = model.grid_labels(batch)
    for level in outputs.get("lidar_aux", []):
        assert labels is not None
        assert training
        assert level.shape == (len(sizes), 16, *labels.shape[1:])
        assert level.isfinite().all()
    if training:
        sum(output.sum() for output in [outputs["lidar"], *outputs.get("lidar_aux", [])]).backward()


@pytest.mark.parametrize("name", SMALL)
def test_order_of_points_does_not_matter(name: str) -> None:
    model, batch = _model(name), point_batch(300, 200)
    order = torch.cat([torch.randperm(300), 300 + torch.randperm(200)])
    shuffled = replace(batch, points=batch.points[order])
    torch.testing.assert_close(_scores(model, shuffled), _scores(model, batch)[order], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_batch_mates_do_not_matter(name: str) -> None:
    model, batch = _model(name), point_batch(250, 0, 180, 1)
    together = _scores(model, batch)
    for number, size in enumerate((250, 0, 180, 1)):
        members = batch.cloud == number
        alone = PointBatch(batch.points[members], torch.zeros(size, dtype=torch.int64), 1)
        torch.testing.assert_close(_scores(model, alone), together[members], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_duplicates_get_the_same_scores(name: str) -> None:
    batch = point_batch(200)
    points = torch.cat([batch.points, batch.points[:1].expand(40, -1)])
    scores = _scores(_model(name), PointBatch(points, torch.zeros(240, dtype=torch.int64), 1))
    assert scores.isfinite().all()
    torch.testing.assert_close(scores[200:], scores[:1].expand(40, -1), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_backward_reaches_every_parameter(name: str) -> None:
    model, batch = _model(name).train(), point_batch(400, 300)
    outputs = model(batch)
    sum((output**2).sum() for output in [outputs["lidar"], *outputs.get("lidar_aux", [])]).backward()
    unreached = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not unreached
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", SMALL)
def test_folded_model_gives_the_same_scores_with_fewer_layers(name: str) -> None:
    model, batch = _model(name), point_batch(400, 300)
    for parameter in model.parameters():  # keeps the scores of the untrained network of order 1
        parameter.data.clamp_(-0.5, 0.5)
    folded = model.fold()
    expected = _scores(model, batch)
    torch.testing.assert_close(_scores(folded, batch) / expected.std(), expected / expected.std(), atol=1e-5, rtol=1e-5)
    assert len(list(folded.modules())) < len(list(model.modules()))
    assert torch.equal(_scores(model, batch), expected)  # the model itself is left as it was
    with pytest.raises(InputError, match="recipe"):
        save(folded, "nowhere")


@pytest.mark.parametrize("name", SMALL)
def test_save_and_load_give_the_same_scores(name: str, tmp_path) -> None:
    model, batch = _model(name, image_channels=6), point_batch(200)
    loaded = perception.load(save(model, tmp_path / "model"))
    features = torch.randn(200, 6)
    torch.testing.assert_close(_scores(loaded, batch, features), _scores(model, batch, features), atol=0, rtol=0)
    assert loaded.label_set is LIDARSEG
    assert loaded.image_channels == 6
    assert not loaded.training


@pytest.mark.parametrize("name", SMALL)
def test_camera_features_matter_only_where_a_camera_sees(name: str) -> None:
    model, batch = _model(name, image_channels=6), point_batch(300)
    alone = _scores(model, batch)
    torch.testing.assert_close(_scores(model, batch, torch.zeros(300, 6)), alone, atol=0, rtol=0)
    features = torch.zeros(300, 6)
    features[:100] = torch.randn(100, 6)
    seen = _scores(model, batch, features)
    assert seen.isfinite().all()
    assert (seen - alone).abs()[:100].mean() > 1e-4
    with pytest.raises(InputError, match="image_channels"):
        _model(name)(batch, features)


@pytest.mark.parametrize("name", SMALL)
def test_age_of_points_is_an_input_where_asked_for(name: str) -> None:
    batch = point_batch(300)
    older = replace(batch, points=batch.points + torch.tensor([0, 0, 0, 0, 0.4]))
    assert torch.equal(_scores(_model(name), older), _scores(_model(name), batch))
    model = _model(name, age=True)
    assert not torch.allclose(_scores(model, older), _scores(model, batch), atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_learns_a_sweep_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model, batch = create_model(name, **SMALL[name]).train(), point_batch(300)
    labels = (batch.points[:, 2] > 0).long() + 2 * (batch.points[:, 0] > 0).long()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch)["lidar"], labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_mixed_precision_trains_and_hardly_changes_the_scores(name: str) -> None:
    model, batch = _model(name), point_batch(300, 0, 200)
    expected = _scores(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = _scores(model, batch).float()
        outputs = model.train()(batch)
        sum(output.float().square().mean() for output in [outputs["lidar"], *outputs.get("lidar_aux", [])]).backward()
    assert (found - expected).std() < 0.1 * expected.std()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("waffleiron_48_384", 16, 15_125_796),
        ("waffleiron_48_256", 19, 6_840_615),
        ("waffleiron_12_256", 16, 1_863_204),
        ("waffleiron_6_64", 16, 74_148),
    ],
)
def test_published_parameter_counts(name: str, classes: int, count: int) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert len(model.label_set.classes) == classes
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_facts_of_the_zoo() -> None:
    facts = describe("frnet_nuscenes")
    with torch.device("meta"):
        published = create_model("frnet_nuscenes", num_classes=17)  # the published code counts ignored points as one
    # Auxiliary heads are among the 10.03 M: an output more is one row of each of five classifiers.
    assert sum(parameter.numel() for parameter in published.parameters()) == 10_027_829
    assert facts["params"] == 10_027_829 - 4 * 129 - 65
    assert facts["gmacs"] == pytest.approx(87, rel=0.02)
    assert facts["size"] == "34000 points"
    assert facts["heads"] == ["lidar"]
    with torch.device("meta"):
        kitti = create_model("frnet_semantic_kitti")
    assert kitti.label_set is SEMANTIC_KITTI
    assert kitti.grid.size == (64, 512)
    assert {"frnet_nano", "waffleiron_6_64"} < set(list_models("lidar"))
    assert all(isinstance(create_model(name, **SMALL[name]), LidarModel) for name in SMALL)
    assert all("arXiv" in ZOO[name].paper for name in list_models("lidar"))


def test_neighbours_of_the_loader_are_those_of_the_model() -> None:
    model, batch = _model("waffleiron_6_64"), point_batch(200, 0, 100)
    found = batch_neighbours(batch.points, batch.cloud, 3, 20)
    scores = _scores(model, replace(batch, neighbours=found))
    torch.testing.assert_close(scores, _scores(model, batch), atol=0, rtol=0)
    with pytest.raises(InputError, match="set the data module's neighbours to 16"):
        model(replace(batch, neighbours=found[:, :9]))


def test_points_of_a_voxel_share_their_scores() -> None:
    model = _model("waffleiron_48_384", voxel_m=5.0)
    batch = point_batch(300)
    scores = _scores(model, batch)
    voxel = (batch.points[:, :3] / 5).floor()
    same = (voxel[:, None] == voxel).all(-1)
    gap = (scores[:, None] - scores).abs().amax(-1)
    assert (gap[same] == 0).all()
    assert (gap[~same] > 0).float().mean() > 0.99


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frnet_nano", {"grid": (30, 480)}, "30x480 must be divisible by the total stride 8"),
        ("frnet_nano", {"channels": (16, 16)}, "2 widths, 3 depths and 3 strides"),
        ("frnet_nano", {"join": (16,)}, "1 widths but 2 kernels"),
        ("frnet_nano", {"elevation_deg": (-30.0, 10.0)}, "must fall"),
        ("waffleiron_6_64", {"low_m": (50.0, -50.0, -5.0)}, "is empty"),
        ("waffleiron_6_64", {"cell_m": 0.0}, "must be positive"),
        ("waffleiron_6_64", {"voxel_m": -1.0}, "must be positive, and voxel_m not negative"),
        ("waffleiron_6_64", {"heads": ["semantic"]}, "does not take these options"),
    ],
)
def test_bad_options_say_what_is_wrong(name: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(name, **options)


def test_a_real_sweep_runs_through() -> None:
    (path,) = (real_data("nuscenes_keyframe") / "samples" / "LIDAR_TOP").glob("*.pcd.bin")
    rows = torch.from_numpy(np.fromfile(path, np.float32).reshape(-1, 5))
    points = torch.cat([rows[:, :3], rows[:, 3:4] / 255, torch.zeros(len(rows), 1)], dim=1)
    batch = PointBatch(points, torch.zeros(len(points), dtype=torch.int64), 1)
    model = create_model("frnet_nano").eval()
    assert len(points) == 34_688
    assert _scores(model, batch).shape == (34_688, 16)
    assert _scores(model, batch).isfinite().all()
    cells = model.grid.locate(points, batch.cloud, 1)
    outside = (cells.row == 0) | (cells.row == 31)
    assert 0.01 < outside.float().mean() < 0.2  # clamped rows hold the ends of the field of view, not the bulk


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("name", SMALL)
def test_cuda_agrees_with_cpu(name: str) -> None:
    model, batch = _model(name), point_batch(2000, 0, 1500)
    expected = _scores(model, batch)
    found = _scores(model.cuda(), batch.to("cuda")).cpu()
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.99
    np.testing.assert_allclose(found, expected, atol=0.05 * float(expected.std()))

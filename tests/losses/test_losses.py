from __future__ import annotations

import numpy as np
import pytest
import torch

from perception.losses.balance import FixedBalance, UncertaintyBalance
from perception.losses.detection import center_loss, center_targets, heatmap_focal
from perception.losses.segmentation import binary_dense, cross_entropy, semantic_loss, soft_jaccard
from perception.models.heads.center import CenterHead

ONE_MAP = torch.zeros(3, dtype=torch.int64)
"""Classes whose boxes share one map."""


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponent / exponent.sum(axis=1, keepdims=True)


@pytest.fixture
def dense() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 5, 6, generator=generator)
    target = torch.randint(0, 3, (2, 5, 6), generator=generator)  # class 3 never appears
    target[0, :2] = 255
    return logits, target


def test_cross_entropy_equals_numpy(dense) -> None:
    logits, target = dense
    probability = _softmax(logits.numpy())
    terms = [
        -np.log(probability[b, target[b, y, x], y, x])
        for b in range(2)
        for y in range(5)
        for x in range(6)
        if target[b, y, x] != 255
    ]
    assert float(cross_entropy(logits.log_softmax(1), target)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_soft_jaccard_equals_numpy(dense) -> None:
    logits, target = dense
    probability, truth = _softmax(logits.numpy()), target.numpy()
    valid = truth != 255
    overlaps = []
    for label in range(3):
        p, t = probability[:, label][valid], (truth == label)[valid]
        overlaps.append((p * t).sum() / (p.sum() + t.sum() - (p * t).sum()))
    assert float(soft_jaccard(logits.log_softmax(1), target)) == pytest.approx(1 - np.mean(overlaps), rel=1e-5)


def test_soft_jaccard_ends_match_the_metric() -> None:
    target = torch.randint(0, 3, (1, 8, 8))
    perfect = torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2) * 100.0
    assert float(soft_jaccard(perfect.log_softmax(1), target)) == pytest.approx(0, abs=1e-5)
    assert float(soft_jaccard(perfect.roll(1, dims=1).log_softmax(1), target)) == pytest.approx(1, abs=1e-5)


def test_class_weights_equal_torch_s_own(dense) -> None:
    logits, target = dense
    weights = torch.tensor([1.0, 4.0, 0.5, 2.0])
    expected = torch.nn.functional.cross_entropy(logits, target, weights, ignore_index=255)
    assert torch.allclose(semantic_loss(logits, target, weights), expected)


@pytest.mark.parametrize("loss", [semantic_loss, lambda x, t: soft_jaccard(x.log_softmax(1), t)])
def test_nothing_labelled_gives_zero_with_gradients(loss) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert float(value) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
    assert logits.grad.isfinite().all()


def test_binary_ignores_and_prefers_the_truth() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[:, :4] = 1
    target[:, 6:] = 255
    good = torch.where(target == 1, 5.0, -5.0)[:, None]
    noisy = good.clone()
    noisy[:, :, 6:] = 100.0
    assert float(binary_dense(good, target)) < 0.05
    assert float(binary_dense(noisy, target)) == pytest.approx(float(binary_dense(good, target)))
    assert float(binary_dense(-good, target)) > 3
    empty = torch.zeros(1, 1, 8, 8, requires_grad=True)
    assert float(binary_dense(empty, torch.full((1, 8, 8), 255))) == 0


def test_targets_peak_at_centres_and_decode_back() -> None:
    boxes = torch.tensor([[[8.0, 8, 40, 24], [100, 50, 120, 70], [0, 0, 0, 0]]])
    labels = torch.tensor([[1, 0, -1]])
    heatmap, owner, weight = center_targets(boxes, labels, (32, 48), 4, ONE_MAP[:3])
    owner, weight = owner[:, 0], weight[:, 0]
    assert heatmap.shape == (1, 3, 32, 48)
    assert (heatmap == 1).sum() == 2
    assert heatmap[0, 1, 4, 6] == 1  # centre (24, 16) px
    assert heatmap[0, 0, 15, 27] == 1  # centre (110, 60) px
    assert (owner[0, 4, 6], owner[0, 15, 27]) == (0, 1)
    assert (weight[0] > 0).equal(owner[0] >= 0)
    assert not heatmap[0, 2].any()
    # A head that outputs exactly these targets gives the boxes back.
    edges = torch.zeros(1, 4, 32, 48)
    for y, x in (owner[0] >= 0).nonzero().tolist():
        box, cx, cy = boxes[0, owner[0, y, x]], (x + 0.5) * 4, (y + 0.5) * 4
        distances = torch.tensor([cx - box[0], cy - box[1], box[2] - cx, box[3] - cy])
        edges[0, :, y, x] = torch.log(distances.clamp(min=1e-3) / 4)
    outputs = {"heatmap": torch.logit(heatmap.clamp(1e-4, 1 - 1e-4)), "box": edges}
    decoded = CenterHead(8, 3, top_k=5).decode(outputs, (128, 192))
    order = decoded["labels"][0, :2].argsort(descending=True)
    assert torch.allclose(decoded["boxes"][0, :2][order], boxes[0, :2], atol=1e-3)
    assert decoded["scores"][0, 2] < 0.9  # everything else is not a peak
    loss = center_loss(outputs, boxes, labels, torch.tensor([True]), 4, ONE_MAP, box_weight=1.0)
    assert float(loss - heatmap_focal(outputs["heatmap"], heatmap)) < 0.01
    worse = center_loss({**outputs, "box": edges + 1}, boxes, labels, torch.tensor([True]), 4, ONE_MAP, box_weight=1.0)
    assert float(loss) < float(worse)


def test_cells_beside_a_centre_learn_its_box() -> None:
    boxes = torch.tensor([[[8.0, 8, 14, 28], [60, 20, 120, 70], [80, 30, 100, 60]]])  # thin; large; one inside it
    labels = torch.tensor([[1, 0, 1]])
    _, owner, weight = center_targets(boxes, labels, (32, 48), 4, ONE_MAP[:2])
    owner, weight = owner[:, 0], weight[:, 0]
    for box in range(3):
        assert float(weight[owner == box].sum()) == pytest.approx(1.0)
    assert owner[0, 4, 1] == owner[0, 4, 3] == 0  # left and right of the thin one's centre, outside of its box
    assert weight[0, 4, 2] > weight[0, 4, 1] > weight[0, 3, 1] > 0
    assert owner[0, 11, 22] == owner[0, 10, 21] == 2  # of two with one centre the smaller one
    assert owner[0, 11, 17] == 1
    assert owner[0, 0, 0] == -1
    edges = torch.zeros(1, 4, 32, 48, requires_grad=True)
    outputs = {"heatmap": torch.zeros(1, 2, 32, 48), "box": edges}
    center_loss(outputs, boxes, labels, torch.tensor([True]), 4, ONE_MAP[:2]).backward()
    touched = edges.grad.abs().sum(dim=1) > 0
    assert touched.equal(owner >= 0)


def test_each_of_two_people_side_by_side_owns_the_cell_of_its_centre() -> None:
    """Even where the other's Gaussian reaches it and the other is smaller, hidden in part or a child."""
    adult, hidden, child = [80.0, 40, 94, 88], [86.0, 42, 97, 86], [78.0, 54, 88, 86]
    boxes, labels = torch.tensor([[adult, hidden, child]]), torch.tensor([[0, 0, 0]])
    heatmap, owner, weight = center_targets(boxes, labels, (32, 48), 4, ONE_MAP[:1])
    owner, weight = owner[:, 0], weight[:, 0]
    for index, (left, top, right, bottom) in enumerate((adult, hidden, child)):
        row, column = int((top + bottom) / 8), int((left + right) / 8)
        assert heatmap[0, 0, row, column] == 1
        assert owner[0, row, column] == index
        assert float(weight[owner == index].sum()) == pytest.approx(1.0)


def test_a_small_object_before_a_large_one_has_a_box_of_its_own_in_the_same_cell() -> None:
    """A motorcycle parked before a car, with its centre in the cell of the car's: one map could give only one box."""
    car, motorcycle = [20.0, 20, 100, 80], [52.0, 30, 70, 72]
    boxes, labels, box_map = torch.tensor([[car, motorcycle]]), torch.tensor([[0, 1]]), torch.tensor([0, 1])
    heatmap, owner, weight = center_targets(boxes, labels, (32, 48), 4, box_map)
    row, column = 50 // 4, 60 // 4
    assert heatmap[0, :, row, column].tolist() == [1, 1]
    assert owner[0, :, row, column].tolist() == [0, 1]
    for index in (0, 1):
        assert owner[0, index].unique().tolist() == [-1, index]
        assert float(weight[0, index].sum()) == pytest.approx(1.0)
    edges = torch.zeros(1, 2, 4, 32, 48)
    for index, box in enumerate(boxes[0]):
        for y, x in (owner[0, index] >= 0).nonzero().tolist():
            cx, cy = (x + 0.5) * 4, (y + 0.5) * 4
            distances = torch.tensor([cx - box[0], cy - box[1], box[2] - cx, box[3] - cy])
            edges[0, index, :, y, x] = torch.log(distances.clamp(min=1e-3) / 4)
    outputs = {"heatmap": torch.logit(heatmap.clamp(1e-4, 1 - 1e-4)), "box": edges.flatten(1, 2)}
    loss = center_loss(outputs, boxes, labels, torch.tensor([True]), 4, box_map)
    assert float(loss - heatmap_focal(outputs["heatmap"], heatmap)) < 0.01
    decoded = CenterHead(8, 2, top_k=2, box_groups=[[1]]).decode(outputs, (128, 192))
    order = decoded["labels"][0].argsort()
    assert torch.allclose(decoded["boxes"][0, order], boxes[0], atol=1e-3)
    shared = CenterHead(8, 2, top_k=2).decode({**outputs, "box": outputs["box"][:, :4]}, (128, 192))
    assert torch.allclose(shared["boxes"][0], boxes[0, :1].expand(2, 4), atol=1e-3)


def test_focal_loss_equals_its_formula() -> None:
    logits = torch.tensor([[[[0.3, -1.2, 2.0]]]])
    target = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    p = 1 / (1 + np.exp(-logits.numpy().ravel()))
    expected = -((1 - p[0]) ** 2 * np.log(p[0]) + 0.5**4 * p[1] ** 2 * np.log(1 - p[1]) + p[2] ** 2 * np.log(1 - p[2]))
    assert float(heatmap_focal(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_images_without_box_labels_are_skipped() -> None:
    outputs = {"heatmap": torch.randn(2, 2, 8, 8, requires_grad=True), "box": torch.randn(2, 4, 8, 8)}
    boxes, labels = torch.tensor([[[4.0, 4, 20, 20]]] * 2), torch.tensor([[0], [0]])
    loss = center_loss(outputs, boxes, labels, torch.tensor([True, False]), 4, ONE_MAP[:2])
    loss.backward()
    gradient = outputs["heatmap"].grad
    assert gradient[0].any()
    assert not gradient[1].any()
    assert float(center_loss(outputs, boxes, labels, torch.tensor([False, False]), 4, ONE_MAP[:2])) == 0


def test_an_image_without_objects_still_teaches_the_background() -> None:
    outputs = {"heatmap": torch.zeros(1, 2, 8, 8, requires_grad=True), "box": torch.zeros(1, 4, 8, 8)}
    none = torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.int64)
    loss = center_loss(outputs, *none, torch.tensor([True]), 4, ONE_MAP[:2])
    loss.backward()
    assert float(loss) > 0
    assert (outputs["heatmap"].grad > 0).all()


def test_uncertainty_balance_learns_and_skips_missing_tasks() -> None:
    balance = UncertaintyBalance(["a", "b"])
    losses = {"a": torch.tensor(4.0)}
    assert float(balance(losses)) == pytest.approx(4.0)
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        balance(losses).backward()
        optimizer.step()
    assert balance.weights()["a"] == pytest.approx(1 / 8, rel=0.01)  # minimum of exp(-s) 4 + s / 2
    assert balance.weights()["b"] == 1


def test_fixed_balance_is_a_weighted_sum() -> None:
    assert float(FixedBalance({"a": 2.0, "b": 0.5})({"a": torch.tensor(3.0), "b": torch.tensor(4.0)})) == 8

from __future__ import annotations

import torch

from perception.models.lidar.fusion import CameraGate


def test_unseen_points_keep_their_features_and_seen_ones_are_gated() -> None:
    torch.manual_seed(0)
    gate = CameraGate(5, 3)
    points, image = torch.randn(40, 5), torch.randn(40, 3)
    image[::2] = 0
    assert torch.equal(gate(points, image), points), "it starts as LiDAR alone"
    torch.nn.init.normal_(gate.project[1].weight)
    out = gate(points, image)
    assert torch.equal(out[::2], points[::2])
    added, projected = out[1::2] - points[1::2], gate.project(image[1::2])
    share = added / projected
    assert ((share > 0) & (share < 1)).all()
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in gate.parameters())


def test_no_points_are_no_trouble() -> None:
    gate = CameraGate(5, 3)
    assert gate(torch.zeros(0, 5), torch.zeros(0, 3)).shape == (0, 5)

"""Windows of batches, against the transform of single samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.transforms.joint import Placement, place
from perception.transforms.window import batch_window, batch_windows
from perception.types import Batch, Boxes, Sample


def make(seed: int, height: int = 40, width: int = 60) -> tuple[Sample, Batch]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.random((3, height, width), dtype=np.float32))
    semantic = torch.from_numpy(rng.integers(0, 20, (height, width)))
    corner = rng.uniform(-5, 45, (6, 2)) * [width / 50, height / 50]
    xyxy = np.concatenate([corner, corner + rng.uniform(1, 20, (6, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, 3, 6)
    sample = Sample(image, "a", semantic=semantic, boxes=Boxes(xyxy, labels))
    batch = Batch(
        image[None], ["a"], semantic=semantic[None], boxes=torch.from_numpy(xyxy)[None],
        box_labels=torch.from_numpy(labels)[None], has_boxes=torch.tensor([True]),
    )  # fmt: skip
    return sample, batch


@settings(max_examples=50)
@given(
    st.integers(0, 10**6), st.integers(0, 10), st.integers(0, 20), st.integers(8, 30), st.integers(8, 40),
    st.integers(4, 40), st.integers(4, 40),
)  # fmt: skip
def test_a_window_of_a_batch_is_that_of_its_samples(
    seed: int, top: int, left: int, height: int, width: int, out_height: int, out_width: int
) -> None:
    sample, batch = make(seed)
    window, size = (top, left, height, width), (out_height, out_width)
    expected = place(sample, Placement(window, size, size))
    found = batch_window(batch, window, size)
    assert torch.allclose(found.image[0], expected.image, atol=1e-5)
    assert found.semantic is not None
    assert torch.equal(found.semantic[0], expected.semantic)
    assert expected.boxes is not None
    assert found.box_labels is not None
    assert found.boxes is not None
    keep = found.box_labels[0] >= 0
    assert keep.sum() == len(expected.boxes)
    assert np.allclose(found.boxes[0][keep].numpy(), expected.boxes.xyxy, atol=1e-3)
    assert found.box_labels[0][keep].tolist() == expected.boxes.labels.tolist()
    assert (found.boxes[0][~keep] == 0).all()
    assert found.has_boxes is batch.has_boxes


def test_windows_of_several_pictures_are_those_of_each() -> None:
    batches = [make(seed)[1] for seed in (3, 4)]
    both = replace(
        batches[0],
        names=["a", "b"],
        **{name: torch.cat([getattr(one, name) for one in batches])
           for name in ("image", "semantic", "boxes", "box_labels", "has_boxes")},
    )  # fmt: skip
    windows = [(1, (0, 5, 20, 30)), (0, (20, 10, 20, 30)), (1, (11, 30, 20, 30))]
    found = batch_windows(both, windows, (10, 15), halving=True)
    assert len(found) == len(found.cameras) == 3
    assert found.names == ["b", "a", "b"]
    for row, (index, window) in enumerate(windows):
        alone = batch_window(batches[index], window, (10, 15), halving=True)
        for name in ("image", "semantic", "boxes", "box_labels", "has_boxes"):
            assert torch.equal(getattr(found, name)[row], getattr(alone, name)[0]), name
    assert found.drivable is None


def test_the_batch_itself_is_not_touched() -> None:
    _, batch = make(1)
    before = batch.image.clone()
    batch_window(batch, (0, 0, 20, 20), (20, 20)).image.zero_()
    assert torch.equal(batch.image[..., 30:, 30:], before[..., 30:, 30:])


@pytest.mark.parametrize("size", [(48, 80), (24, 40), (25, 44), (70, 130), (11, 20)])
def test_halving_is_what_engines_of_exported_files_do(size: tuple[int, int]) -> None:
    from perception.runtime.exported_engine import resized
    from perception.transforms.window import halved

    picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    found = halved(image, size)[0].permute(1, 2, 0).numpy()
    assert found.shape == (*size, 3)
    assert np.abs(found - resized(picture, size)).max() < 1.6  # OpenCV rounds to bytes at each step
    assert halved(image, size).std() < image.std()

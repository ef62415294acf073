"""Joint transforms: a painted scene stays consistent with its boxes, masks, depth and camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import InputError
from perception.geometry.camera import project
from perception.transforms import (
    Compose,
    PadToMultiple,
    RandomHorizontalFlip,
    RandomScaleCrop,
    Resize,
    eval_transform,
    train_transform,
)
from perception.transforms.joint import clip_boxes
from perception.types import Boxes, Camera, Sample

BOX_CLASS = 7


def painted(size=(48, 64), box=(10, 12, 30, 40), dtype=torch.uint8, model="pinhole", distortion=()) -> Sample:
    """A picture whose box is painted with its own class, colour and depth."""
    height, width = size
    x0, y0, x1, y1 = box
    image = torch.full((3, height, width), 40, dtype=torch.uint8)
    image[:, y0:y1, x0:x1] = 200
    semantic = torch.zeros(size, dtype=torch.int64)
    semantic[y0:y1, x0:x1] = BOX_CLASS
    depth = torch.full(size, 50.0)
    depth[y0:y1, x0:x1] = 10.0
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    pose[:3, 3] = [1.5, 0.3, 1.6]
    camera = Camera(
        np.array([[70.0, 0.4, width / 2 + 3], [0, 65.0, height / 2 - 2], [0, 0, 1]]), size, pose, model, distortion
    )
    return Sample(
        image=image if dtype == torch.uint8 else image.to(dtype) / 255,
        name="painted",
        semantic=semantic,
        drivable=(semantic == 0).long(),
        lane=torch.zeros(size, dtype=torch.int64),
        boxes=Boxes(
            np.array([box]), np.array([3]), visibility=np.array([0.8], np.float32), distance_m=np.array([10.0])
        ),
        depth_m=depth,
        camera=camera,
    )


boxes_in = st.tuples(
    st.integers(0, 50), st.integers(0, 34), st.integers(8, 30), st.integers(8, 30)
).map(lambda v: (v[0], v[1], min(v[0] + v[2], 64), min(v[1] + v[3], 48)))  # fmt: skip
sizes = st.tuples(st.integers(20, 90), st.integers(20, 90))


def some_transform(kind: str, size: tuple[int, int]):
    return {
        "resize": lambda: Resize(size),
        "scale_crop": lambda: RandomScaleCrop(size, (0.5, 2.0), min_share=0.0, min_box_px=0.0),
        "crop_native": lambda: RandomScaleCrop(size, (0.7, 1.5), base=(48, 64), min_share=0.0, min_box_px=0.0),
        "flip": lambda: RandomHorizontalFlip(1.0),
        "pad": lambda: PadToMultiple(size[0]),
        "all": lambda: Compose(
            [RandomScaleCrop(size, min_share=0.0, min_box_px=0.0), RandomHorizontalFlip(0.5), PadToMultiple(32)]
        ),
    }[kind]()


KINDS = ("resize", "scale_crop", "crop_native", "flip", "pad", "all")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(box=boxes_in, size=sizes, seed=st.integers(0, 10_000))
def test_painted_box_stays_inside_its_box(kind, box, size, seed):
    torch.manual_seed(seed)
    sample = painted(box=box)
    out = some_transform(kind, size)(sample)
    assert out.image.dtype == torch.uint8
    assert out.image.shape[-2:] == out.semantic.shape == out.depth_m.shape == tuple(out.camera.size)
    rows, columns = torch.nonzero(out.semantic == BOX_CLASS, as_tuple=True)
    if not len(out.boxes):
        assert len(rows) == 0
        return
    x0, y0, x1, y1 = out.boxes.xyxy[0]
    # Nearest sampling takes the source pixel under the centre, so each painted centre is inside the box exactly.
    eps = 1e-3
    assert ((columns + 0.5 >= x0 - eps) & (columns + 0.5 <= x1 + eps)).all()
    assert ((rows + 0.5 >= y0 - eps) & (rows + 0.5 <= y1 + eps)).all()
    # ... and every centre inside the box is painted: the box is neither too large nor shifted.
    covered = (np.floor(x1 - 0.5 - eps) - np.ceil(x0 - 0.5 + eps) + 1) * (
        np.floor(y1 - 0.5 - eps) - np.ceil(y0 - 0.5 + eps) + 1
    )
    assert len(rows) >= covered
    assert torch.equal(out.semantic == BOX_CLASS, out.depth_m == 10.0)
    assert torch.equal(out.semantic == 255, out.depth_m == 0.0)
    assert torch.equal(out.semantic == 255, out.drivable == 255)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("model", "distortion"),
    [("pinhole", ()), ("brown_conrady", (0.05, -0.02, 0.003, -0.004)), ("fisheye", (0.02, 0.01, 0.0, 0.0))],
)
@settings(max_examples=15, deadline=None)
@given(
    size=sizes,
    seed=st.integers(0, 10_000),
    point=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(1, 60)),
)
def test_projection_lands_on_the_moved_pixel(kind, model, distortion, size, seed, point):
    """A point box around the projection moves with the boxes; the moved camera must project there too."""
    sample = painted(model=model, distortion=distortion)
    in_camera = np.array([[point[0] * point[2], point[1] * point[2], point[2]]])
    (x, y), _ = (value[0] for value in project(sample.camera, in_camera))
    sample.boxes = Boxes(np.array([[x - 0.5, y - 0.5, x + 0.5, y + 0.5]]), np.array([0]))
    torch.manual_seed(seed)
    transform = some_transform(kind, size)
    out = transform(sample)
    if not len(out.boxes):
        return
    box = out.boxes.xyxy[0]
    whole = np.diag(out.camera.intrinsics)[:2] / np.diag(sample.camera.intrinsics)[:2]
    if not np.allclose(box[2:] - box[:2], whole, atol=1e-3):
        return  # clipped on the way: its middle is no longer the point
    mirrored = np.sign(out.camera.ego_from_camera[1, 0] * sample.camera.ego_from_camera[1, 0])
    flipped = not np.allclose(out.camera.ego_from_camera, sample.camera.ego_from_camera)
    moved = in_camera * ([-1, 1, 1] if flipped else [1, 1, 1])
    assert mirrored == 1.0  # reflecting twice keeps the axes' sense
    pixel, _ = project(out.camera, moved)
    np.testing.assert_allclose(pixel[0], [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], atol=2e-3)


def test_flipped_camera_sees_the_mirrored_ground_at_the_same_distance():
    from perception.geometry.ground import ground_distance, ground_points

    sample = painted()
    out = RandomHorizontalFlip(1.0)(sample)
    np.testing.assert_allclose(ground_distance(out.camera), ground_distance(sample.camera)[:, ::-1], rtol=1e-9)
    pixel = np.array([[20.0, 45.0]])
    before, after = ground_points(sample.camera, pixel), ground_points(out.camera, [[64.0 - 20.0, 45.0]])
    np.testing.assert_allclose(after, before * [1, -1], atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(24, 32), (96, 100), (37, 65)])
def test_resize_agrees_with_torch(dtype, size):
    generator = torch.Generator().manual_seed(0)
    sample = painted()
    image = torch.randint(0, 256, (3, 48, 64), generator=generator, dtype=torch.uint8)
    sample.image = image if dtype == torch.uint8 else image.float() / 255
    sample.semantic = torch.randint(0, 20, (48, 64), generator=generator)
    out = Resize(size)(sample)
    reference = nnf.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    scale = 1 if dtype == torch.uint8 else 255
    assert (out.image.float() * scale - reference).abs().max() <= 1.01
    nearest = nnf.interpolate(sample.semantic[None, None].double(), size, mode="nearest-exact")[0, 0]
    tied = [  # a centre on the border of two pixels, where float rounding decides
        torch.tensor([(2 * i + 1) * source % (2 * target) == 0 for i in range(target)])
        for source, target in zip((48, 64), size, strict=True)
    ]
    clear = ~(tied[0][:, None] | tied[1][None])
    assert (out.semantic == nearest.long()).float().mean() > 0.9
    assert torch.equal(out.semantic[clear], nearest.long()[clear])
    assert out.image.dtype == dtype
    assert out.semantic.dtype == torch.int64


def test_scale_crop_at_factor_one_is_a_plain_crop():
    sample = painted()
    sample.image = torch.arange(3 * 48 * 64).reshape(3, 48, 64).remainder(251).to(torch.uint8)
    torch.manual_seed(3)
    out = RandomScaleCrop((20, 30), (1, 1), base=(48, 64))(sample)
    top, left = np.round(sample.camera.intrinsics[[1, 0], 2] - out.camera.intrinsics[[1, 0], 2]).astype(int)
    assert torch.equal(out.image, sample.image[:, top : top + 20, left : left + 30])
    assert torch.equal(out.semantic, sample.semantic[top : top + 20, left : left + 30])


def test_scale_crop_pads_with_grey_and_ignore():
    torch.manual_seed(0)
    out = RandomScaleCrop((48, 64), (0.5, 0.5))(painted())
    outside = out.semantic == 255
    assert outside.sum() == 48 * 64 - 24 * 32
    assert out.image[:, outside].unique(dim=1).flatten().tolist() == [124, 116, 104]
    assert (out.depth_m[outside] == 0).all()


def test_scale_crop_covers_its_range_and_follows_the_seed():
    transform = RandomScaleCrop((48, 64), (0.5, 2.0))
    torch.manual_seed(0)
    focal = [transform(painted()).camera.focal_px / 70 for _ in range(200)]
    assert min(focal) < 0.6
    assert max(focal) > 1.9
    torch.manual_seed(0)
    assert focal == [transform(painted()).camera.focal_px / 70 for _ in range(200)]


def test_boxes_keep_their_arrays_in_step():
    boxes = Boxes(
        np.array([[-10, 0, 10, 10], [-90, 0, 10, 10], [5, 5, 6, 20], [20, 20, 30, 30], [70, 0, 90, 10]]),
        np.array([0, 1, 2, 3, 4]),
        scores=np.array([0.0, 0.1, 0.2, 0.3, 0.4]),
        visibility=np.array([1.0, 1.0, 1.0, 0.5, 1.0]),
        distance_m=np.array([10, 11, 12, 13, np.nan]),
    )
    kept = clip_boxes(boxes, (48, 64))
    assert kept.labels.tolist() == [0, 3]
    np.testing.assert_allclose(kept.xyxy, [[0, 0, 10, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(kept.visibility, [0.5, 0.5])
    np.testing.assert_allclose(kept.scores, [0.0, 0.3])
    np.testing.assert_allclose(kept.distance_m, [10, 13])
    assert boxes.xyxy[0, 0] == -10  # the input is not touched


def test_eval_transform_keeps_small_boxes_and_train_drops_them():
    sample = painted(size=(480, 640), box=(100, 100, 108, 140))
    assert len(eval_transform((48, 64))(sample).boxes) == 1
    assert len(Resize((48, 64))(sample).boxes) == 0
    assert eval_transform()(sample) is sample


def test_missing_targets_stay_missing():
    sample = Sample(image=torch.zeros(3, 48, 64, dtype=torch.uint8), name="bare")
    out = train_transform((32, 32), blur=1.0, noise=1.0, grayscale=1.0)(sample)
    assert out.image.shape == (3, 32, 32)
    assert (out.semantic, out.drivable, out.lane, out.boxes, out.depth_m, out.camera) == (None,) * 6


def test_input_is_left_alone():
    sample = painted()
    before = (sample.image.clone(), sample.semantic.clone(), sample.boxes.xyxy.copy(), sample.camera.intrinsics.copy())
    for seed in range(10):
        torch.manual_seed(seed)
        train_transform((48, 64), blur=0.5, noise=0.5)(sample)
    assert torch.equal(sample.image, before[0])
    assert torch.equal(sample.semantic, before[1])
    np.testing.assert_array_equal(sample.boxes.xyxy, before[2])
    np.testing.assert_array_equal(sample.camera.intrinsics, before[3])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Resize((0, 10)), "two positive integers"),
        (lambda: Resize(224), "two positive integers"),
        (lambda: RandomScaleCrop((10, 10), (0.0, 1.0)), "positive factors"),
        (lambda: RandomHorizontalFlip(1.5), "0..1"),
        (lambda: PadToMultiple(0), "at least 1"),
        (lambda: train_transform((10, 10), jitter=2.0), "0..1"),
    ],
)
def test_bad_arguments_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_mask_of_another_size_is_refused():
    sample = painted()
    sample.lane = torch.zeros(10, 10, dtype=torch.int64)
    with pytest.raises(InputError, match="painted: lane has size"):
        Resize((20, 20))(sample)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["resize", "scale_crop", "crop_native", "pad"]), sizes, st.integers(0, 10_000))
def test_points_move_with_the_camera(kind, size, seed):
    torch.manual_seed(seed)
    sample = painted()
    random = np.random.default_rng(seed)
    points = random.uniform([-3, -2, 2], [3, 2, 20], (200, 3))
    pixels = project(sample.camera, points)[0].astype(np.float32)
    outside = (pixels < 0).any(axis=1) | (pixels >= (64, 48)).any(axis=1)
    pixels[outside] = np.nan
    sample.points_px = pixels
    moved = some_transform(kind, size)(sample)
    wanted = project(moved.camera, points)[0]
    seen = ~np.isnan(moved.points_px[:, 0])
    np.testing.assert_allclose(moved.points_px[seen], wanted[seen], atol=1e-3)
    assert not (seen & outside).any()
    height, width = moved.image.shape[-2:]
    inside = ((wanted > 0.01) & (wanted < (width - 0.01, height - 0.01))).all(axis=1)
    assert (seen | ~inside | outside).all()
    mirrored = RandomHorizontalFlip(1.0)(moved)
    np.testing.assert_allclose(mirrored.points_px[seen, 0], width - moved.points_px[seen, 0], atol=1e-4)
    np.testing.assert_array_equal(mirrored.points_px[seen, 1], moved.points_px[seen, 1])

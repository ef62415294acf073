from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.geometry.frames import transform, yaw_rotation
from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.types import IGNORE_INDEX
from perception.world.mesh import Material, Surface, merge
from perception.world.noise import TILE, hash01, sample, tile
from perception.world.people import Look, cyclist, pedestrian
from perception.world.shapes import Shape, box, ellipsoid, join, loft, prism, quads, ribbon, tube
from perception.world.vehicles import bus, car, truck

PLAIN = Surface(Material.PLAIN, "pole")
metres = st.floats(0.05, 30.0)


def volume(shape: Shape) -> float:
    """Signed volume by the divergence theorem: positive where closed and facing outwards."""
    a, b, c = np.asarray(shape.vertices, np.float64)[shape.faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@settings(max_examples=30, deadline=None)
@given(x=metres, y=metres, z=metres, shift=st.floats(-50, 50))
def test_boxes_are_closed_and_face_outwards(x: float, y: float, z: float, shift: float) -> None:
    assert volume(box((shift, -shift, 2 * shift), (x, y, z))) == pytest.approx(x * y * z, rel=1e-6, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-3, 3), z=st.floats(0.2, 3), radius=st.floats(0.02, 0.5), sides=st.integers(3, 16))
def test_tubes_have_the_volume_of_their_polygon(x: float, z: float, radius: float, sides: int) -> None:
    polygon = sides / 2 * radius**2 * np.sin(2 * np.pi / sides)
    shape = tube((0, 0, 0), (x, 1, z), radius, sides=sides)
    assert volume(shape) == pytest.approx(polygon * np.linalg.norm((x, 1, z)))


def test_ellipsoid_loft_and_prism_volumes() -> None:
    assert volume(ellipsoid((1, 2, 3), (0.5, 1.0, 2.0), 4)) == pytest.approx(4 / 3 * np.pi, rel=5e-3)
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    sections = [np.column_stack([np.full(4, x), square]) for x in (0.0, 1.5, 4.0)]
    assert volume(loft(np.array(sections))) == pytest.approx(16)
    walls, top = prism(square * [2, 3], 1.0, 4.0)
    bottom = quads(np.array([[(-2, -3, 1), (-2, 3, 1), (2, 3, 1), (2, -3, 1)]]))
    assert volume(join([walls, top, bottom])) == pytest.approx(72)
    assert walls.uv[..., 1].max() == pytest.approx(3)


def test_smooth_normals_of_a_sphere_point_away_from_its_middle() -> None:
    shape = ellipsoid((0, 0, 0), (2, 2, 2), 2)
    shape.normals = None
    mesh = shape.mesh(PLAIN, crease_deg=60)
    radial = mesh.vertices[mesh.faces] / 2
    assert np.einsum("fci,fci->fc", mesh.normals, radial).min() > 0.995
    flat = shape.mesh(PLAIN)
    assert (flat.normals[:, 0] == flat.normals[:, 1]).all()
    cube = box((0, 0, 0), (1, 1, 1)).mesh(PLAIN, crease_deg=60)  # its right angles stay sharp
    assert np.sort(np.abs(cube.normals).reshape(-1, 3), axis=1) == pytest.approx(np.tile([0, 0, 1], (36, 1)), abs=1e-6)


def test_ribbon_faces_up_with_its_left_on_the_left() -> None:
    x = np.arange(4.0)
    left, right = (np.column_stack([x, np.full(4, y), np.zeros(4)]) for y in (1.0, -1.0))
    mesh = ribbon(left, right, left[:, :2], right[:, :2]).mesh(PLAIN)
    assert mesh.normals[..., 2].min() == 1.0
    assert mesh.uv == pytest.approx(mesh.vertices[mesh.faces][..., :2])


def test_merging_and_moving_keep_attributes_with_their_triangles() -> None:
    red = box((0, 0, 0), (1, 1, 1)).mesh(Surface(Material.PAINT, "car", (1, 0, 0), "vehicle.car", style=3))
    other = box((5, 0, 0), (1, 1, 1)).mesh(Surface(Material.PLAIN, "ignore", lidar="static.other"))
    pose = transform(np.array([1.0, 2.0, 3.0]), yaw_rotation(0.7))
    pose[:3, :3] *= 2.0
    both = merge([red.moved(pose, 9), other])
    assert both.instance.tolist() == [9] * 12 + [0] * 12
    assert both.semantic.tolist() == [ROAD_SCENE.index("car")] * 12 + [IGNORE_INDEX] * 12
    assert set(both.lidar[:12]) == {NUSCENES_LIDARSEG.index("vehicle.car")}
    assert both.vertices[both.faces[:12]].reshape(-1, 3).mean(axis=0) == pytest.approx([1, 2, 3], abs=1e-5)
    assert volume(Shape(both.vertices, both.faces[:12], both.uv[:12])) == pytest.approx(8, rel=1e-5)
    assert np.linalg.norm(both.normals, axis=2) == pytest.approx(1, abs=1e-5)
    assert red.instance.max() == 0  # the original is untouched


@pytest.mark.parametrize(
    ("make", "length", "width", "height"),
    [
        (car, (3.7, 5.5), (1.6, 2.5), (1.4, 2.4)),
        (bus, (9.4, 12.6), (2.4, 2.9), (2.9, 3.7)),
        (truck, (5.7, 9.6), (2.1, 2.9), (2.3, 3.8)),
    ],
)
def test_vehicles_have_real_sizes_and_stand_on_the_ground(make, length, width, height) -> None:
    for seed in range(6):
        mesh = make(np.random.default_rng(seed))
        low, high = mesh.bounds()
        for extent, limits in zip(high - low, (length, width, height), strict=True):
            assert limits[0] <= extent <= limits[1]
        assert abs(low[2]) < 0.02
        assert (low[:2] + high[:2]) / 2 == pytest.approx([0, 0], abs=0.15)
        assert np.isfinite(mesh.normals).all()


def test_people_are_labelled_by_part_and_walk() -> None:
    look = Look.random(np.random.default_rng(3))
    standing = pedestrian(look, 0.0, 0.0, "human.pedestrian.adult")
    low, high = standing.bounds()
    assert abs(low[2]) < 0.03
    assert high[2] == pytest.approx(look.height, rel=0.06)
    gait = [pedestrian(look, phase, 0.5, "human.pedestrian.adult") for phase in (0.0, np.pi / 2)]
    stride = [np.ptp(mesh.vertices[:, 0]) for mesh in gait]
    assert stride[1] > stride[0] + 0.1
    riding = cyclist(look, (0.1, 0.1, 0.4), 0.4, True)
    names = {ROAD_SCENE.classes[k] for k in np.unique(riding.semantic)}
    assert names == {"rider", "bicycle"}
    assert {NUSCENES_LIDARSEG[k] for k in np.unique(riding.lidar)} == {"vehicle.bicycle"}


def test_noise_repeats_without_a_seam_and_hashes_are_even() -> None:
    field = tile(5, 1.1)
    x = np.linspace(0, TILE, 500).astype(np.float32)
    assert sample(field, x, x * 0.5) == pytest.approx(sample(field, x + TILE, x * 0.5 - TILE), abs=2e-4)
    assert sample(field, np.array([3.0, 7.0]), np.array([4.0, 9.0])).tolist() == [field[4, 3], field[9, 7]]
    values = hash01(np.arange(20000), 3)
    assert np.histogram(values, 10, (0, 1))[0] == pytest.approx(np.full(10, 2000), rel=0.1)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03
    assert (values != hash01(np.arange(20000), 4)).mean() > 0.99

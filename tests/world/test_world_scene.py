from __future__ import annotations

import numpy as np
import pytest

from perception.errors import InputError, MissingExtra
from perception.geometry.boxes import box_corners
from perception.geometry.camera import project
from perception.geometry.camera import rays as camera_rays
from perception.geometry.frames import apply, inverse
from perception.geometry.ground import ground_distance
from perception.taxonomy import NUSCENES_LIDARSEG, ROAD_SCENE
from perception.world import build_scene, front_camera, raycast, render_camera, scan_lidar
from perception.world.camera import CameraFrame
from perception.world.lidar import EGO_FROM_LIDAR, points_in_box
from perception.world.raycast import Frame
from perception.world.scene import Scene
from perception.world.traffic import EGO_CENTER_M, EGO_LENGTH_M
from perception.world.visibility import View, visible_share

SIZE = (90, 160)
TIME_S = 0.7
CLASSES = {
    "vehicle.car": {"car"}, "vehicle.bus.rigid": {"bus"}, "vehicle.truck": {"truck"},
    "vehicle.bicycle": {"bicycle", "rider"},
}  # fmt: skip


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(11, 2, 2.0)


@pytest.fixture(scope="module")
def picture(scene: Scene) -> CameraFrame:
    return render_camera(scene, TIME_S, front_camera(SIZE))


def test_front_camera_is_that_of_nuscenes_at_any_size() -> None:
    camera = front_camera((900, 1600))
    assert camera.focal_px == pytest.approx(1266.4, abs=0.1)
    assert front_camera((225, 400)).focal_px == pytest.approx(1266.417 / 4)
    points = np.array([[21.7, 0.0, 1.51], [21.7, -1.0, 0.51]])
    ahead, _ = project(camera, apply(inverse(camera.ego_from_camera), points))
    assert ahead[0] == pytest.approx([800, 450])
    assert ahead[1] == pytest.approx([800 + 1266.417 / 20, 450 + 1266.417 / 20])  # right and below


def test_depth_agrees_with_the_ground_plane_and_with_brute_force(scene: Scene, picture: CameraFrame) -> None:
    camera = front_camera(SIZE)
    road = (picture.semantic == ROAD_SCENE.index("road")) | (picture.semantic == ROAD_SCENE.index("lane_marking"))
    forward = ground_distance(camera) - camera.ego_from_camera[0, 3]
    near = road & (picture.depth_m < 30)
    assert near.sum() > 1000
    assert picture.depth_m[near] == pytest.approx(forward[near], rel=0.012)  # side roads lie a centimetre lower

    rng = np.random.default_rng(0)
    mesh = scene.static
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    pose = scene.global_from_ego(TIME_S) @ camera.ego_from_camera
    checked = 0
    for row, column in zip(rng.integers(0, SIZE[0], 30), rng.integers(0, SIZE[1], 30), strict=True):
        if picture.depth_m[row, column] == 0 or picture.instance[row, column]:
            continue
        ray = pose[:3, :3] @ camera_rays(camera, np.array([[column + 0.5, row + 0.5]]))[0]
        p = np.cross(ray, c - a)  # Moeller and Trumbore
        determinant = np.einsum("ij,ij->i", b - a, p)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = ((pose[:3, 3] - a) * p).sum(axis=1) / determinant
            q = np.cross(pose[:3, 3] - a, b - a)
            v, t = (q @ ray) / determinant, np.einsum("ij,ij->i", c - a, q) / determinant
            inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        best = np.flatnonzero(inside)[t[inside].argmin()]
        if picture.semantic[row, column] != ROAD_SCENE.index("lane_marking"):
            assert mesh.semantic[best] == picture.semantic[row, column]
        assert picture.depth_m[row, column] == pytest.approx(t[best], rel=1e-3)
        checked += 1
    assert checked > 8


def test_markings_are_labelled_where_the_road_has_lines(scene: Scene, picture: CameraFrame) -> None:
    """Unprojected marking pixels lie on the carriageway, and bright there compared with the asphalt around them."""
    marking = picture.semantic == ROAD_SCENE.index("lane_marking")
    asphalt = picture.semantic == ROAD_SCENE.index("road")
    assert 20 < marking.sum() < asphalt.sum()
    close = np.arange(SIZE[0])[:, None] > 60
    assert picture.image[marking & close].mean() > picture.image[asphalt & close].mean() + 25


def test_instances_belong_to_their_boxes_and_shares(scene: Scene, picture: CameraFrame) -> None:
    camera = front_camera(SIZE)
    pose = scene.global_from_ego(TIME_S) @ camera.ego_from_camera
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    rays = camera_rays(camera, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(*SIZE, 3)
    points = apply(pose, (rays * picture.depth_m[:, :, None]).reshape(-1, 3)).reshape(*SIZE, 3)
    seen = np.unique(picture.instance[picture.instance > 0])
    assert len(seen) >= 3
    for number in seen:
        actor = scene.actors[number - 1]
        assert actor.instance == number
        box = scene.box(actor, TIME_S)
        own = points[picture.instance == number]
        grown = tuple(s + 0.05 for s in box.size)
        assert points_in_box(own, box.center, grown, box.yaw) == len(own)
        labels = {ROAD_SCENE.classes[k] for k in np.unique(picture.semantic[picture.instance == number])}
        assert labels <= CLASSES.get(actor.category, {"person"})
        share = visible_share(scene, actor, [View(camera, TIME_S, picture.instance)])
        assert 0 < share <= 1
    blank = View(camera, TIME_S, np.zeros(SIZE, np.uint16))
    assert visible_share(scene, scene.actors[seen[0] - 1], [blank]) == 0


def test_boxes_hold_their_meshes_at_all_times(scene: Scene) -> None:
    for time_s in (0.0, 0.4, 1.1, 2.0):
        for actor in scene.present(time_s):
            pose = actor.global_from_local(scene.road, time_s)
            vertices = apply(pose, actor.mesh(time_s).vertices.astype(np.float64))
            box = scene.box(actor, time_s)
            grown = tuple(s + 0.06 for s in box.size)
            assert points_in_box(vertices, box.center, grown, box.yaw) == len(vertices), (actor.category, actor.kind)
            if actor.track is not None:
                ahead = scene.box(actor, time_s + 1e-3).center - scene.box(actor, time_s - 1e-3).center
                assert box.velocity == pytest.approx(ahead[:2] / 2e-3, abs=0.08)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_ego_drives_without_touching_anybody(seed: int) -> None:
    for index in range(2):
        built = build_scene(seed, index, 6.0)
        speeds = []
        for time_s in np.arange(0.0, 6.01, 0.25):
            pose = built.global_from_ego(time_s)
            ego = box_corners(np.array([EGO_CENTER_M, 0, 0.8]), np.array([EGO_LENGTH_M, 1.8, 1.4]), 0.0)
            corners = np.concatenate([apply(pose, ego), apply(pose, ego * [0.4, 1, 1])])
            for actor in built.present(time_s):
                box = built.box(actor, time_s)
                touched = points_in_box(corners, box.center, box.size, box.yaw)
                assert not touched, (index, time_s, actor.category, actor.kind)
            speeds.append(built.speed_mps(time_s))
        assert 0 <= min(speeds) <= max(speeds) < 22
        assert np.abs(np.diff(speeds)).max() / 0.25 < 7


def test_scenes_depend_on_seed_and_index_only() -> None:
    again, other = build_scene(11, 2, 2.0), build_scene(11, 3, 2.0)
    first = build_scene(11, 2, 2.0)
    assert np.array_equal(first.static.vertices, again.static.vertices)
    assert np.array_equal(first.static.color, again.static.color)
    assert [a.category for a in first.actors] == [a.category for a in again.actors]
    assert first.global_from_ego(1.0).tolist() == again.global_from_ego(1.0).tolist()
    assert first.district != other.district
    assert build_scene(11, 2, 2.0, "overcast").daylight.sunny is False


def test_traffic_leaves_at_the_ends_of_the_road(scene: Scene) -> None:
    """Nobody waits in a heap where the road ends; who is there keeps a distance from everybody in the lane."""
    for time_s in (0.0, 2.0):
        vehicles = [actor for actor in scene.present(time_s) if actor.kind == "vehicle"]
        assert vehicles
        centers = np.array([scene.box(actor, time_s).center[:2] for actor in vehicles])
        distance = np.hypot(*(centers[:, None] - centers[None]).transpose(2, 0, 1)) + 99 * np.eye(len(centers))
        assert distance.min() > 2.2


def test_global_coordinates_are_positive(scene: Scene) -> None:
    drivable = scene.static.lidar == NUSCENES_LIDARSEG.index("flat.driveable_surface")
    assert scene.static.vertices[scene.static.faces[drivable]][..., :2].min() > 0


def test_lidar_rings_labels_and_paint(scene: Scene) -> None:
    scan = scan_lidar(scene, TIME_S)
    points = scan.points.astype(np.float64)
    elevation = np.degrees(np.arcsin(points[:, 2] / np.linalg.norm(points[:, :3], axis=1)))
    assert elevation == pytest.approx(-30 + points[:, 4] * 40 / 31, abs=1e-3)
    world = apply(scene.global_from_ego(TIME_S) @ EGO_FROM_LIDAR, points[:, :3])
    for number in np.unique(scan.instance[scan.instance > 0]):
        box = scene.box(scene.actors[number - 1], TIME_S)
        own = world[scan.instance == number]
        grown = tuple(s + 0.2 for s in box.size)  # five times the range noise on either side
        assert points_in_box(own, box.center, grown, box.yaw) == len(own)
        names = {NUSCENES_LIDARSEG[k] for k in np.unique(scan.labels[scan.instance == number])}
        assert names == {scene.actors[number - 1].category}
    road = scan.labels == NUSCENES_LIDARSEG.index("flat.driveable_surface")
    intensity = scan.points[road, 3]
    assert np.percentile(intensity, 99.5) > 3 * np.median(intensity)  # paint shines in the LiDAR's own light
    assert np.array_equal(scan_lidar(scene, TIME_S).points, scan.points)


def test_shadows_fall_away_from_the_sun(scene: Scene) -> None:
    """A point right behind a facade, seen from the sun, is dark; one in open sky is not."""
    frame = Frame(scene, TIME_S)
    sun = scene.daylight.sun_direction
    high = np.array([[scene.road.x[200], scene.road.y[200], 200.0]])
    assert not frame.occluded(high, sun)[0]
    under = np.array([[scene.road.x[200], scene.road.y[200], -0.5]])
    assert frame.occluded(under, sun)[0]


def test_a_missing_system_library_names_the_packages(monkeypatch) -> None:
    def broken(module: str, extra: str):
        raise MissingExtra("open3d could not be imported") from ImportError(
            "libusb-1.0.so.0: cannot open shared object file: No such file or directory"
        )

    monkeypatch.setattr(raycast, "require", lambda m, e: broken(m, e))
    with pytest.raises(MissingExtra):
        raycast.open3d()

    def broken_with_text(module: str, extra: str):
        cause = ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory")
        raise MissingExtra(f"open3d could not be imported ({cause}); install it with: pip install x") from cause

    monkeypatch.setattr(raycast, "require", broken_with_text)
    with pytest.raises(MissingExtra, match="apt-get install libusb-1"):
        raycast.open3d()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 1.0), "must not be negative"),
        ((0, 0, 1e4), "use 0 to 120 s"),
        ((0, 0, 1.0, "snow"), "unknown weather 'snow'"),
    ],
)
def test_scene_arguments_out_of_range_are_refused(arguments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_scene(*arguments)

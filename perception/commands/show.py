"""``perception show``: a keyframe as a picture, of its cameras or of its points, or a scene as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from perception.errors import InputError
from perception.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from perception.viz.pointcloud_view import PointView

FORMATS = (".png", ".jpg", ".jpeg", ".webp")
RECORDING = ".rrd"
CAMERAS = "cameras"
TOP = "top"
AUTO = "auto"
COMPARE = ("class", "prediction", "error")


def main(
    data: Path,
    out: Path,
    version: str = "v1.0-mini",
    sample: str | None = None,
    width: int = 800,
    view: str = CAMERAS,
    color: str = AUTO,
    predictions: Path | None = None,
    range_m: float = 50.0,
    viewer: bool = False,
    scene: str | None = None,
) -> dict[str, Any]:
    """Draw a keyframe: LiDAR points and 3D boxes over its cameras, or the points themselves from any side.

    Over the cameras, points are coloured by distance, and points and boxes are moved to each camera's own instant, so
    that they must sit on the objects. Pictures of the points come with a legend.

    Args:
        data: nuScenes-format data set.
        out: file to write: a picture (.png, .jpg, .webp), or a Rerun recording (.rrd) of a whole scene with cameras,
            boxes, points and labels, which ``rerun FILE`` plays.
        version: the tables' folder.
        sample: token of the keyframe; default the first.
        width: of each camera's tile, or of each panel of points, in pixels.
        view: cameras; top (from above, with range rings); behind, front, left, right, bird (in perspective); or
            azimuth,elevation,distance such as 30,25,40: degrees from behind to the left, degrees above the ground,
            metres.
        color: of points: class, prediction, error, intensity, height, or sanity (points inside boxes, ground, own
            vehicle, rest). Default: truth, prediction and errors side by side as far as they are there, else height.
        predictions: folder of a lidarseg submission.
        range_m: distance from the vehicle to the edge of a picture from above.
        viewer: also open the points in a window (Open3D; needs a display). Keys: 1-6 colours, B boxes, T from above,
            R start, + and - point size, Q close.
        scene: of a recording: its name, or all; default that of the keyframe.

    Raises:
        InputError: for a missing data set or sample, a file of another kind, or options that do not fit together.
    """
    if out.suffix.lower() not in (*FORMATS, RECORDING):
        raise InputError(f"picture {out} must end in {', '.join(FORMATS)}, a recording in {RECORDING}")
    if not 64 <= width <= 4096:
        raise InputError(f"width {width} is outside 64..4096")
    if out.suffix.lower() == RECORDING:
        if view != CAMERAS or color != AUTO or viewer:
            raise InputError(f"view, color and viewer are for pictures; the recording {out} holds all of them")
        from perception.datasets.nuscenes_recording import record_scenes

        return record_scenes(data, out, version, sample, scene, predictions)
    if scene is not None:
        raise InputError(f"scene {scene!r} is for recordings ({RECORDING}); choose a picture's keyframe with sample")
    if view == CAMERAS and not viewer:
        if color != AUTO or predictions is not None:
            raise InputError("color and predictions are for pictures of points; add a view such as top or behind")
        return _show_cameras(data, out, version, sample, width)
    return _show_points(data, out, version, sample, width, view, color, predictions, range_m, viewer)


def _show_cameras(data: Path, out: Path, version: str, sample: str | None, width: int) -> dict[str, Any]:
    from perception.datasets.nuscenes_keyframe import keyframe_views
    from perception.viz.keyframe import draw_views

    views = keyframe_views(data, version, sample)
    _write(out, draw_views(views, width))
    return {
        "out": str(out),
        "view": CAMERAS,
        "cameras": [view.name for view in views],
        "points": max(len(view.points_ego) for view in views),
        "boxes": max(len(view.boxes) for view in views),
    }


def _show_points(
    data: Path,
    out: Path,
    version: str,
    sample: str | None,
    width: int,
    view: str,
    color: str,
    predictions: Path | None,
    range_m: float,
    viewer: bool,
) -> dict[str, Any]:
    from perception.datasets.nuscenes_points import open_point_view
    from perception.viz.pointcloud import draw_perspective, viewpoint
    from perception.viz.topdown import draw_topdown

    view = TOP if view == CAMERAS else view
    seen_from = None if view == TOP else viewpoint(view)
    cloud = open_point_view(data, version, sample, predictions)
    colors = _choose_colors(cloud) if color == AUTO else (color,)
    if seen_from is None:
        picture = draw_topdown(cloud, colors, width, range_m)
    else:
        picture = draw_perspective(cloud, colors, seen_from, (round(width * 2 / 3), width))
    _write(out, picture)
    if viewer:
        from perception.viz.pointcloud_viewer import open_viewer

        open_viewer(cloud, colors[-1])
    return {"out": str(out), "view": view, "colors": list(colors), **_count(cloud)}


def _choose_colors(cloud: PointView) -> tuple[str, ...]:
    if cloud.labels is not None:
        return COMPARE if cloud.predictions is not None else ("class",)
    return ("prediction",) if cloud.predictions is not None else ("height",)


def _count(cloud: PointView) -> dict[str, Any]:
    from perception.viz.pointcloud_view import check_sanity

    found = check_sanity(cloud)
    in_boxes: dict[str, int] = {}
    for box, count in zip(cloud.boxes, found.counts, strict=True):
        in_boxes[box.name] = in_boxes.get(box.name, 0) + int(count)
    total = max(len(cloud.points), 1)
    return {
        "points": len(cloud.points),
        "boxes": len(cloud.boxes),
        "boxes_with_points": int((found.counts > 0).sum()),
        "points_in_boxes": dict(sorted(in_boxes.items())),
        "ground_share": float(found.ground.sum() / total),
        "own_vehicle_share": float(found.own.sum() / total),
    }


def _write(out: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with atomic_path(out) as temporary:
        Image.fromarray(picture).save(temporary, format=Image.registered_extensions()[out.suffix.lower()])


def show(result: dict[str, Any]) -> None:
    if result["view"] == CAMERAS:
        lines = [f"{result['points']} points and {result['boxes']} boxes over {len(result['cameras'])} cameras"]
    elif result["view"] == "recording":
        lines = [
            f"{result['keyframes']} keyframes of {', '.join(result['scenes'])}, {len(result['cameras'])} cameras, "
            f"{result['points']} points and {result['boxes']} boxes in {result['size_bytes'] / 2**20:.1f} MiB; "
            f"play it with: rerun {result['out']}"
        ]
    else:
        held = ", ".join(f"{name} {count}" for name, count in result["points_in_boxes"].items() if count)
        lines = [
            f"{result['points']} points by {', '.join(result['colors'])}; {result['boxes']} boxes, "
            f"{result['boxes_with_points']} with points",
            f"points in boxes: {held or 'none'}; ground {result['ground_share']:.1%}, own vehicle "
            f"{result['own_vehicle_share']:.1%} of all points",
        ]
    Console().print(f"{result['out']}: " + "\n".join(lines), soft_wrap=True, highlight=False)

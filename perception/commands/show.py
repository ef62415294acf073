"""``perception show``: one keyframe, every camera with LiDAR points and boxes, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from perception.errors import InputError
from perception.files import atomic_path

FORMATS = (".png", ".jpg", ".jpeg", ".webp")


def main(
    data: Path,
    out: Path,
    version: str = "v1.0-mini",
    sample: str | None = None,
    width: int = 800,
) -> dict[str, Any]:
    """Draw the LiDAR points, coloured by distance, and the 3D boxes of a keyframe over each of its cameras.

    Points and boxes are moved to each camera's own instant, so that they must sit on the objects.

    Args:
        data: nuScenes-format data set.
        out: picture to write: .png, .jpg or .webp.
        version: the tables' folder.
        sample: token of the keyframe; default the first.
        width: of each camera's tile in pixels.

    Raises:
        InputError: for a missing data set or sample, or a picture of another kind.
    """
    from PIL import Image

    from perception.datasets.nuscenes_keyframe import keyframe_views
    from perception.viz.keyframe import draw_views

    if out.suffix.lower() not in FORMATS:
        raise InputError(f"picture {out} must end in {', '.join(FORMATS)}")
    if not 64 <= width <= 4096:
        raise InputError(f"width {width} is outside 64..4096")
    views = keyframe_views(data, version, sample)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        Image.fromarray(draw_views(views, width)).save(
            temporary, format=Image.registered_extensions()[out.suffix.lower()]
        )
    return {
        "out": str(out),
        "cameras": [view.name for view in views],
        "points": max(len(view.points_ego) for view in views),
        "boxes": max(len(view.boxes) for view in views),
    }


def show(result: dict[str, Any]) -> None:
    Console().print(
        f"{result['out']}: {result['points']} points and {result['boxes']} boxes over {len(result['cameras'])} cameras",
        soft_wrap=True,
        highlight=False,
    )

"""How well masks projected from the map agree with dense labels, camera by camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception.errors import InputError


def main(
    data: Path,
    version: str = "v1.0-mini",
    split: str = "all",
    cameras: list[str] | None = None,
    target: str = "drivable",
) -> dict[str, Any]:
    """Project the map into the cameras of a data set that has dense labels too, such as the world, and compare.

    What hides the ground is taken from boxes and LiDAR, never from the dense labels or depth images.

    Args:
        data: nuScenes-format data set with a map expansion and dense labels.
        version: the tables' folder.
        split: of its scenes; all for every one.
        cameras: channels; default the six.
        target: drivable or lane.

    Returns:
        ``cameras``: IoU of each, and of ``all`` together.

    Raises:
        InputError: for data without maps or dense labels.
    """
    from perception.datasets.nuscenes_keyframe import MOSAIC
    from perception.datasets.nuscenes_map_agreement import map_agreement

    if target not in ("drivable", "lane"):
        raise InputError(f"target {target!r} must be drivable or lane")
    found = map_agreement(data, version, split, cameras or list(MOSAIC), target=target)
    return {
        "bench": "maps",
        "data": str(data),
        "target": target,
        "cameras": {name: {"iou": round(each.iou, 4), "ignored_pixels": each.ignored} for name, each in found.items()},
    }


def show(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("camera", f"{result['target']} IoU of map and labels")
    for name, values in result["cameras"].items():
        table.add_row(name, f"{values['iou']:.3f}")
    Console().print(table)

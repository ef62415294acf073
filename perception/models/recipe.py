"""What the zoo knows of a member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from perception.models.base import PerceptionModel
from perception.models.lidar.base import LidarModel
from perception.taxonomy import ROAD_SCENE, LabelSet


@dataclass(frozen=True)
class Recipe:
    """How a zoo member is built, and what is known about it."""

    build: Callable[..., PerceptionModel | LidarModel]
    kind: str
    backbone: str
    paper: str
    defaults: dict[str, Any] = field(default_factory=dict)
    label_set: LabelSet = ROAD_SCENE

"""Where the label masks of a nuScenes image come from: dense side files, LiDAR labels or the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.datasets.nuscenes_lidar import (
    LIDAR,
    lidarseg_tokens,
    read_lidarseg,
    semantic_table,
    sparse_labels,
    sweep_in_ego,
)
from perception.datasets.nuscenes_map_labels import MapLabeller, MapOptions
from perception.datasets.nuscenes_sync import Timelines
from perception.datasets.nuscenes_tables import Frame
from perception.errors import InputError
from perception.geometry.occlusion import surface_depth
from perception.taxonomy import LabelSet
from perception.types import Camera

AUTO, NONE = "auto", "none"
DENSE, LIDARSEG, SEMANTIC, MAP = "dense", "lidarseg", "semantic", "map"


@dataclass(frozen=True)
class LabelSources:
    """Which labels become targets.

    Args:
        semantic: ``dense`` side files; ``lidarseg``: the labels of the LiDAR points that the camera sees, 255
            elsewhere; ``auto``: dense, else lidarseg where the data set has it; ``none``.
        drivable, lane: ``semantic``: the classes of the label set that make them up; ``map``: areas and dividers of
            the map expansion; ``auto``: dense labels, else the map where it is there; ``none``. LiDAR labels do not
            tell lane markings from road, so they give drivable area but no lanes.
        crossing: ``map``, ``auto`` (the map where it is there) or ``none``.
        splat_px: side of the square of pixels that a LiDAR point labels, odd.
        map: how the map is laid over the image.
    """

    semantic: str = AUTO
    drivable: str = AUTO
    lane: str = AUTO
    crossing: str = NONE
    splat_px: int = 1
    map: MapOptions = MapOptions()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        for name, allowed in (
            ("semantic", (AUTO, DENSE, LIDARSEG, NONE)),
            ("drivable", (AUTO, SEMANTIC, MAP, NONE)),
            ("lane", (AUTO, SEMANTIC, MAP, NONE)),
            ("crossing", (AUTO, MAP, NONE)),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}_from must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.splat_px < 1 or self.splat_px % 2 == 0:
            raise InputError(f"splat_px must be an odd number of pixels from 1 on, got {self.splat_px}")


class MaskLabeller:
    """Masks of the frames of a data set.

    Args:
        root: of the data set; ``tables``: the devkit's ``NuScenes``; ``scenes``: names of those that are read.
        has_dense: whether there are dense side files at all.

    Raises:
        InputError: where a source is asked for by name and the data set does not have it.
    """

    def __init__(
        self,
        root: Path,
        tables: Any,
        scenes: Sequence[str],
        label_set: LabelSet,
        sources: LabelSources,
        has_dense: bool,
    ) -> None:
        self.root, self.tables, self.sources = root, tables, sources
        self._drivable = label_set.membership(label_set.drivable) if label_set.drivable else None
        self._lane = label_set.membership(label_set.lane) if label_set.lane else None
        if sources.semantic == DENSE and not has_dense:
            raise InputError(f"{root} has no dense labels; set semantic_from to auto, lidarseg or none")
        self._map = self._open_map(scenes)
        self._lidarseg: dict[str, str] = {}
        if sources.semantic in (AUTO, LIDARSEG):
            self._lidarseg = lidarseg_tokens(tables)
        if sources.semantic == LIDARSEG and not self._lidarseg:
            raise InputError(
                f"{tables.table_root} has no lidarseg.json; unpack nuScenes-lidarseg, or set semantic_from to auto, "
                "dense or none"
            )
        if self._lidarseg:
            self._keyframes = Timelines(tables, scenes, (LIDAR,), sweeps=False)
            self._classes = semantic_table(tables, label_set)

    def _open_map(self, scenes: Sequence[str]) -> MapLabeller | None:
        wanted = [self.sources.drivable, self.sources.lane, self.sources.crossing]
        if not {AUTO, MAP} & set(wanted):
            return None
        labeller = MapLabeller(self.root, self.tables, scenes, self.sources.map)
        missing = labeller.missing()
        if missing and MAP in wanted:
            raise InputError(
                f"map expansion {missing[0]} does not exist; unpack nuScenes-map-expansion into the data folder, or "
                "set drivable_from, lane_from and crossing_from to auto"
            )
        return None if missing else labeller

    @property
    def needs_dense(self) -> bool:
        """Whether dense semantic images are of use."""
        sources = self.sources
        return sources.semantic in (AUTO, DENSE) or bool({AUTO, SEMANTIC} & {sources.drivable, sources.lane})

    def masks(
        self, frame: Frame, camera: Camera, dense: np.ndarray | None, depth_m: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """``semantic``, ``drivable``, ``lane`` and ``crossing`` as ``(H, W)`` uint8; those that are not there are left
        out.

        Args:
            dense: ``(H, W)`` dense semantic image, ``None`` where there is none.
            depth_m: ``(H, W)`` depth image, likewise.
        """
        sources = self.sources
        found: dict[str, np.ndarray] = {}
        semantic = dense if sources.semantic in (AUTO, DENSE) else None
        if semantic is None and self._lidarseg:
            semantic = self._sparse(frame, camera)
        if semantic is not None:
            found["semantic"] = semantic
        by_class = dense if dense is not None else semantic
        if sources.drivable in (AUTO, SEMANTIC) and self._drivable is not None:
            labels = dense if sources.drivable == AUTO else by_class
            if labels is not None:
                found["drivable"] = self._drivable[labels]
        if sources.lane in (AUTO, SEMANTIC) and self._lane is not None and dense is not None:
            found["lane"] = self._lane[dense]
        open_targets = [
            name
            for name in ("drivable", "lane", "crossing")
            if name not in found and getattr(sources, name) in (AUTO, MAP)
        ]
        if self._map is not None and open_targets:
            found.update(self._map.masks(frame, camera, depth_m, open_targets))
        return found

    def _sparse(self, frame: Frame, camera: Camera) -> np.ndarray | None:
        """LiDAR labels in the image; ``None`` for an image that no labelled turn is near in time."""
        token = self._keyframes.find(frame.scene, LIDAR, frame.timestamp_us, self.sources.map.tolerance_us)
        if token is None or token not in self._lidarseg:
            return None
        points = sweep_in_ego(self.root, self.tables, token, frame.token)
        labels = self._classes[read_lidarseg(self.root, self._lidarseg[token], len(points))]
        surfaces = surface_depth(camera, points[np.isfinite(points).all(axis=1)])
        return sparse_labels(camera, points, labels, surfaces, self.sources.splat_px)

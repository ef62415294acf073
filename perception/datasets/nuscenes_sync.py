"""Which record of another sensor belongs to an instant: the nearest in time, within a tolerance."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from perception.datasets.nuscenes_tables import Frame
from perception.errors import InputError

TOLERANCE_US = 50_000
"""Half a turn of a 20 Hz LiDAR and the spread of its cameras' shutters around it."""


class Timelines:
    """Records of some channels in some scenes by time.

    Args:
        tables: the devkit's ``NuScenes``.
        scenes: names.
        channels: such as ``LIDAR_TOP``.
        sweeps: also records between keyframes.
    """

    def __init__(self, tables: Any, scenes: Iterable[str], channels: Iterable[str], sweeps: bool = True) -> None:
        names = {scene["token"]: scene["name"] for scene in tables.scene}
        wanted = set(scenes)
        scene_of = {sample["token"]: names[sample["scene_token"]] for sample in tables.sample}
        rows: dict[tuple[str, str], list[tuple[int, str]]] = {(s, c): [] for s in wanted for c in channels}
        for record in tables.sample_data:
            line = rows.get((scene_of[record["sample_token"]], record["channel"]))
            if line is not None and (sweeps or record["is_key_frame"]):
                line.append((int(record["timestamp"]), record["token"]))
        self._times: dict[tuple[str, str], np.ndarray] = {}
        self._tokens: dict[tuple[str, str], list[str]] = {}
        for key, line in rows.items():
            line.sort()
            self._times[key] = np.array([time for time, _ in line], dtype=np.int64)
            self._tokens[key] = [token for _, token in line]

    def find(self, scene: str, channel: str, timestamp_us: int, tolerance_us: int = TOLERANCE_US) -> str | None:
        """Token of the nearest record, the earlier of two at the same distance; ``None`` beyond the tolerance."""
        token, apart_us = self._nearest(scene, channel, timestamp_us)
        return token if token is not None and apart_us <= tolerance_us else None

    def need(self, scene: str, channel: str, timestamp_us: int, tolerance_us: int = TOLERANCE_US) -> str:
        """As :meth:`find`.

        Raises:
            InputError: where there is none within the tolerance.
        """
        token, apart_us = self._nearest(scene, channel, timestamp_us)
        if token is None:
            raise InputError(f"scene {scene} has no record of {channel}")
        if apart_us > tolerance_us:
            raise InputError(
                f"scene {scene}: the record of {channel} nearest to {timestamp_us} us is {apart_us / 1000:.1f} ms "
                f"away, more than the tolerance of {tolerance_us / 1000:g} ms; raise the tolerance or skip the frame"
            )
        return token

    def _nearest(self, scene: str, channel: str, timestamp_us: int) -> tuple[str | None, int]:
        times = self._times.get((scene, channel))
        if times is None or not len(times):
            return None, 0
        after = int(np.searchsorted(times, timestamp_us))
        around = [i for i in (after - 1, after) if 0 <= i < len(times)]
        best = min(around, key=lambda i: abs(int(times[i]) - timestamp_us))
        return self._tokens[scene, channel][best], abs(int(times[best]) - timestamp_us)


def group_frames(frames: Sequence[Frame], cameras: Sequence[str], tolerance_us: int = TOLERANCE_US) -> list[list[int]]:
    """Indices of the frames that show one instant, one list an instant, each in the order of ``cameras``.

    Keyframes go together by their sample. Sweeps have none: each sweep of the first camera takes the sweep of every
    other camera that is nearest in time, and is left out where a camera has none within the tolerance, so that the
    views of a group always belong together.

    Args:
        frames: of any scenes.
        cameras: channels that each group has.
    """
    by_sample: dict[str, dict[str, int]] = {}
    sweeps: dict[tuple[str, str], list[tuple[int, int]]] = {}
    order: dict[int, list[int]] = {}
    for i, frame in enumerate(frames):
        if frame.is_keyframe:
            by_sample.setdefault(frame.sample_token, {})[frame.channel] = i
        else:
            sweeps.setdefault((frame.scene, frame.channel), []).append((frame.timestamp_us, i))
    for views in by_sample.values():
        if all(camera in views for camera in cameras):
            order[views[cameras[0]]] = [views[camera] for camera in cameras]
    for (scene, channel), line in sweeps.items():
        if channel != cameras[0]:
            continue
        others = [sorted(sweeps.get((scene, camera), [])) for camera in cameras[1:]]
        for time_us, i in line:
            found = [_nearest_index(other, time_us, tolerance_us) for other in others]
            complete = [index for index in found if index is not None]
            if len(complete) == len(others):
                order[i] = [i, *complete]
    return [order[i] for i in sorted(order)]


def _nearest_index(line: Sequence[tuple[int, int]], time_us: int, tolerance_us: int) -> int | None:
    if not line:
        return None
    place = bisect_left(line, (time_us, -1))
    best = min(line[max(place - 1, 0) : place + 1], key=lambda item: abs(item[0] - time_us))
    return best[1] if abs(best[0] - time_us) <= tolerance_us else None

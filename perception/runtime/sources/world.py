"""The procedural driving world, rendered live by a front camera."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perception.errors import InputError
from perception.runtime.source import Frame

DEFAULT_DURATION_S = 10.0


def parse_seed(text: str) -> int:
    """The seed of ``world:SEED``; 0 where none is given.

    >>> parse_seed(""), parse_seed("7")
    (0, 7)
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**32:
        raise InputError(f"world seed {text!r} is not a whole number from 0 to {2**32 - 1}; write world or world:7")
    return int(text)


class WorldSource:
    """Frames of one generated drive, rendered when they are asked for.

    Args:
        seed: which drive.
        fps: camera rate.
        size: ``(height, width)`` of the pictures.
        duration_s: length of the drive; default 10 seconds.
    """

    channels = ("CAM_FRONT",)
    has_speed = True
    rendered = True

    def __init__(self, seed: int, fps: float, size: tuple[int, int], duration_s: float | None = None) -> None:
        from perception.world.scene import build_scene

        duration_s = DEFAULT_DURATION_S if duration_s is None else duration_s
        self.name = f"world:{seed}"
        self.interval_s = 1.0 / fps
        self.total: int | None = max(1, round(duration_s * fps))
        self._seed = seed
        self._size = size
        self._scene = build_scene(seed, 0, max(duration_s, 1.0))

    def __iter__(self) -> Iterator[Frame]:
        from perception.world.camera import front_camera, render_camera

        camera = front_camera(self._size)
        for index in range(self.total or 0):
            time_s = index * self.interval_s
            picture = render_camera(self._scene, time_s, camera)
            yield Frame(
                image=picture.image,
                name=f"world:{self._seed}#{index}",
                timestamp_us=round(time_s * 1e6),
                channel=self.channels[0],
                speed_mps=float(self._scene.speed_mps(time_s)),
                camera=camera,
                yaw_rate_radps=self._yaw_rate_radps(time_s),
            )

    def _yaw_rate_radps(self, time_s: float, step_s: float = 0.05) -> float:
        pose, later = self._scene.global_from_ego(time_s), self._scene.global_from_ego(time_s + step_s)
        turn = pose[:3, :3].T @ later[:3, :3]
        return math.atan2(turn[1, 0], turn[0, 0]) / step_s

"""The cameras of one nuScenes scene, keyframes and sweeps, read from the JSON tables.

The tables are streamed row by row and only the scene's rows are kept, so the full data set (a
``sample_data.json`` of over a gigabyte) costs time but no memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.files import inside, read_image, require_dir
from perception.geometry.frames import transform
from perception.runtime.source import Frame
from perception.runtime.speed import speeds_from_positions, yaw_rates_from_headings
from perception.types import Camera

CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
"""The six cameras in the order in which a mosaic shows them."""

Row = dict[str, Any]


class NuScenesSource:
    """The frames of one or all cameras of a scene, in the order of capture, with calibration and ego speed.

    Args:
        root: the data root that holds ``samples/`` and a version folder such as ``v1.0-mini``.
        scene: scene name; default the first of the table.
        camera: channel name or ``all``.
        fps: frame rate to assume where a scene has a single frame per camera.

    Raises:
        InputError: for a missing table, an unknown scene or camera, or rows that lack what is needed.
    """

    has_speed = True
    rendered = False

    def __init__(self, root: str | Path, scene: str | None, camera: str, fps: float) -> None:
        self._root = require_dir(Path(root).expanduser(), "nuScenes root")
        if camera != "all" and camera not in CAMERAS:
            raise InputError(f"unknown camera {camera!r}; use one of {', '.join(CAMERAS)} or all")
        tables, scene_row = _find_scene(self._root, scene)
        self.root, self.scene = self._root, str(scene_row["name"])
        self.name = f"{self._root}#{self.scene}"
        wanted = CAMERAS if camera == "all" else (camera,)
        channel_of, calibration = _sensors(tables)
        samples = {row["token"] for row in _rows(tables / "sample.json", ("token", "scene_token"))
                   if row["scene_token"] == scene_row["token"]}  # fmt: skip
        needed = ("sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "filename")
        data = list(_rows(tables / "sample_data.json", needed, lambda row: row.get("sample_token") in samples))
        poses = _poses(tables, {row["ego_pose_token"] for row in data})
        times_us, positions, headings = _track(data, poses)
        for row in data:
            if row["calibrated_sensor_token"] not in channel_of:
                raise InputError(f"{tables}/sample_data.json: {row['filename']} has no calibrated sensor")
            row["channel"] = channel_of[row["calibrated_sensor_token"]]
        self._frames = sorted(
            (row for row in data if row["channel"] in wanted), key=lambda row: (row["timestamp"], row["channel"])
        )
        present = {row["channel"] for row in self._frames}
        self.channels = tuple(channel for channel in wanted if channel in present)
        if not self.channels:
            raise InputError(f"scene {scene_row['name']} of {self._root} has no frames of {camera}")
        self._cameras = [_camera(row, calibration, tables) for row in self._frames]
        at_us = [row["timestamp"] for row in self._frames]
        self._speeds = speeds_from_positions(times_us, positions, at_us)
        self._yaw_rates = yaw_rates_from_headings(times_us, headings, at_us)
        first = [row["timestamp"] for row in self._frames if row["channel"] == self.channels[0]]
        steps = np.diff(first)
        self.interval_s = float(np.median(steps)) / 1e6 if len(steps) and np.median(steps) > 0 else 1.0 / fps
        self.total: int | None = len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        facts = zip(self._frames, self._cameras, self._speeds, self._yaw_rates, strict=True)
        for row, camera, speed_mps, yaw_rate_radps in facts:
            image, error = None, None
            try:
                image = read_image(inside(self._root, row["filename"]))
            except InputError as problem:
                error = str(problem)
            name = Path(row["filename"]).name
            yield Frame(image, name, row["timestamp"], row["channel"], speed_mps, camera, error, yaw_rate_radps)


def _rows(path: Path, needed: tuple[str, ...], keep: Callable[[Row], bool] | None = None) -> Iterator[Row]:
    """Stream the rows of a table, which is a JSON list of objects."""
    for row in stream_json_list(path):
        if keep is not None and not keep(row):
            continue
        missing = [key for key in needed if key not in row]
        if missing:
            raise InputError(f"{path}: row {row.get('token', '')!r} has no {', '.join(missing)}")
        if "timestamp" in needed and (isinstance(row["timestamp"], bool) or not isinstance(row["timestamp"], int)):
            raise InputError(f"{path}: row {row.get('token', '')!r} has timestamp {row['timestamp']!r}, not an integer")
        yield row


def stream_json_list(path: Path, chunk: int = 1 << 20) -> Iterator[Row]:
    """The objects of a JSON list, decoded one at a time.

    Raises:
        InputError: if the file is missing, is cut off, or is not a list of objects.
    """
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8") as file:
            buffer, position, opened, final = "", 0, False, False
            while True:
                while position < len(buffer) and buffer[position] in " \t\r\n,":
                    position += 1
                character = buffer[position : position + 1]
                if not opened and character == "[":
                    opened, position = True, position + 1
                    continue
                if opened and character == "]":
                    return
                if character and not (opened and character == "{"):
                    raise InputError(f"{path} is not a JSON list of objects")
                if character:
                    try:
                        value, position = decoder.raw_decode(buffer, position)
                        yield value
                        continue
                    except json.JSONDecodeError as error:
                        if final:
                            raise InputError(f"{path} is cut off or not valid JSON: {error}") from None
                if final:
                    raise InputError(f"{path} is cut off: the list does not end")
                more = file.read(chunk)
                final = not more
                buffer, position = buffer[position:] + more, 0
    except FileNotFoundError:
        raise InputError(f"table {path} does not exist") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply for a table") from None


def _find_scene(root: Path, name: str | None) -> tuple[Path, Row]:
    versions = sorted(folder for folder in root.glob("v1.0-*") if (folder / "scene.json").is_file())
    if not versions:
        raise InputError(f"nuScenes root {root} has no version folder with a scene.json, such as v1.0-mini")
    seen: list[str] = []
    for tables in versions:
        for row in _rows(tables / "scene.json", ("token", "name")):
            if name is None or row["name"] == name:
                return tables, row
            seen.append(str(row["name"]))
    if not seen:
        raise InputError(f"nuScenes root {root} has no scenes")
    listed = ", ".join(seen[:10]) + (f" and {len(seen) - 10} more" if len(seen) > 10 else "")
    raise InputError(f"no scene {name!r} in {root}; it has {listed}")


def _sensors(tables: Path) -> tuple[dict[str, str], dict[str, Row]]:
    channels = {row["token"]: row["channel"] for row in _rows(tables / "sensor.json", ("token", "channel"))}
    needed = ("token", "sensor_token", "translation", "rotation", "camera_intrinsic")
    calibration = {row["token"]: row for row in _rows(tables / "calibrated_sensor.json", needed)}
    return {token: channels.get(row["sensor_token"], "") for token, row in calibration.items()}, calibration


def _poses(tables: Path, tokens: set[str]) -> dict[str, Row]:
    needed = ("token", "timestamp", "translation", "rotation")
    rows = _rows(tables / "ego_pose.json", needed, lambda row: row.get("token") in tokens)
    poses = {row["token"]: row for row in rows}
    if len(poses) < len(tokens):
        missing = len(tokens - poses.keys())
        raise InputError(f"{tables}/ego_pose.json lacks {missing} of the scene's {len(tokens)} poses")
    return poses


def _track(data: list[Row], poses: dict[str, Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(N,)`` microseconds, ``(N, 3)`` metres and ``(N,)`` headings in radians of the ego vehicle, one entry per
    distinct time."""
    track: dict[int, Row] = {}
    for row in data:
        pose = poses[row["ego_pose_token"]]
        track[pose["timestamp"]] = pose
    times_us = np.array(sorted(track), dtype=np.int64)
    ordered = [track[time] for time in times_us.tolist()]
    try:
        positions = np.array([pose["translation"] for pose in ordered], dtype=np.float64).reshape(-1, 3)
        w, x, y, z = np.array([pose["rotation"] for pose in ordered], dtype=np.float64).reshape(-1, 4).T
    except (TypeError, ValueError):
        raise InputError("an ego pose's translation is not three numbers, or its rotation not four") from None
    return times_us, positions, np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def _camera(row: Row, calibration: dict[str, Row], tables: Path) -> Camera | None:
    size = (int(row.get("height") or 0), int(row.get("width") or 0))
    if min(size) < 1:
        return None
    sensor = calibration[row["calibrated_sensor_token"]]
    try:
        intrinsics = np.array(sensor["camera_intrinsic"], dtype=np.float64)
        return Camera(intrinsics, size, transform(np.array(sensor["translation"]), np.array(sensor["rotation"])))
    except (TypeError, ValueError) as error:
        raise InputError(f"{tables}/calibrated_sensor.json: sensor {sensor['token']}: {error}") from None

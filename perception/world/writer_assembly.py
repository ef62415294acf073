"""The whole data set from its finished scenes: where they lie on the maps, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perception.console import track, warn
from perception.errors import InputError
from perception.files import write_json, write_png
from perception.taxonomy import ROAD_SCENE
from perception.world.map_expansion import expansion_file, shifted
from perception.world.map_expansion_canvas import CANVASES, Place, place_scenes
from perception.world.map_expansion_masks import PIXELS_PER_M, joined_mask
from perception.world.record import Recording
from perception.world.tables import (
    LOCATIONS,
    TABLES,
    VERSION,
    Record,
    SceneTables,
    scene_name,
    shared_tables,
    splits,
    token,
)
from perception.world.writer_staging import Staging


def assemble(recording: Recording, staging: Staging, scenes: int, maps: str) -> bool:
    """Write everything that is not of one scene alone.

    Returns:
        Whether the scenes lie on the maps.

    Raises:
        InputError: if they must and do not fit.
    """
    places = _places(staging, scenes, maps)
    tables: dict[str, list[Record]] = {name: [] for name in TABLES} | shared_tables(recording.cameras)
    lidarseg: list[Record] = []
    tokens: dict[str, dict[str, str]] = {}
    logs: dict[str, list[str]] = {location: [] for location in CANVASES}
    masks: dict[str, list[tuple[np.ndarray, tuple[int, int]]]] = {location: [] for location in CANVASES}
    layers: dict[str, list[dict[str, Any]]] = {location: [] for location in CANVASES}
    for index in track(range(scenes), "tables"):
        scene, name = staging.load(index), scene_name(index)
        place = places[index] if places else Place(_own_location(scene, index), (0, 0))
        _move(scene, place.offset_m)
        (log,) = scene.tables["log"]
        log["location"] = place.location
        for table, rows in scene.tables.items():
            tables[table].extend(rows)
        lidarseg.extend(scene.lidarseg)
        tokens[name] = scene.instance_tokens
        for message, content in scene.can.items():
            write_json(staging.data / "can_bus" / f"{name}_{message}.json", content)
        if places:
            logs[place.location].append(log["token"])
            masks[place.location].append((scene.mask, scene.mask_origin_m))
            layers[place.location].append(scene.expansion)
        else:
            _write_mask(staging, tables, name, [log["token"]], [(scene.mask, scene.mask_origin_m)])
    for location in CANVASES if places else ():
        if logs[location]:
            _write_mask(staging, tables, location, logs[location], masks[location])
        content = expansion_file(CANVASES[location], layers[location])
        write_json(staging.data / "maps" / "expansion" / f"{location}.json", content)
    folder = staging.data / VERSION
    for table in TABLES:
        write_json(folder / f"{table}.json", tables[table])
    write_json(folder / "lidarseg.json", lidarseg)
    write_json(folder / "splits.json", splits(scenes))
    labels = {"label_set": ROAD_SCENE.name, "classes": list(ROAD_SCENE.classes), "instance_tokens": tokens}
    write_json(staging.data / "dense" / "label_set.json", labels)
    return bool(places)


def _own_location(scene: SceneTables, index: int) -> str:
    own = LOCATIONS[scene.drive_side]
    return own[index % len(own)]


def _places(staging: Staging, scenes: int, maps: str) -> list[Place]:
    """Where each scene lies; empty for no maps."""
    if maps == "off":
        return []
    sizes, wishes = [], []
    for index in range(scenes):
        scene = staging.load(index)
        height, width = scene.mask.shape
        sizes.append((scene.mask_origin_m, (width // PIXELS_PER_M, height // PIXELS_PER_M)))
        own = LOCATIONS[scene.drive_side]
        wishes.append([own[(index + k) % len(own)] for k in range(len(own))])
    places = place_scenes(sizes, wishes)
    if len(places) == scenes:
        return places
    told = f"{scenes} scenes do not fit on the four map canvases, which take the first {len(places)}"
    if maps == "on":
        raise InputError(f"{told}; what is finished is kept, so start again with --maps off, or make fewer scenes")
    warn(f"{told}; the data set has a mask per scene and no map expansion, as with --maps off")
    return []


def _move(scene: SceneTables, offset_m: tuple[int, int]) -> None:
    """Shift all that is said in the scene's own frame."""
    for table in ("ego_pose", "sample_annotation"):
        for row in scene.tables[table]:
            x, y, z = row["translation"]
            row["translation"] = [x + offset_m[0], y + offset_m[1], z]
    for message in scene.can.get("pose", ()):
        x, y, z = message["pos"]
        message["pos"] = [x + offset_m[0], y + offset_m[1], z]
    if "route" in scene.can:
        scene.can["route"] = [[x + offset_m[0], y + offset_m[1]] for x, y in scene.can["route"]]
    scene.expansion = shifted(scene.expansion, offset_m)
    scene.mask_origin_m = (scene.mask_origin_m[0] + offset_m[0], scene.mask_origin_m[1] + offset_m[1])


def _write_mask(
    staging: Staging,
    tables: dict[str, list[Record]],
    name: str,
    logs: Sequence[str],
    masks: Sequence[tuple[np.ndarray, tuple[int, int]]],
) -> None:
    identity = token(name, "map")
    filename = f"maps/{identity}.png"
    write_png(staging.data / filename, joined_mask(masks), compress=1)
    tables["map"].append(
        {"token": identity, "log_tokens": list(logs), "category": "semantic_prior", "filename": filename}
    )

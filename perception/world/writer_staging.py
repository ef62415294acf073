"""Work in progress of a data set: a hidden folder beside it that remembers the finished scenes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from perception import __version__
from perception.console import warn
from perception.errors import InputError
from perception.files import read_labels, write_json, write_png
from perception.world.record import KEYFRAME_HZ, Recording
from perception.world.tables import VERSION, SceneTables

SPEED_STEP_S = 0.05


class Staging:
    """The folder ``.NAME.partial`` beside a data set ``NAME``.

    ``data`` holds what will be the data set, ``scenes`` the records of the scenes that are finished, and
    ``arguments.json`` what it is being made from. A scene counts as finished once its records are there; whatever
    else was begun is written again.

    Args:
        out: the data set's folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.root = self.out.parent / f".{self.out.name}.partial"
        self.data = self.root / "data"
        self.scenes = self.root / "scenes"
        self._arguments = self.root / "arguments.json"

    @contextmanager
    def opened(self, arguments: dict[str, Any], overwrite: bool) -> Iterator[None]:
        """Hold the folder while scenes are written. It stays if the block fails after at least one finished scene.

        Args:
            arguments: what the data set is made from, as JSON has it.
            overwrite: drop what was begun before.

        Raises:
            InputError: if something else was begun here, or another process is at it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"another process is writing {self.out}; wait for it or name another folder") from None
            self._begin(arguments, overwrite)
            try:
                yield
            except BaseException:
                finished = len(list(self.scenes.glob("*.json")))
                if finished:
                    warn(f"{finished} finished scenes are kept in {self.root}; the same command goes on from there")
                else:
                    shutil.rmtree(self.root, ignore_errors=True)
                raise
        finally:
            os.close(lock)

    def _begin(self, arguments: dict[str, Any], overwrite: bool) -> None:
        begun = self._arguments.is_file() and any(self.scenes.glob("*.json"))
        if overwrite or not begun:
            for folder in (self.data, self.scenes):
                shutil.rmtree(folder, ignore_errors=True)
        else:
            before = _read(self._arguments)
            different = sorted(name for name in arguments if before.get(name) != arguments[name])
            if different:
                told = ", ".join(f"{name} {before.get(name)!r} then, {arguments[name]!r} now" for name in different)
                raise InputError(
                    f"{self.root} holds an unfinished data set made otherwise ({told}); start with the same "
                    "arguments to go on, or with --overwrite true, or remove that folder"
                )
        for folder in (self.data, self.scenes):
            folder.mkdir(exist_ok=True)
        write_json(self._arguments, arguments)

    def is_done(self, index: int) -> bool:
        return self._records(index).is_file()

    def save(self, index: int, scene: SceneTables) -> None:
        """Remember a scene as finished; its files are in ``data`` by then."""
        write_png(self.scenes / f"{index:04d}.png", scene.mask, compress=1)
        values = {item.name: getattr(scene, item.name) for item in fields(scene) if item.name != "mask"}
        write_json(self._records(index), values)

    def load(self, index: int) -> SceneTables:
        """A finished scene."""
        values = _read(self._records(index))
        values["mask_origin_m"] = tuple(values["mask_origin_m"])
        return SceneTables(**values, mask=read_labels(self.scenes / f"{index:04d}.png"))

    def finish(self) -> None:
        """Give the complete data set its name."""
        umask = os.umask(0)
        os.umask(umask)
        self.data.chmod(0o777 & ~umask)
        old = self.root / "replaced"
        if self.out.exists():
            self.out.replace(old)
        self.data.replace(self.out)
        shutil.rmtree(self.root, ignore_errors=True)

    def _records(self, index: int) -> Path:
        return self.scenes / f"{index:04d}.json"


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a folder in use; with ``overwrite`` only where it holds something else than a data set of the world.

    Raises:
        InputError: naming the folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    ours = (out / VERSION / "scene.json").is_file() and (out / "dense" / "label_set.json").is_file()
    if not overwrite:
        raise InputError(f"{out} exists and is not empty; name a new folder or remove it, or use --overwrite true")
    if not ours:
        raise InputError(f"{out} exists and holds no data set of this command, so it is not overwritten; remove it")


def arguments_of(recording: Recording, scenes: int) -> dict[str, Any]:
    """What a data set is made from: the same arguments give the same bytes."""
    values = {item.name: getattr(recording, item.name) for item in fields(recording) if item.name != "out"}
    duration_s = (recording.keyframes - 1) / KEYFRAME_HZ
    times = np.arange(0.0, duration_s + SPEED_STEP_S, SPEED_STEP_S)
    paces = np.array([[profile(float(time)) for time in times] for profile in recording.speeds])
    values["speeds"] = hashlib.sha256(paces.tobytes()).hexdigest()[:16] if recording.speeds else ""
    values |= {"scenes": scenes, "version": __version__, "source": _source_digest()}
    plain: dict[str, Any] = json.loads(json.dumps(values, default=repr))
    return plain


def _source_digest() -> str:
    """Of the code that draws the world: scenes of two versions do not mix."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); start again with --overwrite true") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a JSON object; start again with --overwrite true")
    return value

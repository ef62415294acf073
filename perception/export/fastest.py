"""Which engine runs a model fastest on this device and says the same as torch."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from perception.console import console, warn
from perception.errors import InputError
from perception.export.parity import MASKS, MIN_AGREEMENT, box_agreement
from perception.export.timing import REFERENCE
from perception.files import write_json
from perception.runtime.engine import RUNS, Engine, TorchEngine, engines_for, load_engine, resolve_device
from perception.runtime.exported_file import file_digest
from perception.runtime.host import cpu_name, has_compiler
from perception.runtime.plan import Plan
from perception.types import Prediction

PLAIN = "torch"
PACKAGES = ("torch", "onnxruntime", "openvino", "tensorrt")
WARM_UP = 2


@dataclass
class Measured:
    """An engine on one plan.

    Args:
        p50_ms, p90_ms: of one picture, from bytes on the host to results on the host; NaN where it does not run.
        agreement: least share of pixels of any mask that are as the reference says; boxes likewise.
        error: why it does not run.
    """

    name: str
    p50_ms: float = float("nan")
    p90_ms: float = float("nan")
    agreement: float = 0.0
    error: str | None = None

    @property
    def passed(self) -> bool:
        return self.error is None and self.agreement >= MIN_AGREEMENT


@dataclass
class Contest:
    """Engines of one model, and what was measured of them."""

    engines: dict[str, Engine]
    rows: list[Measured] = field(default_factory=list)

    def fastest(self) -> Measured:
        """
        Raises:
            InputError: where none says what the reference says.
        """
        passed = [row for row in self.rows if row.passed]
        if not passed:
            raise InputError("no engine agrees with torch on this device; use --engine own")
        return min(passed, key=lambda row: row.p50_ms)


def contestants(
    model: str, plan: Plan, folder: Path, device: str = "auto", precision: str = "auto", score: float = 0.3,
    compile: bool = False,
) -> dict[str, Callable[[], Engine]]:  # fmt: skip
    """What may run a model on this device, by name; each is made when it is called.

    Args:
        model: a checkpoint, saved folder or zoo name, or an exported file or ladder.
        folder: for the files that are exported on the way.
        compile: also torch.compile, which takes a minute or more.
    """
    exported_for = engines_for(model)
    if exported_for != (PLAIN,):
        return {
            name: lambda name=name: load_engine(  # type: ignore[misc]
                model, device, "auto" if name == "onnxruntime" else precision, score, engine=name
            )
            for name in exported_for
        }
    import perception

    network = perception.load(model)

    def torch_engine(**options: Any) -> Callable[[], Engine]:
        return lambda: TorchEngine(copy.deepcopy(network), device, precision, score, **options)

    found: dict[str, Callable[[], Engine]] = {
        PLAIN: torch_engine(channels_last=False),
        REFERENCE: torch_engine(channels_last=True),
    }
    if compile and has_compiler():
        found["torch compiled"] = torch_engine(compile=True)
    if plan.fovea is None and not getattr(network, "scales", None):

        def exported(name: str, precision: str) -> Callable[[], Engine]:
            def build() -> Engine:
                file = folder / f"model{next(suffix for suffix, names in RUNS.items() if name in names)}"
                if not file.exists():
                    _export(network, file, plan, device)
                return load_engine(str(file), device, precision, score, engine=name)

            return build

        found["onnxruntime"] = exported("onnxruntime", "auto")
        if resolve_device(device).type == "cpu":
            found["openvino"] = exported("openvino", "auto" if precision == "auto" else precision)
        elif find_spec("tensorrt"):
            found["tensorrt"] = exported("tensorrt", "auto")
        if compile and has_compiler() and precision in ("auto", "fp32"):
            found["aoti"] = exported("aoti", "auto")
    return found


def measure_engines(
    builders: Mapping[str, Callable[[], Engine]],
    plan: Plan,
    pictures: Sequence[np.ndarray],
    runs: int = 15,
    score: float = 0.3,
) -> Contest:
    """Time engines in turns, and compare what they say with the reference, the first of them that is there.

    One that cannot be made or run is left out, with the reason.
    """
    contest = Contest({})
    errors: dict[str, str] = {}
    for name, build in builders.items():
        try:
            engine = build()
            engine.warm_up(plan, (pictures[0].shape[0], pictures[0].shape[1]))
            contest.engines[name] = engine
        except Exception as error:  # of any runtime; the contest goes on without it
            errors[name] = " ".join(str(error).split())[:200] or type(error).__name__
    if not contest.engines:
        raise InputError(f"no engine runs this model: {'; '.join(f'{k}: {v}' for k, v in errors.items())}")
    reference = contest.engines.get(REFERENCE) or next(iter(contest.engines.values()))
    samples: dict[str, list[float]] = {name: [] for name in contest.engines}
    for turn in range(runs + WARM_UP):
        for name, engine in contest.engines.items():
            begin = time.perf_counter()
            engine(pictures[turn % len(pictures)], plan)
            if turn >= WARM_UP:
                samples[name].append(1e3 * (time.perf_counter() - begin))
    wanted = [reference(picture, plan) for picture in pictures]
    for name in builders:
        if name in errors:
            contest.rows.append(Measured(name, error=errors[name]))
            continue
        times = np.array(samples[name])
        got = [contest.engines[name](picture, plan) for picture in pictures]
        same = min(_same(*pair, score) for pair in zip(wanted, got, strict=True))
        contest.rows.append(Measured(name, float(np.median(times)), float(np.quantile(times, 0.9)), same))
    return contest


def fastest_engine(
    model: str,
    plan: Plan,
    pictures: Sequence[np.ndarray],
    device: str = "auto",
    precision: str = "auto",
    score: float = 0.3,
    cache: Path | None = None,
) -> Engine:
    """The fastest engine that agrees with torch, measured once for each device, model, plan and set of versions.

    Args:
        pictures: ``(H, W, 3)`` uint8 to measure on.
        cache: folder of choices and exported files; default ``$XDG_CACHE_HOME/perception/engines``.
    """
    key = _key(model, plan, device, precision)
    folder = (cache or default_cache()) / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    builders = contestants(model, plan, folder, device, precision, score)
    choice = _remembered(folder / "choice.json", key)
    if choice in builders:
        try:
            return builders[choice]()
        except InputError as error:
            warn(f"engine {choice} of an earlier run does not start ({error}); measuring again")
            for file in folder.glob("model.*"):
                file.unlink()
    with console.status("measuring engines"):
        contest = measure_engines(builders, plan, pictures, score=score)
    best = contest.fastest()
    shown = ", ".join(f"{row.name} {row.p50_ms:.1f} ms" for row in contest.rows if row.passed)
    console.print(f"engine {best.name} for {plan.name}: {shown}", highlight=False, soft_wrap=True)
    for row in contest.rows:
        if not row.passed:
            warn(f"engine {row.name} is left out: {row.error or f'agrees on {row.agreement:.4%} only'}")
    measured = [{"name": row.name, "p50_ms": row.p50_ms} for row in contest.rows if row.passed]
    write_json(folder / "choice.json", {"key": key, "engine": best.name, "measured": measured})
    return contest.engines[best.name]


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perception" / "engines"


def _remembered(path: Path, key: dict[str, Any]) -> str | None:
    """The choice of an earlier run; none where the file is missing, damaged or of something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return str(found["engine"]) if found["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(model: str, plan: Plan, device: str, precision: str) -> dict[str, Any]:
    """What a choice holds for."""
    import torch

    resolved = resolve_device(device)
    name = torch.cuda.get_device_name(resolved) if resolved.type == "cuda" else cpu_name()
    return {
        "model": _digest(Path(model)) or f"zoo {model}",
        "plan": [list(plan.size), None if plan.fovea is None else repr(plan.fovea)],
        "device": name,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "versions": {package: _version(package) for package in PACKAGES},
    }


def _digest(path: Path) -> str | None:
    """Of a file, or of the files of a folder; ``None`` for what is neither."""
    if not path.exists():
        return None
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(f"{file.name} {file_digest(file)} ".encode())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _export(network: Any, file: Path, plan: Plan, device: str) -> None:
    """Write the file that the plan needs, without comparing it: the contest does."""
    from perception.export.exporting import FORMATS, Options, write_model

    format = next(name for name, suffix in FORMATS.items() if suffix == file.suffix)
    target = resolve_device(device).type if format == "aoti" else "cpu"
    with console.status("exporting"):
        write_model(copy.deepcopy(network), file, Options(format, plan.size, free_size=False, device=target))


def _same(wanted: Prediction, got: Prediction, score: float) -> float:
    """Least agreement of the outputs of two predictions.

    Args:
        score: below which boxes were dropped; those just above it may be missing on one side by rounding.
    """
    shares = [1.0]
    for name in MASKS:
        truth, value = getattr(wanted, name), getattr(got, name)
        if truth is not None:
            shares.append(0.0 if value is None or value.shape != truth.shape else float((truth == value).mean()))
    if wanted.boxes is not None:
        sides = [_boxes(prediction) for prediction in (wanted, got)]
        shares.append(box_agreement(sides[0], sides[1], 1.12 * score))
    return min(shares)


def _boxes(prediction: Prediction) -> dict[str, np.ndarray]:
    boxes = prediction.boxes
    if boxes is None or boxes.scores is None:
        return {"boxes": np.zeros((1, 0, 4)), "labels": np.zeros((1, 0), np.int64), "scores": np.zeros((1, 0))}
    return {"boxes": boxes.xyxy[None], "labels": boxes.labels[None], "scores": boxes.scores[None]}

"""What ``perception bench stream`` runs: the engine, what its plans cost and take, and where its answers are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perception.commands.engine_choice import AUTO, auto_engine
from perception.commands.stream_drives import Drive
from perception.commands.stream_predictions import cache_folder
from perception.console import progress_bar, warn
from perception.errors import InputError
from perception.files import encode_jpeg
from perception.runtime.calibration import Condition, measure
from perception.runtime.engine import Engine, TorchEngine, load_engine
from perception.runtime.latency import LatencyTable
from perception.runtime.plan import Plan
from perception.runtime.replay import ReplayedLatencies

BOX_SCORE = 0.05
"""Average precision needs boxes that are less sure than those that a hazard is found by."""
_KEY = ("engine", "device_name", "precision", "digest", "torch", "onnxruntime", "openvino", "tensorrt", "label_set")
"""Facts of an engine that its answers depend on, beside the content of its files."""


def stream_engine(model: str, device: str, precision: str, engine: str, table: LatencyTable | None) -> Engine:
    """The engine that is evaluated, of whatever kind the model is, with boxes down to :data:`BOX_SCORE`.

    Args:
        engine: as of :func:`load_engine`, or ``auto`` for the fastest at the table's largest whole-picture plan.

    Raises:
        InputError: as :func:`load_engine` does, and for ``auto`` without a table.
    """
    if engine != AUTO:
        return load_engine(model, device, precision, BOX_SCORE, engine=engine)
    if table is None:
        raise InputError(
            "--engine auto needs --latencies, whose plans it is chosen for; perception calibrate makes one"
        )
    plan = max((plan for plan in table.plans if plan.fovea is None), key=lambda plan: plan.pixels)
    return auto_engine(model, plan, None, device, precision, BOX_SCORE)


def plan_gmacs(engine: Engine) -> Callable[[Plan], float] | None:
    """Billions of multiply-accumulates of a plan; ``None`` for exported files, which do not tell.

    Convolutions and matrix products are counted, as ``perception models`` does.
    """
    if not isinstance(engine, TorchEngine):
        return None
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network: Any = copy.deepcopy(engine.network).to("meta")

    def gmacs(plan: Plan) -> float:
        sizes = [plan.size] if plan.fovea is None else [plan.size, plan.fovea.size]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            for size in sizes:
                network(torch.empty(1, 3, *size, device="meta"))
        return round(counter.get_total_flops() / 2e9, 4)

    return gmacs


def note_mismatch(table: LatencyTable, engine: Engine, native: tuple[int, int]) -> None:
    """Latencies of another machine may be replayed; those of another camera cannot."""
    measured = table.key.get("native")
    if measured is not None and measured != list(native):
        shown = "x".join(map(str, measured)) if isinstance(measured, list) else repr(measured)
        raise InputError(f"the latencies are for pictures of {shown}, not {native[0]}x{native[1]}")
    try:
        table.check(engine.info, native)
    except InputError as difference:
        warn(f"replaying latencies that were not measured with this: {difference}")


def replayed_latencies(
    engine: Engine, plans: Sequence[Plan], drive: Drive, table: LatencyTable | None, given: str | None, frames: int
) -> ReplayedLatencies:
    """Latencies of the plans: of a table, as given (see ``--latency_ms``), or timed here, back to back."""
    if table is not None:
        return ReplayedLatencies.from_table(table)
    if given is not None:
        return ReplayedLatencies(_parse_latencies(given, plans))
    back_to_back = Condition("back to back", paced=False)
    pictures = [encode_jpeg(drive.picture(tick)) for tick in range(0, len(drive), max(1, len(drive) // 8))][:8]
    with progress_bar() as bar:
        task = bar.add_task("timing plans", total=None)
        measured = measure(
            engine, plans, drive.camera.size, frames, (back_to_back,), pictures,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    return ReplayedLatencies({plan: measured[plan][back_to_back.name].latency_ms for plan in plans})


def _parse_latencies(text: str, plans: Sequence[Plan]) -> dict[Plan, float]:
    names = {plan.name: plan for plan in plans}
    parts = [part.strip() for part in text.strip("[] ").split(",")]
    try:
        if all("=" in part for part in parts):
            named = dict(part.rsplit("=", 1) for part in parts)
            found = {names[name]: float(value) for name, value in named.items()}
        else:
            found = dict(zip(plans, map(float, parts), strict=True))
    except (ValueError, KeyError):
        found = {}
    if set(found) != set(plans):
        raise InputError(f"latency_ms {text!r} must give one number for each of {', '.join(names)}")
    return {plan: found[plan] for plan in plans}


def kept_folder(cache: Path | None, model: str, data: Path, engine: Engine) -> Path | None:
    """Folder below ``cache`` for the answers of this engine to this data; ``None`` where none are kept."""
    if cache is None:
        return None
    facts = {name: engine.info.get(name) for name in _KEY}
    folder = cache_folder(cache, model, data, facts | {"score": BOX_SCORE})
    if folder is None:
        warn("predictions of random weights are not kept")
    return folder

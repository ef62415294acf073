"""``perception calibrate``: measure how long each plan takes on this device; the adaptive policy reckons with it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perception.commands.engine_choice import AUTO, auto_engine
from perception.console import console, progress_bar
from perception.errors import InputError
from perception.files import encode_jpeg
from perception.geometry.size import parse_size
from perception.runtime.calibration import BUSY, QUIET, frames_for, make_table, measure
from perception.runtime.conformal import conformal_rank
from perception.runtime.engine import load_engine
from perception.runtime.latency import LatencyTable, make_key
from perception.runtime.plan import parse_scales, trained_scales
from perception.runtime.sight import assumed_camera, build_plans, seen_range_m
from perception.runtime.source import open_source
from perception.runtime.stopping import StoppingModel
from perception.types import Camera

BOUNDS = ("quiet", "corunner")
PICTURES = 8


def main(
    *,
    model: str,
    out: Path,
    native: str | None = None,
    scales: str | None = None,
    fovea: bool = True,
    fovea_zoom: float = 1.0,
    focal_px: float | None = None,
    min_height_px: float = 20.0,
    source: str | None = None,
    camera: str = "CAM_FRONT",
    miss_rate: float = 0.01,
    frames: int | None = None,
    fps: float = 12.0,
    corunner: bool = False,
    bound: str = "quiet",
    device: str = "auto",
    precision: str = "auto",
    compile: bool = False,
    engine: str = "own",
) -> dict[str, Any]:
    """Measure how long each plan takes on this device, from compressed picture to answer, and write a table.

    Plans take turns, paced like the camera and back to back. The bound of a plan is exceeded by at most the miss
    rate, on average over calibrations, while the machine stays as it was. Leave it alone meanwhile.

    Args:
        model: checkpoint file, saved folder, a name from `perception models`, or a file of `perception export`.
        out: JSON file for the table; an earlier table is replaced.
        native: HEIGHTxWIDTH of the camera's pictures; default 900x1600, or that of the source.
        scales: the ladder of resolutions, as shares of it; default those that the model was trained for, where it
            was trained for a ladder, else 0.25,0.32,0.4,0.5,0.7,1.
        fovea: also measure plans with a full-resolution window around the vanishing point.
        fovea_zoom: enlarge that window by this for the network, 1 to 4. It adds no detail and takes longer, but people
            who stand close together in the distance fall into cells of their own.
        focal_px: focal length in pixels, where the source has no calibration; default 1266 of 1600 pixels of width.
        min_height_px: height in network pixels at which the model still sees a hazard.
        source: take pictures and calibration from here instead of made-up ones; see `perception drive`. They are
            compressed anew, as nuScenes' pictures are.
        camera: nuScenes camera of the source.
        miss_rate: share of frames that may exceed a bound.
        frames: timed frames of each plan under each condition; default 1.2 times what the miss rate needs.
        fps: frame rate of the camera.
        corunner: also measure while another process keeps one core busy.
        bound: what the bounds speak for: quiet (the machine by itself) or corunner (the worst of all conditions).
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16; auto is fp32 on the CPU and bf16 on CUDA.
        compile: compile the network with torch.compile.
        engine: torch for models; onnxruntime, openvino or tensorrt for files of `perception export`; own takes torch,
            onnxruntime for .onnx and openvino for .xml; auto measures what this device has, exporting the model on
            the way, and keeps the fastest that agrees with torch.

    Returns:
        What was measured of each plan, with the range that it sees and the highest speed that it supports.

    Raises:
        InputError: for bad input, before the model is loaded where that can be told.
    """
    if bound not in BOUNDS:
        raise InputError(f"unknown bound {bound!r}; use {' or '.join(BOUNDS)}")
    if bound == "corunner" and not corunner:
        raise InputError("bound 'corunner' needs --corunner true")
    frames = frames_for(miss_rate) if frames is None else frames
    conformal_rank(frames, miss_rate)  # refuses too few
    if not 0 < fps <= 1000:
        raise InputError(f"fps {fps:g} is outside 0..1000")
    _check_out(out)
    stopping = StoppingModel(camera_interval_s=1 / fps, min_height_px=min_height_px)
    size, lens, pictures = _camera(source, camera, fps, native, focal_px)
    wanted = None if scales is None else parse_scales(scales)
    # Refuses what does not fit before the model is loaded, which may bring a ladder of its own.
    plans = build_plans(size, wanted or (1.0,), fovea, lens, stopping, fovea_zoom)
    with console.status(f"loading {model}"):
        if engine == AUTO:
            largest = max((plan for plan in plans if plan.fovea is None), key=lambda plan: plan.pixels)
            runner = auto_engine(model, largest, pictures, device, precision, compile=compile)
        else:
            runner = load_engine(model, device, precision, compile=compile, engine=engine)
    if wanted is None:
        plans = build_plans(size, trained_scales(runner.info), fovea, lens, stopping, fovea_zoom)
    conditions = (*QUIET, *BUSY) if corunner else QUIET
    with progress_bar() as bar:
        task = bar.add_task("calibrating", total=None)
        measured = measure(
            runner, plans, size, frames, conditions, pictures, 1 / fps,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    counted = [condition.name for condition in (conditions if bound == "corunner" else QUIET)]
    table = make_table(measured, counted, miss_rate, make_key(runner.info, size))
    table.save(out)
    return {
        "model": model,
        "out": str(out),
        "source": source,
        "frames": frames,
        "fps": fps,
        "miss_rate": miss_rate,
        "bound": bound,
        "conditions": [condition.name for condition in conditions],
        "key": dict(table.key),
        "plans": plan_records(table, lens, stopping),
    }


def plan_records(table: LatencyTable, camera: Camera, stopping: StoppingModel) -> list[dict[str, Any]]:
    """Each plan's latency, and what it allows on a level road."""
    records = []
    for entry in table.entries:
        plan, reference = entry.plan, table.reference(entry.plan)
        assert reference is not None
        bound_s, interval_s = reference.bound_ms / 1e3, reference.interval_ms / 1e3
        seen_m = seen_range_m(plan, camera, stopping)
        busy = [entry.conditions[condition.name] for condition in BUSY if condition.name in entry.conditions]
        records.append(
            {
                "name": plan.name,
                "size": list(plan.size),
                "window": None if plan.fovea is None else asdict(plan.fovea.window),
                "zoom": None if plan.fovea is None else plan.fovea.zoom,
                "p50_ms": reference.p50_ms,
                "p99_ms": max(entry.conditions[name].p99_ms for name in table.counted),
                "bound_ms": reference.bound_ms,
                "interval_ms": reference.interval_ms,
                "corunner_bound_ms": max((condition.bound_ms for condition in busy), default=None),
                "seen_m": round(seen_m, 2),
                "supported_mps": round(
                    stopping.supported_speed_mps(
                        seen_m,
                        stopping.answer_s(bound_s, interval_s),
                        stopping.reaction_s(bound_s, interval_s),
                        stopping.braking_mps2(),
                    ),
                    3,
                ),
                "conditions": {name: asdict(condition) for name, condition in entry.conditions.items()},
            }
        )
    return records


def show(result: dict[str, Any]) -> None:
    """Print the table for people."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    key = result["key"]
    title = f"{result['model']} on {key.get('device_name', 'this device')}, {key.get('precision', '')}"
    columns = {"p50\nms": "p50_ms", "p99\nms": "p99_ms", "bound\nms": "bound_ms", "interval\nms": "interval_ms"}
    if any(plan["corunner_bound_ms"] is not None for plan in result["plans"]):
        columns["bound,\nbusy ms"] = "corunner_bound_ms"
    table = Table("plan\n", *columns, "sees\nm", "up to\nkm/h", title=escape(title), box=SIMPLE)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for plan in result["plans"]:
        times = [f"{plan[name]:.1f}" if plan[name] < 100 else f"{plan[name]:.0f}" for name in columns.values()]
        table.add_row(plan["name"], *times, f"{plan['seen_m']:.0f}", f"{plan['supported_mps'] * 3.6:.0f}")
    output = Console()
    output.print(table)
    output.print(
        f"{result['frames']} frames of each plan, {' and '.join(result['conditions'][:2])} at {result['fps']:g} Hz. "
        f"At most {100 * result['miss_rate']:.3g} % of frames exceed a bound while the machine stays as it was.",
        highlight=False,
    )
    output.print(f"wrote {result['out']}", highlight=False, markup=False, soft_wrap=True)


def _camera(
    source: str | None, channel: str, fps: float, native: str | None, focal_px: float | None
) -> tuple[tuple[int, int], Camera, list[bytes] | None]:
    """Size of the pictures, the camera that takes them, and some of them; ``None`` for made-up ones."""
    wanted = parse_size(native or "900x1600")
    if source is None:
        return wanted, assumed_camera(wanted, focal_px), None
    if channel == "all":
        raise InputError("calibrate one camera at a time; name it, such as --camera CAM_FRONT")
    frames = [frame for frame in open_source(source, channel, fps, PICTURES, wanted) if frame.image is not None]
    if not frames:
        raise InputError(f"none of the first {PICTURES} frames of {source} could be read")
    images = [frame.image for frame in frames if frame.image is not None]
    size = (images[0].shape[0], images[0].shape[1])
    if native is not None and size != wanted:
        raise InputError(f"the pictures of {source} are {size[0]}x{size[1]}, not {native}; leave --native out")
    lens = frames[0].camera
    if lens is not None and focal_px is not None:
        raise InputError(f"{source} has its own calibration; leave --focal_px out")
    return size, lens or assumed_camera(size, focal_px), [encode_jpeg(image) for image in images]


def _check_out(out: Path) -> None:
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"out {out} cannot be written: {parent} is not a writable folder")
    if not out.exists():
        return
    try:
        LatencyTable.load(out)
    except InputError:
        raise InputError(f"out {out} exists and is not a latency table; name another file or remove it") from None

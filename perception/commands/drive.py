"""``perception drive``: run a model over a source in the loop; write an overlay video and a report."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import perception
from perception.commands.drive_policy import make_policy
from perception.commands.engine_choice import AUTO, auto_engine, engine_plan
from perception.console import console, track, warn
from perception.errors import InputError
from perception.files import write_json
from perception.geometry.size import parse_size
from perception.runtime.engine import Engine, load_engine
from perception.runtime.loop import PACES, DriveLoop, FrameResult
from perception.runtime.record import Record, frame_record, summarise
from perception.runtime.resolution import parse_policy
from perception.runtime.signals import stop_on_signals
from perception.runtime.source import Source, open_source
from perception.runtime.speed import PoseSpeed, SpeedSource, parse_speed

VIDEO, JSON, HTML = "drive.mp4", "report.json", "report.html"


def main(
    *,
    source: str,
    model: str,
    out: Path,
    speed: str = "pose",
    policy: str = "fixed:360x640",
    camera: str = "CAM_FRONT",
    fps: float = 12.0,
    max_frames: int | None = None,
    calibration: Path | None = None,
    focal_px: float | None = None,
    min_height_px: float = 20.0,
    utility: Path | None = None,
    deadline_ms: float | None = None,
    pace: str = "none",
    score: float = 0.3,
    device: str = "auto",
    precision: str = "auto",
    compile: bool = False,
    engine: str = "own",
    size: str = "360x640",
    metrics: Path | None = None,
    video: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run a model over a source in the real-time loop and write a report.

    Every frame is answered in order and timed, or, with --pace camera, as the camera took them; OUT receives
    drive.mp4 (overlay video), report.json and report.html. Frames that do not decode are skipped and listed. An
    interrupt ends the drive, and the results so far are written.

    Args:
        source: folder of images, video file, nuscenes:ROOT or nuscenes:ROOT#scene-0061, rosbag:FOLDER or mcap:FILE
            (with #/topic where there are several), world or world:SEED.
        model: checkpoint file, saved folder, a name from `perception models`, or a file of `perception export`.
        out: folder for the results; must be new or empty unless --overwrite true.
        speed: m/s ('13.9'), '50km/h', '30mph', a CSV file with timestamp_us (or seconds) and speed_mps, or
            'pose' (from the source), 'can' (CAN bus data beside a nuScenes scene) or can:FILE.
        policy: which resolution to run at: fixed:HEIGHTxWIDTH, or adaptive: chosen for every frame so that the
            vehicle sees far enough to stop and the answer is in time. adaptive:eco takes the quickest such plan.
        camera: nuScenes camera, or all for a mosaic of the six.
        fps: frame rate of a folder of images and of the world.
        max_frames: stop after this many frames of each camera.
        calibration: latencies of this device, from perception calibrate, for the adaptive policy; without it they
            are taken from a few frames.
        focal_px: focal length in pixels, for the adaptive policy on a source without calibration.
        min_height_px: height in network pixels at which the model still sees a hazard, for the adaptive policy.
        utility: stream.json of `perception bench stream --choose_on`, by which the adaptive policy ranks the safe
            plans; default by their pixels, plans with a fovea last.
        deadline_ms: limit of a frame's latency; default the frame interval, divided by the number of cameras, or
            what the adaptive policy demands.
        pace: none: every frame in turn, however long it takes; camera: at the rate of capture, where the newest
            frame wins and what is late is replaced at its deadline by the last answer, moved by ego motion. The
            video is then drawn after the drive, and without it the report has no key frames.
        score: boxes with a lower score are dropped.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16; auto is fp32 on the CPU and bf16 on CUDA.
        compile: compile the network with torch.compile.
        engine: torch for models; onnxruntime, openvino or tensorrt for files of `perception export`; own takes torch,
            onnxruntime for .onnx and openvino for .xml; auto measures what this device has, exporting the model on
            the way, and keeps the fastest that agrees with torch.
        size: HEIGHTxWIDTH of the live world's pictures.
        metrics: JSON file of accuracy figures to show in the report: numbers by name, or tables of them.
        video: write the overlay video.
        overwrite: replace the results of an earlier run in OUT.

    Returns:
        The summary of report.json, with what was run and the files written.

    Raises:
        InputError: for bad input, before the model is loaded where that can be told; and if no frame of the
            source could be read.
    """
    wanted = parse_policy(policy)
    if pace not in PACES:
        raise InputError(f"unknown pace {pace!r}; use {' or '.join(PACES)}")
    world_size = parse_size(size)
    _check_out(out, overwrite)
    figures = _read_metrics(metrics)
    frames = open_source(source, camera, fps, max_frames, world_size)
    chosen_speed = parse_speed(speed, frames)
    if isinstance(chosen_speed, PoseSpeed) and not frames.has_speed:
        warn("this source does not know the vehicle's speed; going on without it (give one with --speed)")
    with console.status(f"loading {model}"):
        if engine == AUTO:
            runner = auto_engine(model, engine_plan(wanted, calibration), None, device, precision, score, compile)
        else:
            runner = load_engine(model, device, precision, score, compile, engine)
    driving = make_policy(wanted, frames, runner, calibration, focal_px, min_height_px, utility)
    with console.status("warming up"):
        loop = DriveLoop(
            frames, chosen_speed, driving.policy, runner, deadline_ms, pace=pace, monitor=driving.monitor
        )  # fmt: skip
        loop.warm_up()

    from perception.commands.drive_pictures import pictures
    from perception.viz.report import write_report

    records: list[Record] = []
    heads: list[str] = []
    later = pace == "camera"
    with pictures(frames, runner.labels, out / VIDEO if video else None, later and video, out) as drawn:
        with stop_on_signals(loop.stop):
            for result in track(loop, "driving", frames.total):
                if not heads and result.prediction is not None:
                    heads = [name for name, value in vars(result.prediction).items() if value is not None]
                    _warn_about_aspect(result)
                records.append(frame_record(result))
                if video or not later:
                    drawn.add(result)
        if all(record["plan"] is None for record in records):
            first = (
                records[0]["error"] if records else "the drive was stopped" if loop.stopped else "the source is empty"
            )
            raise InputError(f"none of the {len(records)} frames of {source} could be read: {first}")
        keyframes = drawn.finish(frames)
    records.sort(key=lambda record: record["index"])

    summary = summarise(records, chosen_speed.name, loop.record)
    _warn_about_gaps(summary, frames, chosen_speed)
    run = _run_facts(model, frames, driving.name, chosen_speed, runner, loop) | dict(driving.facts)
    run |= {"heads": heads, "score": score, "video": VIDEO if video else None}
    report = {"format": 1, "summary": summary, "run": run, "frames": records}
    if figures:
        report["metrics"] = figures
    write_json(out / JSON, report)
    write_report(out / HTML, report, keyframes, runner.labels, figures, heads)
    if not video:
        (out / VIDEO).unlink(missing_ok=True)  # an earlier run's, which this report does not describe
    files = {"html": str(out / HTML), "json": str(out / JSON), "video": str(out / VIDEO) if video else None}
    picked = ("model", "source", "policy", "device", "device_name", "precision", "threads")
    return {**summary, **{name: run[name] for name in picked}, "files": files}


def show(result: dict[str, Any]) -> None:
    """Print the summary for people."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"

    latency, deadline, speed = result["latency"], result["deadline"], result["speed"]
    table = Table("", "", title=escape(f"{result['model']} on {result['source']}"), show_header=False)
    table.columns[0].no_wrap, table.columns[1].overflow = True, "fold"
    counts = f"{result['frames']} ({result['skipped']} skipped)"
    if result["dropped"]:
        counts += f", {result['dropped']} more replaced by newer ones"
    table.add_row("frames", counts + (", stopped by a signal" if result["stopped"] == "signal" else ""))
    table.add_row("plan", ", ".join(f"{name} for {count} frames" for name, count in result["plan"].items()))
    table.add_row(
        "latency p50 / p90 / p99 / max", " / ".join(ms(latency[f"{k}_ms"]) for k in ("p50", "p90", "p99", "max"))
    )
    own = result["policy"].startswith("adaptive")
    limit = "each frame's own" if own else ms(deadline["ms"])
    missed = f"{limit}, missed by {deadline['missed']} of {result['answered']} frames"
    if deadline["missed_share"] is not None:
        missed += f" ({deadline['missed_share']:.2%}; below {deadline['missed_share_upper']:.2%} with 95 % confidence)"
    table.add_row("deadline", missed)
    if own:
        table.add_row("degraded", f"{result['degraded']} frames: no plan was safe")
    if len(result["cameras"]) > 1:
        for camera, values in result["cameras"].items():
            table.add_row(f"  {camera}", f"p50 {ms(values['p50_ms'])}, max {ms(values['max_ms'])}")
    table.add_row("frames per second", "-" if result["fps"] is None else f"{result['fps']:.1f}")
    known = "unknown"
    if speed["mean_mps"] is not None:
        known = f"{speed['min_mps']:.1f} to {speed['max_mps']:.1f} m/s, mean {speed['mean_mps']:.1f} m/s"
    table.add_row(escape(f"speed ({speed['source']})"), known)
    table.add_row("device", f"{escape(result['device_name'])}, {result['precision']}, {result['threads']} threads")
    for path in result["files"].values():
        if path:
            table.add_row("wrote", escape(path))
    Console().print(table)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"out {out} is a file; name a folder")
    if out.is_dir() and not overwrite and any(out.iterdir()):
        raise InputError(f"out {out} is not empty; name a new folder or pass --overwrite true")
    parent = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise InputError(f"out {out} cannot be written: {parent} is read-only")


def _read_metrics(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"metrics file {path} does not exist")
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: None)
    except ValueError as error:
        raise InputError(f"metrics file {path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"metrics file {path} is not a JSON object of numbers by name")
    return values


def _warn_about_aspect(result: FrameResult) -> None:
    if result.frame.image is None or result.decision is None:
        return
    plan = result.decision.plan
    height, width = result.frame.image.shape[:2]
    stretch = (plan.size[1] / plan.size[0]) / (width / height)
    if not 0.9 < stretch < 1 / 0.9:
        fitting = f"{plan.size[0]}x{round(plan.size[0] * width / height)}"
        warn(f"plan {plan.name} stretches the {height}x{width} frames; fixed:{fitting} keeps their shape")


def _warn_about_gaps(summary: Record, source: Source, speed: SpeedSource) -> None:
    unknown = summary["speed"]["unknown"]
    if unknown and (source.has_speed or not isinstance(speed, PoseSpeed)):
        warn(f"the speed ({speed.name}) is unknown for {unknown} of {summary['frames']} frames")
    if summary["loop"]["slips"]:
        warn(f"the source was slower than the camera's pace, and was waited for {summary['loop']['slips']} times")
    if summary["skipped"]:
        warn(f"{summary['skipped']} of {summary['frames']} frames could not be read and were skipped")


def _run_facts(model: str, source: Source, policy: str, speed: SpeedSource, engine: Engine, loop: DriveLoop) -> Record:
    info = dict(engine.info)
    runtimes: Record = {name: info.pop(name) for name in ("torch", "onnxruntime", "openvino") if name in info}
    versions: Record = {"perception": perception.__version__, **runtimes, "numpy": np.__version__,
                "python": platform.python_version()}  # fmt: skip
    return {
        "model": model,
        "source": source.name,
        "cameras": list(source.channels),
        "policy": policy,
        "pace": loop.pace,
        "speed": speed.name,
        **info,
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "versions": versions,
        "warm_up_ms": round(loop.warm_up_ms, 1),
        "peak_memory_mib": _peak_memory_mib(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _peak_memory_mib() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))

"""``perception bench stream``: streaming perception of adaptive and fixed resolutions on labelled drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from perception.commands.stream_drives import AS_RECORDED, Drive, open_drives, with_stride, with_trace
from perception.commands.stream_engine import kept_folder, note_mismatch, plan_gmacs, replayed_latencies, stream_engine
from perception.commands.stream_evaluation import Evaluation
from perception.commands.stream_hazards import supported_mps
from perception.commands.stream_predictions import Predictor
from perception.commands.stream_records import compare, curve_record, fastest_supported, policy_row, trace_records
from perception.commands.stream_report import show, write_page
from perception.console import console, warn
from perception.errors import InputError
from perception.files import write_json
from perception.metrics.recall import min_height_px as least_height
from perception.metrics.streaming import mean_iou
from perception.runtime.latency import LatencyTable
from perception.runtime.plan import Plan, parse_scales, trained_scales
from perception.runtime.replay import ReplayedLatencies
from perception.runtime.resolution import FixedPolicy
from perception.runtime.sight import build_plans, seen_range_m
from perception.runtime.speed import ConstantSpeed, parse_speed
from perception.runtime.stopping import StoppingModel
from perception.runtime.traces import KINDS, make_trace
from perception.runtime.utility import KEY as UTILITY

JSON, HTML = "stream.json", "stream.html"
MODES = ("event", "live")
__all__ = ["main", "show"]


def main(
    *,
    data: Path,
    model: str,
    out: Path | None = None,
    mode: str = "event",
    latencies: Path | None = None,
    latency_ms: str | None = None,
    timing_frames: int = 120,
    trace: str = AS_RECORDED,
    stride: int = 1,
    recorded_speed: str = "30km/h",
    split: str = "val",
    choose_on: Path | None = None,
    choose_split: str = "all",
    camera: str = "CAM_FRONT",
    version: str = "v1.0-mini",
    scales: str | None = None,
    fovea: bool = True,
    fovea_zoom: float = 1.0,
    min_height_px: float | None = None,
    recall_floor: float = 0.95,
    score: float = 0.3,
    min_iou: float = 0.5,
    corridor_m: float | Literal["inf"] = StoppingModel.corridor_half_width_m,
    settle_s: float = 1.0,
    oracle: bool = True,
    resamples: int = 2000,
    cache: Path | None = None,
    max_drives: int | None = None,
    max_frames: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "own",
) -> dict[str, Any]:
    """Streaming perception: each labelled instant is scored against the newest answer finished by then.

    Drives are replayed on an event clock from measured latencies, so the result does not depend on what else the
    machine does, or driven live. Compared are every fixed plan, a deadline that is linear in the speed, the largest
    rung that fits the frame interval, the adaptive policy (quality and eco), and an oracle that knows the labels.

    Args:
        data: world data set with sweeps (or another nuScenes-format one with dense labels), or a CamVid folder.
        model: checkpoint file, saved folder, a name from `perception models`, or a file of `perception export`.
        out: folder for stream.json and stream.html.
        mode: event (replayed from latencies, deterministic) or live (the real-time loop drives each drive under each
            policy at the camera's pace, and what it publishes is scored; without the oracle).
        latencies: table from `perception calibrate`; its plans are run, and its quantiles replayed.
        latency_ms: instead of a table, the latency of each plan: numbers in the order of the plans, or NAME=MS,
            joined by commas. Without either the plans are timed here, back to back.
        timing_frames: frames of each plan that are timed here.
        trace: pose (as recorded), or a kind of speed trace: urban, rural, motorway, stop_and_go, emergency; several
            joined by commas, or all of these: every drive is then driven once at each. With a trace the frame shown
            is the one taken where the vehicle would be, so frames are skipped or repeated.
        stride: use every n-th frame at the camera's rate, so that the vehicle seems n times as fast.
        recorded_speed: what CamVid, which has no poses, is taken to be recorded at.
        split: of the data; all for every scene of a nuScenes-format folder.
        choose_on: other drives, on which the best fixed plan and the least height are chosen, and each plan's
            streaming mIoU by speed is measured, by which the adaptive policy ranks the safe plans.
        choose_split: split of these.
        camera: nuScenes camera.
        version: nuScenes table folder.
        scales: the ladder of resolutions, as shares of the camera's own, where no table says; default those that the
            model was trained for, else 0.25,0.32,0.4,0.5,0.7,1.
        fovea: also run plans with a full-resolution window, where no table says.
        fovea_zoom: enlarge that window by this for the network, likewise.
        min_height_px: network pixels from which a hazard counts as seen; default measured on the hazards in the way
            on the drives of choose_on, else 20.
        recall_floor: recall that the measured height keeps.
        score: boxes with a lower score do not find a hazard.
        min_iou: nor do boxes that share less of it, as intersection over union.
        corridor_m: hazards this close to the line ahead are in the way, and counted; the default is the stopping
            model's own; inf for all in view, which are also reported by themselves.
        settle_s: instants this early in a drive are not scored.
        oracle: also run the oracle, which needs every frame under every plan.
        resamples: of the bootstrap.
        cache: keep predictions here for later runs of the same model on the same data.
        max_drives: use only the first drives.
        max_frames: use only the first frames of each drive.
        seed: of latencies, traces and the bootstrap.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16.
        engine: torch for models; onnxruntime, openvino or tensorrt for files of `perception export`; own takes torch,
            onnxruntime for .onnx and openvino for .xml; auto measures what this device has at the largest plan of
            latencies, and keeps the fastest that agrees with torch.

    Returns:
        The content of stream.json.

    Raises:
        InputError: for bad input.
    """
    aside_m = float(corridor_m)
    if not aside_m > 0:
        raise InputError(f"corridor_m {aside_m:g} is not above 0; give inf for all hazards in view")
    for name, value in (("score", score), ("min_iou", min_iou), ("recall_floor", recall_floor)):
        if not 0 < value <= 1:
            raise InputError(f"{name} {value:g} is outside 0..1")
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}; use {' or '.join(MODES)}")
    traces = _parse_traces(trace)
    _check(traces, stride, timing_frames, settle_s, resamples, max_drives, max_frames, latencies, latency_ms)
    recorded = parse_speed(recorded_speed)
    if not isinstance(recorded, ConstantSpeed):
        raise InputError(f"recorded_speed {recorded_speed!r} must be a number, such as 30km/h")
    table = None if latencies is None else LatencyTable.load(latencies)
    with console.status(f"loading {model}"):
        runner = stream_engine(model, device, precision, engine, table)

    def drives_of(root: Path, of_split: str) -> list[Drive]:
        found = open_drives(root, runner.labels, of_split, camera, version, recorded.speed_mps)[:max_drives]
        shaped = [
            _shaped(drive, kind, stride, max_frames, seed + i) for i, drive in enumerate(found) for kind in traces
        ]
        return [drive for drive in shaped if len(drive) > 1 and drive.times_s[-1] - drive.times_s[0] >= settle_s]

    drives = drives_of(data, split)
    if not drives:
        raise InputError(f"no drive of {data} has two frames and is as long as settle_s {settle_s:g} s")
    native, interval_s = _native(drives), drives[0].interval_s
    stopping = StoppingModel(camera_interval_s=interval_s)
    if table is not None:
        plans = table.plans
        note_mismatch(table, runner, native)
    else:
        rungs = trained_scales(runner.info) if scales is None else parse_scales(scales)
        plans = build_plans(native, rungs, fovea, drives[0].camera, stopping, fovea_zoom)
    times = replayed_latencies(runner, plans, drives[0], table, latency_ms, timing_frames)
    evaluation = Evaluation(runner.labels, plans, times, settle_s, seed, score, min_iou, aside_m)

    predict = Predictor(runner, kept_folder(cache, model, data, runner))
    merits: dict[str, float] = {}
    curve = of_all = None
    utility, at_rest = None, dict[Plan, float]()
    height, height_from = (min_height_px, "as given") if min_height_px is not None else (20.0, "assumed")
    if choose_on is not None:
        others = drives_of(choose_on, choose_split)
        if not others:
            raise InputError(f"no drive of {choose_on} has two frames and is as long as settle_s {settle_s:g} s")
        _native([drives[0], *others])
        chooser = Predictor(runner, kept_folder(cache, model, choose_on, runner))
        learnt = evaluation.learn(others, chooser)
        merits, utility = learnt.miou, learnt.utility
        curve, of_all = learnt.rest.curve(ahead=True), learnt.rest.curve(ahead=False)
        at_rest = {plan: round(float(mean_iou(learnt.rest.counts[plan])), 5) for plan in plans}
        if min_height_px is None:
            measured = least_height(curve, recall_floor)
            if measured is None:
                warn(f"recall reaches {recall_floor:g} at no height on {choose_on}; {height:g} px are assumed")
            else:
                height, height_from = measured, f"recall {recall_floor:g} on {choose_on}"
    stopping = replace(stopping, min_height_px=height)
    if mode == "live":
        results = evaluation.run_live(drives, runner, stopping, utility)
    else:
        results = evaluation.run(drives, predict, stopping, oracle, utility)

    gmacs = plan_gmacs(runner)
    costs = None if gmacs is None else {plan: gmacs(plan) for plan in plans}
    rows = {name: policy_row(name, kind, scores, runner.labels, costs) for name, (kind, scores) in results.items()}
    if choose_on is None:
        merits = {name: row["miou"] or 0.0 for name, row in rows.items() if row["kind"] == "fixed"}
    best = max(merits, key=merits.__getitem__)
    rung = max((FixedPolicy(plan).name for plan in plans if plan.fovea is None), key=merits.__getitem__)
    comparisons = [
        {"kind": row["kind"]}
        | compare((row, results[name][1]), (rows[other], results[other][1]), drives, resamples, seed)
        for other in dict.fromkeys((best, rung))
        for name, row in rows.items()
        if row["kind"] != "fixed"
    ]
    ceiling = np.sum(evaluation.ceiling, axis=0)
    plan_rows = [
        _plan_record(plan, times, drives[0], stopping)
        | {"gmacs": None if costs is None else costs[plan], "miou_at_rest": at_rest.get(plan)}
        for plan in plans
    ]
    result = {
        "bench": "stream",
        "data": str(data),
        "model": model,
        "mode": mode,
        "trace": trace,
        "stride": stride,
        "settle_s": settle_s,
        "drives": [_drive_record(drive) for drive in drives],
        "latencies": "table" if table is not None else "as given" if latency_ms else "measured here",
        "plans": plan_rows,
        **fastest_supported(plans, plan_rows),
        "corridor_m": aside_m if np.isfinite(aside_m) else None,
        UTILITY: None if utility is None else utility.record(),
        "min_height": {
            "px": height,
            "from": height_from,
            "curve": None if curve is None else curve_record(curve),
            "curve_in_view": None if of_all is None else curve_record(of_all),
        },
        "best_fixed": {"plan": best, "rung": rung, "chosen_on": str(choose_on or "these very drives")},
        "ceiling_miou": round(float(mean_iou(ceiling)), 5) if np.any(ceiling) else None,
        "policies": list(rows.values()),
        "comparisons": comparisons,
        "traces": trace_records(results, drives, best, resamples, seed) if len(traces) > 1 else [],
        "machine": runner.info,
        "files": [],
    }
    if out is not None:
        result["files"] = [str(out / HTML), str(out / JSON)]
        write_page(out / HTML, result)
        write_json(out / JSON, result)
    return result


def _native(drives: Sequence[Drive]) -> tuple[int, int]:
    """Size of the pictures."""
    native = drives[0].camera.size
    for drive in drives:
        if drive.camera.size != native:
            (height, width), (other_height, other_width) = drive.camera.size, native
            raise InputError(
                f"drive {drive.name} has pictures of {height}x{width}, others of {other_height}x{other_width}; "
                "evaluate one size at a time"
            )
    return native


def _shaped(drive: Drive, trace: str, stride: int, max_frames: int | None, seed: int) -> Drive:
    if trace != AS_RECORDED:
        drive = replace(with_trace(drive, make_trace(trace, seed, drive.times_s[-1] * 4 + 60)), trace=trace)
    elif stride > 1:
        drive = with_stride(drive, stride)
    if max_frames is not None and len(drive) > max_frames:
        drive = drive.first(max_frames)
    return drive


def _parse_traces(text: str) -> tuple[str, ...]:
    """Kinds of speed traces, ``pose`` among them."""
    traces = tuple(KINDS) if text == "all" else tuple(part.strip() for part in text.strip("[] ").split(","))
    for trace in traces:
        if trace not in (AS_RECORDED, *KINDS):
            raise InputError(f"unknown trace {trace!r}; use {AS_RECORDED}, all, or some of {', '.join(KINDS)}")
    if len(set(traces)) != len(traces):
        raise InputError(f"trace {text!r} names a kind twice")
    return traces


def _check(
    traces: Sequence[str], stride: int, timing_frames: int, settle_s: float, resamples: int, max_drives: int | None,
    max_frames: int | None, latencies: Path | None, latency_ms: str | None,
) -> None:  # fmt: skip
    if traces != (AS_RECORDED,) and stride != 1:
        raise InputError("give --trace or --stride, not both: with a trace the stride follows the speed")
    if latencies is not None and latency_ms is not None:
        raise InputError("give --latencies or --latency_ms, not both")
    for name, value, low in (
        ("stride", stride, 1), ("timing_frames", timing_frames, 1), ("resamples", resamples, 1),
        ("max_drives", max_drives, 1), ("max_frames", max_frames, 2),
    ):  # fmt: skip
        if value is not None and value < low:
            raise InputError(f"{name} {value} is below {low}")
    if not 0 <= settle_s < 3600:
        raise InputError(f"settle_s {settle_s:g} is outside 0..3600")


def _drive_record(drive: Drive) -> dict[str, Any]:
    speeds = [speed for speed in drive.speeds_mps if speed is not None]
    return {
        "name": drive.name,
        "trace": drive.trace,
        "frames": len(drive),
        "seconds": round(drive.times_s[-1] - drive.times_s[0], 3),
        "mean_kmh": round(float(np.mean(speeds)) * 3.6, 1) if speeds else None,
        "max_kmh": round(max(speeds) * 3.6, 1) if speeds else None,
    }


def _plan_record(plan: Plan, times: ReplayedLatencies, drive: Drive, stopping: StoppingModel) -> dict[str, Any]:
    seen_m = seen_range_m(plan, drive.camera, stopping)
    return {
        "name": plan.name,
        "p50_ms": round(times.quantile_ms(plan, 0.5), 3),
        "p99_ms": round(times.quantile_ms(plan, 0.99), 3),
        "bound_ms": round(times.bound_ms(plan), 3),
        "interval_ms": round(times.interval_ms(plan), 3),
        "seen_m": round(seen_m, 2),
        "supported_kmh": round(supported_mps(stopping, times, plan, seen_m) * 3.6, 2),
    }

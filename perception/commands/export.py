"""``perception export``: a model as a file that other runtimes run, proved equal before it is handed out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from perception.commands.export_file import EightBits, export_file, export_ladder
from perception.console import console
from perception.errors import InputError
from perception.export.exporting import FORMATS, Options, check_options
from perception.files import write_json
from perception.geometry.size import parse_size
from perception.models.base import PerceptionModel
from perception.models.fusion import FusionModel
from perception.models.lidar.base import LidarModel
from perception.runtime.calibration import decode
from perception.runtime.pictures import timing_pictures

SIZE = "360x640"
FREE = {"auto": None, "true": True, "false": False}


def main(
    model: str,
    *,
    out: Path,
    format: str = "onnx",
    size: str = SIZE,
    free_size: str = "auto",
    scale: float | Literal["all"] | None = None,
    input: str = "uint8",
    postprocess: bool = True,
    masks: str = "full",
    half: bool = False,
    device: str = "cpu",
    lidar: bool = True,
    frames: str | None = None,
    pictures: int = 4,
    timing: int = 20,
    int8: bool = False,
    fp8: bool = False,
    data: Path | None = None,
    root: Path | None = None,
    calibration_frames: int = 64,
    max_drop: float = 0.5,
    allow_drop: bool = False,
) -> dict[str, Any]:
    """Export a model, compare the file with it at several sizes, and write a parity report beside it.

    The report is OUT with .parity.json at its end. Exit code 1 where the file does not agree with the model. A file of
    a LiDAR network takes any number of points, so --size and other options of pictures do not apply to it.

    Args:
        model: checkpoint file, saved folder, or a name from `perception models`.
        out: file to write: .onnx, .xml for openvino (the weights go into the .bin beside it), .engine for tensorrt,
            .pt2 for aoti. With --scale all a folder.
        format: onnx, openvino, tensorrt, which builds for the GPU of this machine, see docs/jetson.md, or aoti: machine
            code by AOTInductor, for this machine and this version of torch.
        size: HEIGHTxWIDTH that is traced, and the only one of a file without free size. Several with commas between
            them give a TensorRT engine a profile for each, with the same weights. With --scale all that of the
            camera's pictures.
        free_size: one file for all sizes: true, false, or auto: where the network allows it. Attention fixes its size.
        scale: share of the camera's resolution whose norms the file holds, for models with norms per scale; all writes
            a file for each, which `drive` and `calibrate` run together as --model OUT.
        input: uint8 (0..255) or float (0..1), RGB, (N, 3, H, W); normalisation is inside.
        postprocess: masks of class indices and decoded boxes come out; false gives the raw maps of each head.
        masks: full, or coarse: masks leave the network as logits at the stride of their heads, and engines make masks
            of them on the host, the same and much faster than a network does on a CPU.
        half: store the weights of an OpenVINO file in half precision; run a TensorRT engine in it.
        device: that an aoti package is compiled for: cpu or cuda.
        lidar: of a model that joins cameras and LiDAR, take points beside the pictures; false exports its camera part.
        frames: compare on pictures from here instead of made-up ones; see `perception drive --source`. For LiDAR
            networks a .pcd.bin sweep, a .bin scan of SemanticKITTI or a nuScenes-format folder.
        pictures: number of pictures to compare on, at each size.
        timing: timed runs of each runtime at the traced size; 0 times nothing.
        int8: quantise to 8 bits after training, with ranges from training pictures of DATA, and measure the accuracy
            before and after on its validation pictures. Sensitive layers stay in float.
        fp8: the same with 8-bit floating-point numbers (E4M3), for TensorRT on GPUs from Ada and Hopper on; elsewhere
            they are slower than float.
        data: config of `perception fit` whose data module supplies them.
        root: of those data; default the config's.
        calibration_frames: training pictures that the ranges come from.
        max_drop: points of any measure that 8 bits may cost; above, layers are given back to float.
        allow_drop: write the file with exit code 0 although it loses more.

    Raises:
        InputError: for bad input, or a model that cannot be exported as asked.
    """
    import perception

    if free_size not in FREE:
        raise InputError(f"unknown free_size {free_size!r}; use {', '.join(FREE)}")
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
    if pictures < 1 or timing < 0:
        raise InputError(f"pictures {pictures} must be at least 1 and timing {timing} at least 0")
    traced, *more = (parse_size(part) for part in size.split(","))
    one = None if isinstance(scale, str) else scale
    options = Options(format, traced, FREE[free_size], one, input, postprocess, masks, half, device, tuple(more))
    eight = None
    if int8 and fp8:
        raise InputError("--int8 and --fp8 exclude each other; write a file for each")
    if int8 or fp8:
        eight = EightBits(data, root, calibration_frames, max_drop, allow_drop, fp8)
        eight.check(options)
    with console.status(f"loading {model}"):
        network = perception.load(model)
    report = Path(f"{out}.parity.json")
    if isinstance(network, LidarModel) or (isinstance(network, FusionModel) and lidar):
        from perception.commands.export_points import export_cameras_and_lidar, export_lidar

        sweep = None if frames is None else Path(frames)
        for_cameras = {
            "free_size": free_size != "auto", "scale": scale is not None, "input": input != "uint8", "half": half,
            "masks": masks != "full", "device": device != "cpu", "int8": int8, "fp8": fp8,
        }  # fmt: skip
        if isinstance(network, LidarModel):
            result = export_lidar(
                model, network, out, format=format, postprocess=postprocess, data=sweep, timing=timing,
                camera_options={"size": size != SIZE, **for_cameras},
            )  # fmt: skip
        else:
            result = export_cameras_and_lidar(
                model, network, out, traced, format=format, data=sweep, timing=timing,
                camera_options={**for_cameras, "postprocess": not postprocess},
            )  # fmt: skip
        result["report"] = str(report)
        write_json(report, result)
        return result
    if not isinstance(network, PerceptionModel):
        raise InputError(f"{model} is no model of cameras or of LiDAR alone; perception export takes those")
    images = _pictures(frames, pictures, traced)
    if isinstance(scale, str):  # "all"
        return export_ladder(model, network, out, options, images, timing, eight)
    check_options(network, out, options)
    return export_file(model, network, out, options, images, timing, eight)


def _pictures(source: str | None, count: int, size: tuple[int, int]) -> list[np.ndarray]:
    if source is None:
        return [decode(jpeg) for jpeg in timing_pictures(size, count)]
    from perception.runtime.source import open_source

    images = [frame.image for frame in open_source(source, max_frames=count) if frame.image is not None]
    if not images:
        raise InputError(f"none of the first {count} frames of {source} could be read")
    return images


def show(result: dict[str, Any]) -> None:
    """Print the report for people."""
    from rich.console import Console
    from rich.table import Table

    if "rungs" in result:
        for rung in result["rungs"]:
            show(rung)
        text = f"wrote {result['ladder']}" if result["passed"] else "no ladder was written: not all of its files may be"
        Console().print(text, highlight=False, soft_wrap=True)
        return
    table = Table("engine", "size", "output", "agreement", "mIoU", "max error", "")
    for column in table.columns[3:6]:
        column.justify = "right"
    for entry in result["parity"]:
        mark = "same" if entry["passed"] else "DIFFERS"
        for name, values in entry["outputs"].items() or [("-", {})]:
            cells = [_cell(values, key) for key in ("agreement", "miou", "max_error")]
            table.add_row(entry["engine"], entry["size"], name, *cells, entry.get("error", mark))
    output = Console()
    output.print(table)
    for name, entry in (result["timing"] or {}).get("engines", {}).items():
        output.print(f"{name:22} {entry['p50_ms']:7.1f} ms   {entry['speedup']:.2f}x", highlight=False)
    output.print(f"wrote {' and '.join(result['files'])}; report {result['report']}", highlight=False, soft_wrap=True)
    if (quantised := result["quantised"]) is not None:
        before, after, precision = quantised["before"], quantised["after"], quantised["precision"]
        for name, value in before.items():
            output.print(f"{name}: {value:.2f} % in float, {after[name]:.2f} % in {precision}", highlight=False)
        flags = ", ".join(quantised["cpu_flags"]) or "no known instruction set"
        bits, kept = quantised["weight_bits"], len(quantised["kept_float"])
        text = f"{bits}-bit weights; {kept} layers stay in float; this CPU has {flags}"
        output.print(text, highlight=False, soft_wrap=True)
        if quantised["drop"] > quantised["max_drop"]:
            output.print(f"[red]it loses {quantised['drop']:.2f} points, more than {quantised['max_drop']:g}[/red]")
    elif not result["passed"]:
        output.print("[red]the file does not agree with the model; do not use it[/red]")


def exit_code(result: dict[str, Any]) -> int:
    """1 where the file does not agree with the model."""
    return 0 if result["passed"] else 1


def _cell(values: dict[str, float], name: str) -> str:
    return f"{values[name]:.6g}" if name in values else ""

"""Camera models as files for ``perception export``: one, or one for each scale that a model has norms for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perception.console import console
from perception.errors import InputError
from perception.export.accuracy import accuracy_of
from perception.export.exporting import FORMATS, Options, check_options, export_model, open_engines, write_model
from perception.export.network import ExportNetwork
from perception.export.openvino_file import export_openvino
from perception.export.quantize import Quantised, quantise
from perception.export.tensorrt_file import export_tensorrt
from perception.export.timing import time_engines
from perception.files import write_json
from perception.models.base import PerceptionModel
from perception.runtime.engine import LADDER
from perception.runtime.host import cpu_flags
from perception.runtime.ladder_engine import Rung, write_ladder
from perception.runtime.plan import ladder

LADDER_FORMATS = ("onnx", "openvino")


@dataclass(frozen=True)
class EightBits:
    """How files are quantised: options of the command of the same names, and the data, read when first needed."""

    data: Path | None
    root: Path | None
    frames: int
    max_drop: float
    allow_drop: bool
    float8: bool

    def check(self, options: Options) -> None:
        """
        Raises:
            InputError: for options that do not go with 8 bits.
        """
        if self.data is None:
            raise InputError("8 bits need --data CONFIG, whose pictures calibrate them and measure what they cost")
        if options.format == "aoti" or not options.postprocess:
            raise InputError("--int8 and --fp8 write onnx, openvino and tensorrt files with decoded outputs")
        if options.half:
            raise InputError("--half goes without --int8 and --fp8: what is not in 8 bits stays in single precision")
        if self.frames < 1 or self.max_drop < 0:
            raise InputError(
                f"calibration_frames {self.frames} must be at least 1 and max_drop {self.max_drop:g} not negative"
            )

    @cached_property
    def module(self) -> Any:
        """The data module, set up; read once for all files of a ladder."""
        from perception.commands.lightning import parse

        arguments = ["--config", str(self.data), "--data.init_args.eval_batch_size=1", "--data.init_args.num_workers=0"]
        arguments += [] if self.root is None else [f"--data.init_args.root={self.root}"]
        module: Any = parse(arguments).datamodule
        module.setup("fit")
        return module

    @cached_property
    def pictures(self) -> list[np.ndarray]:
        """``(H, W, 3)`` uint8 of the training data, for the ranges."""
        train = self.module.datasets["train"]
        step = max(1, len(train) // self.frames)
        return [train.read(i).image.permute(1, 2, 0).numpy() for i in range(0, len(train), step)][: self.frames]

    @cached_property
    def batches(self) -> list[Any]:
        """Of the validation data, for the accuracy."""
        return list(self.module.val_dataloader())


def export_file(
    name: str,
    network: PerceptionModel,
    out: Path,
    options: Options,
    images: list[np.ndarray],
    timing: int,
    eight: EightBits | None,
) -> dict[str, Any]:
    """Write a file, compare it, quantise it where that is asked for, and write the report beside it.

    Args:
        name: of the model, as the user gave it.
        images: ``(H, W, 3)`` uint8 to compare and time on.
        timing: timed runs of each runtime; 0 times nothing.

    Returns:
        The report.
    """
    with console.status(f"exporting {name}"):
        wrapped, described, parity = export_model(network, out, options, images)
    passed = all(entry["passed"] for entry in parity)
    quantised = None
    if eight is not None and passed:
        quantised = _quantise(network, out, options, eight)
        described = quantised.described
        passed = quantised.drop <= eight.max_drop or eight.allow_drop
    sizes = (options.size, *options.more_sizes)
    report = Path(f"{out}.parity.json")
    result = {
        "model": name,
        "out": str(out),
        "format": options.format,
        "size": ",".join(f"{height}x{width}" for height, width in sizes),
        "scale": options.scale,
        "free_size": described.free_size,
        "mask_strides": described.mask_strides,
        "opset": described.opset,
        "digest": described.digest,
        "files": [out.name, *described.data],
        "passed": passed,
        "parity": parity,
        "quantised": None if quantised is None or eight is None else _quantised_record(quantised, eight.max_drop),
        "timing": _time(wrapped, out, images, options.size, timing) if timing else None,
        "report": str(report),
    }
    write_json(report, result)
    return result


def export_ladder(
    name: str,
    network: PerceptionModel,
    out: Path,
    options: Options,
    images: list[np.ndarray],
    timing: int,
    eight: EightBits | None,
) -> dict[str, Any]:
    """Write a file for each scale, and ``ladder.json`` once all of them may be handed out.

    Args:
        out: folder.
        options: of all files; ``size`` is that of the camera's pictures.

    Raises:
        InputError: for a model without norms per scale, or options that no ladder has.
    """
    scales: Sequence[float] | None = getattr(network, "scales", None)
    if not scales:
        raise InputError(f"--scale all is for models with norms per scale; {name} has one set, leave --scale out")
    if options.format not in LADDER_FORMATS:
        raise InputError(f"ladders are of format {' or '.join(LADDER_FORMATS)}, not {options.format}")
    if options.more_sizes:
        raise InputError("--scale all takes one --size, that of the camera's pictures")
    if out.is_file() or out.suffix in FORMATS.values():
        raise InputError(f"out {out} names a file; --scale all writes a folder")
    rungs = [
        (out / f"scale_{scale:g}{FORMATS[options.format]}",
         replace(options, scale=scale, size=ladder(options.size, [scale])[0].size))
        for scale in scales
    ]  # fmt: skip
    for file, rung in rungs:
        check_options(network, file, rung)
    results = [export_file(name, network, file, rung, images, timing, eight) for file, rung in rungs]
    passed = all(result["passed"] for result in results)
    if passed:
        write_ladder(
            out,
            [
                Rung(scale, file.name, result["digest"])
                for scale, (file, _), result in zip(scales, rungs, results, strict=True)
            ],
        )
    return {
        "model": name, "out": str(out), "passed": passed, "ladder": str(out / LADDER) if passed else None,
        "rungs": results,
    }  # fmt: skip


def _quantise(network: PerceptionModel, out: Path, options: Options, eight: EightBits) -> Quantised:
    """Quantise the network into OUT, by way of an ONNX file; accuracy is that of OUT itself."""
    wanted, found_set = network.label_set.name, eight.module.label_set.name
    if found_set != wanted:
        raise InputError(f"the model has label set {wanted}, {eight.data} has {found_set}")
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
        file = out  # as it was just compared
        if options.format != "onnx":
            file = Path(folder) / "float.onnx"
            free = True if options.more_sizes else options.free_size
            write_model(network, file, replace(options, format="onnx", free_size=free, more_sizes=()))
        small = Path(folder) / f"{out.stem}.onnx"
        tensorrt = options.format == "tensorrt"
        found = quantise(
            file, small, eight.pictures, lambda path: accuracy_of(path, network, eight.batches), eight.max_drop,
            symmetric=tensorrt, float8=eight.float8,
        )  # fmt: skip
        if options.format == "onnx":
            small.replace(out)
            return found
        if tensorrt:
            described = export_tensorrt(small, found.described, out, options.more_sizes)
        else:
            described = export_openvino(small, found.described, out)
    return replace(found, described=described, after=accuracy_of(out, network, eight.batches))


def _quantised_record(quantised: Quantised, max_drop: float) -> dict[str, Any]:
    return {
        "precision": quantised.described.precision,
        "before": {name: round(value, 3) for name, value in quantised.before.items()},
        "after": {name: round(value, 3) for name, value in quantised.after.items()},
        "drop": round(quantised.drop, 3),
        "max_drop": max_drop,
        "kept_float": quantised.kept_float,
        "weight_bits": 7 if quantised.reduce_range else 8,
        "cpu_flags": cpu_flags(),
    }


def _time(
    network: ExportNetwork, out: Path, images: list[np.ndarray], size: tuple[int, int], runs: int
) -> dict[str, Any]:
    with console.status("timing"):
        return time_engines(network, open_engines(out), images, size, runs)

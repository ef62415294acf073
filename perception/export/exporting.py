"""One export from start to end: trace, write, run the file in its runtimes, and report."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.errors import InputError, require
from perception.export.aoti_file import export_aoti
from perception.export.network import ExportNetwork, at_one_size, takes_free_size
from perception.export.onnx_file import describe_model, export_onnx
from perception.export.openvino_file import export_openvino
from perception.export.parity import compare, record
from perception.export.tensorrt_file import export_tensorrt
from perception.models.base import PerceptionModel
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import FileInfo
from perception.runtime.tensorrt_engine import check_gpu

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".engine", "aoti": ".pt2"}
ONE_SIZE = ("tensorrt", "aoti")
"""Formats whose files run at the traced size alone."""
MASKS = ("full", "coarse")
"""How files give masks."""
FREE_FACTORS = ((0.5, 0.5), (0.75, 1.0), (1.0, 0.7), (1.25, 1.25), (0.63, 0.87))
"""Sizes at which a file of free size is compared, relative to the traced one; none is it."""


@dataclass(frozen=True)
class Options:
    """How a model is exported.

    Args:
        format: one of :data:`FORMATS`.
        size: ``(height, width)`` that is traced.
        free_size: whether other sizes work too; ``None`` decides by the network.
        scale: share of the camera's resolution, for models with norms per scale.
        input, postprocess: see :class:`ExportNetwork`.
        masks: one of :data:`MASKS`: ``full``, or ``coarse`` for logits at the stride of their head, of which engines
            make masks on the host.
        half: store OpenVINO's weights in half precision; run TensorRT's network in it.
        device: ``cpu`` or ``cuda``, that an AOTInductor package is compiled for.
        more_sizes: further sizes of a TensorRT engine.
    """

    format: str
    size: tuple[int, int]
    free_size: bool | None = None
    scale: float | None = None
    input: str = "uint8"
    postprocess: bool = True
    masks: str = "full"
    half: bool = False
    device: str = "cpu"
    more_sizes: tuple[tuple[int, int], ...] = ()


def export_model(
    model: PerceptionModel, out: Path, options: Options, pictures: Sequence[np.ndarray]
) -> tuple[ExportNetwork, FileInfo, list[dict[str, Any]]]:
    """Write a file and compare it with the model in every runtime that reads it.

    Args:
        pictures: ``(H, W, 3)`` uint8 RGB to compare on.

    Returns:
        The network that was traced, the file's description, and one parity record for each runtime and size.

    Raises:
        InputError: for options that do not fit the model or each other, or a network that cannot be exported.
    """
    network, described = write_model(model, out, options)
    return network, described, parities(network, described, out, pictures)


def write_model(model: PerceptionModel, out: Path, options: Options) -> tuple[ExportNetwork, FileInfo]:
    """Write a file, without comparing it; see :func:`export_model`."""
    check_options(model, out, options)
    if options.scale is not None:
        model.select_scale(options.scale)
    free = takes_free_size(model) if options.free_size is None else options.free_size
    free = bool(options.more_sizes) or (free and options.format not in ONE_SIZE)
    coarse = options.masks == "coarse"
    network = ExportNetwork(model.eval().cpu(), options.input, options.postprocess, coarse=coarse).eval()
    described = describe_model(
        model, options.size, free_size=free, scale=options.scale, input=options.input, postprocess=options.postprocess,
        mask_strides=model.mask_strides if coarse else {},
    )  # fmt: skip
    traced = network if free else at_one_size(network, options.size)
    if options.format == "onnx":
        return network, export_onnx(traced, described, out)
    if options.format == "aoti":
        return network, export_aoti(copy.deepcopy(traced), described, out, options.device)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
        between = Path(folder) / f"{out.stem}.onnx"
        if options.format == "openvino":
            return network, export_openvino(between, export_onnx(traced, described, between), out, options.half)
        return network, _tensorrt(traced, described, between, out, options)


def _tensorrt(network: ExportNetwork, described: FileInfo, between: Path, out: Path, options: Options) -> FileInfo:
    traced = network
    if options.half:
        traced = ExportNetwork(
            copy.deepcopy(network.model), network.input, network.postprocess, half=True, coarse=network.coarse
        ).eval()
        described = replace(described, precision="fp16")
    return export_tensorrt(between, export_onnx(traced, described, between), out, options.more_sizes)


def parities(
    network: ExportNetwork, described: FileInfo, out: Path, pictures: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """One record for each runtime that reads the file and each size that it takes."""
    sizes = [described.size, *described.sizes]
    if described.free_size:
        sizes += [(round(described.size[0] * tall), round(described.size[1] * wide)) for tall, wide in FREE_FACTORS]
    records = []
    for name, engine in open_engines(out).items():
        for size in sizes:
            try:
                entry = record(compare(network, engine.decoded, pictures, size))
            except InputError as error:
                entry = {"size": f"{size[0]}x{size[1]}", "passed": False, "outputs": {}, "error": str(error)}
            records.append({"engine": name, **entry})
    return records


def open_engines(out: Path) -> dict[str, ExportedEngine]:
    """The file in each of its runtimes, also where it gives raw maps."""
    from perception.runtime.aoti_engine import AotiEngine
    from perception.runtime.onnx_engine import OnnxEngine
    from perception.runtime.openvino_engine import OpenVinoEngine
    from perception.runtime.tensorrt_engine import TensorRtEngine

    if out.suffix == ".engine":
        return {"tensorrt": TensorRtEngine(out, raw=True)}
    if out.suffix == ".pt2":
        return {"aoti": AotiEngine(out, raw=True)}
    engines: dict[str, ExportedEngine] = {}
    if out.suffix == ".onnx":
        engines["onnxruntime"] = OnnxEngine(out, "cpu", raw=True)
    engines["openvino"] = OpenVinoEngine(out, "cpu", "fp32", raw=True)
    return engines


def check_options(model: PerceptionModel, out: Path, options: Options) -> None:
    """Refuse what cannot be exported before anything is written."""
    if options.format not in FORMATS:
        raise InputError(f"unknown format {options.format!r}; use one of {', '.join(FORMATS)}")
    if out.suffix != FORMATS[options.format]:
        raise InputError(f"out {out} must end in {FORMATS[options.format]} for format {options.format}")
    if options.masks not in MASKS:
        raise InputError(f"unknown masks {options.masks!r}; use {' or '.join(MASKS)}")
    if options.masks == "coarse" and not options.postprocess:
        raise InputError("--masks coarse goes without --postprocess false, which gives all maps as they are")
    if options.masks == "coarse" and not model.mask_strides:
        raise InputError(
            f"{type(model).__name__} has no masks from a head of known stride, so they cannot be left coarse; leave "
            "--masks out"
        )
    if options.format in ONE_SIZE and options.free_size:
        raise InputError(f"a file of format {options.format} has one size; leave --free_size out, export one for each")
    if options.device != "cpu" and (options.format != "aoti" or options.device != "cuda"):
        raise InputError("--device is for format aoti, and cpu or cuda; TensorRT builds for the GPU it is on")
    if options.more_sizes and options.format != "tensorrt":
        raise InputError("several sizes are for format tensorrt; other files take one, or all where they can")
    if options.more_sizes and not takes_free_size(model):
        raise InputError("attention fixes the size of this network; build an engine for each size")
    if options.format == "aoti":
        if options.half:
            raise InputError(
                "--half is for openvino and tensorrt; an AOTInductor package runs in the model's precision"
            )
        if options.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda compiles for the GPU that is there, and torch sees none")
    if options.format == "tensorrt":
        check_gpu()
        require("tensorrt", "tensorrt")
    scales = getattr(model, "scales", None)
    if scales and options.scale not in scales:
        raise InputError(
            f"this model has norms for scales {', '.join(f'{scale:g}' for scale in scales)}, and one file holds those "
            "of one; name it with --scale, and export a file for each plan"
        )
    if not scales and options.scale is not None:
        raise InputError("--scale is for models with norms per scale; this one runs at every scale as it is")

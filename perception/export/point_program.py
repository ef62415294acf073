"""What files that take LiDAR points share: operators of ONNX, writing, and comparison in each runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.export.exporting import FORMATS
from perception.export.onnx_file import translate, write_program
from perception.export.openvino_file import export_openvino
from perception.export.parity import agreement, passes
from perception.runtime.exported_file import FileInfo

TRACED_POINTS = 4096


def check_format(out: Path, format: str, hint: str = "") -> None:
    """
    Args:
        hint: what to do about a format that takes no points.

    Raises:
        InputError: for such a format, or an ending that does not fit it.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
    if format not in ("onnx", "openvino"):
        raise InputError(f"LiDAR networks are exported to onnx and openvino, not to {format}{hint}")
    if out.suffix != FORMATS[format]:
        raise InputError(f"out {out} must end in {FORMATS[format]} for format {format}")


def write_network(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic_shapes: dict[str, Any],
    described: FileInfo,
    out: Path,
) -> FileInfo:
    """Trace a network into an ONNX file, or an OpenVINO one where ``out`` ends so; see :func:`translate`."""
    problem = f"{described.model} cannot be exported"
    program = translate(network, inputs, outputs, dynamic_shapes, problem, translations(out.suffix))
    if out.suffix == FORMATS["onnx"]:
        return write_program(program, network, described, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
        between = Path(folder) / f"{out.stem}.onnx"
        return export_openvino(between, write_program(program, network, described, between), out)


def parity_records(
    wanted: Mapping[str, Tensor], runs: Mapping[str, Callable[[], Mapping[str, np.ndarray]]], size: str
) -> list[dict[str, Any]]:
    """One record for each runtime: whether it gives what torch gave.

    Args:
        runs: by name of the runtime; calls with the same inputs.
        size: of these inputs, for the record.
    """
    expected = {name: value.numpy() for name, value in wanted.items()}
    records = []
    for name, run in runs.items():
        record: dict[str, Any] = {"engine": name, "size": size}
        try:
            outputs = agreement(expected, run())
            record |= {"passed": all(passes(figures) for figures in outputs.values()), "outputs": outputs}
        except InputError as error:
            record |= {"passed": False, "outputs": {}, "error": str(error)}
        records.append(record)
    return records


def translations(suffix: str) -> dict[Any, Callable[..., Any]]:
    """Operators that the exporter lacks, in those of ONNX, for a file of this ending.

    Rows are summed up by ``ScatterElements``: the threads of ONNX Runtime overwrite each other's sums in the quicker
    ``ScatterND``, which is left to OpenVINO, whose sums are right.
    """
    import onnxscript

    op: Any = onnxscript.opset20

    def hypot(first: Any, second: Any) -> Any:
        return op.Sqrt(op.Add(op.Mul(first, first), op.Mul(second, second)))

    def index_add(rows: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
        rank = len(rows.shape)
        if dim != 0 or alpha != 1 or rank > 2:
            raise ValueError(f"index_add along dimension {dim} of {rank} with factor {alpha}")
        if suffix == FORMATS["openvino"]:
            return op.ScatterND(rows, op.Unsqueeze(index, op.Constant(value_ints=[1])), source, reduction="add")
        if rank == 1:
            return op.ScatterElements(rows, index, source, axis=0, reduction="add")
        across = op.Transpose(source, perm=[1, 0])  # a run of memory for each channel, which halves the time
        wide = op.Expand(op.Unsqueeze(index, op.Constant(value_ints=[0])), op.Shape(across))
        sums = op.ScatterElements(op.Transpose(rows, perm=[1, 0]), wide, across, axis=1, reduction="add")
        return op.Transpose(sums, perm=[1, 0])

    return {torch.ops.prims.hypot.default: hypot, torch.ops.aten.index_add.default: index_add}

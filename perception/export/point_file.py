"""LiDAR networks as files: ONNX with any number of points, OpenVINO from it, and whether they say what torch says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.errors import InputError
from perception.export.exporting import FORMATS
from perception.export.onnx_file import describe_model, translate, write_program
from perception.export.openvino_file import export_openvino
from perception.export.parity import agreement, passes
from perception.export.point_network import PointExportNetwork
from perception.models.lidar.base import LidarModel
from perception.runtime.exported_file import POINTS, FileInfo
from perception.runtime.point_engine import PointEngine
from perception.types import POINT_COLUMNS

TRACED_POINTS = 4096
SHARES = (1.0, 0.5, 0.25, 0.05)
"""Shares of a sweep on which files are compared; a single point is too."""


def export_points(
    model: LidarModel, out: Path, sweeps: Sequence[np.ndarray], format: str = "onnx", postprocess: bool = True
) -> tuple[PointExportNetwork, FileInfo, list[dict[str, Any]]]:
    """Write a LiDAR network into a file for any number of points, and compare it in every runtime that reads it.

    Args:
        sweeps: ``(P, 5)`` float32 to compare on, see :data:`perception.types.POINT_COLUMNS`.
        postprocess: see :class:`PointExportNetwork`.

    Returns:
        The network as it was before its norms were folded, the file's description, and one parity record for each
        runtime and number of points.

    Raises:
        InputError: for a network that cannot be exported, or an ending that does not fit the format.
        MissingExtra: without onnx, onnxscript and the runtimes.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(FORMATS)}")
    if format not in ("onnx", "openvino"):
        raise InputError(f"LiDAR networks are exported to onnx and openvino, not to {format}")
    if out.suffix != FORMATS[format]:
        raise InputError(f"out {out} must end in {FORMATS[format]} for format {format}")
    model = model.eval().cpu()
    network = PointExportNetwork(model, postprocess).eval()
    folded, neighbours, voxel_m = network.without_search()
    described = describe_model(
        model, (TRACED_POINTS, len(POINT_COLUMNS)), free_size=True, input=POINTS, postprocess=postprocess,
        neighbours=neighbours, voxel_m=voxel_m,
    )  # fmt: skip
    inputs = folded.example(TRACED_POINTS, neighbours)
    with torch.no_grad():
        classes = model.label_set.classes
        wide = PointExportNetwork(model, postprocess=False).eval()(inputs["points"])[POINTS].shape[1]
    if wide != len(classes):
        raise InputError(f"the model has {wide} outputs, but label set {model.label_set.name} {len(classes)} classes")
    program = translate(
        folded, inputs, [POINTS], {name: {0: torch.export.Dim.DYNAMIC} for name in inputs},
        f"{described.model} cannot be exported", translations(),
    )  # fmt: skip
    if format == "onnx":
        described = write_program(program, folded, described, out)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
            between = Path(folder) / f"{out.stem}.onnx"
            described = export_openvino(between, write_program(program, folded, described, between), out)
    return network, described, point_parities(network, open_point_engines(out), sweeps)


def open_point_engines(out: Path) -> dict[str, PointEngine]:
    """The file in each of its runtimes."""
    names = ("onnxruntime", "openvino") if out.suffix == ".onnx" else ("openvino",)
    return {name: PointEngine(out, runtime=name) for name in names}


def point_parities(
    network: PointExportNetwork, engines: Mapping[str, PointEngine], sweeps: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """One record for each runtime, sweep and share of it."""
    records = []
    for number, sweep in enumerate(sweeps):
        for points in _parts(sweep, number):
            with torch.inference_mode():
                wanted = {name: value.numpy() for name, value in network(torch.from_numpy(points)).items()}
            for name, engine in engines.items():
                record: dict[str, Any] = {"engine": name, "size": f"{len(points)} points"}
                try:
                    outputs = agreement(wanted, engine.run(points))
                    record |= {"passed": all(passes(figures) for figures in outputs.values()), "outputs": outputs}
                except InputError as error:
                    record |= {"passed": False, "outputs": {}, "error": str(error)}
                records.append(record)
    return records


def _parts(sweep: np.ndarray, seed: int) -> list[np.ndarray]:
    """The sweep, some of its points drawn at random, and one alone."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(sweep))
    counts = sorted({max(1, round(share * len(sweep))) for share in SHARES} | {1}, reverse=True)
    return [np.ascontiguousarray(sweep[np.sort(order[:count])]) for count in counts]


def translations() -> dict[Any, Callable[..., Any]]:
    """Operators that the exporter lacks, in those of ONNX."""
    import onnxscript

    op: Any = onnxscript.opset20

    def hypot(first: Any, second: Any) -> Any:
        return op.Sqrt(op.Add(op.Mul(first, first), op.Mul(second, second)))

    def index_add(rows: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
        if dim != 0 or alpha != 1:
            raise ValueError(f"index_add along dimension {dim} with factor {alpha}")
        return op.ScatterND(rows, op.Unsqueeze(index, op.Constant(value_ints=[1])), source, reduction="add")

    return {torch.ops.prims.hypot.default: hypot, torch.ops.aten.index_add.default: index_add}

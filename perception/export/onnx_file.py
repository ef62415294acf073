"""ONNX files through torch's dynamo exporter, with their description and digest inside.

Format: Open Neural Network Exchange, https://onnx.ai
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import perception
from perception.errors import InputError, require
from perception.export.network import ExportNetwork
from perception.models.base import PerceptionModel
from perception.models.lidar.base import LidarModel
from perception.models.slimming import PRUNED
from perception.runtime.exported_file import KEY, NO_DIGEST, POINTS, FileInfo, file_digest, seal

OPSET = 20
DATA_FROM_BYTES = 1_800_000_000
"""Weights from here on go into a file beside: one protobuf message holds 2 GiB at most."""


def describe_model(model: PerceptionModel | LidarModel, size: tuple[int, int], **facts: Any) -> FileInfo:
    """What an exported file of a model says about itself; ``facts`` are further fields of :class:`FileInfo`."""
    recipe = model.recipe
    if not recipe:
        raise InputError("only models made by create_model can be exported; this one has no recipe")
    options = dict(recipe["options"])
    if PRUNED in recipe:  # long: named by its digest
        options[PRUNED] = hashlib.sha256(json.dumps(recipe[PRUNED], sort_keys=True).encode()).hexdigest()[:12]
    versions = {"perception": perception.__version__, "torch": torch.__version__}
    return FileInfo(
        model=recipe["name"],
        options=json.loads(json.dumps(options, default=str)),
        label_set=model.label_set.name,
        classes=model.label_set.classes,
        detection=model.label_set.detection,
        heads=model.head_names if isinstance(model, PerceptionModel) else (POINTS,),
        size=size,
        versions=versions,
        **facts,
    )


def export_onnx(
    network: ExportNetwork, described: FileInfo, out: Path, data_from_bytes: int = DATA_FROM_BYTES
) -> FileInfo:
    """Write an ONNX file.

    Args:
        network: to trace, at ``described.size``; with ``free_size`` batch, height and width stay free.
        out: the file; ``data_from_bytes`` of weights and more go into ``OUT.data`` beside it.

    Returns:
        The description as written, with the digest.

    Raises:
        InputError: where the exporter cannot translate the model; the message says what it met.
        MissingExtra: without onnx and onnxscript.
    """
    network.eval()
    free = described.free_size
    example = network.example(described.size, 2 if free else 1)  # a batch of one would be taken for a constant
    shapes = {"image": dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)} if free else None
    program = translate(
        network, {"image": example}, list(network(example)), shapes,
        f"{described.model} cannot be exported at {'free sizes' if free else 'a fixed size'}",
    )  # fmt: skip
    return write_program(program, network, described, out, data_from_bytes)


def translate(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic_shapes: dict[str, Any] | None,
    problem: str,
    table: dict[Any, Callable[..., Any]] | None = None,
) -> Any:
    """Trace a network into an ONNX program.

    Args:
        inputs: examples by name, in the order of ``forward``; outputs: names.
        problem: how the message of an error begins.
        table: translations of operators that the exporter lacks.

    Raises:
        InputError: where the exporter cannot translate the network; the message says what it met.
        MissingExtra: without onnx and onnxscript.
    """
    require("onnxscript", "export")
    require("onnx", "export")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network, tuple(inputs.values()), dynamo=True, dynamic_shapes=dynamic_shapes, opset_version=OPSET,
                verbose=False, input_names=list(inputs), output_names=list(outputs), optimize=True,
                custom_translation_table=table,
            )  # fmt: skip
    except Exception as error:  # the exporter wraps whatever it meets
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"{problem}: {reason}") from error
    return program


def write_program(
    program: Any, network: nn.Module, described: FileInfo, out: Path, data_from_bytes: int = DATA_FROM_BYTES
) -> FileInfo:
    """Write a program of :func:`translate` with its description; see :func:`export_onnx`."""
    import onnx

    out.parent.mkdir(parents=True, exist_ok=True)
    model = program.model_proto
    weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as name:
        folder = Path(name)
        described = replace(described, opset=OPSET, data={}, digest=NO_DIGEST)
        if weights >= data_from_bytes:
            data = f"{out.name}.data"
            onnx.save_model(model, str(folder / out.name), save_as_external_data=True, location=data)
            described = replace(described, data={data: file_digest(folder / data)})
        entry = model.metadata_props.add()
        entry.key, entry.value = KEY, described.to_json()
        (folder / out.name).write_bytes(model.SerializeToString())
        digest = seal(folder / out.name)
        for part in sorted(folder.iterdir(), key=lambda path: path.name == out.name):  # the file itself last
            part.replace(out.parent / part.name)
    return replace(described, digest=digest)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own workings away."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

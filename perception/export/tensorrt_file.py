"""TensorRT engines (``.engine``) from an ONNX file, with their description and digest behind the plan.

https://docs.nvidia.com/deeplearning/tensorrt/latest/
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception.errors import InputError, require
from perception.files import atomic_path
from perception.runtime.exported_file import NO_DIGEST, FileInfo, seal
from perception.runtime.tensorrt_engine import check_gpu

WORKSPACE = 2 << 30
"""Bytes that a layer may use while it runs."""


def export_tensorrt(
    onnx_path: Path,
    described: FileInfo,
    out: Path,
    sizes: tuple[tuple[int, int], ...] = (),
    timing_cache: Path | None = None,
) -> FileInfo:
    """Build an engine for this GPU, with a profile of its own for each size; all of them share the weights.

    The network is strongly typed: it runs in the precision that the ONNX file has, without TF32.

    Args:
        onnx_path: of fixed size, or of free size for engines of several; ``described``: what it says about itself.
        out: ``.engine`` file.
        sizes: ``(height, width)`` besides that of the description.
        timing_cache: measured layers of earlier builds, read and written; default ``OUT.timing`` beside the file.

    Returns:
        The description as written, with the digest.

    Raises:
        InputError: without a GPU, or where TensorRT does not take the network.
        MissingExtra: without tensorrt.
    """
    check_gpu()
    check_float8(described)
    trt: Any = require("tensorrt", "tensorrt")
    import onnx

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(bytes_through_float(onnx.load(str(onnx_path))).SerializeToString()):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise InputError(f"TensorRT cannot read {described.model}: {' '.join(reason.split())}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)
    if described.free_size:
        for size in (described.size, *sizes):
            profile = builder.create_optimization_profile()
            profile.set_shape("image", *[(1, 3, *size)] * 3)  # least, usual and most are one: kernels for this size
            config.add_optimization_profile(profile)
    cache_path = timing_cache or Path(f"{out}.timing")
    known = cache_path.read_bytes() if cache_path.is_file() else b""
    cache = config.create_timing_cache(known) or config.create_timing_cache(b"")  # one of another GPU is left aside
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InputError(f"TensorRT built no engine of {described.model}; its messages above say why")
    with atomic_path(cache_path) as part:
        part.write_bytes(bytes(config.get_timing_cache().serialize()))
    versions = described.versions | {"tensorrt": trt.__version__}
    return write_plan(
        bytes(plan), replace(described, versions=versions, free_size=False, sizes=sizes, suffix=".engine"), out
    )


def check_float8(described: FileInfo) -> None:
    """
    Raises:
        InputError: for a network in 8-bit floating point on a GPU that does not multiply such numbers.
    """
    import torch

    capability = torch.cuda.get_device_capability()
    if described.precision == "fp8" and capability < (8, 9):
        found = f"{torch.cuda.get_device_name()} has {capability[0]}.{capability[1]}"
        raise InputError(f"8-bit floating point needs compute capability 8.9 (Ada, Hopper), {found}; use --int8 true")


def write_plan(plan: bytes, described: FileInfo, out: Path) -> FileInfo:
    """Write a plan with its description behind it; :func:`perception.runtime.tensorrt_engine.read_plan` reads it."""
    described = replace(described, data={}, digest=NO_DIGEST)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
        part = Path(folder) / out.name
        part.write_bytes(plan + described.to_json().encode())
        digest = seal(part)
        part.replace(out)
    return replace(described, digest=digest)


def bytes_through_float(model: Any) -> Any:
    """An ONNX model whose casts to uint8 go by float: TensorRT makes bytes of floating-point numbers alone."""
    import onnx

    uint8 = onnx.TensorProto.UINT8
    graph, nodes = model.graph, []
    for node in graph.node:
        if node.op_type == "Cast" and any(part.name == "to" and part.i == uint8 for part in node.attribute):
            between = f"{node.output[0]}_as_float"
            nodes.append(onnx.helper.make_node("Cast", [node.input[0]], [between], to=onnx.TensorProto.FLOAT))
            node.input[0] = between
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    del model.metadata_props[:]  # the description of the ONNX file is not that of the engine
    return model

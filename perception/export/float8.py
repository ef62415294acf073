"""Quantise-dequantise files in 8-bit floating point (E4M3), which GPUs from Ada and Hopper on multiply.

Paper: FP8 Formats for Deep Learning - arXiv 2209.05433.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST_INT8, LARGEST_FLOAT8 = 127, 448


def to_float8(model: Any) -> None:
    """Turn an ONNX model's pairs of symmetric 8-bit integers into pairs of E4M3 numbers of the same ranges, in place.

    Args:
        model: ``onnx.ModelProto`` with weights in float before their pairs, and no zero points but zero.

    Raises:
        ValueError: for a pair with a zero point.
    """
    import onnx

    held = {item.name: item for item in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for name in {node.input[1] for node in pairs}:
        scale = onnx.numpy_helper.to_array(held[name]) * np.float32(LARGEST_INT8 / LARGEST_FLOAT8)
        held[name].CopyFrom(onnx.numpy_helper.from_array(scale.astype(np.float32), name))
    for name in {node.input[2] for node in pairs}:
        zero = onnx.numpy_helper.to_array(held[name])
        if zero.dtype != np.int8 or zero.any():
            raise ValueError(f"{name} is no zero point of symmetric 8-bit integers")
        kind = onnx.TensorProto.FLOAT8E4M3FN
        held[name].CopyFrom(onnx.helper.make_tensor(name, kind, zero.shape, bytes(zero.size), raw=True))
    del model.graph.value_info[:]  # they say what the pairs were

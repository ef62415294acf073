"""Post-training static quantisation of an exported ONNX file to 8 bits, except for layers that do not bear it.

Quantize-dequantize form, per-channel weights, ranges from calibration pictures:
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perception.console import track
from perception.errors import InputError, require
from perception.export.float8 import to_float8
from perception.runtime.exported_engine import input_batch, resized
from perception.runtime.exported_file import KEY, NO_DIGEST, FileInfo, open_exported, seal
from perception.runtime.host import cpu_flags
from perception.runtime.onnx_engine import open_session

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8", "i8mm", "asimd")
"""Instruction sets whose 8-bit products do not saturate."""


@dataclass(frozen=True)
class Quantised:
    """What came of a quantisation.

    Args:
        described: the file's own description.
        before, after: accuracy by measure, before and after; percent.
        kept_float: layers that stay in float, the last ones first.
        reduce_range: whether weights have 7 bits, for CPUs whose 8-bit products saturate.
    """

    described: FileInfo
    before: dict[str, float]
    after: dict[str, float]
    kept_float: list[str]
    reduce_range: bool

    @property
    def drop(self) -> float:
        """Largest loss of any measure, in points."""
        return _loss(self.before, self.after)


def _loss(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    return max((before[name] - after[name] for name in before), default=0.0)


def saturates() -> bool:
    """Whether this CPU adds pairs of 8-bit products in 16 bits, so that weights need 7 bits."""
    return not set(VNNI) & set(cpu_flags())


def quantise(
    file: Path,
    out: Path,
    pictures: Sequence[np.ndarray],
    accuracy: Callable[[Path], Mapping[str, float]],
    max_drop: float = 0.5,
    reduce_range: bool | None = None,
    symmetric: bool = False,
    float8: bool = False,
) -> Quantised:
    """Quantise a float file; layers that cost too much stay in float, the most sensitive ones first.

    Layers that no other follows always do: what they give is compared, and 256 steps make equals of neighbours. Of the
    peaks of a centre head, whole plateaus are left then, and the box beside a centre is as good as the one at it.

    Args:
        file: of :func:`perception.export.onnx_file.export_onnx`, with its weights inside.
        out: the 8-bit file.
        pictures: ``(H, W, 3)`` uint8 to calibrate on.
        accuracy: measures of a file, in percent, on other pictures.
        max_drop: points that any measure may lose before layers are given back to float.
        reduce_range: 7-bit weights; default where this CPU needs them.
        symmetric: signed activations without zero points and float biases, which is what TensorRT takes.
        float8: floating-point numbers of 8 bits (E4M3) instead of integers; symmetric too.

    Raises:
        InputError: for a file with external data, or nothing to quantise.
        MissingExtra: without onnx and onnxruntime.
    """
    require("onnxruntime", "export")
    described = open_exported(file)
    if described.data:
        raise InputError(f"{file.name} keeps its weights beside it; models of this size are not quantised")
    symmetric = symmetric or float8
    narrow = saturates() and not symmetric if reduce_range is None else reduce_range
    before = dict(accuracy(file))
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as name:
        folder = Path(name)
        work = _Work(file, folder, described, pictures, narrow, symmetric, float8)
        kept: list[str] = []
        candidate = work.build(kept)
        after = dict(accuracy(candidate))
        ranking: list[str] | None = None
        while _loss(before, after) > max_drop and len(kept) < len(work.layers):
            ranking = work.sensitivity() if ranking is None else ranking
            kept = ranking[: max(1, 2 * len(kept))]
            candidate = work.build(kept)
            after = dict(accuracy(candidate))
        found = open_exported(candidate)
        candidate.replace(out)
    return Quantised(found, before, after, [*work.last, *kept], narrow)


class _Work:
    """One float network, folded and calibrated once, from which any set of layers is quantised."""

    def __init__(
        self, file: Path, folder: Path, described: FileInfo, pictures: Sequence[np.ndarray], narrow: bool,
        symmetric: bool, float8: bool,
    ) -> None:  # fmt: skip
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        self.folder, self.described = folder, described
        self.narrow, self.symmetric, self.float8 = narrow, symmetric, float8
        self.batches = [input_batch(resized(picture, described.size), described.input) for picture in pictures]
        self.float = folder / "folded.onnx"
        with _quiet():
            quant_pre_process(str(file), str(self.float), skip_symbolic_shape=True)
        graph = onnx.load(str(self.float)).graph
        weights = {item.name for item in graph.initializer}
        layers = [node.name for node in graph.node if node.op_type in LAYERS and any(i in weights for i in node.input)]
        last = _last(graph, set(layers))
        self.last = [name for name in layers if name in last]
        self.layers = [name for name in layers if name not in last]
        if not self.layers:
            raise InputError(f"{file.name} has no layer that can be quantised; its last ones stay in float")

    def build(self, kept: Sequence[str]) -> Path:
        """The file with all layers but some in 8 bits."""
        path = self.folder / "quantised.onnx"
        self._quantise(path, [name for name in self.layers if name not in set(kept)])
        self._describe(path)
        return path

    def sensitivity(self) -> list[str]:
        """Layers by what quantising each of them alone changes in the outputs, the worst first."""
        path = self.folder / "one.onnx"
        wanted = self._outputs(self.float)
        errors = {}
        for layer in track(self.layers, "finding sensitive layers"):
            self._quantise(path, [layer])
            errors[layer] = _difference(wanted, self._outputs(path))
        return sorted(errors, key=lambda layer: -errors[layer])

    def _quantise(self, out: Path, layers: Sequence[str]) -> None:
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        if not layers:  # an empty list would mean all
            shutil.copyfile(self.float, out)
            return
        signed = {"ActivationSymmetric": True, "WeightSymmetric": True, "AddQDQPairToWeight": True}
        options = {"CalibMovingAverage": True, "QuantizeBias": not self.symmetric} | (signed if self.symmetric else {})
        with _quiet():
            quantize_static(
                str(self.float), str(out), _Pictures(self.batches), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(LAYERS), per_channel=True, reduce_range=self.narrow,
                activation_type=QuantType.QInt8 if self.symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8, nodes_to_quantize=list(layers),
                calibrate_method=CalibrationMethod.MinMax, extra_options=options,
                calibration_cache_path=str(self.folder / "ranges.json"),
            )  # fmt: skip
        import onnx

        model = onnx.load(str(out))
        if self.float8:
            to_float8(model)
        else:
            pool_in_8_bits(model)
        onnx.save(model, str(out))

    def _outputs(self, path: Path) -> list[list[np.ndarray]]:
        session = open_session(path, "cpu", precision="fp8" if self.float8 else "int8")[0]
        return [session.run(None, {"image": batch}) for batch in self.batches[:2]]

    def _describe(self, path: Path) -> None:
        import onnx

        model = onnx.load(str(path))
        del model.metadata_props[:]
        quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        precision = ("fp8" if self.float8 else "int8") if quantised else self.described.precision
        described = replace(self.described, precision=precision, digest=NO_DIGEST, data={})
        entry = model.metadata_props.add()
        entry.key, entry.value = KEY, described.to_json()
        path.write_bytes(model.SerializeToString())
        seal(path)


def _last(graph: Any, layers: set[str]) -> set[str]:
    """Those of the layers that no other of them follows; nodes of a graph come in the order in which they run."""
    followed: set[str] = set()  # values that a layer reads, itself or by way of others
    last = set()
    for node in reversed(graph.node):
        behind = followed.intersection(node.output)
        if node.name in layers and not behind:
            last.add(node.name)
        if node.name in layers or behind:
            followed.update(node.input)
    return last


def pool_in_8_bits(model: Any) -> None:
    """Round what goes into a largest-value pooling as what comes out of it will be, so that it runs on bytes.

    The result is the same: rounding keeps order, so the largest rounded value is the rounded largest value.
    """
    import onnx

    outputs = {output.name for output in model.graph.output}
    nodes = []
    for node in model.graph.node:
        readers = [other for other in model.graph.node if node.output[0] in other.input]
        alone = len(readers) == 1 and node.output[0] not in outputs
        if node.op_type == "MaxPool" and alone and readers[0].op_type == "QuantizeLinear":
            source, (_, *scale) = node.input[0], readers[0].input
            rounded, back = (f"{source}_for_{node.output[0]}_{part}" for part in ("rounded", "back"))
            for kind, put, out in (("QuantizeLinear", source, rounded), ("DequantizeLinear", rounded, back)):
                nodes.append(onnx.helper.make_node(kind, [put, *scale], [out], name=out))
            node.input[0] = back
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Pictures:
    """What the calibrator asks for one batch after the other; each calibration starts anew."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._left, None)
        return None if batch is None else {"image": batch}


def _difference(wanted: list[list[np.ndarray]], got: list[list[np.ndarray]]) -> float:
    """Mean over outputs of the share of classes that differ, or of the error of numbers relative to their spread."""
    shares = []
    for truths, values in zip(wanted, got, strict=True):
        for truth, value in zip(truths, values, strict=True):
            if truth.dtype == np.uint8:
                shares.append(float((truth != value).mean()))
            elif np.issubdtype(truth.dtype, np.floating):
                spread = float(np.abs(truth).mean()) + 1e-9
                shares.append(min(1.0, float(np.abs(truth - value).mean()) / spread))
    return float(np.mean(shares)) if shares else 0.0


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice away."""
    logger: Any = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

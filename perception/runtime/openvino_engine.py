"""OpenVINO on an exported file, ``.xml`` or ``.onnx``: needs numpy and openvino, no torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError, require
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import open_exported
from perception.runtime.host import cpu_name

PRECISIONS = {"auto": "f32", "fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoEngine(ExportedEngine):
    """A file of ``perception export`` in OpenVINO, compiled for each size that it meets.

    A network of fixed size is faster than one of free size, so each plan gets its own, all with the same weights.

    Args:
        path: ``.xml`` with its ``.bin``, or ``.onnx``.
        device: ``auto`` or ``cpu``.
        precision: ``fp32``, or ``bf16`` where the CPU has it; ``auto`` is ``fp32``, although OpenVINO itself would
            take less where it can, so that results are those of training.
        score: boxes with a lower score are dropped.
        raw: also take files that give raw maps, for :meth:`run` alone.

    Raises:
        MissingExtra: without openvino.
        InputError: for a file that is damaged or not of this library, or a device or precision that it does not have.
    """

    def __init__(
        self, path: str | Path, device: str = "auto", precision: str = "auto", score: float = 0.3, raw: bool = False
    ) -> None:
        path = Path(path)
        if precision not in PRECISIONS:
            raise InputError(f"unknown precision {precision!r}; use one of {', '.join(PRECISIONS)}")
        check_device(device)
        described = open_exported(path)
        self._ov = load_openvino()
        self._properties = properties(precision)
        self._network = read_network(path)
        super().__init__(path, described, score, raw)
        if precision != "auto":
            self.precision = precision
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._names = [output.get_any_name() for output in self._network.outputs]

    @property
    def info(self) -> dict[str, Any]:
        compiled = next(iter(self._compiled.values()), None)
        if compiled is None:  # which decides the threads, and latencies are looked up by them before anything runs
            compiled = self._at((1, 3, *self.described.size))
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        facts = self.facts("openvino", "cpu", cpu_name(), threads)
        return facts | {"openvino": self._ov.__version__}

    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        results = self._at(image.shape)([image])
        # Copied, because the next frame is written over them.
        return {name: np.array(results[index]) for index, name in enumerate(self._names)}

    def _at(self, shape: tuple[int, ...]) -> Any:
        """The network compiled for a shape, once."""
        if shape not in self._compiled:
            self._compiled[shape] = self._compile(shape)
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> Any:
        try:
            network = self._network.clone()
            network.reshape(list(shape))
            return compile_network(network, self._properties)
        except RuntimeError as error:
            raise InputError(f"{self.path} does not run at {shape[2]}x{shape[3]}: {last_line(error)}") from None


def load_openvino() -> Any:
    """The package, kept from reporting to its maker that it was imported.

    Raises:
        MissingExtra: without openvino.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails then
    return require("openvino", "export")


@cache
def openvino_core() -> Any:
    """The one ``Core`` of the process, which is never released.

    A released one unmaps the stack that it had set for signal handlers (2026.4: with two of them, or from another
    thread, without putting the old one back), and the next signal with a handler kills the process: the end of a child
    after a ``DataLoader`` has worked, or Ctrl-C.

    Raises:
        MissingExtra: without openvino.
    """
    return load_openvino().Core()


def open_network(path: Path, device: str = "auto") -> tuple[Any, Any]:
    """A file that :func:`open_exported` has checked, and the same compiled for all sizes that it takes.

    Raises:
        MissingExtra: without openvino.
        InputError: for a file that OpenVINO does not take, or another device than ``auto`` or ``cpu``.
    """
    check_device(device)
    network = read_network(path)
    try:
        return network, compile_network(network, properties("auto"))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot run {path}: {last_line(error)}") from None


def compile_network(network: Any, options: dict[str, str]) -> Any:
    """The network for the CPU; without the merging of small layers where OpenVINO fails at that (2026.4: Mask2Former).

    Raises:
        RuntimeError: OpenVINO's, where it does not compile either way.
    """
    core = openvino_core()
    try:
        return core.compile_model(network, "CPU", options)
    except RuntimeError as error:
        if "snippets" not in str(error):
            raise
        return core.compile_model(network, "CPU", options | {"SNIPPETS_MODE": "DISABLE"})


def check_device(device: str) -> None:
    """
    Raises:
        InputError: for a device that OpenVINO is not used on here.
    """
    if device not in ("auto", "cpu"):
        raise InputError(f"the openvino engine runs on auto or cpu, not {device!r}; use --engine torch or onnxruntime")


def properties(precision: str) -> dict[str, str]:
    """How networks are compiled, for one of :data:`PRECISIONS`."""
    return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISIONS[precision]}


def read_network(path: Path) -> Any:
    """
    Raises:
        InputError: for a file that OpenVINO does not read.
    """
    try:
        return openvino_core().read_model(str(path))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot open {path}: {last_line(error)}") from None


def last_line(error: Exception) -> str:
    """What OpenVINO says in the end, after where in its source that was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

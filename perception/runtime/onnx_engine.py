"""ONNX Runtime on an exported file: needs numpy and onnxruntime, no torch.

https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError, require
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import open_exported
from perception.runtime.host import cpu_name

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxEngine(ExportedEngine):
    """An ``.onnx`` file of ``perception export`` in ONNX Runtime.

    Inputs and outputs are bound, so that on CUDA nothing waits for a copy that is not needed.

    Args:
        path: the file; what belongs to it lies beside it.
        device: ``auto`` (CUDA where this build of ONNX Runtime has it), ``cpu``, ``cuda`` or ``cuda:N``.
        score: boxes with a lower score are dropped.
        raw: also take files that give raw maps, for :meth:`run` alone.
        threads: of one operator; default the cores that this process may use.

    Raises:
        MissingExtra: without onnxruntime.
        InputError: for a file that is damaged or not of this library, or a device that is not available.
    """

    def __init__(
        self, path: str | Path, device: str = "auto", score: float = 0.3, threads: int | None = None, raw: bool = False
    ) -> None:
        path = Path(path)
        described = open_exported(path)
        self._session, self._device, self._index, self._threads = open_session(
            path, device, threads, described.precision
        )
        super().__init__(path, described, score, raw)
        self._version = require("onnxruntime", "export").__version__
        self._input_name = self._session.get_inputs()[0].name
        self._names = [output.name for output in self._session.get_outputs()]

    @property
    def info(self) -> dict[str, Any]:
        name = cpu_name() if self._device == "cpu" else f"CUDA device {self._index}"
        facts = self.facts("onnxruntime", self._device, name, self._threads)
        return facts | {"onnxruntime": self._version}

    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input_name, image)
        for name in self._names:
            binding.bind_output(name, "cpu")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            size = f"{image.shape[2]}x{image.shape[3]}"
            raise InputError(f"{self.path} does not run at {size}: {str(error).splitlines()[0]}") from None
        return dict(zip(self._names, binding.copy_outputs_to_cpu(), strict=True))


def open_session(
    path: Path, device: str = "auto", threads: int | None = None, precision: str = "fp32"
) -> tuple[Any, str, int, int]:
    """A session on a file that :func:`open_exported` has checked; its device, the device's index and its threads.

    Args:
        precision: what the file says of itself.

    Raises:
        MissingExtra: without onnxruntime.
        InputError: for a file that ONNX Runtime does not open, or a device that is not available.
    """
    ort = require("onnxruntime", "export")
    kind, index = _device(device, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    provider = (PROVIDERS[kind], {"device_id": index} if kind == "cuda" else {})
    try:
        # This rewrite drops a ReLU before 8-bit floating-point numbers too, which have a sign (ONNX Runtime 1.32).
        without = ["ReluQuantRewrite"] if precision == "fp8" else []
        session = ort.InferenceSession(str(path), options, providers=[provider], disabled_optimizers=without)
    except Exception as error:  # onnxruntime's own types, one for each kind of failure
        raise InputError(f"ONNX Runtime cannot open {path}: {str(error).splitlines()[0]}") from None
    return session, kind, index, options.intra_op_num_threads


def _device(device: str, available: list[str]) -> tuple[str, int]:
    if device == "auto":
        return ("cuda" if PROVIDERS["cuda"] in available else "cpu"), 0
    kind, _, index = device.partition(":")
    if kind not in PROVIDERS or (index and not index.isdigit()):
        raise InputError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N")
    if PROVIDERS[kind] not in available:
        raise InputError(f"this build of ONNX Runtime has no {kind} provider; install onnxruntime-gpu or use cpu")
    return kind, int(index or 0)

"""An exported file of any inputs in ONNX Runtime or OpenVINO: arrays by name in, arrays by name out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception.errors import InputError
from perception.runtime.host import cpu_name
from perception.runtime.onnx_engine import open_session
from perception.runtime.openvino_engine import open_network

RUNTIMES = ("onnxruntime", "openvino")


def runtimes_of(path: Path) -> tuple[str, ...]:
    """Those that read a file: both for ``.onnx``, OpenVINO alone for ``.xml``."""
    return RUNTIMES if path.suffix == ".onnx" else RUNTIMES[1:]


class FileRunner:
    """A file that :func:`perception.runtime.exported_file.open_exported` has checked.

    Args:
        path: ``.onnx``, or ``.xml`` with its ``.bin``.
        runtime: ``onnxruntime`` or ``openvino``; ``auto`` is the one that the file was written for.
        device: ``auto``, ``cpu``, or ``cuda`` where this build of ONNX Runtime has it.

    Raises:
        MissingExtra: without the runtime.
        InputError: for a device or runtime that does not run it.
    """

    def __init__(self, path: Path, runtime: str = "auto", device: str = "auto") -> None:
        if runtime == "auto":
            runtime = runtimes_of(path)[0]
        if runtime not in runtimes_of(path):
            raise InputError(f"{path.name} does not run in {runtime!r}; use --engine openvino or a .onnx file")
        self.path, self.runtime = path, runtime
        if runtime == "onnxruntime":
            self._session, self.device, _, _ = open_session(path, device)
            self._names = [output.name for output in self._session.get_outputs()]
        else:
            network, self._compiled = open_network(path, device)
            self.device = "cpu"
            self._names = [output.get_any_name() for output in network.outputs]

    @property
    def info(self) -> dict[str, str]:
        """What runs, on what."""
        name = cpu_name() if self.device == "cpu" else self.device
        return {"engine": self.runtime, "device": self.device, "device_name": name}

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """
        Raises:
            InputError: for inputs that the runtime does not take.
        """
        try:
            if self.runtime == "onnxruntime":
                results = self._session.run(self._names, dict(inputs))
            else:
                found = self._compiled(dict(inputs))
                results = [np.array(found[index]) for index in range(len(self._names))]  # the next run overwrites them
        except Exception as error:  # the runtimes have types of their own
            raise InputError(f"{self.path} does not run on these inputs: {str(error).splitlines()[0]}") from None
        return dict(zip(self._names, results, strict=True))

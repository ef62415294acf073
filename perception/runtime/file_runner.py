"""An exported file of any inputs in ONNX Runtime or OpenVINO: arrays by name in, arrays by name out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from perception.errors import InputError
from perception.runtime.exported_file import open_exported
from perception.runtime.host import cpu_name
from perception.runtime.onnx_engine import open_session
from perception.runtime.openvino_engine import open_network

RUNTIMES = ("onnxruntime", "openvino")


def runtimes_of(path: Path) -> tuple[str, ...]:
    """Those that read a file: both for ``.onnx``, OpenVINO alone for ``.xml``."""
    return RUNTIMES if path.suffix == ".onnx" else RUNTIMES[1:]


class FileRunner:
    """Engines of files that take more than one picture.

    Args:
        path: ``.onnx``, or ``.xml`` with its ``.bin``.
        runtime: ``onnxruntime`` or ``openvino``; ``auto`` is the one that the file was written for.
        device: ``auto``, ``cpu``, or ``cuda`` where this build of ONNX Runtime has it.

    Attributes:
        input, instead: what files of the kind take, and what an error says of others.
        labels: what the classes mean.

    Raises:
        MissingExtra: without the runtime.
        InputError: for a file that is damaged, not of this library or of another kind, or a device or runtime that does
            not run it.
    """

    input: ClassVar[str]
    instead: ClassVar[str]

    def __init__(self, path: str | Path, runtime: str = "auto", device: str = "auto") -> None:
        path = Path(path)
        described = open_exported(path)
        if described.input != self.input:
            raise InputError(f"{path} takes {described.input} {self.instead}")
        if runtime == "auto":
            runtime = runtimes_of(path)[0]
        if runtime not in runtimes_of(path):
            raise InputError(f"{path.name} does not run in {runtime!r}; use --engine openvino or a .onnx file")
        self.path, self.described, self.runtime = path, described, runtime
        self.labels = described.labels(path)
        if runtime == "onnxruntime":
            self._session, self._device, _, _ = open_session(path, device)
            self._names = [output.name for output in self._session.get_outputs()]
        else:
            network, self._compiled = open_network(path, device)
            self._device = "cpu"
            self._names = [output.get_any_name() for output in network.outputs]

    @property
    def info(self) -> dict[str, str]:
        """What runs, on what."""
        name = cpu_name() if self._device == "cpu" else self._device
        return {"engine": self.runtime, "device": self._device, "device_name": name, "model": self.described.model}

    def _outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The file's outputs by name.

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

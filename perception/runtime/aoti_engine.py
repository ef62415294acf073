"""AOTInductor packages of ``perception export``: machine code of the network, run by torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception.errors import InputError
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import FileInfo, open_exported
from perception.runtime.host import cpu_flags, cpu_name


class AotiEngine(ExportedEngine):
    """A ``.pt2`` file, which runs on the kind of device and the version of torch that built it.

    The file is a program: run those alone that come from someone whom you trust with your machine.

    Args:
        path: the file.
        device: ``auto`` is the one that the file was built for; ``cpu``, ``cuda`` or ``cuda:N``.
        score: boxes with a lower score are dropped.
        raw: also take files that give raw maps, for :meth:`run` alone.

    Raises:
        InputError: for a file that is damaged, not of this library or built for something else.
    """

    def __init__(self, path: str | Path, device: str = "auto", score: float = 0.3, raw: bool = False) -> None:
        path = Path(path)
        described = open_exported(path)
        super().__init__(path, described, score, raw)
        self._device = torch.device(_check_target(path, described, device))
        index = -1 if self._device.index is None else self._device.index
        try:
            self._network = torch._inductor.aoti_load_package(str(path), device_index=index)
        except RuntimeError as error:
            raise InputError(f"torch cannot open {path}: {str(error).splitlines()[0]}") from None

    @property
    def info(self) -> dict[str, Any]:
        cpu = self._device.type == "cpu"
        name = cpu_name() if cpu else torch.cuda.get_device_name(self._device)
        facts = self.facts("aoti", str(self._device), name, torch.get_num_threads())
        return facts | {"torch": torch.__version__}

    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        if image.shape != (1, 3, *self.described.size):
            raise InputError(f"{self.path} does not run at {image.shape[2]}x{image.shape[3]}")
        with torch.inference_mode():
            results = self._network(torch.from_numpy(image).to(self._device))
        return {name: value.cpu().numpy() for name, value in results.items()}


def built_for(device: str) -> tuple[str, ...]:
    """What code that is compiled here needs: the device, and instruction sets or the kind of GPU."""
    if torch.device(device).type == "cpu":
        return ("cpu", *cpu_flags())
    major, minor = torch.cuda.get_device_capability(device)
    return ("cuda", f"sm_{major}{minor}")


def _check_target(path: Path, described: FileInfo, device: str) -> str:
    """The device to run on.

    Raises:
        InputError: where it is not what the file was built for.
    """
    kind, *needs = described.target or ("cpu",)
    wanted = kind if device == "auto" else device
    if wanted.partition(":")[0] != kind:
        raise InputError(f"{path} was compiled for {kind}, not for {wanted}; export it again with --device {wanted}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{path} was compiled for a CUDA device, and torch sees none here")
    missing = set(needs) - set(built_for(wanted))
    if missing:
        raise InputError(f"{path} was compiled for {', '.join(sorted(missing))}, which {wanted} lacks; export it here")
    if described.versions.get("torch") != torch.__version__:
        raise InputError(
            f"{path} was compiled with torch {described.versions.get('torch')}, this is {torch.__version__}; export it "
            "again"
        )
    return wanted

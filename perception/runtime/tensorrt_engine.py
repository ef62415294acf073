"""TensorRT on an engine file of ``perception export``; torch holds the buffers on the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception.errors import InputError, require
from perception.runtime.exported_engine import ExportedEngine
from perception.runtime.exported_file import description_start, open_exported


class TensorRtEngine(ExportedEngine):
    """An ``.engine`` file, which runs on the kind of GPU and the version of TensorRT that built it.

    Args:
        path: the file.
        device: ``auto``, ``cuda`` or ``cuda:N``.
        score: boxes with a lower score are dropped.
        raw: also take files that give raw maps, for :meth:`run` alone.

    Raises:
        MissingExtra: without tensorrt.
        InputError: for a file that is damaged, not of this library or built for something else, or without a GPU.
    """

    def __init__(self, path: str | Path, device: str = "auto", score: float = 0.3, raw: bool = False) -> None:
        path = Path(path)
        described = open_exported(path)
        super().__init__(path, described, score, raw)
        check_gpu(device)
        trt: Any = require("tensorrt", "tensorrt")
        import torch

        self._torch, self._version = torch, trt.__version__
        self._device = torch.device("cuda" if device == "auto" else device)
        with torch.cuda.device(self._device):
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            self._engine = self._runtime.deserialize_cuda_engine(read_plan(path))
            if self._engine is None:
                raise InputError(f"{path} was built by another TensorRT or for another GPU; export it on this device")
            self._stream = torch.cuda.Stream(self._device)
            sizes = (described.size, *described.sizes)
            self._profiles = {size: self._profile(trt, number, size) for number, size in enumerate(sizes)}

    def _profile(self, trt: Any, number: int, size: tuple[int, int]) -> _Profile:
        """One size of the engine, ready to run; weights are shared by all."""
        torch = self._torch
        context = self._engine.create_execution_context()
        if self._engine.num_optimization_profiles > 1:
            context.set_optimization_profile_async(number, self._stream.cuda_stream)
            self._stream.synchronize()
        context.set_input_shape("image", (1, 3, *size))
        buffers = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            dtype = torch.from_numpy(np.empty(0, trt.nptype(self._engine.get_tensor_dtype(name)))).dtype
            shape = tuple(context.get_tensor_shape(name))
            buffers[name] = torch.empty(shape, dtype=dtype, device=self._device)
            context.set_tensor_address(name, buffers[name].data_ptr())
        # Pinned: copies to and from them wait for nothing.
        host = {name: torch.empty_like(value, device="cpu").pin_memory() for name, value in buffers.items()}
        return _Profile(context, buffers, host)

    @property
    def info(self) -> dict[str, Any]:
        name = self._torch.cuda.get_device_name(self._device)
        facts = self.facts("tensorrt", str(self._device), name, 0)
        return facts | {"tensorrt": self._version}

    def run(self, image: np.ndarray) -> Mapping[str, np.ndarray]:
        profile = self._profiles.get((image.shape[2], image.shape[3]))
        if profile is None or image.shape[0] != 1:
            raise InputError(f"{self.path} does not run at {image.shape[2]}x{image.shape[3]}")
        profile.host["image"].copy_(self._torch.from_numpy(image))
        with self._torch.cuda.stream(self._stream):
            profile.buffers["image"].copy_(profile.host["image"], non_blocking=True)
            if not profile.context.execute_async_v3(self._stream.cuda_stream):
                raise InputError(f"TensorRT could not run {self.path}")
            for name, value in profile.buffers.items():
                if name != "image":
                    profile.host[name].copy_(value, non_blocking=True)
        self._stream.synchronize()
        # Copied, because the next frame is written over them.
        return {name: value.numpy().copy() for name, value in profile.host.items() if name != "image"}


@dataclass(frozen=True)
class _Profile:
    """What runs one size: its context, and its inputs and outputs on the GPU and pinned on the host, by name."""

    context: Any
    buffers: dict[str, Any]
    host: dict[str, Any]


def check_gpu(device: str = "auto") -> None:
    """
    Raises:
        InputError: without the GPU that a device names.
    """
    import torch

    kind, _, index = device.partition(":")
    if kind not in ("auto", "cuda") or (index and not index.isdigit()):
        raise InputError(f"the tensorrt engine runs on auto, cuda or cuda:N, not {device!r}")
    if not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count():
        raise InputError(
            "TensorRT needs an NVIDIA GPU, and builds for the one it is on; this machine has none, or torch does not "
            "see it. Run the command on the device that will use the file, or export to onnx"
        )


def read_plan(path: Path) -> bytes:
    """The plan of a file that :func:`open_exported` has checked."""
    content = path.read_bytes()
    return content[: description_start(content)]

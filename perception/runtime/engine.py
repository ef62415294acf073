"""Runs a network on one frame: picture in, :class:`~perception.types.Prediction` out, both on the host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from perception.console import warn
from perception.errors import InputError
from perception.memory import keep_freed_memory
from perception.runtime.decoded import check_picture, to_prediction
from perception.runtime.fovea import fuse
from perception.runtime.host import cpu_name
from perception.runtime.plan import Plan
from perception.taxonomy import LabelSet
from perception.types import Prediction

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENGINES = ("own", "torch", "onnxruntime", "openvino", "tensorrt", "aoti")
RUNS = {
    ".onnx": ("onnxruntime", "openvino"), ".xml": ("openvino",), ".engine": ("tensorrt",), ".pt2": ("aoti",)
}  # fmt: skip
"""Engines of the exported files, by suffix; the first is the default."""
LADDER = "ladder.json"
"""What makes a folder a ladder of exported files."""


class Engine(Protocol):
    """What the loop needs of a network, whatever runs it.

    Attributes:
        labels: the classes that predictions index into.
        info: JSON-able facts for the report: device, precision, versions, threads.
    """

    @property
    def labels(self) -> LabelSet: ...

    @property
    def info(self) -> dict[str, Any]: ...

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        """Do once whatever the first frame at this plan would otherwise pay for.

        Args:
            picture_size: ``(height, width)`` of the pictures to come; the plan's ``output_size`` by default.
        """
        ...

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        """Predict for an ``(H, W, 3)`` uint8 RGB picture; masks and boxes are at the plan's ``output_size``.

        The picture may have any size; for a plan with a fovea it must have the size that the plan was made for.
        """
        ...


@dataclass
class _Prepared:
    """The fixed buffers of one plan and picture size on a GPU; results are one dictionary per view.

    With a graph, replaying it reads ``picture`` and fills ``decoded``.
    """

    staging: Tensor  # pinned, on the host
    picture: Tensor
    decoded: list[Mapping[str, Tensor]]
    host: list[dict[str, Tensor]]
    graph: Any = None


class TorchEngine:
    """A PyTorch module, eager or compiled.

    The picture is uploaded as uint8 (from pinned memory on CUDA), scaled to 0..1 and resized with an
    antialiased bilinear filter on the device. On CUDA each plan is captured as a CUDA graph: one launch for
    resizing, the network and its decoding, the same buffers every time. A plan with a fovea runs the network
    twice and joins the results on the host.

    Args:
        model: module with ``label_set``, ``forward(image) -> dict`` for ``(1, 3, H, W)`` float32 in 0..1, and
            ``decode(outputs) -> dict`` of fixed-shape tensors: ``semantic``, ``drivable``, ``lane`` ``(1, H, W)``
            uint8, and ``boxes`` ``(1, K, 4)``, ``scores`` ``(1, K)``, ``labels`` ``(1, K)``; each for the heads
            that it has. Where it has a ``select_scale(scale)``, it is told each view's share of the picture's
            resolution.
        device: ``auto`` (CUDA if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``bf16`` or ``fp16`` autocast; ``auto`` is bf16 (fp16 on GPUs without it) on CUDA
            and fp32 on the CPU.
        score: boxes with a lower score are dropped.
        compile: compile the network with ``torch.compile``.
        channels_last: keep weights and activations in NHWC order, which convolutions run faster in.

    Raises:
        InputError: for a model without this interface, or a device or precision that is not available.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        device: str = "auto",
        precision: str = "auto",
        score: float = 0.3,
        compile: bool = False,
        channels_last: bool = True,
    ) -> None:
        import torch

        for attribute in ("label_set", "decode"):
            if not hasattr(model, attribute):
                raise InputError(f"model {type(model).__name__} cannot be driven: it has no {attribute}")
        if not 0 <= score <= 1:
            raise InputError(f"score {score:g} is outside 0..1")
        self._device = resolve_device(device)
        self._dtype = _autocast_dtype(precision, self._device)
        self._score = score
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._model: Any = model.eval().to(self._device, memory_format=self._format)  # type: ignore[call-overload]
        self._select_scale = getattr(model, "select_scale", lambda scale: None)
        self._forward: Any = torch.compile(self._model, dynamic=False) if compile else self._model
        self._compiled = compile
        self._prepared: dict[tuple[Plan, tuple[int, int]], _Prepared] = {}
        self._captured = 0
        self.labels: LabelSet = model.label_set  # type: ignore[assignment]

    @property
    def network(self) -> torch.nn.Module:
        """The module that runs, on its device."""
        return self._model

    @property
    def info(self) -> dict[str, Any]:
        import torch

        cuda = self._device.type == "cuda"
        scales = getattr(self._model, "scales", None)
        return {
            "engine": "torch",
            "device": str(self._device),
            "device_name": torch.cuda.get_device_name(self._device) if cuda else cpu_name(),
            "precision": {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self._dtype],
            "compiled": self._compiled,
            "cuda_graphs": self._captured,
            "threads": torch.get_num_threads(),
            "architecture": type(self._model).__name__,
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            "digest": _recipe_digest(getattr(self._model, "recipe", None)),
            "label_set": self.labels.name,
            "scales": None if scales is None else list(scales),
            "torch": torch.__version__,
        }

    def warm_up(self, plan: Plan, picture_size: tuple[int, int] | None = None) -> None:
        """Run the plan a few times; on CUDA, allocate its buffers and capture its graph.

        Raises:
            InputError: if the model cannot run at this size.
        """
        import torch

        size = picture_size or plan.output_size
        try:
            if self._device.type == "cuda":
                self._prepare(plan, size)
            else:
                for _ in range(2):
                    self(np.zeros((*size, 3), np.uint8), plan)
        except torch.OutOfMemoryError as error:
            raise InputError(f"plan {plan.name} does not fit into the memory of {self._device}: {error}") from None

    def __call__(self, image: np.ndarray, plan: Plan) -> Prediction:
        import torch

        check_picture(image, plan)
        if self._device.type == "cuda":
            host = self._replay(image, plan)
        else:
            with torch.inference_mode():
                picture = torch.from_numpy(np.ascontiguousarray(image))
                host = [{name: value.numpy() for name, value in view.items()} for view in self._answer(picture, plan)]
        predictions = [to_prediction(decoded, self._score) for decoded in host]
        return predictions[0] if plan.fovea is None else fuse(plan, predictions[0], predictions[1])

    def _replay(self, image: np.ndarray, plan: Plan) -> list[dict[str, np.ndarray]]:
        import torch

        prepared = self._prepare(plan, (image.shape[0], image.shape[1]))
        with torch.inference_mode(), torch.cuda.device(self._device):
            prepared.staging.copy_(torch.from_numpy(np.ascontiguousarray(image)))
            prepared.picture.copy_(prepared.staging, non_blocking=True)
            if prepared.graph is not None:
                prepared.graph.replay()
                decoded = prepared.decoded
            else:
                decoded = self._answer(prepared.picture, plan)
            for results, targets in zip(decoded, prepared.host, strict=True):
                for name, value in results.items():
                    targets[name].copy_(value, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        # Copied, because the host buffers are filled again by the next frame.
        return [{name: value.numpy().copy() for name, value in results.items()} for results in prepared.host]

    def _answer(self, picture: Tensor, plan: Plan) -> list[Mapping[str, Tensor]]:
        """Everything from an ``(H, W, 3)`` uint8 picture on the device to decoded results, for each view."""
        whole = picture.permute(2, 0, 1)[None]  # NCHW by name, NHWC in memory
        self._select_scale(min(plan.size[0] / picture.shape[0], plan.size[1] / picture.shape[1], 1.0))
        results = [self._infer(self._resize(whole, plan.size))]
        if plan.fovea is not None:
            at = plan.fovea.window
            window = whole[..., at.top : at.top + at.height, at.left : at.left + at.width]
            self._select_scale(1.0)
            results.append(self._infer(self._resize(window, plan.fovea.size)))
        return results

    def _resize(self, picture: Tensor, size: tuple[int, int]) -> Tensor:
        """``(1, 3, h, w)`` float32 in 0..1."""
        import torch

        resize: Any = partial(
            torch.nn.functional.interpolate, size=size, mode="bilinear", align_corners=False, antialias=True
        )
        if picture.shape[2:] == size:
            scaled = picture.float().div_(255)
        elif picture.device.type == "cpu":
            scaled = resize(picture).float().div_(255)  # on bytes: three times as fast, and rounded to a byte
        else:
            scaled = resize(picture.float().div_(255))
        return scaled.contiguous(memory_format=self._format)

    def _infer(self, image: Tensor) -> Mapping[str, Tensor]:
        import torch

        precision: AbstractContextManager[Any] = nullcontext()
        if self._dtype is not None:
            # Weights cast inside a graph belong to the graph, so nothing may be cached across calls.
            precision = torch.autocast(self._device.type, dtype=self._dtype, cache_enabled=False)
        with precision:
            outputs = self._forward(image)
        return self._model.decode(outputs)

    def _prepare(self, plan: Plan, size: tuple[int, int]) -> _Prepared:
        """Allocate the GPU buffers of a plan for pictures of a size, and capture its graph."""
        import torch

        if (plan, size) in self._prepared:
            return self._prepared[plan, size]
        with torch.inference_mode(), torch.cuda.device(self._device):
            picture = torch.zeros((*size, 3), dtype=torch.uint8, device=self._device)
            staging = torch.empty((*size, 3), dtype=torch.uint8, pin_memory=True)
            side = torch.cuda.Stream()  # capture asks that the work ran on a side stream before
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    decoded = self._answer(picture, plan)
            torch.cuda.current_stream().wait_stream(side)
            graph: Any = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph):
                    decoded = self._answer(picture, plan)
                self._captured += 1
            except RuntimeError as error:
                torch.cuda.synchronize()
                graph = None
                warn(f"plan {plan.name} runs without a CUDA graph: {str(error).splitlines()[0]}")
            host = [
                {name: torch.empty(value.shape, dtype=value.dtype, pin_memory=True) for name, value in results.items()}
                for results in decoded
            ]
            self._prepared[plan, size] = _Prepared(staging, picture, decoded, host, graph)
        return self._prepared[plan, size]


def load_engine(
    model: str,
    device: str = "auto",
    precision: str = "auto",
    score: float = 0.3,
    compile: bool = False,
    engine: str = "own",
) -> Engine:
    """An engine for a checkpoint file, a saved folder, a zoo name, or a file or ladder of ``perception export``.

    Args:
        engine: ``torch`` for models, ``onnxruntime``, ``openvino`` or ``tensorrt`` for exported files; ``own`` is torch
            for models, ONNX Runtime for ``.onnx``, OpenVINO for ``.xml`` and TensorRT for ``.engine``, and for ladders
            OpenVINO where it is installed.
            :func:`perception.export.fastest.fastest_engine` measures which is best.

    Raises:
        InputError: for an unknown model, device, precision or engine, or an engine that does not run this model.
        MissingExtra: where the engine is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; use one of {', '.join(ENGINES)}")
    suffix, able = Path(model).suffix, engines_for(model)
    chosen = able[0] if engine == "own" else engine
    ladder = is_ladder(model)
    if chosen not in able:
        what = f"{suffix} files run" if suffix in RUNS else "models that are not exported run"
        what = "ladders of exported files run" if ladder else what
        raise InputError(f"{what} on {' or '.join(able)}, not on {chosen}; see perception export")
    if chosen != "torch" and compile:
        raise InputError(f"--compile is for torch; {model} is compiled by {chosen}")
    if chosen in ("onnxruntime", "tensorrt", "aoti") and precision not in ("auto", "fp32"):
        raise InputError(f"{model} runs in the precision that it was exported in, not {precision}; leave it out")
    if ladder:
        from perception.runtime.ladder_engine import LadderEngine

        return LadderEngine(model, chosen, device, precision, score)
    if chosen == "openvino":
        from perception.runtime.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(model, device, precision, score)
    if chosen == "onnxruntime":
        from perception.runtime.onnx_engine import OnnxEngine

        return OnnxEngine(model, device, score)
    if chosen == "tensorrt":
        from perception.runtime.tensorrt_engine import TensorRtEngine

        return TensorRtEngine(model, device, score)
    if chosen == "aoti":
        from perception.runtime.aoti_engine import AotiEngine

        keep_freed_memory()
        return AotiEngine(model, device, score)
    import perception

    _autocast_dtype(precision, resolve_device(device))  # refuse before a slow load
    keep_freed_memory()  # on a CPU, mapping the large activations anew for each frame costs a third of its time
    return TorchEngine(perception.load(model), device, precision, score, compile)


def engines_for(model: str) -> tuple[str, ...]:
    """Those that run a model, the default first."""
    if is_ladder(model):
        return ("openvino", "onnxruntime") if find_spec("openvino") else ("onnxruntime", "openvino")
    return RUNS.get(Path(model).suffix, ("torch",))


def is_ladder(model: str) -> bool:
    """Whether a model is a folder of ``perception export --scale all``."""
    return (Path(model) / LADDER).is_file()


def resolve_device(device: str) -> torch.device:
    """The device that a command-line value names.

    Raises:
        InputError: if it is not there.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in ("cpu", "cuda"):
        raise InputError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r} is not available: {torch.cuda.device_count()} CUDA devices; use cpu")
    return resolved


def _autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    import torch

    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}; use one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 is for CUDA devices; use fp32 or bf16 on the CPU")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _recipe_digest(recipe: Any) -> str | None:
    """A short name for what was built, whatever its weights: latencies depend on the one and not on the other."""
    if not recipe:
        return None
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:12]

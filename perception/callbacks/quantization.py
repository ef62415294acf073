"""Training that knows of 8 bits: Quantization and Training of Neural Networks - arXiv 1712.05877."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from perception.errors import InputError
from perception.tasks.optim import training_progress

OUT_AXIS: dict[Callable[..., Any], int] = {F.conv2d: 0, F.linear: 0, F.conv_transpose2d: 1}
"""Layers whose input and weight have 8 bits, and the weight's axis of output channels."""
LEVELS = 255
"""Steps of an activation between its least and largest value."""


class FakeQuantization(TorchFunctionMode):
    """Rounds inputs and weights of convolutions and linear layers as an 8-bit network has them, while it is active.

    Gradients pass the rounding as if it were not there, and stop where a value is cut off.

    Args:
        names: of the weights by ``id``; activations get a range for each.
        weight_bits: 8, or 7 for CPUs whose 8-bit products saturate.
        momentum: of the ranges, weight of the newest batch.

    Attributes:
        ranges: least and largest input of the layer with a weight.
        learns: whether batches move the ranges.
    """

    def __init__(self, names: dict[int, str], weight_bits: int = 8, momentum: float = 0.01) -> None:
        super().__init__()
        self.names, self.weight_bits, self.momentum = names, weight_bits, momentum
        self.ranges: dict[str, tuple[float, float]] = {}
        self.learns = True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in OUT_AXIS and len(args) > 1:
            image, weight, *rest = args
            args = (self.activation(image, self.names.get(id(weight))), self.weight(weight, OUT_AXIS[func]), *rest)
        return func(*args, **(kwargs or {}))

    def activation(self, value: Tensor, name: str | None) -> Tensor:
        """An input in 256 steps between its least and largest value, one of which is 0."""
        low, high = self._range(value, name)
        scale = (high - low) / LEVELS
        if scale <= 0:
            return value
        return torch.fake_quantize_per_tensor_affine(value.float(), scale, round(-low / scale), 0, LEVELS)

    def weight(self, value: Tensor, axis: int) -> Tensor:
        """A weight in steps that are symmetric about 0, of a size of their own for each output channel."""
        most = 2 ** (self.weight_bits - 1) - 1
        others = [dim for dim in range(value.ndim) if dim != axis]
        scale = (value.detach().float().abs().amax(dim=others) / most).clamp(min=torch.finfo(torch.float32).tiny)
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(value.float(), scale, zero, axis, -most, most)

    def _range(self, value: Tensor, name: str | None) -> tuple[float, float]:
        known = None if name is None else self.ranges.get(name)
        if known is not None and not self.learns:
            return known
        found = (min(0.0, float(value.detach().min())), max(0.0, float(value.detach().max())))
        if known is not None:
            found = tuple(old + self.momentum * (new - old) for old, new in zip(known, found, strict=True))  # type: ignore[assignment]
        if name is not None and self.learns:
            self.ranges[name] = found
        return found


class QuantizationAwareTraining(Callback):
    """Trains, and evaluates, a camera model as the 8-bit network that ``perception export --int8 true`` makes of it.

    It rounds while it computes; weights stay in float, and checkpoints are as always. Add it to a config of
    ``perception fit`` with ``init_from`` a trained model, few epochs and a tenth of the learning rate.

    Args:
        weight_bits: 8, or 7 for CPUs whose 8-bit products saturate; the report of an export says which it took.
        start: share of the training before which nothing is rounded.
        momentum: of the activations' ranges, weight of the newest batch.

    Raises:
        InputError: for values out of range, or a compiled model.
    """

    def __init__(self, weight_bits: int = 8, start: float = 0.0, momentum: float = 0.01) -> None:
        if weight_bits not in (7, 8):
            raise InputError(f"weight_bits {weight_bits} must be 7 or 8")
        if not 0 <= start < 1 or not 0 < momentum <= 1:
            raise InputError(f"start {start:g} must lie in [0, 1) and momentum {momentum:g} in (0, 1]")
        self.start = start
        self.rounding = FakeQuantization({}, weight_bits, momentum)
        self._active = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if getattr(pl_module, "compile_model", False):
            raise InputError("quantisation-aware training does not go with compile: true")
        network: nn.Module = pl_module.model  # type: ignore[assignment]
        self.rounding.names = {id(value): name for name, value in network.named_parameters()}

    def state_dict(self) -> dict[str, Any]:
        return {"ranges": {name: list(found) for name, found in self.rounding.ranges.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rounding.ranges = {name: (low, high) for name, (low, high) in state_dict["ranges"].items()}

    def _enter(self, learns: bool) -> None:
        self.rounding.learns = learns
        self.rounding.__enter__()
        self._active = True

    def _exit(self) -> None:
        if self._active:
            self._active = False
            self.rounding.__exit__(None, None, None)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if training_progress(trainer) >= self.start:
            self._enter(learns=True)

    def on_train_batch_end(self, *_: Any) -> None:
        self._exit()

    def on_validation_batch_start(self, *_: Any) -> None:
        if self.rounding.ranges:
            self._enter(learns=False)

    def on_validation_batch_end(self, *_: Any) -> None:
        self._exit()

    def on_test_batch_start(self, *_: Any) -> None:
        self.on_validation_batch_start()

    def on_test_batch_end(self, *_: Any) -> None:
        self._exit()

    def on_exception(self, *_: Any) -> None:
        self._exit()

"""Training of a camera model with any set of heads."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.console import console
from perception.errors import InputError
from perception.losses.balance import FixedBalance, UncertaintyBalance
from perception.losses.detection import center_loss
from perception.losses.hard_pixels import balanced_class_weights
from perception.losses.hungarian import query_loss
from perception.losses.segmentation import PIXEL_LOSSES, binary_dense, semantic_loss
from perception.models.backbones import freeze
from perception.models.base import DENSE_HEADS, HEADS, PerceptionModel
from perception.models.heads.center import CenterHead
from perception.models.multitask import MultiTaskModel
from perception.models.slimming import PRUNED, prune_channels
from perception.models.zoo import create_model
from perception.tasks.base import ModelTask
from perception.tasks.evaluation import EvaluationOptions, StageMetrics
from perception.tasks.optim import parameter_groups, training_progress, warmup_cosine
from perception.types import Batch

AUTO = "auto"
PRUNING_SIZE = (128, 192)
"""Picture that channels are followed through the network with; which one does not matter."""


class MultiTask(ModelTask):
    """Trains one model of the zoo on every target that its heads and the data have in common.

    Args:
        model: zoo name, see ``perception models``.
        label_set: what the labels mean: a name such as ``camvid`` or ``road_scene``, or a YAML file of your own.
        heads: heads to build; the model's own by default.
        model_options: further options of ``create_model``.
        pretrained: backbone weights: true downloads them, a path reads a local safetensors file.
        init_from: checkpoint or saved model to start from; tensors whose shape differs, such as a classifier of
            another class count, keep their random start.
        freeze: parts that do not train: ``backbone``, ``neck``, or head names.
        prune: share of the channels of each layer that are taken out before training, by what ``init_from`` left in
            them; see :func:`perception.models.slimming.prune_channels`. A model that is pruned already stays as it is.
        lr: peak learning rate of AdamW.
        weight_decay: of convolution and matrix weights.
        stem_lr_scale: learning rate of the backbone's first layer relative to ``lr``; between them it grows
            geometrically with depth.
        warmup: share of the training that warms the rate up before the cosine.
        balance: ``uncertainty`` learns the weight of each task, ``fixed`` takes ``task_weights``.
        task_weights: fixed weight per head; 1 where not named. Heads that are not built are passed over, and those
            of a ``multitask_*`` model that weigh 0 do not run while it trains.
        class_weights: weight of each semantic class in the cross-entropy; ``auto`` balances those of the training
            frames, see :func:`perception.losses.hard_pixels.balanced_class_weights`.
        semantic_loss: loss of semantic pixels: ``cross_entropy``, ``ohem`` on the hard ones, or ``focal``.
        jaccard, dice, lovasz: weights of the soft Jaccard, soft Dice and Lovasz-softmax losses beside it.
        aux_weight: weight of a model's auxiliary semantic output.
        lane_weight: weight of lane pixels, which are few, in their cross-entropy.
        loss_stride: 2 or 4 takes the dense losses on every second or fourth row and column, from a random first
            one: more steps in the same time.
        eval_size: ``[height, width]`` to which images are resized for evaluation; results are brought back to
            the size of the labels. ``None`` evaluates images as they come.
        evaluation: further measures of ``validate`` and ``test``: ``tta_scales``, ``tta_flip``, ``window``,
            ``stride``, ``boundary``, ``yolop``, ``panoptic``; see
            :class:`perception.tasks.evaluation.EvaluationOptions`.
        channels_last: memory format of the convolutions.
        compile: compile the network with ``torch.compile``.

    Raises:
        InputError: for options that contradict each other or the data.
    """

    model: PerceptionModel
    class_weights: Tensor | None

    def __init__(
        self,
        model: str,
        label_set: str,
        heads: list[str] | None = None,
        model_options: dict[str, Any] | None = None,
        pretrained: bool | str = False,
        init_from: str | None = None,
        freeze: list[str] | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.02,
        stem_lr_scale: float = 1.0,
        warmup: float = 0.05,
        balance: str = "uncertainty",
        task_weights: dict[str, float] | None = None,
        class_weights: list[float] | str | None = None,
        jaccard: float = 0.5,
        aux_weight: float = 0.4,
        lane_weight: float = 4.0,
        loss_stride: int = 1,
        eval_size: list[int] | None = None,
        evaluation: dict[str, Any] | None = None,
        channels_last: bool = True,
        compile: bool = False,
        semantic_loss: str = "cross_entropy",
        dice: float = 0.0,
        lovasz: float = 0.0,
        prune: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        options = dict(model_options or {})
        if heads is not None:
            options["heads"] = heads
        self.model = create_model(model, label_set, pretrained=pretrained, **options)
        names = self.balanced
        self.freeze_names = list(freeze or [])
        if init_from is not None:
            self.start_from(init_from)
        if prune and PRUNED not in self.model.recipe:
            self._prune(prune)
        self.frozen()
        weights = dict(task_weights or {})
        known = dict.fromkeys([*HEADS, *names])
        unknown = [name for name in weights if name not in known]
        if unknown:
            raise InputError(f"task_weights names {unknown[0]!r}; heads are {', '.join(known)}")
        if balance == "uncertainty":
            if weights:
                raise InputError("task_weights go with balance: fixed; uncertainty learns them")
            self.balance: nn.Module = UncertaintyBalance(names)
        elif balance == "fixed":
            self.balance = FixedBalance({name: weights.get(name, 1.0) for name in names})
        else:
            raise InputError(f"unknown balance {balance!r}; use uncertainty or fixed")
        classes = self.num_classes
        self.auto_weights = class_weights == AUTO
        if isinstance(class_weights, str):
            if not self.auto_weights:
                raise InputError(f"class_weights {class_weights!r} must be {AUTO} or a number for each class")
            class_weights = None
        if class_weights is not None and len(class_weights) != classes:
            raise InputError(f"{len(class_weights)} class_weights for {classes} classes")
        weight = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weight, persistent=False)
        self.lr, self.weight_decay, self.stem_lr_scale, self.warmup = lr, weight_decay, stem_lr_scale, warmup
        if semantic_loss not in PIXEL_LOSSES:
            raise InputError(f"unknown semantic_loss {semantic_loss!r}; use one of {', '.join(PIXEL_LOSSES)}")
        self.semantic_options: dict[str, Any] = {
            "kind": semantic_loss,
            "jaccard": jaccard,
            "dice": dice,
            "lovasz": lovasz,
        }
        self.aux_weight, self.lane_weight = aux_weight, lane_weight
        if loss_stride not in (1, 2, 4):
            raise InputError(f"loss_stride {loss_stride} must be 1, 2 or 4")
        if loss_stride > 1 and not isinstance(self.model, MultiTaskModel):
            raise InputError(f"loss_stride is for multitask_* models, not {model}")
        if isinstance(self.model, MultiTaskModel):
            self.model.train_stride = loss_stride
            self.model.idle_heads = frozenset(name for name, weight in weights.items() if weight == 0)
        self.loss_stride = loss_stride
        self.eval_size = None if eval_size is None else (eval_size[0], eval_size[1])
        self.compile_model = compile
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.channels_last = channels_last
        self.evaluation = EvaluationOptions.parse(evaluation)
        self.val_metrics = StageMetrics(self.model, self.evaluation)
        self.test_metrics = StageMetrics(self.model, self.evaluation)

    @property
    def balanced(self) -> tuple[str, ...]:
        """What has a loss to balance: the heads."""
        return self.model.head_names

    @property
    def num_classes(self) -> int:
        options = self.model.recipe["options"]
        return options.get("num_classes") or len(self.model.label_set.classes)

    def _prune(self, share: float) -> None:
        before = sum(value.numel() for value in self.model.parameters())
        prune_channels(self.model, share, PRUNING_SIZE)
        after = sum(value.numel() for value in self.model.parameters())
        console.print(f"pruned: {before / 1e6:.2f} M parameters to {after / 1e6:.2f} M", highlight=False)

    def frozen(self) -> None:
        """Freeze the parts named in ``freeze``; repeated whenever training mode was switched on."""
        for name in self.freeze_names:
            parts = self.model.parts()
            if name not in parts:
                raise InputError(f"cannot freeze {name!r}; the model has {', '.join(parts)}")
            freeze(parts[name])

    # Training

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        names = getattr(data, "eval_names", None)
        labelled = getattr(data, "eval_labelled", None)
        self.val_metrics.open(self.model, names, stage == "validate", labelled)
        self.test_metrics.open(self.model, names, stage == "test", labelled)
        if self.auto_weights and stage == "fit":
            self._balance_classes(data)

    def _balance_classes(self, data: Any) -> None:
        if not hasattr(data, "class_pixels"):
            raise InputError(f"class_weights {AUTO} needs a data module that counts classes; name the weights")
        pixels = data.class_pixels()
        if len(pixels) != self.num_classes:
            raise InputError(f"the model has {self.num_classes} classes, the data {len(pixels)}; name the weights")
        if not pixels.sum():
            raise InputError(f"no training frame has semantic labels; leave out class_weights {AUTO}")
        self.class_weights = balanced_class_weights(pixels).to(self.device)
        names = self.model.label_set.classes
        shown = ", ".join(
            f"{name} {weight:.2f}" for name, weight in zip(names, self.class_weights.tolist(), strict=False)
        )
        console.print(f"class weights: {shown}", highlight=False, soft_wrap=True)

    def on_train_epoch_start(self) -> None:
        self.frozen()

    def losses(self, outputs: dict[str, Any], batch: Batch) -> dict[str, Tensor]:
        """Loss of every head whose target is in the batch."""
        losses = self.model.loss(outputs, batch)
        targets = {name: getattr(batch, name) for name in DENSE_HEADS}
        if self.loss_stride > 1 and self.training:
            targets = thinned(targets, self.loss_stride)
        if "semantic" in outputs and "semantic" not in losses and targets["semantic"] is not None:
            loss = semantic_loss(outputs["semantic"], targets["semantic"], self.class_weights, **self.semantic_options)
            aux = outputs.get("semantic_aux", [])
            for logits in [aux] if isinstance(aux, Tensor) else aux:
                loss = loss + self.aux_weight * semantic_loss(logits, targets["semantic"])
            losses["semantic"] = loss
        for name, weight in (("drivable", 1.0), ("lane", self.lane_weight)):
            target = targets[name]
            if name in outputs and target is not None:
                losses[name] = binary_dense(outputs[name], target, weight)
        if "detection" in outputs and batch.boxes is not None:
            assert batch.box_labels is not None
            assert batch.has_boxes is not None
            detection, truth = outputs["detection"], (batch.boxes, batch.box_labels, batch.has_boxes)
            if "heatmap" in detection:
                head = self.model.get_submodule("heads.detection")
                assert isinstance(head, CenterHead)
                losses["detection"] = center_loss(
                    detection, *truth, detection["level"], head.box_map, known=batch.known_boxes
                )
            else:
                losses["detection"] = query_loss(detection, *truth, known=batch.known_boxes)
        return losses

    def _checked(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        if not losses:
            raise InputError(
                f"no target of the batch fits the heads {', '.join(self.model.head_names)}; "
                "choose heads that the data set has labels for"
            )
        return losses

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        losses = self._checked(self.losses(self.forward_batch(batch, batch.image), batch))
        total = self.balance(losses)
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(batch))
        for name, loss in losses.items():
            self.log(f"train/{name}_loss", loss.detach(), batch_size=len(batch))
        return total

    def forward(self, image: Tensor) -> dict[str, Any]:
        if self.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        return self.model(image)

    def forward_batch(self, batch: Batch, image: Tensor) -> dict[str, Any]:
        """Outputs of a batch whose images may have been resized to ``image``."""
        return self.forward(image)

    def progress(self) -> float:
        """Share of the training that is done."""
        return training_progress(self.trainer)

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.model, self.balance, self.lr, self.weight_decay, self.stem_lr_scale)
        if not groups:
            raise InputError("everything is frozen; nothing is left to train")
        optimizer = torch.optim.AdamW(groups)  # fused is refused beside clipping in mixed precision
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: warmup_cosine(self.progress(), self.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # Evaluation

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Decoded results at the size of the batch's images."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        image = self._at_eval_size(batch.image)
        outputs = self.forward_batch(batch, image)
        inner = (image.shape[-2], image.shape[-1])
        if inner != size:
            for name in ("semantic", "drivable", "lane"):
                if name in outputs:
                    outputs[name] = F.interpolate(outputs[name].float(), size=size, mode="bilinear")
        decoded = self.model.decode(outputs)
        if inner != size and "boxes" in decoded:
            scale = torch.tensor([size[1] / inner[1], size[0] / inner[0]] * 2, device=image.device)
            decoded["boxes"] = decoded["boxes"] * scale
        return decoded

    def _at_eval_size(self, image: Tensor) -> Tensor:
        if self.eval_size is None or self.eval_size == image.shape[-2:]:
            return image
        return F.interpolate(image, size=self.eval_size, mode="bilinear", antialias=True)

    def evaluate_augmented(self, batch: Batch) -> dict[str, Tensor]:
        """Decoded dense results of the windows, scales and mirrors of ``evaluation``, at the size of the images."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        decoded = self.evaluation.run(self.forward, self._at_eval_size(batch.image))
        for name, mask in decoded.items():
            if mask.shape[-2:] != size:
                decoded[name] = F.interpolate(mask[:, None].float(), size=size, mode="nearest-exact")[:, 0].byte()
        return decoded

    def measure_decoded(self, metrics: StageMetrics, decoded: dict[str, Tensor], batch: Batch, place: int) -> None:
        """Count decoded results of a batch of the data set at ``place``, and those of augmented passes."""
        metrics.update(decoded, batch, place)
        if metrics.augmented:
            metrics.update_augmented(self.evaluate_augmented(batch), batch, place)

    def validation_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        self.measure_decoded(self.val_metrics, self.evaluate(batch), batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{name}": value for name, value in self.val_metrics.compute().items()})

    def test_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> None:
        self.measure_decoded(self.test_metrics, self.evaluate(batch), batch, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        self.log_dict({f"test/{name}": value for name, value in self.test_metrics.compute().items()})

    def predict_step(self, batch: Batch, batch_index: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        return self.evaluate(batch)


def thinned(targets: dict[str, Tensor | None], stride: int) -> dict[str, Tensor | None]:
    """Every ``stride``-th row and column of ``(B, H, W)`` targets, from the same random first one for all.

    The result measures ``H // stride`` by ``W // stride`` whatever the first one is.
    """
    top, left = torch.randint(stride, (2,)).tolist()
    thin: dict[str, Tensor | None] = {}
    for name, target in targets.items():
        if target is not None:
            height, width = (side // stride * stride for side in target.shape[-2:])
            target = target[..., top:height:stride, left:width:stride]
        thin[name] = target
    return thin

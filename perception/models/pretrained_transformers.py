"""Checkpoints of transformers, from the Hugging Face hub or a local folder, as models of the zoo.

Only safetensors are read. Key names of older checkpoints are brought up to date by transformers itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from perception.errors import InputError, require
from perception.models.rtdetr import BACKBONES, SIZES
from perception.models.semantic.mask2former import SWIN
from perception.models.semantic.segformer import VARIANTS
from perception.models.zoo import create_model
from perception.taxonomies.label_set import voc_colors
from perception.taxonomy import LABEL_SETS, LabelSet


@dataclass(frozen=True)
class Source:
    """How checkpoints of one kind become a model of the zoo.

    Args:
        network: class of transformers that reads them.
        recipe: zoo name and options out of a configuration.
        boxes: whether its classes are box classes.
        unused: pattern of keys that only training of the original or nobody reads.
    """

    network: str
    recipe: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]
    boxes: bool = False
    unused: str = "$^"


def read_checkpoint(spec: str | Path, revision: str | None = None) -> Any:
    """A model in evaluation mode with the weights of a checkpoint.

    Args:
        spec: a local folder with ``config.json`` and safetensors, or a hub id such as
            ``facebook/mask2former-swin-tiny-cityscapes-semantic``.
        revision: branch, tag or commit on the hub.

    Returns:
        The :class:`PerceptionModel` of the zoo whose network it is, with a label set of the checkpoint's class names.

    Raises:
        InputError: for a checkpoint that is missing, of another kind of model, damaged, or not in safetensors.
    """
    transformers = require("transformers", "hub")
    config = from_pretrained(transformers.AutoConfig, spec, revision)
    kind = config.model_type
    if kind not in SOURCES:
        raise InputError(f"{spec} is a {kind} model; {', '.join(SOURCES)} can be read")
    source = SOURCES[kind]
    values = config.to_dict()
    name, options = source.recipe(values)
    labels = label_set_of(values.get("id2label") or {}, str(spec), source.boxes)
    options["num_classes"] = len(values["id2label"])
    model = create_model(name, labels, **options)
    weights = from_pretrained(getattr(transformers, source.network), spec, revision, use_safetensors=True).state_dict()
    own = {key.removeprefix("network."): key for key in model.state_dict() if key.startswith("network.")}
    kept = {key: value for key, value in weights.items() if key in own or not re.search(source.unused, key)}
    _load(model, {own.get(key, key): value for key, value in kept.items()}, spec, ignore=("mean", "std"))
    return model.eval()


def read_encoder(kind: Any, spec: str, target: nn.Module) -> None:
    """Fill an encoder from a checkpoint of ``kind``, a class of transformers.

    Raises:
        InputError: for a checkpoint that is missing, not in safetensors, or of another size.
    """
    weights = from_pretrained(kind, spec, None, use_safetensors=True).state_dict()
    own = target.state_dict()
    _load(target, {key: value for key, value in weights.items() if key in own}, spec)


def label_set_of(names: dict[Any, str], spec: str, boxes: bool = False) -> LabelSet:
    """The label set of a checkpoint's class names: a known one of the same classes, else one of its own.

    Args:
        names: class name by index.
        spec: of the checkpoint, which an own label set is named after.
        boxes: whether the classes are box classes; then they are both.
    """
    ordered = [str(name) for _, name in sorted(((int(key), name) for key, name in names.items()))]
    plain = [re.sub(r"[\s_-]+", "_", name.strip().lower()) for name in ordered]
    for labels in LABEL_SETS.values():
        known = labels.detection if boxes else labels.classes
        if known and [re.sub(r"[\s_-]+", "_", name) for name in known] == plain:
            return labels
    unique = tuple(name if ordered.count(name) == 1 else f"{name} {i}" for i, name in enumerate(ordered))
    title = Path(spec).name.replace(" ", "_")
    colors = voc_colors(len(unique) + 1)[1:]
    return LabelSet(title, unique, colors, detection=unique if boxes else ())


def from_pretrained(kind: Any, spec: str | Path, revision: str | None, **options: Any) -> Any:
    """``from_pretrained`` without its progress bars and reports, and with errors of one line."""
    logging = require("transformers.utils.logging", "hub")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    local = Path(spec).is_dir()
    if revision is not None and not local:
        options["revision"] = revision
    try:
        return kind.from_pretrained(str(spec), local_files_only=local, **options)
    except Exception as error:  # OSError, ValueError, RuntimeError and safetensors' own, by what is wrong
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"checkpoint {spec} cannot be read: {reason}") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _load(model: nn.Module, weights: dict[str, Tensor], spec: str | Path, ignore: tuple[str, ...] = ()) -> None:
    own = model.state_dict()
    missing = [key for key in own if key not in weights and key not in ignore]
    extra = [key for key in weights if key not in own]
    differing = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if missing or extra or differing:
        raise InputError(
            f"checkpoint {spec} does not fit: {len(missing)} tensors missing, {len(extra)} unknown and "
            f"{len(differing)} of other shape, first {(missing or extra or differing)[0]}"
        )
    model.load_state_dict(weights, strict=False)


def _differing(values: dict[str, Any], defaults: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Values of ``keys`` that are not the defaults, as plain lists and numbers."""
    found = {key: values[key] for key in keys if key in values}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}
    return {key: value for key, value in plain.items() if key not in defaults or value != defaults[key]}


def _defaults(name: str) -> dict[str, Any]:
    plain = getattr(require("transformers", "hub"), name)().to_dict()
    return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def _segformer(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    keys = (
        "hidden_sizes", "depths", "decoder_hidden_size", "num_attention_heads", "sr_ratios", "mlp_ratios",
        "patch_sizes", "strides", "num_encoder_blocks", "hidden_act", "num_channels", "layer_norm_eps",
        "reshape_last_stage",
    )  # fmt: skip
    variant = next(
        (name for name, sizes in VARIANTS.items() if all(list(_list(values[k])) == _list(v) for k, v in sizes.items())),
        "b0",
    )
    options: dict[str, Any] = {}
    config = _differing(values, _defaults("SegformerConfig") | VARIANTS[variant], keys)
    in_channels = config.pop("num_channels", 3)
    if in_channels != 3:
        options["in_channels"] = in_channels
    if config:
        options["config"] = config
    if variant in ("b0", "b2", "b5"):
        return f"segformer_{variant}", options
    return "segformer_b0", {"variant": variant, **options}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _mask2former(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    backbone = values["backbone_config"]
    if backbone["model_type"] != "swin":
        raise InputError(f"Mask2Former with a {backbone['model_type']} backbone cannot be read; those with Swin can")
    keys = (
        "feature_size", "mask_feature_size", "hidden_dim", "encoder_feedforward_dim", "activation_function",
        "encoder_layers", "decoder_layers", "num_attention_heads", "dim_feedforward", "pre_norm",
        "enforce_input_projection", "common_stride", "num_queries", "feature_strides", "no_object_weight",
        "class_weight", "mask_weight", "dice_weight", "train_num_points",
    )  # fmt: skip
    swin_keys = (
        "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "qkv_bias", "patch_size", "hidden_act",
        "use_absolute_embeddings", "layer_norm_eps", "image_size",
    )  # fmt: skip
    name = next(
        (n for n, size in SWIN.items() if all(_list(backbone[k]) == _list(v) for k, v in size.items())), "swin_tiny"
    )
    options: dict[str, Any] = {}
    if config := _differing(values, _defaults("Mask2FormerConfig"), keys):
        options["config"] = config
    if swin := _differing(backbone, _defaults("SwinConfig") | SWIN[name], swin_keys):
        options["backbone_options"] = swin
    return f"mask2former_{name}", options


def _rtdetr(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    backbone = values["backbone_config"]
    if backbone["model_type"] != "rt_detr_resnet":
        raise InputError(f"RT-DETR with a {backbone['model_type']} backbone cannot be read; those with ResNet-vd can")
    keys = (
        "encoder_hidden_dim", "encoder_in_channels", "feat_strides", "encoder_layers", "encoder_ffn_dim",
        "encoder_attention_heads", "encode_proj_layers", "encoder_activation_function", "activation_function",
        "normalize_before", "hidden_expansion", "d_model", "num_queries", "decoder_in_channels", "decoder_ffn_dim",
        "num_feature_levels", "decoder_n_points", "decoder_layers", "decoder_attention_heads",
        "decoder_activation_function", "learn_initial_query", "positional_encoding_temperature", "layer_norm_eps",
        "batch_norm_eps", "freeze_backbone_batch_norms",
    )  # fmt: skip
    resnet_keys = (
        "embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act", "downsample_in_first_stage",
        "downsample_in_bottleneck",
    )  # fmt: skip
    name = next(
        (n for n, size in BACKBONES.items() if all(_list(backbone[k]) == _list(v) for k, v in size.items())),
        "resnet50",
    )
    options: dict[str, Any] = {} if name in ("resnet18", "resnet50") else {"backbone": name}
    if config := _differing(values, _defaults("RTDetrConfig") | SIZES[name], keys):
        options["config"] = config
    if resnet := _differing(backbone, _defaults("RTDetrResNetConfig") | BACKBONES[name], resnet_keys):
        options["backbone_options"] = resnet
    return f"rtdetr_{name if name in ('resnet18', 'resnet50') else 'resnet50'}", options


SOURCES = {
    "segformer": Source("SegformerForSemanticSegmentation", _segformer),
    "mask2former": Source("Mask2FormerForUniversalSegmentation", _mask2former, unused=r"encoder\.swin\.layernorm\."),
    "rt_detr": Source("RTDetrForObjectDetection", _rtdetr, boxes=True, unused=r"denoising_class_embed"),
}
"""By ``model_type`` of the configuration."""

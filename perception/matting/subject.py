"""Rough masks of a picture's subject: from a file, or from any segmentation model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perception.errors import InputError, require
from perception.files import read_image, read_labels
from perception.runtime.plan import MIN_SIDE_PX, uniform_plan
from perception.taxonomies.label_set import LabelSet

Subject = Callable[[np.ndarray], np.ndarray]
"""``(H, W, 3)`` uint8 to ``(H, W)`` bool."""

BACKGROUND = "background"


def read_mask(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """A mask from a picture: its alpha where it has one, else what is brighter than half.

    Raises:
        InputError: for a file that does not decode, or of another size.
    """
    try:
        with Image.open(path) as image:
            alpha = np.array(image.convert("RGBA"))[..., 3] if "A" in image.getbands() else None
    except (OSError, SyntaxError, ValueError):
        alpha = None  # the reader below says what is wrong
    if alpha is not None:
        mask = alpha > 127
    else:
        try:
            values = read_labels(path)
        except InputError:
            values = read_image(path).max(axis=2)
        mask = values > (values.max() / 2 if values.max() > 1 else 0.5)
    if mask.shape != size:
        raise InputError(f"mask {path} is {mask.shape[0]}x{mask.shape[1]}, the picture {size[0]}x{size[1]}")
    return mask


def open_subject(
    model: str, classes: Sequence[str] | None = None, side_px: int = 1024, device: str = "auto", engine: str = "own"
) -> Subject:
    """What finds the subject in a picture.

    Args:
        model: a checkpoint, a saved folder, an exported file, a zoo name, ``torchvision:NAME``, a hub id, or a folder
            that transformers wrote, also of models that are not in the zoo.
        classes: what is subject; by default all countable classes, or all but ``background``.
        side_px: longer side of the picture for the network; smaller pictures are taken as they are.

    Raises:
        InputError: for a model without a semantic head, or unknown classes.
    """
    if side_px < MIN_SIDE_PX:
        raise InputError(f"side_px {side_px} must be at least {MIN_SIDE_PX}")
    if _foreign(model):
        return _transformers_subject(model, classes, side_px, device)
    from perception.runtime.engine import load_engine

    runner = load_engine(model, device, engine=engine)
    chosen = subject_classes(runner.labels, classes)

    def find(image: np.ndarray) -> np.ndarray:
        prediction = runner(image, uniform_plan(_network_size(image, side_px)))
        if prediction.semantic is None:
            raise InputError(f"{model} has no semantic head, so it cannot find a subject")
        return _to_size_of(np.isin(prediction.semantic, chosen), image)

    return find


def subject_classes(labels: LabelSet, classes: Sequence[str] | None) -> tuple[int, ...]:
    """Indices of the classes that are subject.

    Raises:
        InputError: for unknown classes, or a label set that does not say what is subject.
    """
    if classes:
        try:
            return labels.indices(tuple(classes))
        except ValueError as error:
            raise InputError(str(error)) from error
    countable = tuple(name for name in labels.classes if name in labels.detection)
    if countable:
        return labels.indices(countable)
    if labels.classes[0] == BACKGROUND:
        return tuple(range(1, len(labels.classes)))
    raise InputError(f"label set {labels.name} does not say what is subject; name --classes {labels.classes[0]},...")


def _network_size(image: np.ndarray, side_px: int) -> tuple[int, int]:
    height, width = image.shape[:2]
    scale = min(1.0, side_px / max(height, width))
    return max(MIN_SIDE_PX, round(height * scale)), max(MIN_SIDE_PX, round(width * scale))


def _to_size_of(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if mask.shape == (height, width):
        return mask
    soft = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(soft) > 127


def _foreign(model: str) -> bool:
    """Whether this is a folder of transformers whose network the zoo does not have."""
    path = Path(model) / "config.json"
    if not path.is_file():
        return False
    from perception.models.pretrained_transformers import SOURCES

    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):
        return False
    return kind is not None and kind not in SOURCES


def _transformers_subject(model: str, classes: Sequence[str] | None, side_px: int, device: str) -> Subject:
    transformers = require("transformers", "hub")
    from perception.models.pretrained_transformers import from_pretrained, label_set_of

    processor = from_pretrained(transformers.AutoImageProcessor, model, None)
    kind = transformers.AutoModelForSemanticSegmentation
    network: Any = from_pretrained(kind, model, None, use_safetensors=True).eval()
    labels = label_set_of(network.config.id2label, model)
    chosen = subject_classes(labels, classes)
    if device != "auto":
        network = network.to(device)

    def find(image: np.ndarray) -> np.ndarray:
        import torch

        size = _network_size(image, side_px)
        inputs = processor(images=Image.fromarray(image).resize(size[::-1]), return_tensors="pt").to(network.device)
        with torch.inference_mode():
            outputs = network(**inputs)
        (found,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[image.shape[:2]])
        return np.isin(found.cpu().numpy(), chosen)

    return find

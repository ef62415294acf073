"""Draws a prediction over its picture: tinted classes, drivable area, lanes, boxes, and a head-up line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perception.taxonomy import RGB, LabelSet
from perception.types import Boxes, Prediction

DRIVABLE: RGB = (46, 204, 113)
LANE: RGB = (255, 214, 10)
TINT, DRIVABLE_OPACITY, LANE_OPACITY = 0.38, 0.45, 0.9
BOX_COLORS: tuple[RGB, ...] = (
    (77, 171, 247), (255, 146, 43), (255, 212, 59), (204, 93, 232), (148, 216, 45),
    (255, 107, 107), (32, 201, 151), (240, 101, 149), (255, 169, 77), (206, 212, 218),
)  # fmt: skip
"""One bright colour per box label, in their order; they repeat after the last."""

STATUS_COLORS: dict[str, RGB] = {
    "OK": (46, 160, 67), "DEADLINE_MISSED": (214, 106, 0), "SKIPPED": (110, 118, 129),
}  # fmt: skip
STATUS_TEXTS = {"OK": "OK", "DEADLINE_MISSED": "LATE", "SKIPPED": "SKIPPED"}


@dataclass(frozen=True)
class Hud:
    """What the head-up line says.

    Args:
        status: a value of the loop's ``Status``.
        camera: shown in front, where there are several.
    """

    speed_mps: float | None
    plan: str | None
    latency_ms: float | None
    status: str
    camera: str = ""

    def texts(self) -> list[str]:
        """The parts from the most to the least important, after the status."""
        speed = "speed unknown" if self.speed_mps is None else f"{self.speed_mps * 3.6:.0f} km/h"
        parts = [self.camera, speed, self.plan or "", "" if self.latency_ms is None else f"{self.latency_ms:.0f} ms"]
        return [part for part in parts if part]


def draw_overlay(
    image: np.ndarray,
    prediction: Prediction | None,
    labels: LabelSet,
    size: tuple[int, int] | None = None,
    prediction_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """The picture with everything the prediction has.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        prediction: masks and boxes at any one size; ``None`` draws nothing.
        labels: gives the class colours and box names.
        size: ``(height, width)`` to draw at, so that lines and text keep their weight; default the picture's.
        prediction_size: ``(height, width)`` that box coordinates refer to; default that of the masks, or the
            picture's where there are none.

    Returns:
        ``(*size, 3)`` uint8 RGB, a new array.
    """
    size = size or (image.shape[0], image.shape[1])
    picture = Image.fromarray(image)
    if picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BOX, reducing_gap=2.0)
    if prediction is None:
        return np.array(picture)
    layer = _mask_layer(prediction, labels)
    if layer is not None:
        colors, opacity = (Image.fromarray(part).resize(picture.size, Image.Resampling.NEAREST) for part in layer)
        picture = Image.composite(colors, picture, opacity)
    if prediction.boxes is not None and len(prediction.boxes):
        masks = [mask.shape for mask in (prediction.semantic, prediction.drivable, prediction.lane) if mask is not None]
        height, width = prediction_size or (masks[0] if masks else image.shape[:2])
        _draw_boxes(picture, prediction.boxes, labels, (picture.width / width, picture.height / height))
    return np.array(picture)


def draw_hud(picture: np.ndarray, hud: Hud) -> np.ndarray:
    """A dark line at the top with the status at its right end; parts that do not fit are left out."""
    canvas = Image.fromarray(picture)
    font = load_font(text_height(canvas.height))
    pad = max(3, round(font.size * 0.4))
    bar = round(font.size * 1.2) + 2 * pad
    shade = Image.new("RGB", (canvas.width, bar), (12, 14, 18))
    canvas.paste(Image.blend(canvas.crop((0, 0, canvas.width, bar)), shade, 0.72), (0, 0))
    draw = ImageDraw.Draw(canvas)
    chip = STATUS_TEXTS.get(hud.status, hud.status)
    chip_width = round(draw.textlength(chip, font)) + 2 * pad
    left = canvas.width - chip_width - pad
    draw.rounded_rectangle((left, pad // 2, canvas.width - pad - 1, bar - 1 - pad // 2), radius=pad,
                           fill=STATUS_COLORS.get(hud.status, STATUS_COLORS["SKIPPED"]))  # fmt: skip
    draw.text((left + chip_width / 2, bar / 2), chip, (255, 255, 255), font, anchor="mm")
    x = 2 * pad
    for text in hud.texts():
        width = round(draw.textlength(text, font))
        if x + width > left - pad:
            break
        draw.text((x, bar / 2), text, (255, 255, 255), font, anchor="lm")
        x += width + round(font.size * 1.1)
    return np.array(canvas)


def box_color(label: int) -> RGB:
    return BOX_COLORS[label % len(BOX_COLORS)]


def text_height(height: int) -> int:
    """Font size in pixels that can be read in a picture of this height."""
    return max(11, round(height / 32))


@lru_cache(maxsize=16)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """The font inside Pillow, so that pictures look the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _mask_layer(prediction: Prediction, labels: LabelSet) -> tuple[np.ndarray, np.ndarray] | None:
    """Colours ``(h, w, 3)`` and opacity ``(h, w)`` uint8 of all masks, the later over the earlier."""
    masks = [mask for mask in (prediction.semantic, prediction.drivable, prediction.lane) if mask is not None]
    if not masks:
        return None
    colors = np.zeros((*masks[0].shape, 3), np.uint8)
    opacity = np.zeros(masks[0].shape, np.uint8)
    if prediction.semantic is not None:
        colors = labels.palette()[prediction.semantic]
        opacity[prediction.semantic < len(labels.classes)] = round(255 * TINT)
    if prediction.drivable is not None:
        inside = prediction.drivable == 1
        colors[inside], opacity[inside] = DRIVABLE, round(255 * DRIVABLE_OPACITY)
    if prediction.lane is not None:
        inside = prediction.lane == 1
        colors[inside], opacity[inside] = LANE, round(255 * LANE_OPACITY)
    return colors, opacity


def _draw_boxes(picture: Image.Image, boxes: Boxes, labels: LabelSet, scale: tuple[float, float]) -> None:
    draw = ImageDraw.Draw(picture)
    font = load_font(max(10, round(text_height(picture.height) * 0.8)))
    line = max(1, round(picture.height / 360))
    scores = np.ones(len(boxes)) if boxes.scores is None else boxes.scores
    for index in np.argsort(scores):  # the surest box is drawn last, on top
        x0, y0, x1, y1 = (boxes.xyxy[index] * (scale * 2)).tolist()
        x0, x1 = (min(max(x, 0.0), picture.width - 1.0) for x in (x0, x1))
        y0, y1 = (min(max(y, 0.0), picture.height - 1.0) for y in (y0, y1))
        if x1 <= x0 or y1 <= y0:
            continue
        label = int(boxes.labels[index])
        color = box_color(label)
        draw.rectangle((x0, y0, x1, y1), outline=color, width=line)
        name = labels.detection[label] if 0 <= label < len(labels.detection) else str(label)
        text = name if boxes.scores is None else f"{name} {scores[index]:.2f}"
        _draw_tag(draw, picture, text, (x0, y0, y1), color, font)


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    picture: Image.Image,
    text: str,
    corner: tuple[float, float, float],
    color: RGB,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Name above the box, below it where there is no room above, always inside the picture."""
    x, top, bottom = corner
    width, height = draw.textlength(text, font) + 4, round(font.size * 1.25)
    y = top - height if top >= height else min(bottom, picture.height - height)
    x = max(0.0, min(x, picture.width - width))
    draw.rectangle((x, y, x + width, y + height), fill=color)
    draw.text((x + 2, y + height / 2), text, (0, 0, 0), font, anchor="lm")

"""Pictures of products with known alpha and colours, and masks of them as a segmentation network would give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

SIZE = (200, 260)
FINE = 4
"""Shapes are drawn at this many times the size, so that alpha has soft edges."""
NAMES = ("bottle", "ring", "brush", "leaf", "chair")


@dataclass(frozen=True)
class Product:
    """``image`` uint8, ``alpha`` and ``color`` float in 0..1, ``mask`` bool."""

    image: np.ndarray
    alpha: np.ndarray
    color: np.ndarray
    mask: np.ndarray


def product(name: str, seed: int = 0) -> Product:
    random = np.random.default_rng([seed, NAMES.index(name)])
    height, width = SIZE
    canvas = Image.new("L", (width * FINE, height * FINE))
    _draw(name, ImageDraw.Draw(canvas), random)
    alpha = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float64) / 255
    color = _texture(random, random.uniform(0.45, 0.9, 3) * (1, 0.6, 0.4), 0.05)
    behind = _texture(random, random.uniform(0.1, 0.5, 3) * (0.5, 0.8, 1), 0.06)
    image = alpha[..., None] * color + (1 - alpha)[..., None] * behind
    mask = alpha > 0.5
    # a network's mask is smoother than the shape, and off by a pixel or two here and there
    soft = ndimage.gaussian_filter(mask.astype(float), 2.0)
    wobble = ndimage.gaussian_filter(random.standard_normal(mask.shape), 8.0)
    mask = soft + 0.25 * wobble / np.abs(wobble).max() > 0.5
    return Product(np.round(image * 255).astype(np.uint8), alpha, color, mask)


def _texture(random: np.random.Generator, base: np.ndarray, strength: float) -> np.ndarray:
    height, width = SIZE
    slope = np.linspace(-1, 1, width)[None, :, None] * random.uniform(-0.08, 0.08, 3)
    cells = Image.fromarray(random.standard_normal((6, 8)).astype(np.float32))
    field = np.asarray(cells.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    return np.clip(base + slope + strength * field + random.normal(0, 0.006, (height, width, 1)), 0, 1)


def _draw(name: str, draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    height, width = (side * FINE for side in SIZE)
    x, y = width / 2, height / 2
    if name == "bottle":
        draw.rounded_rectangle((x - 130, y - 120, x + 130, y + 340), 60, fill=255)
        draw.rectangle((x - 45, y - 300, x + 45, y - 100), fill=255)
    elif name == "ring":
        draw.ellipse((x - 280, y - 280, x + 280, y + 280), fill=255)
        draw.ellipse((x - 170, y - 170, x + 170, y + 170), fill=0)
    elif name == "brush":
        draw.rectangle((x - 60, y, x + 60, y + 330), fill=255)
        for _ in range(90):
            start = x + random.uniform(-70, 70)
            end = start + random.uniform(-60, 60)
            draw.line((start, y + 20, end, y - random.uniform(180, 260)), fill=255, width=int(random.integers(3, 8)))
    elif name == "leaf":
        points = []
        for step in range(360):
            angle = math.radians(step)
            radius = 240 + 60 * math.sin(6 * angle) + 18 * math.sin(31 * angle)
            points.append((x + radius * math.cos(angle), y + 0.9 * radius * math.sin(angle)))
        draw.polygon(points, fill=255)
    else:
        draw.rounded_rectangle((x - 200, y - 60, x + 200, y + 20), 20, fill=255)
        draw.rounded_rectangle((x - 200, y - 320, x - 140, y + 20), 20, fill=255)
        for leg in (-180, 150):
            draw.rectangle((x + leg, y, x + leg + 28, y + 330), fill=255)


def contact(pictures: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures of one size side by side."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for i, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture).convert("RGB"), (i % columns * width, i // columns * height))
    return sheet

"""What every picture of a point cloud is made of: the points, and what their colours mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perception.errors import InputError
from perception.geometry.boxes import inside_box
from perception.geometry.terrain import fit_ground
from perception.taxonomy import LIDARSEG, RGB, LabelSet
from perception.types import IGNORE_INDEX
from perception.viz.keyframe import Box3D
from perception.viz.overlay import box_color

BACKGROUND: RGB = (20, 22, 27)
REST: RGB = (92, 97, 106)
"""Points that a colouring says nothing about."""
RIGHT, WRONG = (56, 106, 92), (255, 64, 56)
BOX: RGB = (176, 182, 192)
"""Of all boxes where colours do not mean classes."""
GROUND: RGB = (62, 190, 96)
MIN_LUMA = 95.0
"""Darker colours are lightened, so that they are seen on the dark background."""
GROUND_M = 0.2
"""Points within this height of the fitted ground are ground."""
VEHICLE_M = (4.1, 1.75)
"""Length and width of the own vehicle in pictures."""
OWN_MARGIN_M = 0.45
"""Points this near to the own vehicle's outline are its own returns."""
OWN: RGB = (128, 110, 160)
INTENSITY_RAMP = np.array([[60, 34, 110], [46, 92, 150], [34, 150, 140], [110, 205, 88], [253, 231, 60]])
HEIGHT_RAMP = np.array([[70, 90, 200], [50, 170, 220], [90, 205, 120], [235, 215, 70], [245, 130, 50], [225, 60, 60]])
HEIGHT_RANGE_M = (-1.0, 5.0)
INTENSITY_RANGE = (0.0, 0.25)
"""Most surfaces return less; what returns more, such as signs, has the last colour."""


@dataclass(frozen=True)
class PointView:
    """One cloud to look at.

    Shape:
        - points: ``(N, 3)`` metres, x ahead, y left, z up from the ground; finite.
        - intensity: ``(N,)`` reflectance in 0..1.
        - labels, predictions: ``(N,)`` integers, class index of ``label_set``, 255 for none.

    Args:
        boxes: corners in the frame of the points.
        middle_m: the vehicle's middle ahead of the origin, which is the rear axle in nuScenes.
    """

    points: np.ndarray
    intensity: np.ndarray
    name: str = ""
    label_set: LabelSet = LIDARSEG
    labels: np.ndarray | None = None
    predictions: np.ndarray | None = None
    boxes: Sequence[Box3D] = ()
    middle_m: float = 1.0


@dataclass(frozen=True)
class LegendEntry:
    """A colour's meaning, and the share of all points that have it; boxes have no share."""

    name: str
    color: RGB
    share: float | None = None


@dataclass(frozen=True)
class ColorScale:
    """The meaning of a ramp of colours.

    Shape:
        - ramp: ``(K, 3)`` colours at even steps from ``low`` to ``high``.
    """

    ramp: np.ndarray
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Coloring:
    """Colours of the points of a view.

    Shape:
        - colors: ``(N, 3)`` uint8.
        - priority: ``(N,)`` float; where points meet in a top-down picture, the highest is seen.

    Args:
        boxes: one colour for all boxes; ``None`` gives each that of its class.
    """

    title: str
    colors: np.ndarray
    priority: np.ndarray
    legend: tuple[LegendEntry, ...] = ()
    scale: ColorScale | None = None
    boxes: RGB | None = None

    def box(self, box: Box3D, label_set: LabelSet) -> RGB:
        """Colour of a box in this picture."""
        return box_rgb(box, label_set) if self.boxes is None else self.boxes


@dataclass(frozen=True)
class Sanity:
    """Which points lie in boxes, on the own vehicle and on the ground; each point in one of them at most.

    Shape:
        - box: ``(N,)`` int64 index of the box around each point, the first of several, -1 outside.
        - own: ``(N,)`` bool, returns of the vehicle that carries the sensor.
        - ground: ``(N,)`` bool, near the fitted ground.
        - counts: ``(B,)`` int64 points inside each box; a point in two boxes counts in both.
    """

    box: np.ndarray
    own: np.ndarray
    ground: np.ndarray
    counts: np.ndarray


def visible(color: Sequence[int]) -> RGB:
    """The colour, lightened until it stands out from a dark background.

    >>> visible((255, 158, 0))
    (255, 158, 0)
    >>> visible((0, 0, 0))
    (95, 95, 95)
    """
    red, green, blue = (float(value) for value in color)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    mix = max(0.0, (MIN_LUMA - luma) / (255 - luma)) if luma < 255 else 0.0
    return (round(red + (255 - red) * mix), round(green + (255 - green) * mix), round(blue + (255 - blue) * mix))


def class_palette(label_set: LabelSet) -> np.ndarray:
    """``(256, 3)`` uint8 colours for a dark background; indices without a class are grey."""
    table = np.tile(np.array(REST, np.uint8), (256, 1))
    table[: len(label_set.colors)] = [visible(color) for color in label_set.colors]
    return table


def box_rgb(box: Box3D, label_set: LabelSet) -> RGB:
    """A box has the colour of its class where the label set has that class."""
    if box.name in label_set.classes:
        return visible(label_set.colors[label_set.index(box.name)])
    return box_color(box.label) if box.label >= 0 else (190, 190, 190)


def check_sanity(view: PointView) -> Sanity:
    """Find the points inside boxes, of the own vehicle and of the ground, see :class:`Sanity`."""
    box = np.full(len(view.points), -1, np.int64)
    counts = np.zeros(len(view.boxes), np.int64)
    for index, candidate in enumerate(view.boxes):
        inside = inside_box(view.points, candidate.corners)
        counts[index] = inside.sum()
        box[inside & (box < 0)] = index
    reach = np.array(VEHICLE_M) / 2 + OWN_MARGIN_M
    own = (np.abs(view.points[:, :2] - (view.middle_m, 0)) < reach).all(axis=1) & (box < 0)
    ground = np.zeros(len(view.points), bool)
    if len(view.points):
        heights = fit_ground(view.points)
        ground = (np.abs(view.points[:, 2] - heights.at(view.points[:, :2])) < GROUND_M) & (box < 0) & ~own
    return Sanity(box, own, ground, counts)


def color_by(view: PointView, color: str) -> Coloring:
    """Colour a view.

    Args:
        color: a key of :data:`COLORINGS`.

    Raises:
        InputError: for another one, or where the view lacks the labels or predictions that it needs.
    """
    if color not in COLORINGS:
        raise InputError(f"unknown colouring {color!r}; use one of {', '.join(COLORINGS)}")
    return COLORINGS[color](view)


def _by_class(view: PointView, values: np.ndarray, title: str) -> Coloring:
    names, palette = view.label_set.classes, class_palette(view.label_set)
    counts = np.bincount(values, minlength=256).astype(np.float64)
    share = counts / max(len(values), 1)
    entries = [
        LegendEntry(names[i], _rgb(palette[i]), float(share[i])) for i in range(len(names)) if counts[i]
    ]  # in the order of the label set, so that pictures can be compared
    missing = float(share[len(names) :].sum())
    if missing:
        entries.append(LegendEntry("no label", REST, missing))
    # Rare classes over common ones: what is small must not drown in the ground.
    priority = np.where(values < len(names), -counts[values], -np.inf)
    return Coloring(title, palette[values], priority, tuple(entries))


def _by_truth(view: PointView) -> Coloring:
    return _by_class(view, _need(view.labels, view, "labels"), "truth")


def _by_prediction(view: PointView) -> Coloring:
    return _by_class(view, _need(view.predictions, view, "predictions"), "prediction")


def _by_error(view: PointView) -> Coloring:
    truth = _need(view.labels, view, "labels")
    guess = _need(view.predictions, view, "predictions")
    known = truth != IGNORE_INDEX
    wrong = known & (truth != guess)
    kind = np.where(wrong, 2, np.where(known, 1, 0))
    colors = np.array([REST, RIGHT, WRONG], np.uint8)
    total = max(len(kind), 1)
    entries = [
        LegendEntry(name, _rgb(colors[k]), float((kind == k).sum() / total))
        for k, name in ((1, "right"), (2, "wrong"), (0, "no label"))
        if k or (kind == 0).any()
    ]
    accuracy = f" · {1 - wrong.sum() / known.sum():.1%} right" if known.any() else ""
    return Coloring(f"errors{accuracy}", colors[kind], kind.astype(np.float64), tuple(entries), boxes=BOX)


def _by_intensity(view: PointView) -> Coloring:
    return _ramp(view, view.intensity, INTENSITY_RAMP, INTENSITY_RANGE, "intensity", "")


def _by_height(view: PointView) -> Coloring:
    return _ramp(view, view.points[:, 2], HEIGHT_RAMP, HEIGHT_RANGE_M, "height", "m")


def _by_sanity(view: PointView) -> Coloring:
    found = check_sanity(view)
    box_colors = np.array([box_rgb(box, view.label_set) for box in view.boxes] or [REST], np.uint8)
    colors = np.tile(np.array(REST, np.uint8), (len(view.points), 1))
    inside = found.box >= 0
    colors[found.ground], colors[found.own] = GROUND, OWN
    colors[inside] = box_colors[found.box[inside]]
    total = max(len(colors), 1)
    entries = [LegendEntry("ground", GROUND, float(found.ground.sum() / total))]
    for name in sorted({box.name for box in view.boxes}):
        members = [index for index, box in enumerate(view.boxes) if box.name == name]
        held = np.isin(found.box, members).sum()
        entries.append(LegendEntry(f"in {name}", box_rgb(view.boxes[members[0]], view.label_set), float(held / total)))
    entries.append(LegendEntry("own vehicle", OWN, float(found.own.sum() / total)))
    entries.append(LegendEntry("other", REST, float((~inside & ~found.ground & ~found.own).sum() / total)))
    return Coloring("points in boxes, and the ground", colors, inside + 0.0, tuple(entries))


COLORINGS: dict[str, Callable[[PointView], Coloring]] = {
    "class": _by_truth,
    "prediction": _by_prediction,
    "error": _by_error,
    "intensity": _by_intensity,
    "height": _by_height,
    "sanity": _by_sanity,
}


def _ramp(
    view: PointView, values: np.ndarray, ramp: np.ndarray, limits: tuple[float, float], title: str, unit: str
) -> Coloring:
    place = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1) * (len(ramp) - 1)
    channels = [np.interp(place, np.arange(len(ramp)), ramp[:, i]) for i in range(3)]
    colors = np.stack(channels, axis=1).round().astype(np.uint8)
    boxes = {box.name: LegendEntry(box.name, box_rgb(box, view.label_set)) for box in view.boxes}
    entries = tuple(boxes[name] for name in sorted(boxes) if name)
    return Coloring(title, colors, view.points[:, 2].astype(np.float64), entries, ColorScale(ramp, *limits, unit))


def _need(values: np.ndarray | None, view: PointView, what: str) -> np.ndarray:
    if values is None:
        raise InputError(f"cloud {view.name} has no {what}; colour it by height, intensity or sanity")
    return np.asarray(values, dtype=np.int64)


def _rgb(color: np.ndarray) -> RGB:
    return int(color[0]), int(color[1]), int(color[2])

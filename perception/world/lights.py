"""Lamps of the dark: street lamps, headlights, tail lights and traffic lights as light sources.

Light is measured in units of 20 lux, which a lamp gives below itself: the linear colours of
:class:`perception.world.sky.Daylight` for irradiance, and 20 cd for intensity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.actors import Actor
from perception.world.noise import smoothstep
from perception.world.scene import Scene
from perception.world.signals import COLORS, LAMP_Z_M

STREET, BEAM, TAIL, SIGNAL = range(4)
STREET_INTENSITY = 48.0
BEAM_INTENSITY = 900.0
"""Peak of a pair of low beams, 18,000 cd; UN R112 allows about as much for each of them."""
TAIL_INTENSITY = 0.5
BRAKE_SHARE = 5.0
SIGNAL_INTENSITY = 8.0
BEAM_COLOR = (1.0, 0.95, 0.86)
TAIL_COLOR = (1.0, 0.035, 0.02)
CUTOFF_RAD = -0.01
"""The beams' upper edge on the side of oncoming traffic: 1 % downwards."""
KERB_RISE = np.tan(np.radians(15.0))
"""Slope by which that edge rises on the side of the kerb (UN R112), up to :data:`KERB_TOP_RAD`."""
KERB_TOP_RAD = 0.035
STRAY = 0.012
"""Share of the peak that leaves above the edge."""
REACH_M = {STREET: 28.0, BEAM: 48.0}
"""Beyond it a lamp adds less than a hundredth of what it gives below itself, a beam less than half of that."""
EGO_LAMPS_M = (3.45, 0.62, 0.66)
"""Ahead of the rear axle, to either side, and above ground."""
MOST_STREET, MOST_VEHICLES, MOST_SIGNALS = 14, 8, 6
"""Lights that count in a picture: those nearest to the camera's vehicle."""
_MOTORS = ("vehicle.car", "vehicle.bus", "vehicle.truck", "vehicle.motorcycle", "vehicle.construction",
           "vehicle.emergency")  # fmt: skip

Row = tuple[np.ndarray, np.ndarray, np.ndarray, int, bool, float]


@dataclass
class Lights:
    """Sources of light at an instant.

    Shape:
        - position, axis, color: ``(L, 3)``; colour times intensity in the axis, where the source is brightest.
        - kind: ``(L,)``; ego: ``(L,)`` bool, of the ego's own headlights.
        - weight: ``(L,)``, with which it lights surfaces: one headlight of other vehicles does so for both.
        - burning: ``(A + 1,)`` by instance: 0 for a vehicle without lights, 1 with, more where it brakes.
    """

    position: np.ndarray
    axis: np.ndarray
    color: np.ndarray
    kind: np.ndarray
    ego: np.ndarray
    weight: np.ndarray
    burning: np.ndarray
    drive_side: int


def beam_share(directions: np.ndarray, axis: np.ndarray, drive_side: int) -> np.ndarray:
    """Share of a low beam's peak in ``(N, 3)`` unit directions.

    The edge lies 1 % below the horizon towards oncoming traffic and rises by 15 degrees on the other side.

    Args:
        axis: ``(3,)`` unit, level, where the vehicle heads.
        drive_side: side of the road one drives on, +1 left, -1 right.
    """
    ahead = directions @ axis
    left = directions @ np.array([-axis[1], axis[0], 0.0], np.float32)
    azimuth = np.arctan2(left, ahead)
    elevation = np.arcsin(np.clip(directions[:, 2], -1.0, 1.0))
    kerb = np.clip(azimuth * drive_side, 0.0, None)
    edge = np.minimum(CUTOFF_RAD + KERB_RISE * kerb, KERB_TOP_RAD)
    below = smoothstep(-0.004, 0.004, edge - elevation)
    depth = np.maximum(edge - elevation, 0.0)
    height = 0.88 * np.exp(-((depth / 0.055) ** 1.2)) + 0.12 * np.exp(-((depth / 0.30) ** 2))
    width = 0.72 * np.exp(-((azimuth / 0.24) ** 2)) + 0.28 * np.exp(-((azimuth / 0.62) ** 2))
    return (np.where(ahead > 0, width, 0.0) * (below * height + (1 - below) * STRAY)).astype(np.float32)


def street_share(down: np.ndarray) -> np.ndarray:
    """Share of a street lamp's intensity at a cosine from straight down: none above 80 degrees."""
    return smoothstep(0.14, 0.40, down) * (1.15 - 0.35 * down)


def lights_at(scene: Scene, time_s: float) -> Lights:
    """All lights near the ego that are on, by kind and distance."""
    pose = scene.global_from_ego(time_s)
    here = pose[:2, 3]
    rows: list[Row] = []
    light = scene.daylight
    down = np.array([0.0, 0.0, -1.0])
    if light.lamps and len(scene.lamp_heads):
        near = _nearest(scene.lamp_heads, here, MOST_STREET, 110.0)
        rows += [(scene.lamp_heads[i], down, light.lamp_color * STREET_INTENSITY, STREET, False, 1.0) for i in near]
    burning = np.zeros(len(scene.actors) + 1, np.float32)
    if light.headlights:
        beam, tail = np.array(BEAM_COLOR) * BEAM_INTENSITY, np.array(TAIL_COLOR) * TAIL_INTENSITY
        moving = [actor for actor in scene.present(time_s) if _lit(actor)]
        for actor in moving:
            burning[actor.instance] = BRAKE_SHARE if _braking(scene, actor, time_s) else 1.0
        places = np.array([scene.box(actor, time_s).center for actor in moving]).reshape(-1, 3)
        for i in _nearest(places, here, MOST_VEHICLES, 90.0):
            box = scene.box(moving[i], time_s)
            ahead = np.array([np.cos(box.yaw), np.sin(box.yaw), 0.0])
            across = np.array([-ahead[1], ahead[0], 0.0])
            length, width, _ = box.size
            foot = box.center * [1, 1, 0]
            paired = width > 1.2
            for side in (1, -1) if paired else (0,):
                aside = across * side * 0.36 * width
                share = 0.5 if paired else 1.0
                rows.append((foot + ahead * (length / 2 + 0.06) + aside + [0, 0, 0.68], ahead, beam * share,
                             BEAM, False, 2.0 * (side > 0) if paired else 1.0))  # fmt: skip
                rows.append((foot - ahead * (length / 2 + 0.06) + aside + [0, 0, 0.85], -ahead,
                             tail * share * burning[moving[i].instance], TAIL, False, 0.0))  # fmt: skip
        ahead = pose[:3, 0] * [1, 1, 0]
        for side in (1, -1):
            x, y, z = EGO_LAMPS_M
            rows.append((pose[:3, :3] @ [x, side * y, z] + pose[:3, 3], ahead, beam / 2, BEAM, True, 1.0))
        rows += _signals(scene, time_s, here)
    if not rows:
        none = np.zeros((0, 3), np.float32)
        return Lights(none, none, none, np.zeros(0, int), np.zeros(0, bool), none[:, 0], burning, scene.road.drive_side)
    position, axis, color, kind, ego, weight = zip(*rows, strict=True)
    return Lights(
        np.array(position, np.float32), np.array(axis, np.float32),
        np.array(color, np.float32) * np.float32(light.lamp_level), np.array(kind),
        np.array(ego), np.array(weight, np.float32), burning, scene.road.drive_side,
    )  # fmt: skip


def _signals(scene: Scene, time_s: float, here: np.ndarray) -> list[Row]:
    feet = np.array([signal.foot[:3, 3] for signal in scene.signals]).reshape(-1, 3)
    rows: list[Row] = []
    for i in _nearest(feet, here, MOST_SIGNALS, 90.0):
        signal = scene.signals[i]
        state = scene.phases[signal.s].state(signal.main, time_s)
        for head in signal.heads:
            at = signal.foot[:3, :3] @ (head + [-0.16, 0, LAMP_Z_M[state]]) + signal.foot[:3, 3]
            rows.append((at, -signal.foot[:3, 0], np.array(COLORS[state]) * SIGNAL_INTENSITY, SIGNAL, False, 0.0))
    return rows


def _nearest(places: np.ndarray, here: np.ndarray, most: int, reach_m: float) -> np.ndarray:
    if not len(places):
        return np.zeros(0, int)
    distance = np.hypot(*(places[:, :2] - here).T)
    order = np.argsort(distance, kind="stable")[:most]
    return order[distance[order] < reach_m]


def _lit(actor: Actor) -> bool:
    return actor.track is not None and actor.category.startswith(_MOTORS)


def _braking(scene: Scene, actor: Actor, time_s: float) -> bool:
    now, before = (float(np.linalg.norm(actor.velocity(scene.road, t))) for t in (time_s, time_s - 0.3))
    return now < 0.3 or now < before - 0.25


def towards(lights: Lights, index: int, directions: np.ndarray) -> np.ndarray:
    """``(N,)`` share of a light's intensity that it sends in ``(N, 3)`` unit directions."""
    kind, axis = lights.kind[index], lights.axis[index]
    if kind == STREET:
        return street_share(-directions[:, 2])
    if kind == BEAM:
        return beam_share(directions, axis, lights.drive_side)
    return np.clip(directions @ axis, 0.0, 1.0)

"""A scene of the procedural world: one road with everything on it, over a stretch of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception.errors import InputError
from perception.geometry.frames import transform, yaw_rotation
from perception.world.actors import USUAL_MIX, Actor, Box3D, TrafficMix
from perception.world.ground import GroundBuilder
from perception.world.layout import LayoutBuilder
from perception.world.map_geometry import map_layers
from perception.world.map_layers import MapLayers
from perception.world.mesh import Mesh, merge
from perception.world.motion import LEAD_IN_S, STEP_S, Track
from perception.world.network import Network
from perception.world.road import THEMES, Road, make_road
from perception.world.signals import Phases, Signal, place_signals
from perception.world.sky import Daylight
from perception.world.traffic import TrafficBuilder
from perception.world.weather import WEATHERS, make_daylight, parse_weather, weather_of_scene

DISTRICTS = ("downtown", "residential", "avenue", "industrial")
MAX_DURATION_S = 120.0
MAX_PACE_MPS = 40.0
SpeedProfile = Callable[[float], float]
MARGIN_M = 80.0
"""Ground kept free between the scene and the edges of its map; all global coordinates are positive."""


@dataclass
class Scene:
    """A place, its light, its road users and the ego's drive through it.

    Args:
        seed, index: what it was built from.
        duration_s: last instant that may be asked for; the first is 0.
        weather: one of :data:`perception.world.weather.NAMES`.
        district: kind of neighbourhood.
        road, daylight: layout and light.
        static: mesh of everything that never moves, parked vehicles included, in the global frame.
        facades: ``(B, 12)`` window layouts, see :data:`perception.world.buildings.FACADE_COLUMNS`.
        actors: every detection object; ids start at 1 and are positions in this list plus 1.
        ego: the ego's way along the road.
        style: how the ground is marked and worn, read by :mod:`perception.world.pavement`.
        network: side roads, car parks and ends of the road.
        lamp_heads: ``(L, 3)`` global places of street lamps.
        signals: traffic lights; phases: when they are red, by the s of their junction.
    """

    seed: int
    index: int
    duration_s: float
    weather: str
    district: str
    road: Road
    daylight: Daylight
    static: Mesh
    facades: np.ndarray
    actors: list[Actor]
    ego: Track
    style: dict[str, float]
    network: Network
    signals: list[Signal]
    phases: dict[float, Phases]
    lamp_heads: np.ndarray
    _caches: dict[str, Any] = field(default_factory=dict, repr=False)

    def global_from_ego(self, time_s: float) -> np.ndarray:
        """``(4, 4)`` float64 pose; the ego's origin is on the ground below its rear axle."""
        position, yaw, velocity = self.ego.place(self.road, time_s)
        _, sideways = self.ego.across(time_s)
        speed = float(np.linalg.norm(velocity))
        yaw += float(np.arcsin(np.clip(sideways / speed, -0.05, 0.05))) if speed > 1.0 else 0.0
        return transform(np.array([*position, 0.0]), yaw_rotation(yaw))

    def speed_mps(self, time_s: float) -> float:
        """Speed of the ego's origin over ground."""
        return float(np.linalg.norm(self.ego.place(self.road, time_s)[2]))

    def box(self, actor: Actor, time_s: float) -> Box3D:
        """Where an actor's box is, in the global frame."""
        return actor.box(self.road, time_s)

    def map_layers(self) -> MapLayers:
        """The map of the place, in the global frame."""
        if "map" not in self._caches:
            self._caches["map"] = map_layers(self.network, self.signals)
        return self._caches["map"]

    def lamps(self, time_s: float) -> list[Mesh]:
        """Lit lamps of the traffic lights, in the global frame."""
        built = self._caches.setdefault("lamps", {})
        meshes = []
        for number, signal in enumerate(self.signals):
            state = self.phases[signal.s].state(signal.main, time_s)
            if (number, state) not in built:
                built[number, state] = signal.lamps(state)
            meshes.append(built[number, state])
        return meshes

    def present(self, time_s: float) -> list[Actor]:
        """Actors on the modelled stretch of road; those without a track are part of ``static``."""
        return [actor for actor in self.actors if actor.present(self.road, time_s)]


def scene_rng(seed: int, index: int, part: int) -> np.random.Generator:
    return np.random.default_rng([seed, index, part])


def build_scene(
    seed: int,
    index: int,
    duration_s: float,
    weather: str = "clear",
    speed: SpeedProfile | None = None,
    mix: TrafficMix = USUAL_MIX,
) -> Scene:
    """Build a scene; the same arguments give the same scene.

    Args:
        seed: of the world, at least 0.
        index: of the scene in the world, at least 0.
        duration_s: how long it lasts, up to :data:`MAX_DURATION_S`.
        weather: a name of :data:`perception.world.weather.NAMES`, ``random``, or a comma list of them that scenes
            take in turn.
        speed: the ego's speed at a time in seconds, m/s; by default it drives as the traffic, the bends and the
            lights let it. With a profile its lane moves along with it and the lights are green.
        mix: of the road users, and of parked bicycles.

    Raises:
        InputError: for values out of range.
    """
    check_scene_arguments(seed, index, duration_s, weather, mix)
    pace = None if speed is None else _pace(speed, duration_s)
    rng = scene_rng(seed, index, 0)
    weather = weather_of_scene(weather, index)
    # Light has numbers of its own, so that one place looks the same but for its weather.
    sky_rng = scene_rng(seed, index, 8)
    if weather == "random":
        weather = str(sky_rng.choice(WEATHERS))
    # Neighbouring scenes differ in district, so that a handful of them already covers all kinds.
    district = DISTRICTS[(index + int(np.random.default_rng([seed, 77]).integers(4))) % 4]
    clear = make_daylight(rng, "clear")
    daylight = clear if weather == "clear" else make_daylight(sky_rng, weather)
    density = float(rng.uniform(0.15, 0.95))
    greenery = float(rng.uniform(0.1, 1.0) if district != "downtown" else rng.uniform(0.0, 0.7))
    start = 100.0
    length = start + max(21.0 * duration_s, 0.0 if pace is None else float(pace.sum()) * STEP_S) + 190.0
    theme = THEMES[index % len(THEMES)]
    road = make_road(scene_rng(seed, index, 1), length, district, start, theme)
    _recenter(road)
    network = Network(road, scene_rng(seed, index, 6))
    signals = place_signals(network)
    traffic_builder = TrafficBuilder(scene_rng(seed, index, 2), network, density, start, duration_s, pace, theme, mix)
    traffic = traffic_builder.build()
    layout = LayoutBuilder(
        scene_rng(seed, index, 3), network, signals, district, greenery, start if theme == "roadworks" else None
    )
    meshes, facades = layout.build()
    look = scene_rng(seed, index, 4)
    paved = district == "downtown" or (district == "industrial" and look.random() < 0.5)
    meshes += GroundBuilder(network, _ground_colors(look), paved).build()
    for actor in traffic.actors:
        if actor.track is None:
            meshes.append(actor.poses[0].moved(actor.global_from_local(road, 0.0)))
    style = {
        "yellow": float(look.random() < 0.45), "wear": float(look.uniform(0.0, 0.55)),
        "edge_line": float(look.random() < 0.7),
        "stain": float(look.uniform(0.3, 1.0)), "patches": float(look.uniform(0.0, 1.0)),
        "seed": float(look.integers(512)),
        "dash": float(look.choice([2.0, 3.0, 3.0, 4.5])), "paving": float(look.choice([0.4, 0.6, 1.5])),
        "bike_paint": float(look.choice([0.0, 0.0, 1.0, 2.0])), "arrows": float(look.random() < 0.6),
    }  # fmt: skip
    return Scene(
        seed,
        index,
        float(duration_s),
        weather,
        district,
        road,
        daylight,
        merge(meshes),
        facades,
        traffic.actors,
        traffic.ego,
        style,
        network,
        signals,
        traffic.phases,
        np.array(layout.lamp_heads).reshape(-1, 3),
    )


def _pace(speed: SpeedProfile, duration_s: float) -> np.ndarray:
    """The profile at every step of the motion, as constant before its start and after its end."""
    count = int(np.ceil((duration_s + 2 * LEAD_IN_S) / STEP_S)) + 2
    times = np.clip(np.arange(count) * STEP_S - LEAD_IN_S, 0.0, duration_s)
    pace = np.array([speed(float(time)) for time in times])
    if not (np.isfinite(pace).all() and pace.min() >= 0 and pace.max() <= MAX_PACE_MPS):
        raise InputError(f"the ego's speed must lie in 0..{MAX_PACE_MPS:g} m/s, got {pace.min():g} to {pace.max():g}")
    return pace


def check_scene_arguments(seed: int, index: int, duration_s: float, weather: str, mix: TrafficMix) -> None:
    """Raise InputError for arguments that :func:`build_scene` does not take."""
    if seed < 0 or index < 0:
        raise InputError(f"seed {seed} and scene index {index} must not be negative")
    if not 0 <= duration_s <= MAX_DURATION_S:
        raise InputError(f"a scene of {duration_s} s is not possible; use 0 to {MAX_DURATION_S:g} s")
    parse_weather(weather)
    mix.check()


def _recenter(road: Road) -> None:
    """Shift the road so that all of the scene has positive coordinates."""
    road.x += MARGIN_M + 40.0 - road.x.min()
    road.y += MARGIN_M + 60.0 - road.y.min()


def _ground_colors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    tone = rng.uniform(0.055, 0.16)
    asphalt = np.array([1.0, rng.uniform(0.97, 1.01), rng.uniform(0.93, 1.05)]) * tone
    paving = np.array([0.36, 0.34, 0.31]) * rng.uniform(0.7, 1.2) * np.array([1.0, 1.0, rng.uniform(0.85, 1.08)])
    if rng.random() < 0.15:
        paving = np.array([0.30, 0.17, 0.13]) * rng.uniform(0.8, 1.2)
    grass = np.array(
        [[0.085, 0.125, 0.03], [0.13, 0.14, 0.045], [0.06, 0.11, 0.03], [0.17, 0.14, 0.07]][int(rng.integers(4))]
    )
    return {
        "asphalt": asphalt,
        "side_asphalt": asphalt * rng.uniform(0.8, 1.3),
        "paving": paving,
        "kerb": np.array([0.42, 0.41, 0.39]) * rng.uniform(0.8, 1.1),
        "grass": grass * rng.uniform(0.8, 1.2),
        "verge": grass * rng.uniform(0.8, 1.2),
        "yard": paving * rng.uniform(0.7, 1.0),
    }

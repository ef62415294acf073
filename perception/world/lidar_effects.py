"""What air full of water does to a LiDAR: weaker returns, and returns from drops and fog.

Strengths are relative albedos: what a white surface that faces the sensor would return, one, wherever it stands. Of
each beam the strongest echo counts, and only where it is strong enough for its range (:func:`detectable`).

- Extinction by rain of rate R mm/h: 1.076 R^0.67 dB/km (Carbonneau and Wisely 1998); by fog of meteorological optical
  range V: 3.912 / V, at 905 nm as for the eye (Kim et al. 2001).
- Fog sends back 0.046 / V of the light per metre and steradian (Hahner et al. 2021, arXiv:2108.05249).
- Rain drops have the sizes of Marshall and Palmer (1948), 8000 exp(-4.1 R^-0.21 D) per m^3 and mm, and send back the
  share of the beam that they cover times the reflectance of water, as in LISA (Kilic et al. 2021, arXiv:2107.07004).
  Drops in the beam are a Poisson process, of which the nearest detectable one is drawn in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.world.noise import smoothstep
from perception.world.sky import Daylight

PULSE_M = 3.0
"""Half of the length of a pulse of 20 ns: the depth of air whose light arrives at once."""
FOG_BACKSCATTER = 0.046
BEAM_M, BEAM_DIVERGENCE = 0.02, 3e-3
DROP_REFLECTANCE = 0.02
DROPS_PER_M3_MM = 8000.0
OVERLAP_M = (0.9, 4.5)
"""Where receiver and beam begin to overlap and where they do wholly; our assumption, of a sensor whose gain is kept low
for near things."""
NEAREST_M, FARTHEST_M, STEP_M = 1.0, 30.0, 0.25
"""Where echoes of the air are looked for."""
_RANGES = np.arange(NEAREST_M, FARTHEST_M, STEP_M) + STEP_M / 2


@dataclass
class Echoes:
    """The echo that counts of each beam.

    Shape:
        - range_m: ``(N,)``, infinite where none is detected; returned: ``(N,)`` relative albedo, weakened by the air.
        - from_air: ``(N,)`` bool: it comes from rain or fog.
    """

    range_m: np.ndarray
    returned: np.ndarray
    from_air: np.ndarray


def extinction_per_m(light: Daylight) -> float:
    """Of the laser's light; rain itself takes less of it than the spray and mist that hide things from the eye."""
    rain = 1.076 * light.rain_mm_h**0.67 * np.log(10) / 10 / 1000 if light.rain_mm_h > 0 else 0.0
    fog = light.extinction_per_m if light.visibility_m <= 300 else 0.0
    return float(rain + fog)


def detectable(range_m: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """Weakest relative albedo that is detected at a range; ``luck`` in 0..1 is the receiver's noise."""
    return 2e-5 * range_m**1.5 * (0.3 + luck)


def overlap(range_m: np.ndarray) -> np.ndarray:
    """Share of the beam that the receiver sees."""
    return smoothstep(*OVERLAP_M, range_m)


def _smallest_drop_mm(range_m: np.ndarray) -> np.ndarray:
    """Diameter of the smallest drop that is detected at a range."""
    beam_m = BEAM_M + BEAM_DIVERGENCE * range_m
    wanted = detectable(range_m, np.asarray(0.5)) / (DROP_REFLECTANCE * np.maximum(overlap(range_m), 1e-3))
    smallest: np.ndarray = 1000 * beam_m * np.sqrt(wanted)
    return smallest


def drop_rate_per_m(rain_mm_h: float, range_m: np.ndarray) -> np.ndarray:
    """Expected number of detectable drops per metre of a beam."""
    slope_per_mm = 4.1 * rain_mm_h**-0.21
    beam_m = BEAM_M + BEAM_DIVERGENCE * range_m
    per_m3 = DROPS_PER_M3_MM / slope_per_mm * np.exp(-slope_per_mm * _smallest_drop_mm(range_m))
    return np.pi / 4 * beam_m**2 * per_m3


def fog_albedo(light: Daylight, range_m: np.ndarray) -> np.ndarray:
    """Relative albedo of the fog in a pulse's length at a range: that of a white wall is 1 / pi per steradian."""
    transmission = np.exp(-2 * extinction_per_m(light) * range_m)
    return np.pi * FOG_BACKSCATTER / light.visibility_m * PULSE_M * transmission * overlap(range_m)


def weather_echoes(
    light: Daylight, range_m: np.ndarray, returned: np.ndarray, luck: np.ndarray, rng: np.random.Generator
) -> Echoes:
    """The strongest detectable echo of each beam.

    Args:
        range_m: ``(N,)`` to the surface that the beam meets, infinite for none.
        returned: ``(N,)`` its relative albedo.
        luck: ``(N,)`` in 0..1, the receiver's noise.
        rng: for the drops; it is not touched in dry air.
    """
    solid = np.isfinite(range_m)
    beta = extinction_per_m(light)
    if beta > 0:
        returned = returned * np.exp(-2 * beta * np.where(solid, range_m, 0.0))
    seen = solid & (returned > detectable(np.where(solid, range_m, 0.0), luck))
    found = np.where(seen, range_m, np.inf)
    none = np.zeros(len(range_m), bool)
    if not (light.rain_mm_h > 0 or light.visibility_m <= 300):
        return Echoes(found, returned, none)
    power = np.where(seen, returned / np.maximum(range_m, 1.0) ** 2, 0.0)
    near, albedo = _rain(light, len(range_m), rng) if light.rain_mm_h > 0 else _fog(light, len(range_m), rng)
    air = (near < np.where(solid, range_m, np.inf)) & (albedo > detectable(near, luck))
    air &= albedo / np.minimum(near, 1e3) ** 2 > power
    return Echoes(np.where(air, near, found), np.where(air, albedo, returned), air)


def _rain(light: Daylight, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Range and relative albedo of the nearest detectable drop of each beam, infinite and 0 for none."""
    expected = np.concatenate([[0.0], np.cumsum(drop_rate_per_m(light.rain_mm_h, _RANGES)) * STEP_M])
    edges = np.concatenate([_RANGES - STEP_M / 2, [FARTHEST_M]])
    arrival = rng.exponential(size=count)
    near = np.where(arrival < expected[-1], np.interp(arrival, expected, edges), np.inf)
    at = np.minimum(near, FARTHEST_M)
    slope_per_mm = 4.1 * light.rain_mm_h**-0.21
    beam_m = BEAM_M + BEAM_DIVERGENCE * at
    size_m = (_smallest_drop_mm(at) + rng.exponential(1 / slope_per_mm, count)) / 1000
    albedo = DROP_REFLECTANCE * np.minimum(size_m / beam_m, 1.0) ** 2 * overlap(at)
    return near.astype(np.float32), np.where(np.isfinite(near), albedo, 0.0).astype(np.float32)


def _fog(light: Daylight, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Range and relative albedo of the fog's echo: the pulse's strongest moment, which speckle moves about."""
    power = fog_albedo(light, _RANGES) / _RANGES**2
    weights = power / power.sum()
    near = np.interp(rng.random(count), np.cumsum(weights), _RANGES)
    albedo = fog_albedo(light, near) * rng.exponential(size=count)
    return near.astype(np.float32), albedo.astype(np.float32)

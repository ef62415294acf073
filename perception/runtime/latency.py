"""How long each plan takes on one device, as measured: the table that the policy reckons with.

A bound is the conformal upper quantile (see :mod:`perception.runtime.conformal`) of the time from the camera's
compressed picture to the answer on the host. It speaks for the machine, the settings and the load under which it was
taken: a table carries them as its key and refuses others.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import perception
from perception.errors import InputError
from perception.files import write_json
from perception.runtime.conformal import conformal_rank
from perception.runtime.plan import Fovea, Plan, Window

FORMAT = 1
KEY = (
    "engine", "device", "device_name", "precision", "compiled", "threads", "architecture", "parameters", "digest",
    "label_set", "torch", "onnxruntime", "openvino", "tensorrt",
)  # fmt: skip
"""Facts of an engine that its latency depends on; an engine has some of them."""
_MAX_SIDE_PX = 1 << 16


@dataclass(frozen=True)
class ConditionLatency:
    """One plan under one condition.

    Args:
        samples: how many frames were timed.
        p50_ms: median; like the other percentiles an order statistic, so a value that occurred.
        bound_ms: conformal bound of the latency.
        interval_ms: conformal bound of the time between two answers; ``None`` where frames wait for the camera.
    """

    samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    bound_ms: float
    interval_ms: float | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"samples {self.samples} must be at least 1")
        for name, value in asdict(self).items():
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} {value} is not a positive finite number")
        if not self.p50_ms <= self.p90_ms <= self.p99_ms <= self.max_ms:
            raise InputError(f"p50_ms {self.p50_ms:g}, p90_ms, p99_ms and max_ms {self.max_ms:g} must not decrease")


@dataclass(frozen=True)
class PlanLatency:
    """One plan under every condition that was measured, by the condition's name."""

    plan: Plan
    conditions: Mapping[str, ConditionLatency]


@dataclass(frozen=True)
class Reference:
    """What the policy reckons with for a plan: the worst of the conditions that count.

    Args:
        samples: of the condition that has the fewest.
    """

    plan: Plan
    bound_ms: float
    interval_ms: float
    p50_ms: float
    p90_ms: float
    samples: int


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of a set of plans on one device; implements ``Latencies`` of the adaptive policy.

    Args:
        entries: one for each plan, with distinct names and the same conditions.
        counted: names of the conditions whose worst is the bound; at least one of them has intervals.
        miss_rate: share of frames that may exceed a bound.
        key: what was measured, from :func:`make_key`.

    Raises:
        InputError: for entries that do not go together.
    """

    entries: tuple[PlanLatency, ...]
    counted: tuple[str, ...]
    miss_rate: float
    key: Mapping[str, Any]
    _references: dict[str, Reference] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        names = [entry.plan.name for entry in self.entries]
        if not names or len(set(names)) != len(names):
            raise InputError("a latency table needs plans with distinct names")
        for entry in self.entries:
            missing = [name for name in self.counted if name not in entry.conditions]
            if missing or not self.counted:
                raise InputError(f"plan {entry.plan.name} was not measured under {missing or 'any condition'}")
            reference = _reference(entry, self.counted)
            conformal_rank(reference.samples, self.miss_rate)  # refuses too few samples
            self._references[entry.plan.name] = reference

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans in the order in which they were given."""
        return tuple(entry.plan for entry in self.entries)

    def reference(self, plan: Plan) -> Reference | None:
        """What is reckoned with for a plan; ``None`` for one that was not measured."""
        found = self._references.get(plan.name)
        return found if found is not None and (found.plan is plan or found.plan == plan) else None

    def bound_ms(self, plan: Plan) -> float:
        """Upper bound from compressed picture to answer; infinite for a plan that was not measured."""
        found = self.reference(plan)
        return math.inf if found is None else found.bound_ms

    def interval_ms(self, plan: Plan) -> float:
        """Upper bound of the time between answers back to back; infinite for a plan that was not measured."""
        found = self.reference(plan)
        return math.inf if found is None else found.interval_ms

    def check(self, info: Mapping[str, Any], native: tuple[int, int]) -> None:
        """Compare with an engine and the camera's picture size.

        Args:
            info: the engine's facts.
            native: ``(height, width)``.

        Raises:
            InputError: for the first fact that differs, with both values and the remedy.
        """
        here = make_key(info, native)
        for name in dict.fromkeys((*self.key, *here)):
            measured, found = self.key.get(name), here.get(name)
            if measured != found:
                raise InputError(
                    f"the latencies were measured with {name} {_shown(measured)}, but this run has {_shown(found)}; "
                    "run perception calibrate again for these settings"
                )

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        value = {
            "format": FORMAT,
            "miss_rate": self.miss_rate,
            "counted": list(self.counted),
            "key": dict(self.key),
            "plans": [_entry_record(entry) for entry in self.entries],
        }
        write_json(path, value)

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: for a file that is missing, malformed or of another format.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"latency table {path} does not exist; make one with perception calibrate")
        try:
            value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
            return _table(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"latency table {path}: {error}; make it again with perception calibrate") from None


def make_key(info: Mapping[str, Any], native: tuple[int, int]) -> dict[str, Any]:
    """What latencies depend on: facts of the engine, the camera's picture size, and versions."""
    facts = {name: info[name] for name in KEY if name in info}
    return facts | {
        "native": list(native),
        "perception": perception.__version__,
        "python": platform.python_version(),
    }


def _reference(entry: PlanLatency, counted: tuple[str, ...]) -> Reference:
    conditions = [entry.conditions[name] for name in counted]
    intervals = [condition.interval_ms for condition in conditions if condition.interval_ms is not None]
    if not intervals:
        raise InputError(f"plan {entry.plan.name} has no interval: no condition that counts runs back to back")
    return Reference(
        plan=entry.plan,
        bound_ms=max(condition.bound_ms for condition in conditions),
        interval_ms=max(intervals),
        p50_ms=max(condition.p50_ms for condition in conditions),
        p90_ms=max(condition.p90_ms for condition in conditions),
        samples=min(condition.samples for condition in conditions),
    )


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2:
        return f"{value[0]}x{value[1]}"
    return "none" if value is None else repr(value)


def _entry_record(entry: PlanLatency) -> dict[str, Any]:
    plan, fovea = entry.plan, None
    if plan.fovea is not None:
        fovea = asdict(plan.fovea) | {"native": list(plan.fovea.native)}
    conditions = {name: asdict(condition) for name, condition in entry.conditions.items()}
    return {"name": plan.name, "size": list(plan.size), "fovea": fovea, "conditions": conditions}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _table(value: Any) -> LatencyTable:
    form = _get(value, "format", int)
    if form != FORMAT:
        raise InputError(f"format {form} is not {FORMAT}")
    counted = _get(value, "counted", list)
    if not all(isinstance(name, str) for name in counted):
        raise InputError("counted is not a list of names")
    entries = tuple(_entry(record) for record in _get(value, "plans", list))
    return LatencyTable(entries, tuple(counted), _get(value, "miss_rate", float), _get(value, "key", dict))


def _entry(record: Any) -> PlanLatency:
    plan = Plan(_get(record, "name", str), _size(record, "size"))
    fovea = _get(record, "fovea", dict, optional=True)
    if fovea is not None:
        window = _get(fovea, "window", dict)
        sides = (_get(window, side, int) for side in ("top", "left", "height", "width"))
        zoom = _get(fovea, "zoom", float, optional=True)
        plan = replace(plan, fovea=Fovea(Window(*sides), _size(fovea, "native"), 1.0 if zoom is None else zoom))
    conditions = _get(record, "conditions", dict)
    return PlanLatency(plan, {name: _condition(found, f"{plan.name}, {name}") for name, found in conditions.items()})


def _condition(record: Any, where: str) -> ConditionLatency:
    try:
        numbers = {name: _get(record, name, float) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms", "bound_ms")}
        interval_ms = _get(record, "interval_ms", float, optional=True)
        return ConditionLatency(samples=_get(record, "samples", int), interval_ms=interval_ms, **numbers)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _size(record: Any, name: str) -> tuple[int, int]:
    value = _get(record, name, list)
    sides = [side for side in value if type(side) is int and 0 < side <= _MAX_SIDE_PX]
    if len(value) != 2 or len(sides) != 2:
        raise InputError(f"{name} {value} is not a height and a width in pixels")
    return sides[0], sides[1]


def _get(record: Any, name: str, kind: type, optional: bool = False) -> Any:
    """A value of a JSON object that has the type which is asked for; whole numbers also count as float."""
    if not isinstance(record, dict):
        raise InputError(f"{record!r:.40} stands where an object with {name} is expected")
    value: Any = record.get(name)
    if value is None and optional:
        return None
    if name not in record:
        raise InputError(f"{name} is missing")
    if kind is float and type(value) in (int, float) and abs(value) < 1e300:
        return float(value)
    if type(value) is not kind or kind is float:
        raise InputError(f"{name} {value!r:.40} is not {'a number' if kind is float else 'of type ' + kind.__name__}")
    return value

"""The latency table: what it answers, what it refuses, and that a file gives back what was written."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables import INFO, NATIVE, made_up_table

from perception.errors import InputError
from perception.runtime.calibration import Samples, make_table
from perception.runtime.latency import LatencyTable, make_key
from perception.runtime.plan import Fovea, Plan, Window, fovea_plan, uniform_plan
from perception.runtime.resolution import AdaptivePolicy, VehicleState
from perception.runtime.sight import build_plans

PLANS = build_plans(NATIVE)


def test_the_worst_condition_that_counts_is_the_bound() -> None:
    quick, slow = [float(value) for value in range(1, 101)], [float(value) for value in range(101, 201)]
    plan = PLANS[0]
    measured = {plan: {"a": Samples(quick, slow), "b": Samples(slow)}}
    table = make_table(measured, ("a", "b"), 0.1, {})
    assert table.bound_ms(plan) == 191.0  # the ceil(101 * 0.9) = 91st of 101..200
    assert table.interval_ms(plan) == 191.0
    only = make_table(measured, ("a",), 0.1, {})
    assert only.bound_ms(plan) == 91.0
    reference = table.reference(plan)
    assert reference is not None
    assert (reference.p50_ms, reference.p90_ms, reference.samples) == (150.0, 190.0, 100)
    with pytest.raises(InputError, match="no interval"):
        make_table(measured, ("b",), 0.1, {})
    with pytest.raises(InputError, match="was not measured under"):
        make_table(measured, ("a", "c"), 0.1, {})
    with pytest.raises(InputError, match=r"100 samples are too few for a miss rate of 0.001; it needs at least 999"):
        make_table(measured, ("a", "b"), 0.001, {})


def test_plans_that_were_not_measured_never_run() -> None:
    table = made_up_table(PLANS)
    assert table.plans == PLANS
    assert all(0 < table.bound_ms(plan) < math.inf for plan in PLANS)
    assert table.bound_ms(uniform_plan((96, 96))) == math.inf
    pair = PLANS[-1]
    assert pair.fovea is not None
    window = pair.fovea.window
    moved = Fovea(Window(window.top + 1, window.left, window.height, window.width), pair.fovea.native)
    assert fovea_plan(pair.size, moved).name == pair.name
    assert table.bound_ms(fovea_plan(pair.size, moved)) == math.inf
    assert table.interval_ms(fovea_plan(pair.size, moved)) == math.inf


def test_enlarged_foveas_are_written_and_files_from_before_have_none(tmp_path: Path) -> None:
    plans = build_plans(NATIVE, fovea_zoom=1.5)
    made_up_table(plans).save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json").plans == plans
    values = json.loads((tmp_path / "table.json").read_text())
    assert values["plans"][-1]["fovea"].pop("zoom") == 1.5
    (tmp_path / "table.json").write_text(json.dumps(values))
    last = LatencyTable.load(tmp_path / "table.json").plans[-1]
    assert last.fovea is not None
    assert last.fovea.zoom == 1
    values["plans"][-1]["fovea"]["zoom"] = 9
    (tmp_path / "table.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="fovea_zoom 9 is outside"):
        LatencyTable.load(tmp_path / "table.json")


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    table = made_up_table(PLANS)
    table.save(tmp_path / "table.json")
    loaded = LatencyTable.load(tmp_path / "table.json")
    assert loaded == table
    assert loaded.plans == PLANS
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]
    loaded.check(INFO, NATIVE)
    policy = AdaptivePolicy(loaded.plans, [100.0] * len(PLANS), loaded)
    assert policy.choose(VehicleState(0, 5.0)).plan in PLANS


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("precision", "bf16", "precision 'fp32', but this run has 'bf16'"),
        ("device_name", "another", "device_name 'a processor', but this run has 'another'"),
        ("threads", 4, "threads 2, but this run has 4"),
        ("torch", "2.15.0", "torch '2.14.1', but this run has '2.15.0'"),
        ("parameters", 99, "parameters 12345, but this run has 99"),
        ("compiled", True, "compiled False, but this run has True"),
        ("digest", "abc", "digest none, but this run has 'abc'"),
    ],
)
def test_other_settings_are_refused(name: str, value: object, message: str) -> None:
    table = made_up_table(PLANS[:1])
    with pytest.raises(InputError, match=f"{message}; run perception calibrate again"):
        table.check({**INFO, name: value}, NATIVE)


def test_another_picture_size_and_a_missing_fact_are_refused_and_counters_are_not() -> None:
    table = made_up_table(PLANS[:1])
    table.check({**INFO, "cuda_graphs": 7}, NATIVE)
    with pytest.raises(InputError, match="native 900x1600, but this run has 720x1280"):
        table.check(INFO, (720, 1280))
    with pytest.raises(InputError, match="architecture 'MultiTaskModel', but this run has none"):
        table.check({name: value for name, value in INFO.items() if name != "architecture"}, NATIVE)


def test_the_key_says_what_latency_depends_on() -> None:
    key = make_key(INFO, NATIVE)
    assert key["native"] == [900, 1600]
    assert {"device_name", "precision", "threads", "torch", "perception", "python"} <= set(key)
    assert "cuda_graphs" not in key


def changed(path: list[Any], value: Any) -> Any:
    def apply(record: dict[str, Any]) -> None:
        target: Any = record
        for step in path[:-1]:
            target = target[step]
        if value is KeyError:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(["format"], 2), "format 2 is not 1"),
        (changed(["format"], KeyError), "format is missing"),
        (changed(["miss_rate"], 0), "miss_rate 0 must lie between 0 and 1"),
        (changed(["miss_rate"], 0.001), "119 samples are too few"),
        (changed(["miss_rate"], "0.01"), "is not a number"),
        (changed(["plans"], []), "needs plans"),
        (changed(["plans"], {}), "not of type list"),
        (changed(["plans", 0], 7), "where an object with name is expected"),
        (changed(["plans", 1, "name"], "224x400"), "distinct names"),
        (changed(["plans", 0, "size"], [224, -400]), "is not a height and a width"),
        (changed(["plans", 0, "size"], [224]), "is not a height and a width"),
        (changed(["plans", 0, "size"], [224, True]), "is not a height and a width"),
        (changed(["plans", -1, "fovea", "window", "top"], 10**6), "must lie inside the picture"),
        (changed(["plans", -1, "fovea", "window", "top"], 1.5), "not of type int"),
        (changed(["plans", 0, "conditions", "paced", "bound_ms"], -1.0), "224x400, paced: bound_ms -1.0 is not a pos"),
        (changed(["plans", 0, "conditions", "paced", "bound_ms"], None), "bound_ms None is not a number"),
        (changed(["plans", 0, "conditions", "paced", "bound_ms"], math.nan), "NaN is not a finite number"),
        (changed(["plans", 0, "conditions", "paced", "p50_ms"], math.inf), "Infinity is not a finite number"),
        (changed(["plans", 0, "conditions", "paced", "p50_ms"], 1e6), "must not decrease"),
        (changed(["plans", 0, "conditions", "paced", "samples"], 119.0), "not of type int"),
        (changed(["plans", 0, "conditions", "paced", "samples"], True), "not of type int"),
        (changed(["plans", 0, "conditions", "paced"], KeyError), "was not measured under"),
        (changed(["counted"], []), "was not measured under any condition"),
        (changed(["counted"], [["paced"]]), "counted is not a list of names"),
        (changed(["key"], []), "key .* is not of type dict"),
    ],
)
def test_malformed_files_are_refused_in_one_line(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    made_up_table(PLANS).save(path)
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=message) as caught:
        LatencyTable.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"1e999"])
def test_files_that_are_no_table_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="perception calibrate"):
        LatencyTable.load(path)
    with pytest.raises(InputError, match="does not exist"):
        LatencyTable.load(tmp_path / "none.json")


scalars = st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=5)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_one_value_is_a_table_or_an_input_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.json"
    made_up_table((PLANS[0], PLANS[-1])).save(path)
    record = json.loads(path.read_text())
    original = copy.deepcopy(record)
    target: Any = record
    while True:
        step = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        inner = target[step]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            target[step] = data.draw(values)
            break
        target = inner
    path.write_text(json.dumps(record))
    try:
        table = LatencyTable.load(path)
    except InputError:
        return
    for plan in table.plans:
        assert isinstance(plan, Plan)
        assert 0 < table.bound_ms(plan) < math.inf
        assert 0 < table.interval_ms(plan) < math.inf
    assert record.keys() == original.keys()

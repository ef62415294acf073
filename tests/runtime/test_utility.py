"""The table of usefulness by speed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.errors import InputError
from perception.runtime.plan import uniform_plan
from perception.runtime.utility import KEY, Utility

PLAN = uniform_plan((64, 96))


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.floats(0, 60),
)
def test_it_interpolates_as_numpy_does(knots: list[float], values: list[float], speed: float) -> None:
    row = values[: len(knots)]
    found = Utility(tuple(knots), {PLAN.name: tuple(row)}).at(PLAN, speed)
    assert found == pytest.approx(float(np.interp(speed, knots, row)), abs=1e-9)


@pytest.mark.parametrize(
    ("knots", "row"),
    [((), ()), ((1.0, 1.0), (0.0, 0.0)), ((2.0, 1.0), (0.0, 0.0)), ((-1.0,), (0.0,)), ((1.0,), (math.nan,)),
     ((1.0,), (0.0, 1.0)), ((math.inf,), (0.0,))],
)  # fmt: skip
def test_bad_tables_are_refused(knots: tuple[float, ...], row: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="utility"):
        Utility(knots, {PLAN.name: row})


def test_a_table_comes_back_from_its_file(tmp_path: Path) -> None:
    table = Utility((0.0, 3.5), {PLAN.name: (0.5, 0.25)})
    (tmp_path / "stream.json").write_text(json.dumps({"bench": "stream", KEY: table.record()}))
    assert Utility.load(tmp_path / "stream.json") == table


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"utility": null}', '{"utility": {"speeds_mps": [1], "plans": 3}}'])
def test_other_files_are_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json.*--choose_on"):
        Utility.load(path)
    with pytest.raises(InputError, match="cannot be read"):
        Utility.load(tmp_path / "none.json")

"""The examples of the documentation, run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from perception.commands.models import markdown_row
from perception.models.zoo import describe, list_models

DOCS = sorted(
    path for path in (Path(__file__).parents[1] / "docs").glob("*.md") if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_examples_print_what_the_page_shows(path: Path) -> None:
    failed, attempted = doctest.testfile(str(path), module_relative=False)
    assert attempted
    assert not failed


def test_the_table_of_the_zoo_is_current() -> None:
    page = (Path(__file__).parents[1] / "docs" / "zoo.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    assert names == set(list_models())
    for name in names:
        row = markdown_row(describe(name))
        assert row in page.splitlines(), f"perception models --markdown true prints {row}"

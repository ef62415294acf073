"""The examples of the documentation, run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_examples_print_what_the_page_shows(path: Path) -> None:
    failed, attempted = doctest.testfile(str(path), module_relative=False)
    assert attempted
    assert not failed

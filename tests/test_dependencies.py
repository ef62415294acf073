"""What pyproject.toml asks for is what the library imports."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "nuscenes": "nuscenes-devkit",
    "rerun": "rerun-sdk",
}


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def _distribution(module: str) -> str:
    top = module.split(".")[0]
    return canonicalize_name(DISTRIBUTIONS.get(top, top))


def _uses() -> Iterator[tuple[str, str | None, str]]:
    """Module outside, extra (None for a plain import), and where."""
    for path in sorted((ROOT / "perception").rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            if isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, None, where) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module, None, where
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require" and len(node.args) == 2:
                module, extra = (texts[arg.id] if isinstance(arg, ast.Name) else arg.value for arg in node.args)  # type: ignore[attr-defined]
                yield module, extra, where


def test_every_extra_that_an_error_names_installs_what_is_missing() -> None:
    asked = [(module, extra, where) for module, extra, where in _uses() if extra is not None]
    assert len(asked) > 20
    for module, extra, where in asked:
        assert extra in EXTRAS, f"{where} names extra {extra!r}, which pyproject.toml lacks"
        assert _distribution(module) in _names(EXTRAS[extra]), f"{where}: extra {extra!r} does not install {module}"


def test_every_package_that_is_imported_is_asked_for() -> None:
    declared = _names(PROJECT["dependencies"]).union(*(_names(wanted) for wanted in EXTRAS.values()))
    for module, _, where in _uses():
        if module.split(".")[0] not in {*sys.stdlib_module_names, "perception"}:
            assert _distribution(module) in declared, f"{where} imports {module}, which pyproject.toml does not ask for"


def test_all_has_every_extra_but_those_of_developers_and_gpus() -> None:
    (text,) = EXTRAS["all"]
    assert Requirement(text).extras == set(EXTRAS) - {"all", "dev", "tensorrt"}


@pytest.mark.parametrize("extra", [None, *(name for name in EXTRAS if name != "all")])
def test_the_lock_satisfies_what_is_asked_for(extra: str | None) -> None:
    lines = (ROOT / "tools" / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    locked = {canonicalize_name(name): version.split()[0] for name, version in pins.items()}
    for text in PROJECT["dependencies"] if extra is None else EXTRAS[extra]:
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if extra == "tensorrt":
            assert name not in locked
        else:
            assert wanted.specifier.contains(locked[name]), f"the lock has {name} {locked.get(name)}, not {text}"

"""Label sets out of plain values and YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from perception.errors import InputError
from perception.taxonomies.label_set import RGB, LabelSet, voc_colors

KEYS = ("name", "classes", "colors", "drivable", "lane", "detection")


def label_set_from(value: Mapping[str, Any], default_name: str = "custom") -> LabelSet:
    """A label set of plain values.

    Args:
        value: ``classes``: a list of names, or a mapping of names to ``[red, green, blue]``, in the order of their
            indices; optionally ``name``, ``colors``, and the lists ``drivable``, ``lane`` and ``detection``.
        default_name: where it has none.

    Raises:
        InputError: for keys, names or colours of another form.
    """
    unknown = [key for key in value if key not in KEYS]
    if unknown:
        raise InputError(f"label set has a key {unknown[0]!r}; it takes {', '.join(KEYS)}")
    classes = value.get("classes")
    colors: Any = value.get("colors")
    if isinstance(classes, Mapping):
        colors, classes = [*classes.values()], [*classes]
    names = _names(classes, "classes")
    if not names:
        raise InputError("label set has no classes")
    try:
        labels = LabelSet(
            name=str(value.get("name", default_name)),
            classes=names,
            colors=voc_colors(len(names) + 1)[1:] if colors is None else tuple(map(_color, colors)),
            **{key: _names(value.get(key, ()), key) for key in ("drivable", "lane", "detection")},
        )
        labels.indices((*labels.drivable, *labels.lane))
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"label set: {error}") from error
    return labels


def read_label_set(path: str | Path) -> LabelSet:
    """A label set of a YAML file, see :func:`label_set_from`; without a ``name`` it takes that of the file.

    Raises:
        InputError: for a file that is missing or has another form.
    """
    path = Path(path)
    content = read_mapping(path, "label set", "the key classes")
    try:
        return label_set_from(content, path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_mapping(path: Path, what: str, keys: str) -> dict[Any, Any]:
    """The mapping of a YAML file.

    Args:
        what: the file is, and ``keys``: it has, for the errors.

    Raises:
        InputError: for a file that is missing or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{what} {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{what} {path} must be a mapping with {keys}")
    return content


def _names(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
        raise InputError(f"label set: {key} must be a list of names, got {value!r}")
    if len(set(value)) != len(value):
        raise InputError(f"label set: {key} names {next(name for name in value if value.count(name) > 1)!r} twice")
    return tuple(value)


def _color(value: Any) -> RGB:
    whole = isinstance(value, list | tuple) and len(value) == 3
    if not whole or not all(isinstance(part, int) and 0 <= part <= 255 for part in value):
        raise InputError(f"label set: colour {value!r} must be three integers 0..255")
    return value[0], value[1], value[2]

"""What goes wrong outside the program: bad input and missing extras."""

from __future__ import annotations

import importlib
from types import ModuleType


class InputError(ValueError):
    """Bad input. The message names the value, the limit and the remedy; commands print it and exit with 2."""


class MissingExtra(InputError, ImportError):
    """An optional dependency is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises:
        MissingExtra: naming the install that supplies it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module.split('.')[0]} could not be imported ({error}); "
            f"install it with: pip install 'drive-perception[{extra}]'"
        ) from error

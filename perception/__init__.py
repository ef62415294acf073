"""Multi-task perception for driving: one camera backbone, many heads, a LiDAR branch, a speed-adaptive loop.

Heavy packages load when they are used, so importing this is quick.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime from 1.29 on reports sessions and errors to its maker unless this is set before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["__version__", "create_model", "list_models", "load"]

if TYPE_CHECKING:
    from perception.models.checkpoint import load
    from perception.models.zoo import create_model, list_models


def __getattr__(name: str) -> Any:
    if name == "load":
        from perception.models.checkpoint import load

        return load
    if name in ("create_model", "list_models"):
        from perception.models import zoo

        return getattr(zoo, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

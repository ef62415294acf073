"""Runtimes that report to their makers do not do so from here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxscript")
pytest.importorskip("openvino")

ROOT = Path(__file__).parents[2]
EXPORT = """
import sys
from pathlib import Path
from perception.export.exporting import Options, export_model
from perception.models.zoo import create_model
import numpy as np
out = Path(sys.argv[1])
network = create_model("unet", "camvid", width=4, depth=1).eval()
pictures = [np.zeros((32, 32, 3), np.uint8)]
export_model(network, out / "model.onnx", Options("onnx", (32, 32)), pictures)
export_model(network, out / "model.xml", Options("openvino", (32, 32)), pictures)
"""


def test_exports_leave_no_identity_behind(tmp_path: Path) -> None:
    """Both makers' clients keep an identity and what waits to be sent in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    own = ("HOME", "CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path)],
        cwd=ROOT, env=environment | {"HOME": str(home)}, check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    assert (tmp_path / "model.xml").is_file()
    left = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert [name for name in left if "microsoft" in name.lower() or "intel" in name.lower()] == []

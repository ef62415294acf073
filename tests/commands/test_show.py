"""A keyframe as a picture, and the map against dense labels, by their commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from perception.cli import main


def test_a_keyframe_is_drawn(tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "keyframe.jpg"
    assert main(["show", str(tiny_world), str(out), "--width", "320", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["cameras"] == ["CAM_FRONT"]
    assert result["points"] > 1000
    assert Image.open(out).size == (320, 192)
    for arguments, message in (
        ([str(tiny_world), str(tmp_path / "a.txt")], "must end in .png"),
        ([str(tiny_world), str(out), "--width", "9"], "outside 64..4096"),
        ([str(tiny_world), str(out), "--sample", "none"], "no sample 'none'"),
        ([str(tmp_path / "absent"), str(out)], "absent"),
    ):
        assert main(["show", *arguments]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_the_map_agrees_with_the_labels(tiny_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "maps", str(tiny_world), "--cameras", "[CAM_FRONT]", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["cameras"]) == {"CAM_FRONT", "all"}
    assert result["cameras"]["all"]["iou"] > 0.9
    assert main(["bench", "maps", str(tiny_world), "--target", "sky"]) == 2

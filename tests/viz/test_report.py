"""The HTML report: complete, well-formed, and loading nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.runtime.loop import FrameResult, Status
from perception.runtime.plan import Plan
from perception.runtime.record import frame_record, summarise
from perception.runtime.resolution import Decision
from perception.runtime.source import Frame
from perception.taxonomy import CAMVID
from perception.types import Prediction
from perception.viz.charts import MAX_TARGETS, Series, Span, line_chart, nice_ticks, timeline
from perception.viz.keyframes import KeyFrame
from perception.viz.report import render_report, write_report

VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Every element is closed in order; what is loaded is collected."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = ("src", "srcset", "poster", "data", "xlink:href") + (("href",) if tag != "a" else ())
        self.loads += [value or "" for name, value in attributes if name in names]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert all(load.startswith("data:image/jpeg;base64,") for load in checker.loads)
    assert not re.search(r"url\(|@import|<script|<link", page)
    return checker


def report(
    frames: int = 20,
    skipped: tuple[int, ...] = (3,),
    cameras: tuple[str, ...] = ("camera",),
    speed: float | None = 10.0,
) -> dict[str, Any]:
    plans = [Plan("32x64", (32, 64)), Plan("64x128", (64, 128))]
    records = []
    for index in range(frames):
        channel = cameras[index % len(cameras)]
        if index in skipped:
            frame = Frame(None, f"<b>{index}</b>.png", index * 100_000, channel, error="does not <decode>")
            records.append(frame_record(FrameResult(index, frame, Status.SKIPPED, 50.0)))
            continue
        frame = Frame(np.zeros((4, 4, 3), np.uint8), f"{index}.png", index * 100_000, channel)
        infer_ms = 20.0 + 2 * index
        status = Status.OK if infer_ms <= 50 else Status.DEADLINE_MISSED
        decision = Decision(plans[index >= frames // 2], "fixed")
        records.append(frame_record(FrameResult(
            index, frame, status, 50.0, decision, Prediction(), speed, infer_ms=infer_ms, age_ms=1.0
        )))  # fmt: skip
    run = {
        "model": "net & co", "source": "frames/<a>", "policy": "fixed:32x64", "speed": "constant", "device_name": "cpu",
        "precision": "fp32", "threads": 2, "created": "2026-01-01T00:00:00+00:00", "video": "drive.mp4",
        "versions": {"torch": "2"}, "compiled": False, "heads": ["semantic"],
    }  # fmt: skip
    return {"summary": summarise(records, "constant"), "run": run, "frames": records}


def test_the_report_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    metrics = {"val/drivable/iou": 0.9312, "IoU per class": {"road": 0.95, "<sky>": None, "pole": float("nan")}}
    path = tmp_path / "report.html"
    write_report(path, report(), [KeyFrame(0, b"jpeg", 'a "quoted" caption')], CAMVID, metrics, ["semantic", "boxes"])
    page = path.read_text(encoding="utf-8")
    checker = check(page)
    text = " ".join(checker.text)
    assert checker.tags.count("svg") == 4  # latency, speed, plan, status
    assert checker.tags.count("img") == 1
    for expected in (
        "net & co", "frames/<a>", "<b>3</b>.png", "does not <decode>", "deadline 50.0 ms", "0.931", "<sky>",
        "bicyclist", "most used plan", "Skipped frames (1)", "36 km/h", "frame 5 · 0.50 s",
    ):  # fmt: skip
        assert expected in text, expected
    assert "drivable area" not in text  # a head that the model does not have
    assert "Content-Security-Policy" in page


def test_missed_deadlines_are_marked_one_by_one() -> None:
    content = report()
    page = render_report(content)
    assert page.count('class="alarm"') == content["summary"]["misses"] > 0
    assert page.count('class="skip"') == 1


def test_without_speed_pictures_or_metrics() -> None:
    checker = check(render_report(report(frames=1, skipped=(), speed=None)))
    assert "The speed is not known for any frame." in checker.text
    assert "Key frames" not in checker.text
    assert "Accuracy" not in checker.text


def test_when_every_frame_was_skipped() -> None:
    checker = check(render_report(report(frames=3, skipped=(0, 1, 2))))
    assert "No values." in checker.text


def test_several_cameras_have_their_own_lines_and_rows() -> None:
    page = render_report(report(cameras=("CAM_A", "CAM_B")))
    text = " ".join(check(page).text)
    assert "Latency per camera" in text
    assert 'class="line line1"' in page


def test_a_long_drive_stays_a_small_page() -> None:
    page = render_report(report(frames=6000, skipped=()))
    check(page)
    assert len(page) < 700_000
    assert page.count('class="target"') <= 2 * MAX_TARGETS


@given(st.floats(1e-3, 1e7), st.integers(2, 9))
def test_ticks_are_even_and_cover(high: float, count: int) -> None:
    ticks = nice_ticks(high, count)
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(ticks) <= count + 1
    assert np.diff(ticks) == pytest.approx(np.full(len(ticks) - 1, ticks[1]), rel=1e-6)


def test_a_line_lies_where_its_values_are() -> None:
    svg = line_chart([Series("v", [0, 1, 2], [0.0, 10.0, None], ["a", "b", "c"])], "ms", height=250)
    match = re.search(r'class="line line0" d="M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)"', svg)
    assert match is not None
    x0, y0, x1, y1 = map(float, match.groups())
    grid = [float(y) for y in re.findall(r'class="grid"[^/]* y1="([\d.]+)"', svg)]
    labels = [float(value) for value in re.findall(r'text-anchor="end">([\d.]+)</text>', svg)]
    level = dict(zip(labels, grid, strict=False))
    assert y0 == pytest.approx(level[0.0], abs=0.1)
    assert y1 == pytest.approx(level[10.0], abs=0.1)
    assert x1 - x0 == pytest.approx((960 - 14 - 58) / 2, abs=0.2)


def test_a_timeline_covers_its_spans_in_proportion() -> None:
    svg = timeline([Span(0, 1, "a", "first", 0), Span(1, 4, "b", "second", 1)], 0, 4)
    widths = [float(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)"', svg)]
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.01)

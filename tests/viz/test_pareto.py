from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np

from perception.viz.pareto import CHAR_PX, Point, front, pareto_chart


def point(name: str, x: float, y: float, kind: str = "fixed") -> Point:
    return Point(name, kind, x, y, f"{name} title")


def chart(points: list[Point], **options) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{pareto_chart(points, 'GMACs/s', 'mIoU', **options)}</div>")


def test_the_front_is_what_nothing_beats() -> None:
    points = [point("a", 1, 10), point("b", 2, 9), point("c", 3, 12), point("d", 3, 11), point("e", 0.5, 3)]
    assert [p.name for p in front(points)] == ["e", "a", "c"]
    random = np.random.default_rng(0)
    cloud = [point(str(i), *random.uniform(0, 1, 2)) for i in range(200)]
    kept = set(front(cloud))
    for p in cloud:
        beaten = any(q.x <= p.x and q.y >= p.y and (q.x, q.y) != (p.x, p.y) for q in cloud)
        assert (p in kept) == (not beaten)


def test_marks_stand_in_order_and_carry_their_titles() -> None:
    points = [point("low", 1, 40), point("high", 5, 60, "adaptive"), point("<odd>", 3, 50, "baseline")]
    tree = chart(points)
    names = {e.text for e in tree.iter() if "name" in e.get("class", "")}
    assert names == {"low", "high", "<odd>"}
    assert {title.text for title in tree.iter() if title.tag.endswith("title")} == {p.title for p in points}
    low = next(e for e in tree.iter() if e.tag.endswith("circle"))
    box = next(e for e in tree.iter() if e.tag.endswith("rect"))
    assert float(low.get("cx")) < float(box.get("x"))
    assert float(low.get("cy")) > float(box.get("y"))


def test_names_do_not_lie_on_one_another() -> None:
    random = np.random.default_rng(3)
    points = [point(f"{100 + i}x{200 + i}", *random.uniform((0, 40), (40, 50))) for i in range(14)]
    tree = chart(points)
    boxes = []
    for text in (e for e in tree.iter() if "name" in e.get("class", "")):
        wide, x, y = CHAR_PX * len(text.text), float(text.get("x")), float(text.get("y"))
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[text.get("text-anchor")]
        boxes.append((left, y - 10, left + wide, y + 2))
    for a, b in combinations(boxes, 2):
        assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def test_coincident_marks_share_a_name() -> None:
    tree = chart([point("a", 1, 1), point("b", 1, 1, "adaptive"), point("c", 2, 2)])
    assert {e.text for e in tree.iter() if "name" in e.get("class", "")} == {"b, a", "c"}


def test_the_oracle_is_no_part_of_the_front() -> None:
    without = pareto_chart([point("a", 1, 10), point("b", 2, 12)], "x", "y")
    also = pareto_chart([point("a", 1, 10), point("b", 2, 12), point("o", 2, 12, "oracle")], "x", "y")
    fronts = [re.search(r'class="front" d="([^"]*)"', text)[1] for text in (without, also)]
    assert fronts[0] == fronts[1]


def test_the_ceiling_is_drawn_where_it_is_near() -> None:
    points = [point("a", 1, 40), point("b", 2, 50)]
    assert "truth" in pareto_chart(points, "x", "y", 53.0, "truth")
    assert "truth" not in pareto_chart(points, "x", "y", 95.0, "truth")
    assert "No values" in pareto_chart([], "x", "y")
    assert chart([point("only", 0, 0)]) is not None

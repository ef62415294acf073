"""When recorded frames are released, and from when their latency counts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.runtime.pacing import MAX_LAG_S, Pacer
from perception.runtime.source import Frame


def frame(time_s: float, arrived_s: float | None = None) -> Frame:
    return Frame(None, "", round(time_s * 1e6), "a", arrived_s=arrived_s)


def play(pacer: Pacer, times_s: list[float], reads_s: list[float], start_s: float = 7.0) -> list[tuple[float, float]]:
    """Captured and released, by a reader that does what the pacer says on a clock of its own."""
    now, found = start_s, []
    for time_s, read_s in zip(times_s, reads_s, strict=True):
        now = max(now, pacer.read_at_s or now)
        begun, now = now, now + read_s
        captured_s, ready_s = pacer.captured(frame(time_s), begun, now)
        now = max(now, ready_s)
        found.append((captured_s, now))
    return found


def test_decoding_is_part_of_a_recorded_frame_s_latency() -> None:
    found = play(Pacer(1, 0.1, rendered=False), [0.0, 0.1, 0.2, 0.3], [0.02, 0.03, 0.25, 0.02])
    assert [captured for captured, _ in found] == pytest.approx([7.0, 7.1, 7.2, 7.3])
    assert [released for _, released in found] == pytest.approx([7.02, 7.13, 7.45, 7.47])


def test_a_rendered_frame_counts_from_its_release() -> None:
    found = play(Pacer(1, 0.1, rendered=True), [0.0, 0.1, 0.2, 0.3], [0.05, 0.05, 0.25, 0.05])
    assert [captured for captured, _ in found] == pytest.approx([7.05, 7.15, 7.4, 7.45])
    assert all(captured == released for captured, released in found)


def test_cameras_are_expected_one_interval_after_their_last_frame() -> None:
    pacer = Pacer(2, 0.1, rendered=False)
    expected = []
    for time_s in (0.0, 0.02, 0.1, 0.12):
        expected.append(pacer.read_at_s)
        now = max(pacer.read_at_s or 0, time_s)
        pacer.captured(frame(time_s), now, now)
    assert expected[0] is None
    assert expected[1:] == pytest.approx([0.0, 0.1, 0.12])
    assert pacer.read_at_s == pytest.approx(0.2)


def test_a_gap_is_kept_and_an_early_frame_is_taken_as_expected() -> None:
    found = play(Pacer(1, 0.1, rendered=False), [0.0, 0.5, 0.57, 0.67], [0.01] * 4)
    assert [captured for captured, _ in found] == pytest.approx([7.0, 7.5, 7.6, 7.67])
    assert [released for _, released in found] == pytest.approx([7.01, 7.51, 7.61, 7.68])


def test_a_live_frame_says_itself_when_it_came() -> None:
    pacer = Pacer(1, 0.1, rendered=False)
    assert pacer.captured(frame(5.0, arrived_s=2.5), 2.0, 2.6) == (2.5, 2.6)
    assert pacer.read_at_s is None


def test_who_cannot_keep_pace_is_not_later_and_later() -> None:
    pacer = Pacer(1, 0.1, rendered=False)
    found = play(pacer, [0.1 * i for i in range(40)], [0.3] * 40)
    assert pacer.slips > 3
    assert all(released - captured <= MAX_LAG_S + 0.7 for captured, released in found)


@given(
    st.lists(st.tuples(st.floats(0.001, 1.0), st.floats(0, 0.5)), min_size=1, max_size=30),
    st.integers(1, 4), st.booleans(), st.floats(0.01, 0.5),
)  # fmt: skip
def test_time_goes_forward_and_no_frame_is_released_before_it_was_taken(
    steps: list[tuple[float, float]], channels: int, rendered: bool, interval_s: float
) -> None:
    times_s = [sum(gap for gap, _ in steps[:i]) for i in range(len(steps))]
    found = play(Pacer(channels, interval_s, rendered), times_s, [read for _, read in steps])
    for (captured_s, released_s), read_s in zip(found, [read for _, read in steps], strict=True):
        assert released_s >= captured_s - 1e-9
        assert rendered or released_s - captured_s >= read_s - 1e-6
    assert all(a[1] <= b[1] for a, b in pairwise(found))

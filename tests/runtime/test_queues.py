"""The bounded buffers, against plain lists."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perception.runtime.queues import MAX_SKIPPED, Captured, Latest, NewestFrames
from perception.runtime.source import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


def captured(index: int, channel: str, readable: bool = True) -> Captured:
    return Captured(index, Frame(PICTURE if readable else None, "", index, channel), index * 1.0, index * 1.0)


@given(st.lists(st.none() | st.tuples(st.sampled_from("ab"), st.booleans()), max_size=60))
def test_the_newest_readable_frame_of_each_camera_waits(steps: list[tuple[str, bool] | None]) -> None:
    """``None`` takes a frame; the rest puts one. The reference keeps whole lists."""
    queue = NewestFrames(("a", "b"))
    lists: dict[str, list[tuple[int, bool]]] = {"a": [], "b": []}
    drops = dict.fromkeys("ab", 0)
    served: set[str] = set()
    for index, step in enumerate(steps):
        if step is not None:
            channel, readable = step
            if readable and any(good for _, good in lists[channel]):
                lists[channel] = [entry for entry in lists[channel] if not entry[1]]
                drops[channel] += 1
            lists[channel].append((index, readable))
            queue.put(captured(index, channel, readable))
            continue
        item = queue.take(0)
        waiting = [channel for channel in "ab" if lists[channel]]
        if not waiting:
            assert item is None
            continue
        if not [channel for channel in waiting if channel not in served]:
            served.clear()
        channel = next(channel for channel in waiting if channel not in served)
        served.add(channel)
        assert item is not None
        expected, readable = lists[channel].pop(0)
        assert (item.index, item.frame.channel, item.frame.image is not None) == (expected, channel, readable)
        assert item.drops == drops[channel]
        drops[channel] = 0


def test_unreadable_frames_are_bounded_and_displace_nothing() -> None:
    queue = NewestFrames(("a",))
    queue.put(captured(0, "a"))
    for index in range(1, 3 * MAX_SKIPPED):
        queue.put(captured(index, "a", readable=False))
    taken = []
    while (item := queue.take(0)) is not None:
        taken.append(item)
    assert [item.index for item in taken] == list(range(MAX_SKIPPED + 1))
    assert queue.dropped == sum(item.drops for item in taken) == 2 * MAX_SKIPPED - 1


def test_closing_lets_the_rest_be_taken_or_discards_it() -> None:
    for discard in (False, True):
        queue = NewestFrames(("a",))
        queue.put(captured(0, "a"))
        queue.close(discard)
        queue.put(captured(1, "a"))
        taken = queue.take()
        assert (taken is None) == discard
        assert queue.take() is None


def test_closing_wakes_who_waits() -> None:
    queue, latest = NewestFrames(("a",)), Latest[int](3)
    got: list[object] = []
    threads = [threading.Thread(target=lambda take=take: got.append(take())) for take in (queue.take, latest.take)]
    for thread in threads:
        thread.start()
    queue.close()
    latest.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert got == [None, None]


@given(st.integers(1, 5), st.lists(st.none() | st.integers(), max_size=40))
def test_the_latest_items_stay(capacity: int, steps: list[int | None]) -> None:
    latest, reference, lost = Latest[int](capacity), list[int](), 0
    for step in steps:
        if step is None:
            assert latest.take(0) == (reference.pop(0) if reference else None)
            continue
        latest.put(step)
        reference.append(step)
        if len(reference) > capacity:
            reference.pop(0)
            lost += 1
    assert latest.lost == lost
    latest.close()
    latest.put(1)
    assert latest.finished == (not reference)
    assert [latest.take() for _ in reference] == reference
    assert latest.finished

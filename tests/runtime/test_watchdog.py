"""The watchdog on a clock that only the test moves."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from perception.runtime.watchdog import Watchdog


@given(st.lists(st.tuples(st.integers(1, 24).map(lambda n: n / 8), st.booleans()), max_size=40))
def test_it_speaks_once_for_each_time_that_nothing_came(steps: list[tuple[float, bool]]) -> None:
    now = 100.0
    spoken: list[float] = []
    dog = Watchdog(1.0, lambda: spoken.append(now), lambda: now)
    dog.feed()
    fed, expected, stale = now, 0, False
    for wait_s, feeds in steps:
        now += wait_s
        if feeds:
            dog.feed()
            fed, stale = now, False
        left_s = dog.check()
        if now - fed >= 1.0 and not stale:
            stale, expected = True, expected + 1
        assert dog.stale == stale
        assert len(spoken) == dog.spells == expected
        assert 0 < left_s <= 1.0


def test_its_thread_speaks_and_ends() -> None:
    spoken = threading.Event()
    dog = Watchdog(0.01, spoken.set)
    dog.start()
    assert spoken.wait(20)
    dog.close()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


def test_closing_one_that_never_started() -> None:
    Watchdog(1.0, lambda: None).close()

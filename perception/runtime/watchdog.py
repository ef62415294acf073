"""Says when nothing has been published for too long, from a thread that nothing else can hold up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Turns stale when it is not fed within a limit.

    Args:
        limit_s: longest time between two meals.
        on_stale: called by the watchdog's thread each time that it turns stale.
        clock: monotonic seconds.
    """

    def __init__(
        self, limit_s: float, on_stale: Callable[[], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._limit_s = limit_s
        self._on_stale = on_stale
        self._clock = clock
        self._condition = threading.Condition()
        self._fed_s: float | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self.stale = False
        self.spells = 0

    def start(self) -> None:
        """Begin to watch; the first meal is due within the limit."""
        self.feed()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def feed(self) -> None:
        """Something was published."""
        with self._condition:
            self._fed_s = self._clock()
            self.stale = False
            self._condition.notify()

    def check(self) -> float:
        """Turn stale if it is time to, and return the seconds until the next look."""
        with self._condition:
            assert self._fed_s is not None
            left_s = self._fed_s + self._limit_s - self._clock()
            turned = left_s <= 0 and not self.stale
            if turned:
                self.stale = True
                self.spells += 1
        if turned:
            self._on_stale()
        return left_s if left_s > 0 else self._limit_s

    def close(self) -> None:
        """Stop watching, and wait for the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            left_s = self.check()
            with self._condition:
                if self._closed:
                    return
                self._condition.wait(left_s)
                if self._closed:
                    return

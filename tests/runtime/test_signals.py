"""Signals: the first one stops in order, the second one is the system's again."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from perception.runtime.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_interrupts(number: signal.Signals) -> None:
    class Hard(Exception):
        pass

    def hard(*_: object) -> None:
        raise Hard

    reasons: list[str] = []
    before = signal.signal(number, hard)
    try:
        with stop_on_signals(reasons.append):
            os.kill(os.getpid(), number)
            assert reasons == ["signal"]
            assert signal.getsignal(number) is hard
            with pytest.raises(Hard):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is hard
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyError), stop_on_signals(lambda reason: None):
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with stop_on_signals(lambda reason: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]

"""The loop at the camera's pace: capture, infer and publish on threads of their own."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perception.runtime.answer import Answerer
from perception.runtime.pacing import Pacer
from perception.runtime.publisher import Publisher, Substitute
from perception.runtime.queues import Captured, Latest, NewestFrames
from perception.runtime.result import FrameResult, Publication, Status
from perception.runtime.source import Frame
from perception.runtime.warp import EgoWarp
from perception.runtime.watchdog import Watchdog

UNREAD = 64
"""Results that wait for whoever iterates; more are lost and counted, so that nobody slow holds the loop up."""

SETTLE = 50
"""Results after which what they left in memory is settled."""


class RealTimeDrive:
    """One drive. Buffers are bounded, no thread waits for a slower one behind it, and all have ended with the drive.

    The capture thread reads frames when they are due and releases them; a frame that finds its camera's last one
    still waiting replaces it. The inference thread takes the newest frame, asks the policy and runs the engine. The
    publishing thread hands out answers, and at a frame's deadline the last answer, moved by ego motion, where its own
    is late. The watchdog says when nothing was published for ``stale_ms``.

    Args:
        frames: of the source, in order.
        channels: the cameras, the most important first.
        publish: called with every publication: by the publishing thread, and by the watchdog's when it turns stale.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        channels: tuple[str, ...],
        pacer: Pacer,
        answerer: Answerer,
        publish: Callable[[Publication], None] | None,
        stale_ms: float,
        clock: Callable[[], float],
        rehearse: Callable[[], None],
        close_source: Callable[[], None],
    ) -> None:
        self.captured = 0
        self.status = Status.STALE
        self._source = frames
        self._pacer = pacer
        self._answerer = answerer
        self._publish = publish
        self._clock = clock
        self._rehearse = rehearse
        self._close_source = close_source
        self._waiting = NewestFrames(channels)
        self._results: Latest[FrameResult] = Latest(UNREAD)
        self._publisher = Publisher(answerer.default_ms, stale_ms)
        self._watchdog = Watchdog(stale_ms / 1e3, self._turned_stale, clock)
        self._warp = EgoWarp()
        self._outbox: deque[tuple[FrameResult, float]] = deque()
        self._changed = threading.Condition()  # guards the publisher's state and the outbox
        self._inferred_all = False
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._last_index = 0
        self._handed_out = 0
        self._started_s = self._ended_s = 0.0

    @property
    def record(self) -> dict[str, float]:
        """Counts so far, and the seconds that the drive took; JSON-able."""
        return {
            "seconds": round(self._ended_s - self._started_s, 3),
            "captured": self.captured,
            "dropped": self._waiting.dropped,
            "substituted": self._publisher.substituted,
            "warped": self._publisher.warped,
            "stale": self._watchdog.spells,
            "slips": self._pacer.slips,
            "unread": self._results.lost,
        }

    def stop(self) -> None:
        """Take no more frames; those that were taken are still answered and published."""
        self._stop.set()
        self._close_source()

    def run(self) -> Iterator[FrameResult]:
        """Drive, and yield what became of each frame.

        Raises:
            BaseException: whatever ended one of the threads.
        """
        works = {"infer": self._infer, "capture": self._capture, "publish": self._publish_all}
        threads = [threading.Thread(target=self._guarded, args=(work,), name=name) for name, work in works.items()]
        with _steady_memory():
            for thread in threads:
                thread.start()
            try:
                while not self._results.finished:
                    result = self._results.take()
                    if result is not None:
                        yield result
            finally:
                self._abort()
                for thread in threads:
                    thread.join()
                self._watchdog.close()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            if self._failure is None:
                self._failure = error
            self._abort()

    def _abort(self) -> None:
        """Let every thread come to its end without waiting for another."""
        self.stop()
        self._ready.set()
        self._waiting.close(discard=True)
        with self._changed:
            self._inferred_all = True
            self._changed.notify_all()
        self._results.close()

    def _capture(self) -> None:
        self._ready.wait()
        try:
            while not self._stop.is_set():
                self._sleep_until(self._pacer.read_at_s)
                begun_s = self._clock()
                frame = next(self._source, None)
                if frame is None or self._stop.is_set():
                    break
                if frame.arrived_s is not None and frame.arrived_s < self._started_s:
                    continue  # a live picture that came while plans were being prepared
                captured_s, ready_s = self._pacer.captured(frame, begun_s, self._clock())
                self._sleep_until(ready_s)
                item = Captured(self.captured, frame, captured_s, ready_s)
                self.captured += 1
                with self._changed:
                    self._publisher.captured(item)
                    self._changed.notify()
                self._waiting.put(item)
        finally:
            self._waiting.close()

    def _sleep_until(self, time_s: float | None) -> None:
        if time_s is not None and (left_s := time_s - self._clock()) > 0:
            self._stop.wait(left_s)

    def _infer(self) -> None:
        try:
            # On this thread too, because thread pools and scratch memory of some engines belong to the thread.
            self._rehearse()
            self._started_s = self._ended_s = self._clock()
            self._watchdog.start()
            self._ready.set()
            while (item := self._waiting.take()) is not None:
                result = self._answer(item)
                with self._changed:
                    self._outbox.append((result, item.captured_s))
                    self._changed.notify()
        finally:
            with self._changed:
                self._inferred_all = True
                self._changed.notify()

    def _answer(self, item: Captured) -> FrameResult:
        frame = item.frame
        queue_ms = max(0.0, self._clock() - item.ready_s) * 1e3
        wait_ms = max(0.0, item.ready_s - item.captured_s) * 1e3
        choice = self._answerer.choose(frame)
        result = FrameResult(
            item.index, frame, Status.SKIPPED, choice.deadline_ms, choice.decision, speed_mps=choice.speed_mps,
            wait_ms=wait_ms, drops=item.drops,
        )  # fmt: skip
        if choice.decision is None:
            return result
        with self._changed:
            self._publisher.decided(item, choice.deadline_ms, choice.speed_mps)
            self._changed.notify()
        prediction, infer_ms = self._answerer.infer(frame, choice)
        self._answerer.observe(choice, wait_ms + choice.choose_ms + infer_ms)
        return FrameResult(
            item.index, frame, Status.OK, choice.deadline_ms, choice.decision, prediction, choice.speed_mps, wait_ms,
            choice.choose_ms, infer_ms, queue_ms=queue_ms, drops=item.drops,
        )  # fmt: skip

    def _publish_all(self) -> None:
        try:
            while True:
                with self._changed:
                    while not (self._outbox or self._inferred_all or self._is_due()):
                        due_s = self._publisher.next_due_s
                        self._changed.wait(None if due_s is None else max(0.0, due_s - self._clock()))
                    if self._inferred_all and not self._outbox:
                        return
                    settled = []
                    while self._outbox:
                        result, captured_s = self._outbox.popleft()
                        stale = self._watchdog.stale
                        settled.append(self._publisher.answered(result, captured_s, self._clock(), stale))
                    overdue = self._publisher.due(self._clock())
                for result in settled:
                    self._hand_out(result)
                for substitute in overdue:
                    self._replace(substitute)
        finally:
            self._results.close()

    def _is_due(self) -> bool:
        due_s = self._publisher.next_due_s
        return due_s is not None and due_s <= self._clock()

    def _hand_out(self, result: FrameResult) -> None:
        if result.prediction is not None:
            self._send(Publication(result.index, result.frame.channel, result.status, result.prediction, result.age_ms))
        self._results.put(result)
        self._ended_s = self._clock()
        self._handed_out += 1
        if self._handed_out % SETTLE == 0:
            _settle_memory()

    def _replace(self, substitute: Substitute) -> None:
        answer, prediction = substitute.answer, substitute.answer.prediction
        if substitute.distance_m is not None and answer.camera is not None:
            prediction = self._warp(prediction, answer.camera, answer.size, substitute.distance_m, substitute.yaw_rad)
        self._send(
            Publication(
                substitute.index, substitute.channel, Status.DEADLINE_MISSED, prediction, substitute.age_ms, own=False,
                warped=substitute.distance_m is not None,
            )
        )  # fmt: skip

    def _send(self, publication: Publication) -> None:
        self.status, self._last_index = publication.status, publication.index
        self._watchdog.feed()
        if self._publish is not None:
            self._publish(publication)

    def _turned_stale(self) -> None:
        self.status = Status.STALE
        if self._publish is not None:
            try:
                self._publish(Publication(self._last_index, "", Status.STALE, None, None, own=False))
            except BaseException as error:
                if self._failure is None:
                    self._failure = error
                self._abort()


def _settle_memory() -> None:
    """Keep the garbage collector from walking through all that there is, which can take longer than a deadline.

    It collects what is new, and passes over the rest from now on.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def _steady_memory() -> Iterator[None]:
    _settle_memory()
    try:
        yield
    finally:
        gc.unfreeze()

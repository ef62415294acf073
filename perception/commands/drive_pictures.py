"""Drawing a drive: while it goes on where nothing waits for the pictures, after its end where the camera does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from perception.console import track
from perception.runtime.result import FrameResult
from perception.runtime.source import Source
from perception.runtime.spool import PredictionSpool
from perception.taxonomy import LabelSet
from perception.viz.keyframes import KeyFrame, KeyFrameCollector
from perception.viz.recorder import Recorder
from perception.viz.video import VideoWriter


class Pictures:
    """Takes results as they come; key frames and video are there after :meth:`finish`.

    Args:
        recorder: draws.
        spool: keeps the predictions until the drive is over; ``None`` draws at once.
    """

    def __init__(self, recorder: Recorder, keyframes: KeyFrameCollector, spool: PredictionSpool | None) -> None:
        self._recorder = recorder
        self._keyframes = keyframes
        self._spool = spool
        self._kept: dict[int, tuple[FrameResult, int | None]] = {}  # without pictures, and the place in the spool

    def add(self, result: FrameResult) -> None:
        if self._spool is None:
            self._recorder.add(result)
            return
        place = None if result.prediction is None else self._spool.append(result.prediction)
        self._kept[result.index] = (replace(result, prediction=None, frame=replace(result.frame, image=None)), place)

    def finish(self, source: Source) -> list[KeyFrame]:
        """Draw what is left, reading the source's pictures once more."""
        if self._spool is not None and self._kept:
            self._redraw(source, self._spool)
        self._recorder.finish()
        return self._keyframes.result()

    def _redraw(self, source: Source, spool: PredictionSpool) -> None:
        last = max(self._kept)
        shown: dict[str, FrameResult] = {}  # what each camera's viewer still sees where a frame was dropped
        for index, frame in enumerate(track(islice(source, last + 1), "drawing", last + 1)):
            if index in self._kept:
                result, place = self._kept.pop(index)
                prediction = None if place is None else spool.read(place)
                result = replace(result, frame=frame, prediction=prediction)
                shown[frame.channel] = replace(result, frame=replace(frame, image=None), prediction=None)
            elif frame.channel in shown:
                result = replace(shown[frame.channel], index=index)
            else:
                continue
            self._recorder.add(result)


@contextmanager
def pictures(source: Source, labels: LabelSet, video: Path | None, later: bool, folder: Path) -> Iterator[Pictures]:
    """What draws a drive.

    Args:
        video: file to write, or ``None``.
        later: draw after the drive.
        folder: that holds the predictions until then.
    """
    keyframes = KeyFrameCollector()
    with _optional_writer(video, 1.0 / source.interval_s) as writer, _optional_spool(later, folder) as spool:
        yield Pictures(Recorder(source.channels, labels, keyframes, writer), keyframes, spool)


@contextmanager
def _optional_writer(path: Path | None, fps: float) -> Iterator[VideoWriter | None]:
    if path is None:
        yield None
        return
    with VideoWriter(path, fps) as writer:
        yield writer


@contextmanager
def _optional_spool(wanted: bool, folder: Path) -> Iterator[PredictionSpool | None]:
    if not wanted:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with PredictionSpool(folder) as spool:
        yield spool

"""What the loop says: about every camera frame once it is settled, and about every answer when it is published."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perception.runtime.resolution import Decision
from perception.runtime.source import Frame
from perception.types import Prediction


class Status(StrEnum):
    """How a frame went.

    ``OK``: answered in time. ``DEGRADED``: answered in time, by a plan that is not safe at this speed.
    ``DEADLINE_MISSED``: its own answer came late. ``STALE``: it came so late that nothing had been published for
    longer than the watchdog allows. ``SKIPPED``: the frame could not be read.
    """

    OK = "OK"
    DEADLINE_MISSED = "DEADLINE_MISSED"
    SKIPPED = "SKIPPED"
    DEGRADED = "DEGRADED"
    STALE = "STALE"


@dataclass(frozen=True)
class Publication:
    """What goes out to the vehicle: a frame's own answer or, at its deadline, the last one in its place.

    Args:
        index: position of the camera frame that this is for.
        status: ``STALE`` from the watchdog, which has nothing to publish.
        prediction: at the size of the plan that made it.
        age_ms: since the picture was taken that the prediction was made of.
        own: the prediction is that of this frame, not an earlier one in its place.
        warped: it was moved by the way that the vehicle has gone since.
    """

    index: int
    channel: str
    status: Status
    prediction: Prediction | None
    age_ms: float | None
    own: bool = True
    warped: bool = False


@dataclass(frozen=True)
class FrameResult:
    """What the loop says about one frame.

    Args:
        index: position among the frames of the source, from 0; frames that were dropped leave gaps.
        prediction: at the plan's output size; ``None`` for a skipped frame.
        speed_mps: what the policy was told.
        wait_ms: until the frame was there: waiting, reading, decoding.
        choose_ms: looking up the speed and choosing the plan.
        infer_ms: resizing, network, decoding of its outputs, all the way back to the host.
        age_ms: how long ago the newest picture that has an answer was taken, at the end of this frame;
            ``None`` before the first answer.
        queue_ms: between the frame being there and the network being free for it.
        published_ms: from capture to publication, at the camera's pace; ``None`` where frames are not paced.
        substitute_age_ms: age of the earlier answer that was published in this one's place at its deadline.
        warped: that answer was moved by ego motion.
        drops: frames of this camera that newer ones replaced since the result before.
    """

    index: int
    frame: Frame
    status: Status
    deadline_ms: float
    decision: Decision | None = None
    prediction: Prediction | None = None
    speed_mps: float | None = None
    wait_ms: float = 0.0
    choose_ms: float = 0.0
    infer_ms: float = 0.0
    age_ms: float | None = None
    queue_ms: float = 0.0
    published_ms: float | None = None
    substitute_age_ms: float | None = None
    warped: bool = False
    drops: int = 0

    @property
    def latency_ms(self) -> float:
        """What the deadline bounds: from capture to publication, or from frame in hand where frames are not paced."""
        return self.choose_ms + self.infer_ms if self.published_ms is None else self.published_ms

    @property
    def total_ms(self) -> float:
        """Everything from reading the frame on."""
        return self.wait_ms + self.latency_ms if self.published_ms is None else self.published_ms

    @property
    def missed(self) -> bool:
        """Whether its own answer came later than the deadline."""
        return self.status in (Status.DEADLINE_MISSED, Status.STALE)


def answered_status(latency_ms: float, deadline_ms: float, degraded: bool, stale: bool = False) -> Status:
    """The status of a frame that has its answer.

    Args:
        degraded: the plan is not safe at the vehicle's speed.
        stale: nothing had been published for longer than allowed when the answer came.
    """
    if latency_ms > deadline_ms:
        return Status.STALE if stale else Status.DEADLINE_MISSED
    return Status.DEGRADED if degraded else Status.OK

"""OpenCV, imported when it is first needed: it decodes and resizes pictures several times as fast as Pillow."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def opencv() -> Any:
    """The module ``cv2``, kept to the thread that calls it.

    Its own pool would take the cores from the network that runs beside, and a frame is resized in a millisecond
    without. The setting is the whole process's; who wants the pool back calls ``cv2.setNumThreads`` afterwards.
    """
    import cv2

    cv2.setNumThreads(1)
    return cv2

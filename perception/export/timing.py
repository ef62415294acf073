"""The file's runtimes against the network it was made from, taking turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from perception.export.network import ExportNetwork
from perception.runtime.exported_engine import ExportedEngine, input_batch, resized
from perception.runtime.host import cpu_flags, cpu_name

REFERENCE = "torch channels_last"


def time_engines(
    network: ExportNetwork,
    engines: Mapping[str, ExportedEngine],
    pictures: Sequence[np.ndarray],
    size: tuple[int, int],
    runs: int,
) -> dict[str, Any]:
    """Milliseconds of one picture, from bytes on the host to results on the host.

    All take turns, so that a machine that slows down slows all of them; ratios are what holds.

    Args:
        engines: of the exported file.
        size: ``(height, width)`` of the pictures for the network.
        runs: timed runs of each.

    Returns:
        ``engines``: by name ``p50_ms``, ``p90_ms`` and ``speedup`` over eager torch in channels_last; the machine.
    """
    images = [input_batch(resized(picture, size), network.input) for picture in pictures]
    calls: dict[str, Callable[[np.ndarray], Any]] = {
        "torch": _torch(network, torch.contiguous_format),
        REFERENCE: _torch(network, torch.channels_last),
        **{name: engine.decoded for name, engine in engines.items()},
    }
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(runs + 2):
        for name, call in calls.items():
            begin = time.perf_counter()
            call(images[turn % len(images)])
            if turn >= 2:
                samples[name].append(1e3 * (time.perf_counter() - begin))
    return timing_record(f"{size[0]}x{size[1]}", samples)


def timing_record(size: str, samples: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """For JSON: each engine's milliseconds and its speedup over :data:`REFERENCE`, and the machine.

    Args:
        size: of what was timed.
        samples: milliseconds of each run, as many of every engine.
    """
    reference = float(np.median(samples[REFERENCE]))
    return {
        "size": size,
        "runs": len(samples[REFERENCE]),
        "threads": torch.get_num_threads(),
        "cpu": cpu_name(),
        "cpu_flags": cpu_flags(),
        "engines": {
            name: {
                "p50_ms": round(float(np.median(values)), 3),
                "p90_ms": round(float(np.quantile(values, 0.9)), 3),
                "speedup": round(reference / float(np.median(values)), 3),
            }
            for name, values in samples.items()
        },
    }


def _torch(network: ExportNetwork, layout: torch.memory_format) -> Callable[[np.ndarray], Any]:
    import copy

    own = copy.deepcopy(network).to(memory_format=layout)

    def call(image: np.ndarray) -> Any:
        with torch.inference_mode():
            return own.decoded(torch.from_numpy(image).contiguous(memory_format=layout))

    return call

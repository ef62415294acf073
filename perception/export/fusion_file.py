"""Networks that join cameras and LiDAR as one file: pictures and points in, masks, boxes and classes of points out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception.errors import InputError
from perception.export.onnx_file import describe_model
from perception.export.point_program import TRACED_POINTS, check_format, parity_records, write_network
from perception.geometry.sweep import spinning_sweep
from perception.models.fusion import FusionModel
from perception.models.lidar.waffleiron import WaffleIron
from perception.runtime.exported_file import FUSION, FileInfo
from perception.runtime.file_runner import runtimes_of
from perception.runtime.fusion_engine import FusionEngine
from perception.types import PointBatch

TRACED_CAMERAS = 2
CASES = ((1, 0.1), (2, 1.0), (6, 0.5))
"""Numbers of cameras, and shares of the sweep, with which files are compared."""


class FusionExportNetwork(nn.Module):
    """Bytes of pictures and the points of one sweep in, a fixed list of tensors out.

    Args:
        model: in eval mode.

    Shape:
        - image: ``(N, 3, H, W)`` uint8; points: ``(P, 5)`` float32; camera: ``(P,)`` int64, -1 for none; pixel:
          ``(P, 2)`` float32. Returns what :meth:`FusionModel.decode` does: masks and boxes of the N pictures, and
          ``lidar`` ``(P,)`` uint8.

    Raises:
        InputError: for a point branch that searches for neighbours.
    """

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        if isinstance(model.lidar, WaffleIron):
            raise InputError("WaffleIron beside cameras cannot be exported: it searches among points; use an frnet")
        self.model = model

    def forward(self, image: Tensor, points: Tensor, camera: Tensor, pixel: Tensor) -> dict[str, Tensor]:
        batch = PointBatch(points, torch.zeros_like(camera), 1, image=camera, pixel=pixel)
        return self.model.decode(self.model(image.float() / 255, batch))

    def folded(self) -> FusionExportNetwork:
        """The same with the point branch's norms merged into its layers."""
        model = copy.deepcopy(self.model)
        model.lidar = model.lidar.fold()
        return FusionExportNetwork(model).eval()


def example_inputs(sweep: np.ndarray, cameras: int, size: tuple[int, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Made-up pictures, and pixels of a sweep in them, by the names of the inputs; a third of the points is unseen."""
    random = np.random.default_rng(seed)
    camera = random.integers(0, cameras, len(sweep))
    camera[::3] = -1
    pixel = random.random((len(sweep), 2)) * [size[1], size[0]]
    image = random.integers(0, 256, (cameras, 3, *size), np.uint8)
    return {"image": image, "points": sweep, "camera": camera, "pixel": pixel.astype(np.float32)}


def export_fusion(
    model: FusionModel, out: Path, size: tuple[int, int], sweep: np.ndarray, format: str = "onnx"
) -> tuple[FusionExportNetwork, FileInfo, list[dict[str, Any]]]:
    """Write a network into a file for any number of cameras and points, and compare it in every runtime that reads it.

    Args:
        size: ``(height, width)`` of the pictures.
        sweep: ``(P, 5)`` float32 to compare on, see :data:`perception.types.POINT_COLUMNS`.

    Returns:
        The network, the file's description, and one parity record for each runtime and number of cameras.

    Raises:
        InputError: for a network that cannot be exported, or an ending that does not fit the format.
        MissingExtra: without onnx, onnxscript and the runtimes.
    """
    check_format(out, format, "; --lidar false exports the camera part")
    network = FusionExportNetwork(model.eval().cpu()).eval()
    traced = network.folded()
    described = describe_model(model, size, free_size=True, input=FUSION, postprocess=True)
    described = replace(described, heads=(*described.heads, "lidar"), point_label_set=model.lidar.label_set.name)
    arrays = example_inputs(spinning_sweep(TRACED_POINTS), TRACED_CAMERAS, size)
    inputs = {name: torch.from_numpy(value) for name, value in arrays.items()}
    free = torch.export.Dim.DYNAMIC
    shapes = {name: {0: free} for name in inputs} | {"image": {0: free, 2: free, 3: free}}
    with torch.no_grad():
        outputs = list(traced(**inputs))
    described = write_network(traced, inputs, outputs, shapes, described, out)
    return network, described, fusion_parities(network, open_fusion_engines(out), sweep)


def open_fusion_engines(out: Path) -> dict[str, FusionEngine]:
    """The file in each of its runtimes."""
    return {name: FusionEngine(out, runtime=name) for name in runtimes_of(out)}


def fusion_parities(
    network: FusionExportNetwork, engines: Mapping[str, FusionEngine], sweep: np.ndarray
) -> list[dict[str, Any]]:
    """One record for each runtime and number of cameras."""
    records: list[dict[str, Any]] = []
    for cameras, share in CASES:
        height, width = next(iter(engines.values())).described.size
        points = sweep[: max(1, round(share * len(sweep)))]
        arrays = example_inputs(points, cameras, (height, width), seed=cameras)
        with torch.inference_mode():
            wanted = network(**{name: torch.from_numpy(value) for name, value in arrays.items()})
        runs = {name: partial(engine.run, **arrays) for name, engine in engines.items()}
        records += parity_records(wanted, runs, f"{cameras} x {height}x{width}, {len(points)} points")
    return records

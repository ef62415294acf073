"""One small model, exported once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perception.export.exporting import Options, export_model
from perception.export.network import ExportNetwork
from perception.models.zoo import create_model
from perception.runtime.exported_file import FileInfo

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SIZE = (70, 100)


class Exported:
    """A file, the network that it was made from, and its reports."""

    def __init__(self, path: Path) -> None:
        torch.manual_seed(0)
        model = create_model(
            "multitask_resnet18_slim", channels=16, head_channels=8, backbone_options={"channels": (8, 8, 16, 16)},
            detection_options={"box_groups": [["pedestrian", "motorcycle", "bicycle"]]},
        )  # fmt: skip
        random = np.random.default_rng(0)
        self.pictures = [random.integers(0, 256, (90, 120, 3), dtype=np.uint8)]
        self.path = path
        self.network: ExportNetwork
        self.described: FileInfo
        self.network, self.described, self.parity = export_model(model, path, Options("onnx", SIZE), self.pictures)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported") / "model.onnx")

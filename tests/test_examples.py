"""The example node, around stand-ins for ROS 2, which is no Python package."""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from perception.taxonomy import CAMVID
from perception.types import Prediction

NODE = Path(__file__).parents[1] / "examples" / "ros2_node.py"
PARAMETERS = {"model": "network", "size": "32x64", "rate_hz": 100.0}


class Message:
    """Any ROS message: fields that are made as they are asked for."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = Message()
        return self.__dict__[name]


class DiagnosticStatus(Message):
    OK, WARN, ERROR, STALE = range(4)


class FakeNode:
    def __init__(self, name: str) -> None:
        self.sent: dict[str, list[Any]] = {}
        self.callbacks: dict[str, Any] = {}

    def declare_parameter(self, name: str, value: Any) -> SimpleNamespace:
        return SimpleNamespace(value=PARAMETERS.get(name, value))

    def create_publisher(self, kind: Any, topic: str, quality: Any) -> SimpleNamespace:
        return SimpleNamespace(publish=self.sent.setdefault(topic, []).append)

    def create_subscription(self, kind: Any, topic: str, callback: Any, quality: Any) -> None:
        self.callbacks[topic] = callback

    def get_clock(self) -> Any:
        now = SimpleNamespace(nanoseconds=time.time_ns(), to_msg=lambda: "now")
        return SimpleNamespace(now=lambda: now)

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=lambda text: self.sent.setdefault("log", []).append(text))


class Network:
    labels, info = CAMVID, {"engine": "fake"}

    def warm_up(self, plan: Any, picture_size: Any = None) -> None:
        assert picture_size in (None, (32, 64))

    def __call__(self, image: np.ndarray, plan: Any) -> Prediction:
        return Prediction(drivable=np.ones(plan.size, np.uint8))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    fakes: dict[str, dict[str, Any]] = {
        "rclpy": {}, "rclpy.node": {"Node": FakeNode}, "rclpy.qos": {"qos_profile_sensor_data": 1},
        "diagnostic_msgs": {},
        "diagnostic_msgs.msg": {"DiagnosticArray": Message, "DiagnosticStatus": DiagnosticStatus, "KeyValue": Message},
        "nav_msgs": {}, "nav_msgs.msg": {"Odometry": Message}, "sensor_msgs": {},
        "sensor_msgs.msg": {"CameraInfo": Message, "CompressedImage": Message, "Image": Message},
    }  # fmt: skip
    for name, content in fakes.items():
        fake = ModuleType(name)
        vars(fake).update(content)
        monkeypatch.setitem(sys.modules, name, fake)
    spec = importlib.util.spec_from_file_location("ros2_node", NODE)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.setattr(loaded, "load_engine", lambda model, device: Network())
    return loaded


def jpeg() -> bytes:
    file = io.BytesIO()
    Picture.fromarray(np.zeros((32, 64, 3), np.uint8)).save(file, format="JPEG")
    return file.getvalue()


def test_the_node_answers_pictures(module: ModuleType) -> None:
    node = module.PerceptionNode()
    node.callbacks["camera_info"](
        Message(height=32, width=64, distortion_model="plumb_bob", d=[0.0] * 5, k=[50, 0, 32, 0, 50, 16, 0, 0, 1])
    )
    node.callbacks["odometry"](Message(twist=Message(twist=Message(linear=Message(x=7.0), angular=Message(z=0.1)))))
    try:
        for attempt in range(2000):
            seconds, nanoseconds = divmod(time.time_ns(), 10**9)
            stamp = Message(sec=seconds, nanosec=nanoseconds)
            data = b"broken" if attempt % 5 == 4 else jpeg()
            node.callbacks["image/compressed"](Message(header=Message(stamp=stamp), data=data))
            if len(node.sent["perception/drivable"]) > 3 and node.sent.get("log"):
                break
            time.sleep(0.005)
        reading = node._speed()
        assert reading.mps == 7.0
        assert reading.age_s >= 0
    finally:
        node.close()
    assert len(node.sent["perception/drivable"]) > 3
    mask = node.sent["perception/drivable"][0]
    assert (mask.height, mask.width, mask.encoding) == (32, 64, "mono8")
    assert mask.data == b"\xff" * 32 * 64
    status = node.sent["perception/status"][0].status[0]
    assert status.name == "perception"
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    assert "does not decode" in node.sent["log"][0]
    assert "drive" not in {thread.name for thread in threading.enumerate()}

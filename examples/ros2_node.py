"""A ROS 2 node around the real-time loop: compressed pictures and odometry in, masks and status out.

Run it in an environment that has both ROS 2 (rclpy) and this library:

    python examples/ros2_node.py --ros-args -p model:=checkpoint.ckpt -p latencies:=latencies.json

Topics: ``image/compressed`` (sensor_msgs/CompressedImage), ``camera_info`` (sensor_msgs/CameraInfo, for the adaptive
policy and for moving late answers) and ``odometry`` (nav_msgs/Odometry) are read; ``perception/drivable`` (mono8
sensor_msgs/Image, 255 where one can drive) and ``perception/status`` (diagnostic_msgs/DiagnosticArray) are published.
Without ``latencies``, a file that ``perception calibrate`` wrote, the loop runs at the fixed plan ``size``.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from perception.geometry.size import parse_size
from perception.runtime.adaptive import adaptive_policy
from perception.runtime.engine import load_engine
from perception.runtime.latency import LatencyTable
from perception.runtime.loop import DriveLoop, Publication, Status
from perception.runtime.plan import uniform_plan
from perception.runtime.resolution import FixedPolicy
from perception.runtime.sight import assumed_camera
from perception.runtime.sources.live import LiveSource
from perception.runtime.speed import CalledSpeed, SpeedReading
from perception.runtime.stopping import StoppingModel
from perception.types import Camera

LEVELS = {Status.OK: DiagnosticStatus.OK, Status.DEGRADED: DiagnosticStatus.WARN,
          Status.DEADLINE_MISSED: DiagnosticStatus.WARN, Status.STALE: DiagnosticStatus.STALE}  # fmt: skip


class PerceptionNode(Node):
    """Feeds the loop from callbacks; the loop's own threads do the work."""

    def __init__(self) -> None:
        super().__init__("perception")
        defaults = {"model": "", "latencies": "", "size": "360x640", "device": "auto", "rate_hz": 12.0}
        values = {name: self.declare_parameter(name, value).value for name, value in defaults.items()}
        self._camera: Camera | None = None
        self._odometry: tuple[float, float, float] | None = None  # m/s, rad/s, and when they came
        self._height_m = self.declare_parameter("camera_height_m", 1.5).value
        self._source = LiveSource(interval_s=1.0 / values["rate_hz"])
        self._drivable = self.create_publisher(Image, "perception/drivable", qos_profile_sensor_data)
        self._status = self.create_publisher(DiagnosticArray, "perception/status", 10)
        self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data)
        self.create_subscription(Odometry, "odometry", self._on_odometry, qos_profile_sensor_data)
        engine = load_engine(values["model"], values["device"])
        policy, monitor = FixedPolicy(uniform_plan(parse_size(values["size"]))), None
        if values["latencies"]:
            table = LatencyTable.load(values["latencies"])
            native = tuple(table.key["native"])
            table.check(engine.info, native)
            policy, monitor = adaptive_policy("quality", table, assumed_camera(native), StoppingModel())
        self._loop = DriveLoop(
            self._source, CalledSpeed(self._speed, "odometry"), policy, engine, pace="camera", monitor=monitor,
            publish=self._publish,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._drive, name="drive")
        self._thread.start()
        self.create_subscription(CompressedImage, "image/compressed", self._on_image, qos_profile_sensor_data)

    def close(self) -> None:
        self._loop.stop()
        self._thread.join()

    def _drive(self) -> None:
        self._loop.warm_up()  # waits for the first picture, whose size the plans are prepared for
        for result in self._loop:
            if result.status is Status.SKIPPED:
                self.get_logger().warning(f"picture {result.frame.name}: {result.frame.error}")

    def _on_image(self, message: CompressedImage) -> None:
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        age_s = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        # A stamp of another machine's clock says nothing about the age.
        age_s = age_s if 0 <= age_s < 1 else 0.0
        turn = None if self._odometry is None else self._odometry[1]
        self._source.push(
            bytes(message.data), stamp_ns // 1000, camera=self._camera, yaw_rate_radps=turn, age_s=age_s
        )  # fmt: skip

    def _on_camera_info(self, message: CameraInfo) -> None:
        size = (message.height, message.width)
        model, distortion = "pinhole", ()
        if message.distortion_model == "plumb_bob":
            model, distortion = "brown_conrady", tuple(message.d[:5])
        elif message.distortion_model == "equidistant":
            model, distortion = "fisheye", tuple(message.d[:4])
        pose = assumed_camera(size).ego_from_camera.copy()
        pose[2, 3] = self._height_m
        self._camera = Camera(np.array(message.k).reshape(3, 3), size, pose, model, distortion)

    def _on_odometry(self, message: Odometry) -> None:
        self._odometry = (message.twist.twist.linear.x, message.twist.twist.angular.z, time.monotonic())

    def _speed(self) -> SpeedReading | None:
        if self._odometry is None:
            return None
        speed_mps, _, arrived_s = self._odometry
        return SpeedReading(speed_mps, age_s=time.monotonic() - arrived_s)

    def _publish(self, publication: Publication) -> None:
        stamp = self.get_clock().now().to_msg()
        status = DiagnosticStatus(
            level=LEVELS[publication.status], name="perception", message=publication.status.value,
            values=[
                KeyValue(key="age_ms", value=f"{publication.age_ms or 0:.1f}"),
                KeyValue(key="own", value=str(publication.own)),
                KeyValue(key="warped", value=str(publication.warped)),
            ],
        )  # fmt: skip
        diagnostics = DiagnosticArray(status=[status])
        diagnostics.header.stamp = stamp
        self._status.publish(diagnostics)
        if publication.prediction is None or publication.prediction.drivable is None:
            return
        mask = publication.prediction.drivable * np.uint8(255)
        picture = Image(height=mask.shape[0], width=mask.shape[1], encoding="mono8", step=mask.shape[1])
        picture.header.stamp = stamp
        picture.data = mask.tobytes()
        self._drivable.publish(picture)


def main() -> None:
    rclpy.init()
    node = PerceptionNode()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()

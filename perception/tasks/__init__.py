"""Lightning modules: what is trained, with which losses and metrics."""

from perception.tasks.lidar import LidarSegmentation
from perception.tasks.multi_resolution import MultiResolution
from perception.tasks.multitask import MultiTask
from perception.tasks.sensor_fusion import SensorFusion

__all__ = ["LidarSegmentation", "MultiResolution", "MultiTask", "SensorFusion"]

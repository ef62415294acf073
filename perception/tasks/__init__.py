"""Lightning modules: what is trained, with which losses and metrics."""

from perception.tasks.lidar import LidarSegmentation
from perception.tasks.multi_resolution import MultiResolution
from perception.tasks.multitask import MultiTask

__all__ = ["LidarSegmentation", "MultiResolution", "MultiTask"]

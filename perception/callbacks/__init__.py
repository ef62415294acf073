"""Lightning callbacks; configs name them."""

from perception.callbacks.averaging import EMA
from perception.callbacks.confusion import ConfusionMatrix
from perception.callbacks.lidar_submission import LidarSubmission
from perception.callbacks.norms import RecalibrateNorms
from perception.callbacks.pictures import PredictionPictures
from perception.callbacks.point_pictures import PointPictures
from perception.callbacks.predictions import PredictionWriter
from perception.callbacks.quantization import QuantizationAwareTraining
from perception.callbacks.semantic_kitti_submission import SemanticKittiSubmission
from perception.callbacks.submission import NuScenesSubmission
from perception.callbacks.summary import RunSummary

__all__ = [
    "EMA",
    "ConfusionMatrix",
    "LidarSubmission",
    "NuScenesSubmission",
    "PointPictures",
    "PredictionPictures",
    "PredictionWriter",
    "QuantizationAwareTraining",
    "RecalibrateNorms",
    "RunSummary",
    "SemanticKittiSubmission",
]

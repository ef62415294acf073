"""Lightning callbacks; configs name them."""

from perception.callbacks.pictures import PredictionPictures
from perception.callbacks.predictions import PredictionWriter
from perception.callbacks.summary import RunSummary

__all__ = ["PredictionPictures", "PredictionWriter", "RunSummary"]

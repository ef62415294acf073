"""Lightning callbacks; configs name them."""

from perception.callbacks.averaging import EMA
from perception.callbacks.pictures import PredictionPictures
from perception.callbacks.predictions import PredictionWriter
from perception.callbacks.summary import RunSummary

__all__ = ["EMA", "PredictionPictures", "PredictionWriter", "RunSummary"]

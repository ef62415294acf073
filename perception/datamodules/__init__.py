"""Data sets joined with transforms and loaders for training."""

from perception.datamodules.camvid import CamVidDataModule
from perception.datamodules.nuimages import NuImagesDataModule
from perception.datamodules.nuscenes import NuScenesDataModule

__all__ = ["CamVidDataModule", "NuImagesDataModule", "NuScenesDataModule"]

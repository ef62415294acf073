"""Data sets joined with transforms and loaders for training."""

from perception.datamodules.camvid import CamVidDataModule

__all__ = ["CamVidDataModule"]

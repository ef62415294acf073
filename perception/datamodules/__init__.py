"""Data sets joined with transforms and loaders for training."""

from perception.datamodules.ade20k import ADE20KDataModule
from perception.datamodules.bdd100k import BDD100KDataModule
from perception.datamodules.camvid import CamVidDataModule
from perception.datamodules.cityscapes import CityscapesDataModule
from perception.datamodules.coco import COCODataModule
from perception.datamodules.folder import FolderDataModule
from perception.datamodules.lidar import LidarSegDataModule
from perception.datamodules.mixed import MixedDataModule
from perception.datamodules.nuimages import NuImagesDataModule
from perception.datamodules.nuscenes import NuScenesDataModule
from perception.datamodules.semantic_kitti import SemanticKittiDataModule
from perception.datamodules.voc import VOCDataModule

__all__ = [
    "ADE20KDataModule",
    "BDD100KDataModule",
    "COCODataModule",
    "CamVidDataModule",
    "CityscapesDataModule",
    "FolderDataModule",
    "LidarSegDataModule",
    "MixedDataModule",
    "NuImagesDataModule",
    "NuScenesDataModule",
    "SemanticKittiDataModule",
    "VOCDataModule",
]

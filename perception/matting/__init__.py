"""Cut-outs: from a rough mask of the subject to soft edges, true colours and another background."""

from perception.matting.background import Background, composed
from perception.matting.cutout import Cutout, CutoutOptions, cut_out
from perception.matting.foreground import estimate_foreground
from perception.matting.trimap import trimap_of

__all__ = ["Background", "Cutout", "CutoutOptions", "composed", "cut_out", "estimate_foreground", "trimap_of"]

"""Run a file of ``perception export`` on a picture, with numpy, Pillow and onnxruntime alone.

python examples/run_onnx.py model.onnx picture.jpg mask.png
"""

import json
import os
import sys

import numpy as np
from PIL import Image

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before it loads: it reports to its maker otherwise
import onnxruntime


def main(model: str, picture: str, out: str) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["perception"])
    image = Image.open(picture).convert("RGB")
    if not about["free_size"]:
        height, width = about["size"]
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    batch = np.asarray(image).transpose(2, 0, 1)[None]  # (1, 3, H, W) uint8; normalisation is inside
    if about["input"] == "float":
        batch = batch.astype(np.float32) / 255
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(None, {"image": batch}), strict=True))
    mask = results["semantic"][0]  # (H, W) uint8, an index into about["classes"]
    Image.fromarray(mask).save(out)
    for index in np.unique(mask):
        print(f"{about['classes'][index]:15} {np.mean(mask == index):6.1%}")
    if "boxes" not in results:
        return
    for box, score, label in zip(results["boxes"][0], results["scores"][0], results["labels"][0], strict=True):
        if score >= 0.3:
            print(f"{about['detection'][label]:15} {score:.2f}  {np.round(box).astype(int).tolist()}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A contact sheet of one place in several weathers, seen by all six cameras.

``python -m perception.world.contact_sheet docs/images/world_weathers.jpg``
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from PIL import Image, ImageDraw, ImageFont

from perception.errors import InputError
from perception.files import atomic_path
from perception.geometry.size import parse_size
from perception.world.camera import render_camera
from perception.world.rig import CAMERAS, rig_camera
from perception.world.scene import build_scene
from perception.world.sensor import sensor_model
from perception.world.weather import parse_weather

COLUMNS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
GAP_PX = 4
QUALITIES = (92, 88, 84, 78, 70, 60)


def contact_sheet(
    out: Path,
    weathers: str = "clear,rain,fog,dusk,night",
    size: str = "225x400",
    seed: int = 0,
    scene: int = 2,
    time_s: float = 1.5,
    sensor: str = "ideal",
    max_kb: int = 1200,
) -> None:
    """Draw one scene in several weathers, a row for each, as a JPEG.

    Args:
        out: file to write.
        weathers: comma list of weathers.
        size: ``HxW`` of a cell in pixels.
        seed: of the world; scene: number of the scene; time_s: instant in it.
        sensor: ``ideal`` or ``real``.
        max_kb: largest file; the JPEG's quality is lowered until it fits.

    Raises:
        InputError: for unknown weathers, or where no quality makes the file small enough.
    """
    height, width = cell = parse_size(size)
    names = parse_weather(weathers)
    sheet = Image.new(
        "RGB", (len(COLUMNS) * (width + GAP_PX) - GAP_PX, len(names) * (height + GAP_PX) - GAP_PX), (255, 255, 255)
    )
    model = sensor_model(sensor)
    for row, weather in enumerate(names):
        place = build_scene(seed, scene, max(time_s, 1.0), weather)
        for column, channel in enumerate(COLUMNS):
            stream = list(CAMERAS).index(channel)
            picture = render_camera(place, time_s, rig_camera(channel, cell), stream=stream, sensor=model)
            labelled = _labelled(picture.image, f"{place.weather}  {channel}")
            sheet.paste(labelled, (column * (width + GAP_PX), row * (height + GAP_PX)))
    for quality in QUALITIES:
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= max_kb * 1024:
            break
    else:
        raise InputError(f"the sheet takes {buffer.tell() // 1024} KB, over {max_kb}; use a smaller size than {size}")
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        path.write_bytes(buffer.getvalue())


def _labelled(image: np.ndarray, text: str) -> Image.Image:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(9, image.shape[0] // 18))
    draw.text((5, 3), text, fill=(255, 255, 255), font=font, stroke_width=1, stroke_fill=(0, 0, 0))
    return picture


if __name__ == "__main__":
    auto_cli(contact_sheet)

"""``perception cutout``: the subject of a picture with soft edges, over another background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perception.console import track, warn
from perception.errors import InputError
from perception.files import IMAGE_SUFFIXES, atomic_path, read_image
from perception.matting.background import TRANSPARENT, Background, composed
from perception.matting.cutout import Cutout, CutoutOptions, cut_out
from perception.matting.subject import Subject, open_subject, read_mask

FORMATS = (".png", ".webp", ".jpg", ".jpeg")
OPAQUE = (".jpg", ".jpeg")


def main(
    image: Path,
    *,
    out: Path,
    model: str | None = None,
    mask: Path | None = None,
    background: str = TRANSPARENT,
    classes: list[str] | None = None,
    method: str = "closed_form",
    band_px: int | None = None,
    holes_px: int = 0,
    specks_px: int = 0,
    decontaminate: bool = True,
    crop: bool = False,
    margin_px: int = 0,
    alpha: bool = False,
    side_px: int = 1024,
    device: str = "auto",
) -> dict[str, Any]:
    """Cut the subject out of a picture, or out of every picture of a folder.

    Args:
        image: a picture, or a folder of them.
        out: picture to write (.png, .webp, .jpg), or a folder, which gets a .png for each picture.
        model: finds the subject: a checkpoint, saved folder, exported file, zoo name, torchvision:NAME, hub id, or a
            folder that transformers wrote.
        mask: the subject from a picture instead (its alpha, or what is bright), or a folder of masks of the same names.
        background: transparent, blur, blur:RADIUS, a colour such as white or #20c0ff, or a picture.
        classes: what is subject; default the model's countable classes, or all but background.
        method: of the edges: closed_form (best), guided (quickest), or none.
        band_px: how far from the truth the mask's edge may be; default a hundredth of the longer side, 4 at least.
        holes_px: smaller holes of the mask are filled.
        specks_px: smaller parts of the mask are removed.
        decontaminate: give edges the subject's own colour.
        crop: cut the picture down to the subject.
        margin_px: left around it then.
        alpha: write the alpha as a grey picture instead of the subject.
        side_px: longer side of the picture for the model.
        device: of the model: auto, cpu or cuda.

    Returns:
        ``pictures``: each file written, its size, and the share of it that the subject covers; ``failed``.

    Raises:
        InputError: for bad input; in a folder, pictures that fail are named and left out.
    """
    if (model is None) == (mask is None):
        raise InputError("name either --model, which finds the subject, or --mask, which shows it")
    if margin_px < 0:
        raise InputError(f"margin_px {margin_px} must not be negative")
    options = CutoutOptions(method, band_px, holes_px, specks_px, decontaminate)
    behind = Background.parse(background)
    subject = None if model is None else open_subject(model, classes, side_px, device)
    jobs = _jobs(image, out, mask)
    rows, failed = [], []
    for source, target, shown in track(jobs, "cutting out") if len(jobs) > 1 else jobs:
        if target.suffix.lower() in OPAQUE and behind.kind == TRANSPARENT and not alpha:
            raise InputError(f"{target.suffix} holds no transparency; write .png or .webp, or name a --background")
        try:
            picture = read_image(source)
            found = _cut(picture, subject, shown, options)
            _write(target, _result(picture, found, behind, alpha, crop, margin_px))
        except InputError as error:
            if not image.is_dir():
                raise
            warn(f"{source.name}: {error}")
            failed.append(source.name)
            continue
        share = round(float(found.alpha.mean()), 4)
        rows.append({"file": str(target), "size": list(found.alpha.shape), "share": share})
    return {"pictures": rows, "failed": failed}


def show(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    for row in result["pictures"]:
        console.print(f"{row['file']}: subject covers {100 * row['share']:.1f} %", highlight=False, soft_wrap=True)
    if result["failed"]:
        console.print(f"{len(result['failed'])} failed: {', '.join(result['failed'])}", highlight=False, soft_wrap=True)


def exit_code(result: dict[str, Any]) -> int:
    return 1 if result["failed"] else 0


def _jobs(image: Path, out: Path, mask: Path | None) -> list[tuple[Path, Path, Path | None]]:
    """Picture, file to write, and mask where one is given."""
    if not image.is_dir():
        if out.suffix.lower() not in FORMATS:
            raise InputError(f"out {out} must end with {', '.join(FORMATS)}")
        return [(image, out, mask)]
    if out.exists() and not out.is_dir():
        raise InputError(f"out {out} is a file; a folder of pictures needs a folder")
    if mask is not None and not mask.is_dir():
        raise InputError(f"mask {mask} must be a folder, as {image} is one")
    pictures = sorted(path for path in image.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not pictures:
        raise InputError(f"{image} has no pictures ({', '.join(IMAGE_SUFFIXES)})")
    names = [path.stem for path in pictures]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{image} has several pictures named {repeated}, whose results would have one name")
    return [(path, out / f"{path.stem}.png", None if mask is None else _mask_of(mask, path)) for path in pictures]


def _mask_of(folder: Path, picture: Path) -> Path:
    found = [path for suffix in IMAGE_SUFFIXES if (path := folder / f"{picture.stem}{suffix}").is_file()]
    return found[0] if found else folder / f"{picture.stem}.png"


def _cut(picture: np.ndarray, subject: Subject | None, shown: Path | None, options: CutoutOptions) -> Cutout:
    if subject is not None:
        return cut_out(picture, subject(picture), options)
    assert shown is not None
    return cut_out(picture, read_mask(shown, (picture.shape[0], picture.shape[1])), options)


def _result(
    picture: np.ndarray, found: Cutout, behind: Background, alpha: bool, crop: bool, margin_px: int
) -> np.ndarray:
    if alpha:
        result = np.round(found.alpha * 255).astype(np.uint8)
    else:
        result = composed(found, behind.picture(picture, found.alpha))
    if not crop:
        return result
    rows, columns = (np.flatnonzero((found.alpha > 0).any(axis=axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - margin_px), max(0, columns[0] - margin_px)
    return result[top : rows[-1] + 1 + margin_px, left : columns[-1] + 1 + margin_px]


def _write(path: Path, pixels: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, quality=95)

"""perception cutout: pictures and folders, masks and models, backgrounds, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_products import NAMES, product

from perception import create_model
from perception.cli import main
from perception.matting.subject import open_subject, read_mask, subject_classes
from perception.models.checkpoint import save
from perception.taxonomy import CAMVID, get_label_set


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    truth = product("bottle")
    Image.fromarray(truth.image).save(tmp_path / "bottle.png")
    Image.fromarray(truth.mask).save(tmp_path / "mask.png")
    return tmp_path


def cutout(*arguments: object) -> int:
    return main(["cutout", *map(str, arguments)])


def test_one_picture(bottle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = product("bottle")
    base = [bottle / "bottle.png", "--mask", bottle / "mask.png"]
    assert cutout(*base, "--out", bottle / "out.png", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["pictures"]
    rgba = np.array(Image.open(bottle / "out.png"))
    assert rgba.shape == (*truth.alpha.shape, 4)
    assert np.abs(rgba[..., 3] / 255 - truth.alpha).mean() < 0.03
    assert row["share"] == pytest.approx(truth.alpha.mean(), abs=0.01)
    assert cutout(*base, "--out", bottle / "white.jpg", "--background", "white") == 0
    white = np.array(Image.open(bottle / "white.jpg"))
    assert white[:20].min() > 240
    assert cutout(*base, "--out", bottle / "blur.png", "--background", "blur:6") == 0
    assert cutout(*base, "--out", bottle / "alpha.png", "--alpha", "true", "--crop", "true", "--margin_px", "3") == 0
    alpha = np.array(Image.open(bottle / "alpha.png"))
    rows, columns = np.flatnonzero(truth.alpha.any(axis=1)), np.flatnonzero(truth.alpha.any(axis=0))
    assert alpha.ndim == 2
    assert abs(alpha.shape[0] - (rows[-1] - rows[0] + 7)) <= 2
    assert abs(alpha.shape[1] - (columns[-1] - columns[0] + 7)) <= 2


def test_a_folder_goes_on_past_a_broken_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "masks").mkdir()
    for name in NAMES[:2]:
        truth = product(name)
        Image.fromarray(truth.image).save(tmp_path / "in" / f"{name}.jpg")
        Image.fromarray(truth.mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    arguments = [tmp_path / "in", "--mask", tmp_path / "masks", "--out", tmp_path / "out", "--method", "guided"]
    assert cutout(*arguments, "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["failed"] == ["broken.png"]
    assert "broken.png" in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bottle.png", "ring.png"]


def test_models_find_the_subject(bottle: Path) -> None:
    labels = get_label_set("voc")
    model = create_model("unet", labels, width=4, depth=2)
    with torch.no_grad():
        model.head.classifier.weight.zero_()
        model.head.classifier.bias[labels.index("bottle")] = 5.0
    save(model, bottle / "model")
    base = [bottle / "bottle.png", "--model", bottle / "model", "--out", bottle / "out.png"]
    assert cutout(*base) == 0
    assert (np.array(Image.open(bottle / "out.png"))[..., 3] == 255).all()
    assert cutout(*base, "--classes", '["cat"]') == 2
    image = np.array(Image.open(bottle / "bottle.png"))
    assert open_subject(str(bottle / "model"), ["bottle"], side_px=64)(image).shape == image.shape[:2]


def test_models_of_transformers_that_the_zoo_has_not(bottle: Path) -> None:
    transformers = pytest.importorskip("transformers")
    names = {0: "background", 1: "thing", 2: "other"}
    config = transformers.MobileNetV2Config(depth_multiplier=0.25, id2label=names)
    torch.manual_seed(0)
    network = transformers.MobileNetV2ForSemanticSegmentation(config).eval()
    network.save_pretrained(bottle / "hub")
    processor = transformers.AutoImageProcessor.for_model("mobilenet_v2") if hasattr(
        transformers.AutoImageProcessor, "for_model") else transformers.MobileNetV2ImageProcessor()  # fmt: skip
    processor.save_pretrained(bottle / "hub")
    image = np.array(Image.open(bottle / "bottle.png"))
    found = open_subject(str(bottle / "hub"), ["thing"])(image)
    inputs = processor(images=Image.fromarray(image), return_tensors="pt")
    with torch.inference_mode():
        (wanted,) = processor.post_process_semantic_segmentation(network(**inputs), [image.shape[:2]])
    np.testing.assert_array_equal(found, (wanted == 1).numpy())
    assert (open_subject(str(bottle / "hub"))(image) == (wanted > 0).numpy()).all()


def test_what_is_subject() -> None:
    voc = get_label_set("voc")
    assert subject_classes(voc, None) == tuple(range(1, 21))
    assert subject_classes(CAMVID, None) == CAMVID.indices(tuple(n for n in CAMVID.classes if n in CAMVID.detection))


def test_masks_of_any_kind(tmp_path: Path) -> None:
    mask = product("ring").mask
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[..., 3] = mask * 255
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "grey.png")
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "index.png")
    Image.fromarray(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, 2)).save(tmp_path / "rgb.png")
    for name in ("rgba", "grey", "index", "rgb"):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png", mask.shape), mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --model"),
        (["--mask", "mask.png", "--model", "unet"], "either --model"),
        (["--mask", "mask.png", "--out", "out.gif"], "must end with"),
        (["--mask", "mask.png", "--out", "out.jpg"], "holds no transparency"),
        (["--mask", "nothing.png"], "does not exist"),
        (["--mask", "small.png"], "the picture 200x260"),
        (["--mask", "mask.png", "--background", "nowhere.png"], "no file and no colour"),
        (["--mask", "mask.png", "--method", "magic"], "unknown method"),
        (["--model", "nothing-here"], "nothing-here"),
    ],
)
def test_bad_input_ends_in_one_line(bottle: Path, monkeypatch, capsys, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(bottle)
    Image.new("L", (5, 5), 255).save("small.png")
    out = [] if "--out" in arguments else ["--out", "out.png"]
    assert cutout("bottle.png", *arguments, *out) == 2
    captured = capsys.readouterr().err
    assert message in " ".join(captured.split())
    assert captured.count("\n") == 1
    assert not Path("out.png").exists()

"""Torchvision's checkpoints, models from the hub, and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torchvision.models import get_model

import perception
from perception.errors import InputError
from perception.models.pretrained import (
    TORCHVISION_BUILDERS,
    download,
    is_hub_id,
    load_torchvision,
    model_card,
    save_pretrained,
)
from perception.models.zoo import create_model
from perception.taxonomy import VOC

LIGHT = "lraspp_mobilenetv3_large"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == LIGHT else pytest.mark.slow) for n in TORCHVISION_BUILDERS]
)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_torchvision_weights_give_torchvisions_output(name: str, ending: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    original = get_model(TORCHVISION_BUILDERS[name], weights=None, weights_backbone=None, num_classes=21, **options)
    for buffer_name, buffer in original.named_buffers():
        if buffer_name.endswith(("running_mean", "running_var")):
            buffer.add_(0.1 * torch.rand_like(buffer))
    original.eval()
    file = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save(original.state_dict(), file)
    else:
        save_file(original.state_dict(), file)
    model = load_torchvision(f"torchvision:{name}", file)
    assert model.label_set is VOC
    for size in ((64, 96), (65, 113)):
        image = torch.rand(1, 3, *size)
        with torch.inference_mode():
            expected = original((image - model.mean) / model.std)["out"]
            assert (model(image)["semantic"] - expected).abs().max() < 1e-4


def test_wrong_torchvision_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="torchvision has no weights for 'resnet50'; it has them for fcn_resnet50"):
        load_torchvision("torchvision:resnet50")
    with pytest.raises(InputError, match="do not exist"):
        load_torchvision(f"torchvision:{LIGHT}", tmp_path / "none.pth")
    (tmp_path / "garbage.pth").write_bytes(b"garbage")
    with pytest.raises(InputError, match="cannot be read safely"):
        load_torchvision(f"torchvision:{LIGHT}", tmp_path / "garbage.pth")
    (tmp_path / "garbage.safetensors").write_bytes(b"garbage")
    with pytest.raises(InputError, match="cannot be read safely"):
        load_torchvision(f"torchvision:{LIGHT}", tmp_path / "garbage.safetensors")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="weights of another model"):
        load_torchvision(f"torchvision:{LIGHT}", tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("facebook/mask2former-swin-tiny-coco-instance", True),
        ("someone/model@v1.0", True),
        ("multitask_resnet18", False),
        ("runs/model.ckpt", False),
        ("./runs/model", False),
        ("/runs/model", False),
        ("../model", False),
        ("a/b/c", False),
        ("torchvision:fcn_resnet50", False),
    ],
)
def test_hub_ids(spec: str, expected: bool) -> None:
    assert is_hub_id(spec) is expected


def test_a_folder_that_was_handed_on_comes_back_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    model = create_model("multitask_resnet18_slim", heads=["semantic", "detection"]).eval()
    folder = save_pretrained(model, tmp_path / "upload", {"data": "Twelve pictures.", "licence": "Apache-2.0"})
    asked: dict[str, Any] = {}

    def snapshot(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    loaded = perception.load("someone/model@v2")
    assert asked["name"] == "someone/model"
    assert asked["revision"] == "v2"
    assert all(pattern.endswith((".json", ".safetensors")) for pattern in asked["allow_patterns"])
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(image)["semantic"], model(image)["semantic"])


def test_no_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def snapshot(name: str, **options: Any) -> str:
        raise OSError("the network is unreachable\nand more")

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    with pytest.raises(InputError) as error:
        download("someone/model")
    assert str(error.value) == (
        "someone/model is no folder here, and cannot be had from the hub: the network is unreachable"
    )


def test_card_says_what_the_model_is() -> None:
    with torch.device("meta"):
        model = create_model("multitask_resnet18_slim", heads=["semantic", "detection"])
    text = model_card(model, {"figures": "mIoU 61.0 on the validation scenes."})
    _, front, body = text.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "perception"
    assert facts["pipeline_tag"] == "image-segmentation"
    assert "multitask_resnet18_slim" in facts["tags"]
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in body
    assert "arXiv 1612.03144" in body
    assert "Boxes: car, truck" in body
    assert "## Figures\n\nmIoU 61.0 on the validation scenes." in body
    assert "## Limits\n\nNot stated." in body
    with pytest.raises(InputError, match="no section 'colour'; it has data, training"):
        model_card(model, {"colour": "red"})
    model.recipe = {}
    with pytest.raises(InputError, match="has no recipe"):
        model_card(model, {})

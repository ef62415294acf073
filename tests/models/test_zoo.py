from __future__ import annotations

import pytest
import torch

import perception
from perception.errors import InputError
from perception.models.base import to_predictions
from perception.models.recipes_transformer import TRANSFORMER_RECIPES
from perception.models.zoo import ZOO, create_model, describe, list_models
from perception.taxonomy import CAMVID, ROAD_SCENE

LIGHT = ["lraspp_mobilenetv3_large", "multitask_mobilenetv4_small", "multitask_resnet18_slim"]
# The transformer systems have tests of their own, at reduced and full size.
CAMERA = [n for n in (*list_models("multitask"), *list_models("semantic")) if n not in TRANSFORMER_RECIPES]
HEAVY = [name for name in CAMERA if name not in LIGHT]
EVERY = [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_outputs_have_the_size_of_the_image(name: str, size: tuple[int, int]) -> None:
    model = create_model(name, CAMVID, **_heads(name)).eval()
    with torch.inference_mode():
        outputs = model(torch.rand(2, 3, *size))
        decoded = model.decode(outputs)
    assert outputs["semantic"].shape == (2, 11, *size)
    assert decoded["semantic"].shape == (2, *size)
    assert decoded["semantic"].dtype == torch.uint8
    if "drivable" in model.head_names:
        assert decoded["drivable"].shape == (2, *size)
    if "detection" in model.head_names:
        boxes = decoded["boxes"]
        assert boxes.shape == (2, 100, 4)
        assert (boxes[..., 0] >= 0).all()
        assert (boxes[..., 2] <= size[1]).all()
        assert (boxes[..., 3] <= size[0]).all()


def _heads(name: str) -> dict[str, list[str]]:
    return {"heads": ["semantic", "drivable", "detection"]} if name.startswith("multitask") else {}


@pytest.mark.parametrize("name", EVERY)
def test_backward_reaches_every_parameter(name: str) -> None:
    model = create_model(name)
    outputs = model(torch.rand(2, 3, 64, 96))
    total = sum(
        value.float().mean()
        for output in outputs.values()
        for value in (output.values() if isinstance(output, dict) else [output])
        if isinstance(value, torch.Tensor)
    )
    total.backward()
    unreached = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not unreached


@pytest.mark.parametrize("name", LIGHT)
def test_save_and_load_give_the_same_output(name: str, tmp_path) -> None:
    from perception.models.checkpoint import save

    model = create_model(name, CAMVID, **_heads(name)).eval()
    for module in model.modules():  # a freshly made batch norm would hide buffers that are not saved
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    loaded = perception.load(save(model, tmp_path / "model"))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(image)["semantic"], loaded(image)["semantic"])
    assert loaded.label_set is CAMVID
    assert loaded.head_names == model.head_names
    assert not loaded.training


@pytest.mark.parametrize(
    ("name", "classes", "options", "count"),
    [
        ("fcn_resnet50", 21, {}, 32_957_013),
        ("fcn_resnet50", 21, {"aux": True}, 35_322_218),
        ("deeplabv3_resnet50", 21, {}, 39_638_869),
        ("deeplabv3_resnet50", 21, {"aux": True}, 42_004_074),
        ("lraspp_mobilenetv3_large", 19, {}, 3_221_198),
    ],
)
def test_published_parameter_counts(name: str, classes: int, options: dict, count: int) -> None:
    with torch.device("meta"):
        model = create_model(name, num_classes=classes, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_describe_counts_like_the_published_figure() -> None:
    facts = describe("lraspp_mobilenetv3_large", (512, 1024))
    assert facts["params"] == pytest.approx(3_221_198, rel=1e-3)  # one more class than Cityscapes
    assert facts["gmacs"] == pytest.approx(3.95, rel=0.03)  # published at 512x1024
    assert describe("multitask_resnet18_slim", (64, 64))["heads"] == ["semantic", "drivable", "lane", "detection"]


def test_cpu_sized_model_is_small() -> None:
    assert 1e6 < describe("multitask_resnet18_slim", (64, 64))["params"] < 3e6


def test_half_precision_halves_the_file_and_hardly_changes_the_output(tmp_path) -> None:
    from perception.models.checkpoint import save

    torch.manual_seed(0)
    model = create_model("multitask_resnet18_slim", heads=("semantic",), scales=(0.5, 1.0)).eval()
    whole, half = save(model, tmp_path / "whole"), save(model, tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.55 * sizes[0]
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected, found = (perception.load(folder)(image)["semantic"] for folder in (whole, half))
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()


def test_head_of_another_class_count_keeps_the_rest() -> None:
    from perception.models.checkpoint import load_matching

    source = create_model("multitask_resnet18_slim", CAMVID, heads=["semantic"])
    target = create_model("multitask_resnet18_slim", ROAD_SCENE, heads=["semantic"])
    copied, fresh = load_matching(target, source.state_dict())
    assert fresh == ["heads.semantic.classifier.weight", "heads.semantic.classifier.bias"]
    assert copied == len(target.state_dict()) - 2
    assert torch.equal(
        target.get_parameter("backbone.features.conv1.weight"), source.get_parameter("backbone.features.conv1.weight")
    )


def test_threshold_leaves_out_weak_boxes() -> None:
    decoded = {
        "semantic": torch.zeros(1, 4, 4, dtype=torch.uint8),
        "boxes": torch.tensor([[[0.0, 0, 2, 2], [1, 1, 3, 3]]]),
        "scores": torch.tensor([[0.9, 0.1]]),
        "labels": torch.tensor([[1, 2]]),
    }
    (prediction,) = to_predictions(decoded, 0.5)
    assert prediction.boxes is not None
    assert prediction.boxes.labels.tolist() == [1]
    assert prediction.drivable is None


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("multitask_resnet81",), {}, "unknown model 'multitask_resnet81'; did you mean multitask_resnet18"),
        (("multitask_resnet18",), {"heads": ["depth"]}, "heads"),
        (("multitask_resnet18",), {"wings": 2}, "does not take these options"),
        (("fcn_resnet50",), {"heads": ["lane"]}, "has the head 'semantic' only"),
        (("multitask_resnet18", "mars"), {}, "unknown label set 'mars'"),
    ],
)
def test_bad_requests_say_what_is_wrong(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_model(*arguments, **options)


def test_damaged_and_foreign_files_are_refused(tmp_path) -> None:
    from perception.models.checkpoint import save

    with pytest.raises(InputError, match="not a saved model"):
        perception.load(tmp_path)
    folder = save(create_model("multitask_resnet18_slim", CAMVID, heads=["semantic"]), tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        perception.load(folder)
    (tmp_path / "garbage.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="cannot be read safely"):
        perception.load(tmp_path / "garbage.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match="not a checkpoint of this library"):
        perception.load(tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match="no model 'nothing'"):
        perception.load("nothing")


def test_weights_of_another_model_are_refused(tmp_path) -> None:
    import json

    from perception.models.checkpoint import save

    folder = save(create_model("multitask_resnet18_slim", CAMVID, heads=["semantic"]), tmp_path / "model")
    recipe = json.loads((folder / "config.json").read_text())
    recipe["label_set"] = "road_scene"
    (folder / "config.json").write_text(json.dumps(recipe))
    with pytest.raises(InputError, match="weights of another model: 0 missing, 0 unknown and 2 of other shape"):
        perception.load(folder)


def test_recipes_name_papers() -> None:
    for recipe in ZOO.values():
        assert "arXiv" in recipe.paper

"""Channel pruning: what goes, that the rest still computes the same, and that files keep it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_points import shuffle_norms
from torch import nn

import perception
from perception.cli import main
from perception.errors import InputError
from perception.models.checkpoint import save
from perception.models.slimming import PRUNED, apply_pruning, prune_channels
from perception.models.zoo import create_model

pytest.importorskip("torch_pruning")

CONFIG = Path(__file__).parents[2] / "configs/camvid/multitask_resnet18_slim_208x288.yaml"
SIZE = (64, 96)
SMALL: dict[str, Any] = {"channels": 16, "head_channels": 16, "backbone_options": {"channels": (16, 16, 32, 32)}}


def network(name: str = "multitask_resnet18_slim", **options: Any) -> Any:
    torch.manual_seed(0)
    return shuffle_norms(create_model(name, "camvid", **(SMALL | options))).eval()


def shapes(outputs: Any) -> Any:
    if isinstance(outputs, dict):
        return {name: shapes(value) for name, value in outputs.items()}
    return tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else outputs


def parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def test_half_of_the_channels_go_and_the_outputs_keep_their_shape() -> None:
    model, whole = network(), network()
    image = torch.rand(2, 3, 96, 128)
    prune_channels(model, 0.5, SIZE)
    assert parameters(model) < 0.4 * parameters(whole)
    with torch.no_grad():
        assert shapes(model(image)) == shapes(whole(image))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape == (
                module.out_channels, module.in_channels // module.groups, *module.kernel_size
            )  # fmt: skip
    assert not model.training
    model.train()
    sum(value.float().mean() for value in model(image).values() if isinstance(value, torch.Tensor)).backward()


def test_channels_without_weight_are_those_that_go() -> None:
    """Pruning channels that are zero everywhere must not change what the network says."""
    model = create_model("unet", "camvid", width=16, depth=1).eval()
    kept: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and "classifier" not in name:
            axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            count = module.weight.shape[axis]
            kept[name] = torch.arange(count) % 2 == 0
    with torch.no_grad():
        for name, module in model.named_modules():
            if name in kept:
                index = (slice(None),) * (1 if isinstance(module, nn.ConvTranspose2d) else 0)
                module.weight[(*index, ~kept[name])] = 0
                if module.bias is not None:
                    module.bias[~kept[name]] = 0
            elif isinstance(module, nn.BatchNorm2d):
                odd = torch.arange(module.num_features) % 2 == 1
                module.weight[odd] = 0
                module.bias[odd] = 0
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        wanted = model(image)["semantic"]
        prune_channels(model, 0.5, SIZE, round_to=1)
        torch.testing.assert_close(model(image)["semantic"], wanted, atol=1e-4, rtol=1e-4)
    assert parameters(model) < 0.3 * parameters(create_model("unet", "camvid", width=16, depth=1))


@pytest.mark.parametrize("name", ["lraspp_mobilenetv3_small", "unet_resnet18"])
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = shuffle_norms(create_model(name, "camvid")).eval()
    prune_channels(model, 0.4, SIZE)
    save(model, tmp_path / "slim")
    again = perception.load(tmp_path / "slim")
    assert parameters(again) == parameters(model) < parameters(create_model(name, "camvid"))
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(again(image)["semantic"], model(image)["semantic"])
    assert again.recipe == model.recipe


def test_what_is_refused() -> None:
    model = network()
    for share in (0.0, 1.0):
        with pytest.raises(InputError, match="must lie between 0 and 1"):
            prune_channels(model, share, SIZE)
    with pytest.raises(InputError, match="takes no channel"):
        prune_channels(model, 0.01, SIZE, round_to=64)
    assert PRUNED not in model.recipe
    prune_channels(model, 0.5, SIZE)
    with pytest.raises(InputError, match="is pruned already"):
        prune_channels(model, 0.5, SIZE)
    with pytest.raises(InputError, match="attention and norms per scale"):
        prune_channels(create_model("segformer_b0", "camvid"), 0.5, SIZE)
    shuffled = create_model("lraspp_shufflenetv2_x1_0")
    before = {key: value.clone() for key, value in shuffled.state_dict().items()}
    with pytest.raises(InputError, match="cannot be followed"):
        prune_channels(shuffled, 0.5, SIZE)
    assert all(torch.equal(value, before[key]) for key, value in shuffled.state_dict().items()), "nothing was changed"
    for lengths in ({"nothing.weight": {"0": 4}}, {"backbone.conv1.weight": {"7": 4}}):
        with pytest.raises(InputError, match="not part of this model"):
            apply_pruning(network(), lengths)


def test_fit_prunes_trains_and_goes_on(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(network(heads=["semantic"]), tmp_path / "whole")
    base = ["--config", str(CONFIG), f"--data.init_args.root={camvid}", "--data.init_args.size=[48,64]",
            "--data.init_args.base_size=[48,64]", "--data.init_args.batch_size=2", "--data.init_args.num_workers=0",
            f"--model.init_args.model_options={json.dumps(SMALL)}",
            "--model.init_args.heads=[semantic]", "--trainer.check_val_every_n_epoch=1"]  # fmt: skip
    prune = ["--model.init_args.prune=0.5"]
    fit = ["fit", *base, "--trainer.max_steps=2", f"--model.init_args.init_from={tmp_path / 'whole'}"]
    assert main([*fit, *prune]) == 0, capsys.readouterr().err
    assert "pruned: 0." in capsys.readouterr().err
    path = tmp_path / "runs/camvid/checkpoints/last.ckpt"
    slim = perception.load(path)
    assert parameters(slim) < 0.5 * parameters(network(heads=["semantic"]))
    kept = tmp_path / "slim.ckpt"
    path.rename(kept)
    assert main(["validate", *base, "--ckpt_path", str(kept)]) == 0, capsys.readouterr().err
    # trained on, with rounding to 8 bits, and resumed
    more = ["fit", *base, f"--model.init_args.init_from={kept}", "--trainer.max_steps=1"]
    assert main([*more, "--trainer.callbacks+=perception.callbacks.QuantizationAwareTraining"]) == 0
    assert parameters(perception.load(path)) == parameters(slim)
    assert main(["fit", *base, "--trainer.max_steps=3", *prune, "--ckpt_path", str(kept)]) == 0, capsys.readouterr().err
    assert perception.load(path).recipe == slim.recipe
    other = ["--model.init_args.prune=0.25"]
    capsys.readouterr()
    assert main([*fit, *other, "--ckpt_path", str(kept)]) == 2
    assert "leave prune out" in " ".join(capsys.readouterr().err.split())

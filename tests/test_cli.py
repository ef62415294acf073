from __future__ import annotations

import json

import pytest

from perception.cli import main, spelled
from perception.commands.lightning import check_class_path, check_config_files, class_paths, root_cause
from perception.errors import InputError


def test_usage_lists_every_command(capsys) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in ("fit", "world", "models", "drive", "bench"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["modls"], "unknown command 'modls'; did you mean 'models'?"),
        (["models", "--kind", "sideways"], "unknown kind 'sideways'; use one of "),
        (["models", "--size", "big"], "size 'big' is not HEIGHTxWIDTH"),
        (["models", "--colour", "red"], "unrecognized arguments: --colour red; see perception models --help"),
        (["fit", "--config", "missing.yaml"], "config 'missing.yaml' does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert message in line


def a_command(source: str, *, max_drop: float = 0.5, allow_drop: bool = False, int8: bool = False) -> None:
    """Options as commands have them."""


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("--allow-drop --int8 x", "--allow_drop true --int8 true x"),
        ("x --int8", "x --int8 true"),
        ("--allow-drop false --int8=False x-y", "--allow_drop false --int8=False x-y"),
        ("--allow_drop ON --max-drop 0.5 -1", "--allow_drop ON --max_drop 0.5 -1"),
        ("--max-drop=a-b --no-such", "--max_drop=a-b --no_such"),
        ("-- --int8", "-- --int8 true"),
    ],
)
def test_switches_need_no_value_and_names_take_dashes(given: str, understood: str) -> None:
    assert spelled(given.split(), a_command) == understood.split()


def test_a_switch_alone_reaches_its_command(capsys) -> None:
    assert (
        main(["export", "multitask_resnet18_slim", "--out", "a.pt2", "--format", "aoti", "--int8", "--allow-drop"]) == 2
    )
    assert "8 bits need --data" in capsys.readouterr().err
    assert main(["export", "multitask_resnet18_slim", "--out", "a.onnx", "--allow_drops"]) == 2
    assert "allow_drops" in capsys.readouterr().err


def test_debug_shows_the_traceback(capsys) -> None:
    assert main(["models", "--size", "big", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_models_prints_json_only_on_stdout(capsys) -> None:
    assert main(["models", "--kind", "multitask", "--size", "64x64", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "kind", "backbone", "params", "gmacs", "paper"} <= set(rows[0])
    assert "multitask_resnet18_slim" in [row["name"] for row in rows]


@pytest.mark.parametrize(
    "config",
    [
        "model: {class_path: os.system}",
        "trainer: {logger: evil.Logger}",
        "trainer: {callbacks: [evil.Callback]}",
        "trainer: {callbacks: [{class_path: evil.Callback}]}",
        "model: {init_args: {inner: {class_path: subprocess.Popen}}}",
    ],
)
def test_configs_name_only_allowed_classes(config, tmp_path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    with pytest.raises(InputError, match="is not allowed"):
        check_config_files(["--config", str(path)])
    with pytest.raises(InputError, match="is not allowed"):
        check_config_files([f"--config={path}"])


def test_class_paths_are_allowed_by_package() -> None:
    check_class_path("perception.tasks.MultiTask")
    check_class_path("RichProgressBar")
    with pytest.raises(InputError, match=r"perceptionevil\.Task"):
        check_class_path("perceptionevil.Task")
    assert list(class_paths({"trainer": {"default_root_dir": "runs.a"}, "model": {"init_args": {"x": "a.b"}}})) == []


@pytest.mark.parametrize(("text", "message"), [("a: [", "is not YAML"), ("- 1", "must be a mapping")])
def test_broken_configs_are_named(text, message, tmp_path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        check_config_files(["-c", str(path)])


def test_root_cause_is_the_innermost() -> None:
    text = (
        'Parser key "model": Does not validate against any of the Union subtypes Subtypes: [..] Errors: - Problem '
        "with given class_path 'perception.tasks.MultiTask': Option 'x' is not accepted - Expected a <class 'NoneType'>"
    )
    assert root_cause(text) == "Option 'x' is not accepted"
    assert root_cause("plain") == "plain"

"""The directions in which the parts of the library may depend on each other, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "perception"

# Part -> (parts of ours, packages outside) that it must not import, at module level or inside functions.
FORBIDDEN = {
    "types": ({"*"}, {"pytorch_lightning", "wandb", "torchvision"}),
    "taxonomy": ({"*", "-types", "-errors", "-taxonomies"}, {"torch", "pytorch_lightning", "wandb"}),
    "taxonomies": ({"*", "-types", "-errors", "-taxonomies"}, {"torch", "pytorch_lightning", "wandb"}),
    "geometry": ({"*", "-types", "-errors", "-geometry"}, {"pytorch_lightning", "wandb", "torchvision"}),
    "models": (
        {"tasks", "datasets", "datamodules", "callbacks", "runtime", "losses", "metrics", "commands", "viz"},
        {"pytorch_lightning", "wandb", "nuscenes"},
    ),
    "losses": (
        {"tasks", "datasets", "datamodules", "callbacks", "runtime", "metrics", "commands", "viz"},
        {"pytorch_lightning", "wandb", "nuscenes"},
    ),
    "metrics": (
        {"tasks", "datasets", "datamodules", "callbacks", "runtime", "commands", "viz"},
        {"pytorch_lightning", "wandb", "nuscenes"},
    ),
    "evaluation": (
        {"*", "-types", "-errors", "-evaluation"},
        {"pytorch_lightning", "wandb", "nuscenes"},
    ),
    "datasets": (
        {"tasks", "datamodules", "models", "losses", "callbacks", "runtime", "commands"},
        {"pytorch_lightning", "wandb"},
    ),
    "checks": (
        {"tasks", "datamodules", "models", "losses", "callbacks", "runtime", "commands", "submissions", "world"},
        {"pytorch_lightning", "wandb"},
    ),
    "submissions": (
        {"tasks", "datamodules", "models", "losses", "callbacks", "runtime", "commands", "checks", "world", "viz"},
        {"torch", "pytorch_lightning", "wandb"},
    ),
    "transforms": ({"tasks", "datasets", "datamodules", "models", "runtime", "commands"}, {"pytorch_lightning"}),
    "runtime": (
        {"tasks", "datasets", "datamodules", "losses", "callbacks", "metrics", "commands"},
        {"pytorch_lightning", "wandb", "matplotlib"},
    ),
    "viz": ({"tasks", "datasets", "datamodules", "models", "losses", "commands"}, {"pytorch_lightning", "wandb"}),
    "world": ({"tasks", "datasets", "datamodules", "models", "runtime", "losses"}, {"torch", "pytorch_lightning"}),
}


def _files(part: str) -> list[Path]:
    module = PACKAGE / f"{part}.py"
    return [module] if module.is_file() else sorted((PACKAGE / part).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """Modules imported anywhere in a file, except under TYPE_CHECKING."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_dependencies_point_one_way(part: str) -> None:
    ours, outside = FORBIDDEN[part]
    assert _files(part), f"{part} has no files"
    for path in _files(part):
        for module in _imports(path):
            parts = module.split(".")
            if parts[0] == "perception" and len(parts) > 1:
                target = parts[1]
                banned = f"-{target}" not in ours if "*" in ours else target in ours
                assert not banned, f"{path.name} of {part} imports {module}"
            assert parts[0] not in outside, f"{path.name} of {part} imports {module}"


def test_only_the_engines_of_torch_and_tensorrt_import_torch_in_the_runtime() -> None:
    allowed = {"engine.py", "tensorrt_engine.py", "aoti_engine.py"}  # the second keeps its buffers on the GPU in it
    for path in _files("runtime"):
        imports = {module.split(".")[0] for module in _imports(path)}
        assert path.name in allowed or "torch" not in imports, f"{path.name} imports torch"


def test_import_is_light() -> None:
    script = (
        "import sys, perception, perception.files;"
        "heavy = {'torch', 'timm', 'pytorch_lightning', 'open3d', 'nuscenes', 'matplotlib', 'cv2'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_no_unsafe_loading_in_the_source() -> None:
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for bad in ("weights_only=" + "False", "allow_pickle=" + "True", "yaml." + "load("):
            assert bad not in source, f"{path} has {bad}"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only" in {keyword.arg for keyword in node.keywords}, f"{path}: torch.load"

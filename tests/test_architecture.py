"""The house: four packages that import in one direction, and a robot's side that needs neither torch nor MuJoCo."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW = {
    "robolearn": {"robolearn", "bridge", "envs", "policies"},
    "bridge": {"bridge", "policies"},
    "envs": {"envs", "policies"},
    "policies": {"policies"},
}
"""Each package and the packages it may import."""
ROBOT_SIDE = ("__init__", "environment", "errors", "files", "install", "layers", "plugins", "registry", "schema", "yaml_tree", "contract/*")
"""What of `policies` runs on the robot, as patterns of file names; of `bridge`, everything does."""
HEAVY = {"torch", "mujoco", "gymnasium", "mujoco_warp", "warp", "cv2", "matplotlib", "onnx", "stable_baselines3", "tensorboard"}
LAZY = {
    "policies/contract/observation.py": {"torch"},  # only reached with torch tensors in hand
    "bridge/simulated/physics.py": {"mujoco"},  # the simulated robot
    "bridge/simulated/robot.py": {"mujoco"},
}
"""Heavy modules that a file of the robot's side may import inside a function."""
LAYERS = (
    ("__main__", "cli"),
    ("commands", "demo"),
    (
        "scenery",
        "simulated_cameras",
        "ros_walk",
        "report",
        "viewer",
        "identify",
        "evaluation",
        "learning",
        "pretraining",
        "config",
        "data",
        "motions",
        "mining",
        "controllers",
        "policy_path",
        "policy_robot",
        "simulated_model",
        "other_model",
    ),
    ("plugins", "writing", "errors", "quiet"),
)
"""The parts of `robolearn` from top to bottom; each imports what stands with it or below."""
MAX_LINES = 500


@dataclass(frozen=True)
class Import:
    """`module` is imported in `file`; `lazy` where that happens inside a function."""

    file: str
    line: int
    module: str
    lazy: bool


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, relative ones made absolute, type-checking ones left out."""
    name = path.relative_to(ROOT).as_posix()
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield Import(name, node.lineno, module, lazy)
            for alias in node.names:
                yield Import(name, node.lineno, f"{module}.{alias.name}", lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def contract() -> list[Path]:
    """The files of `policies` that run on the robot."""
    return [path for name in ROBOT_SIDE for path in sorted((ROOT / "policies").glob(f"{name}.py"))]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Each of our modules and those of ours that it imports, also inside functions. What importing a package runs is left out."""
    paths = {module_of(path): path for package in BELOW for path in files(package)}
    edges: dict[str, set[str]] = {}
    for name, path in paths.items():
        found = {item.module for item in imports(path) if item.module in paths}
        packages = {module for module in found if paths[module].name == "__init__.py"}
        through = {module for module in packages if any(other.startswith(f"{module}.") for other in found)}
        edges[name] = found - through - {name}
    return edges


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other, after Tarjan (1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        open_.append(node)
        for other in sorted(edges[node]):
            if other not in order:
                visit(other)
            if other in open_:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            group = open_[open_.index(node) :]
            del open_[open_.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return found


def robot_side() -> list[Path]:
    return files("bridge") + contract()


def named(found: list[Import]) -> str:
    return "\n".join(f"{item.file}:{item.line} imports {item.module}" for item in found)


@pytest.mark.parametrize("package", BELOW)
def test_imports_run_downward(package: str) -> None:
    assert files(package), f"no modules in {package}/"
    breaches = [
        item
        for path in files(package)
        for item in imports(path)
        if item.module.partition(".")[0] in BELOW and item.module.partition(".")[0] not in BELOW[package]
    ]
    assert not breaches, f"{package} may import {sorted(BELOW[package])} only:\n{named(breaches)}"


def test_the_robots_side_imports_nothing_heavy() -> None:
    breaches = [
        item
        for path in robot_side()
        for item in imports(path)
        if (top := item.module.partition(".")[0]) in HEAVY and not (item.lazy and top in LAZY.get(item.file, ()))
    ]
    assert not breaches, named(breaches)


def test_the_robots_side_uses_of_policies_the_contract_alone() -> None:
    def named_as_modules(paths: list[Path]) -> set[str]:
        return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths}

    allowed, modules = named_as_modules(contract()), named_as_modules(files("policies"))
    breaches = [item for path in robot_side() for item in imports(path) if item.module in modules - allowed]
    assert not breaches, named(breaches)


def test_the_envs_use_of_policies_the_contract_alone() -> None:
    allowed = {"policies", "policies.contract"}
    allowed |= {f"policies.{name}" for name in ("registry", "plugins", "files", "install", "errors", "yaml_tree")}
    modules = {module_of(path) for path in files("policies")}
    breaches = [
        item
        for path in files("envs")
        for item in imports(path)
        if item.module in modules - allowed and not item.module.startswith("policies.contract.")
    ]
    assert not breaches, named(breaches)


def test_no_module_reaches_itself() -> None:
    assert not circles(graph()), "\n".join(" <-> ".join(group) for group in circles(graph()))


@pytest.mark.parametrize("lower", range(1, len(LAYERS)))
def test_inside_robolearn_imports_run_downward(lower: int) -> None:
    above = {f"robolearn.{name}" for layer in LAYERS[:lower] for name in layer}
    breaches = [
        item
        for path in files("robolearn")
        if path.relative_to(ROOT / "robolearn").parts[0].removesuffix(".py") in LAYERS[lower]
        for item in imports(path)
        if ".".join(item.module.split(".")[:2]) in above
    ]
    assert not breaches, named(breaches)


def test_every_part_of_robolearn_has_its_layer() -> None:
    parts = {path.relative_to(ROOT / "robolearn").parts[0].removesuffix(".py") for path in files("robolearn")}
    assert parts == {name for layer in LAYERS for name in layer} | {"__init__"}


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"f", "g"}, "g": {"f"}}
    assert circles(edges) == [["a", "b", "c"], ["f", "g"]]


def test_tests_and_benchmarks_are_not_imported() -> None:
    breaches = [
        item
        for package in BELOW
        for path in files(package)
        for item in imports(path)
        if item.module.partition(".")[0] in {"tests", "benchmarks", "launch"}
    ]
    assert not breaches, named(breaches)


def test_the_robots_side_runs_without_torch_and_mujoco() -> None:
    """The real thing: every module of the robot's side, imported in a fresh interpreter where the heavy packages are forbidden."""
    optional = {"rclpy", "sensor_msgs", "trajectory_msgs", "std_msgs", "std_srvs", "diagnostic_msgs", "geometry_msgs", "builtin_interfaces"}
    modules = []
    for path in robot_side():
        parts = path.relative_to(ROOT).with_suffix("").parts
        needs_ros = any(item.module.partition(".")[0] in optional and not item.lazy for item in imports(path))
        if not needs_ros:
            modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    assert {"bridge", "policies.contract.file", "policies.contract.spec", "policies.contract.observation"} <= set(modules)
    code = f"""
import importlib, sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {HEAVY | {"envs", "robolearn"}!r}:
            raise ImportError(f'{{name}} is forbidden on the robot')
sys.meta_path.insert(0, Forbid())
for name in {modules!r}:
    importlib.import_module(name)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 0, result.stderr


def test_importing_the_policy_file_reader_leaves_torch_and_mujoco_alone() -> None:
    code = f"import sys, bridge, policies.contract.file; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert result.stdout.strip() == "[]"


def test_files_stay_short() -> None:
    folders = [*BELOW, "tests", "benchmarks", "launch"]
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for f in folders for path in files(f)}
    long = {name: count for name, count in lengths.items() if count > MAX_LINES}
    assert not long, f"over {MAX_LINES} lines: {long}"


def test_every_module_says_why_it_exists() -> None:
    silent = [
        path.relative_to(ROOT).as_posix() for p in BELOW for path in files(p) if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent, f"without a module docstring: {silent}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", [("torch", False)]),
        ("from . import a", [("robolearn", False), ("robolearn.a", False)]),
        ("def f():\n    from mujoco import batch", [("mujoco", True), ("mujoco.batch", True)]),
        ("if TYPE_CHECKING:\n    import torch", []),
    ],
)
def test_the_walk_sees_imports(source: str, expected: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "robolearn").mkdir()
    path = tmp_path / "robolearn" / "m.py"
    path.write_text(source, encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert [(item.module, item.lazy) for item in imports(path)] == expected

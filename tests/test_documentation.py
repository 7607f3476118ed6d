"""Every example in the documentation is one: commands are taken apart by their parsers, presets are loaded, Python is compiled and its
imports are found, and links lead somewhere. A page that shows what does not exist costs its reader the first hour.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from policies.yaml_tree import parse as parse_yaml
from robolearn.config import loading, presets, schema
from robolearn.pretraining.encoder.config import EncoderTraining
from tests.command_lines import NoCommandError, command_of, parsed
from tests.envs.test_robot_yaml import MODEL, YAML

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples/my_robot_package/README.md",
    ROOT / "policies/zoo/README.md",
]
PRESET_KEYS = {"extends", "task", "robot", "seed", "env", "teacher", "student", "sb3", "algorithm", "threads", "precision"}
READERS_OWN = ("udp", "can", "NAME")
"""Names of transports that a reader's package brings, and what stands for any."""
OPTIONAL = {"stable_baselines3", "rsl_rl", "lerobot", "rclpy", "geometry_msgs", "std_srvs", "sensor_msgs"}
"""Packages of extras, which a test's environment may lack."""


@dataclass(frozen=True)
class Block:
    """An example: what stands between fences, or is indented by four spaces after an empty line."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    lines = path.read_text(encoding="utf-8").splitlines()
    page, i = path.relative_to(ROOT).as_posix(), 0
    while i < len(lines):
        begin = i
        if lines[i].startswith("```"):
            language = lines[i][3:].strip()
            i += 1
            while not lines[i].startswith("```"):
                i += 1
            yield Block(page, begin + 2, language, "\n".join(lines[begin + 1 : i]))
        elif lines[i].startswith("    ") and not (begin and lines[begin - 1].strip()):
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                i += 1
            text = "\n".join(line[4:] for line in lines[begin:i]).rstrip()
            yield Block(page, begin + 1, _guessed(text), text)
            i -= 1
        i += 1


def _guessed(text: str) -> str:
    """The language of an example that does not say."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if any(re.match(r"(import|from) \w", line) or re.match(r"\w+ = gymnasium", line) for line in lines):
        return "python"
    if all(re.match(r"\s*[\w.-]+:(\s|$)", line) for line in lines) and not lines[0].startswith("robolearn"):
        return "yaml"
    return "bash" if any(re.match(r"(robolearn|make|python|ros2|pip) ", line) for line in lines) else ""


ALL = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language]


def commands() -> Iterator[tuple[str, str]]:
    """Place and text of every command line of robolearn, in examples and between backticks."""
    for block in ALL:
        if block.language in ("bash", ""):
            for number, line in enumerate(block.text.replace("\\\n", "   ").splitlines()):
                if line.startswith(("robolearn ", "$ robolearn ")) and not line.startswith(("robolearn: ", "robolearn COMMAND")):
                    yield f"{block.page}:{block.line + number}", command_of(line)
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            for quoted in re.findall(r"`(robolearn [^`]+)`", line):
                if "COMMAND" not in quoted and "ARGUMENT" not in quoted:
                    yield f"{page.relative_to(ROOT)}:{number}", quoted


def test_there_are_examples_of_all_kinds() -> None:
    assert len(list(commands())) > 100
    assert len(of("python")) > 8
    assert len(of("yaml")) > 5


def test_every_command_is_one() -> None:
    wrong = []
    for place, line in commands():
        if re.search(r"\[-|\[[A-Z]|\.\.\. ?$|=\.\.\.", line):  # the form of a command, not one
            continue
        try:
            name, args, overrides = parsed(line)
        except NoCommandError as error:
            if re.search(rf"invalid choice: '({'|'.join(READERS_OWN)})'", str(error)):
                continue
            missing = "required" in str(error) or "expected" in str(error)
            if not (missing and f"`{line}`" in _line(place)):  # in a sentence a command may stand without its arguments
                wrong.append(f"{place}: {line}: {error}")
            continue
        if overrides and name == "pretrain encoder":
            count = line.count("--images") + line.count("--videos") + line.count("--data") + line.count("--render")
            overrides.append(f"--encoder.images={json.dumps(['some'] * count)}")  # as many sources as its weights are for
            loading.load(EncoderTraining, None, overrides)
        elif overrides and "kitten" not in line and "gru" not in line:
            known = args.preset if name == "train" and args.preset in presets.preset_names() else "go1-velocity-flat"
            robot = getattr(args, "robot", None)  # some commands have none
            given = [f"--robot={robot}"] if robot in ("go1", "g1", "panda") else []
            schema.load(known, given + overrides)
    assert not wrong, "\n".join(wrong)


def _line(place: str) -> str:
    page, _, number = place.rpartition(":")
    return (ROOT / page).read_text(encoding="utf-8").splitlines()[int(number) - 1]


def test_modules_targets_and_launch_files_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wrong = []
    for block in of("bash"):
        for line in block.text.splitlines():
            if (module := re.match(r"\s*(?:\w+=\S+ )*python3? -m ([\w.]+)", line)) and module[1] not in ("pip", "venv"):
                wrong += [f"{block}: {module[1]}"] * (importlib.util.find_spec(module[1]) is None)
            if make := re.match(r"make ((?:[a-z-]+ ?)+)", line):
                wrong += [f"{block}: make {name}" for name in make[1].split() if name not in targets]
            if launch := re.search(r"ros2 launch robolearn (\S+)", line):
                wrong += [f"{block}: {launch[1]}"] * (not (ROOT / "launch" / launch[1]).is_file())
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the robot of a reader, and the package of one."""
    (tmp_path / "my_robot").mkdir()
    (tmp_path / "my_robot/table.xml").write_text(MODEL, encoding="utf-8")
    (tmp_path / "my_robot/robot.yaml").write_text(YAML, encoding="utf-8")
    package, module = ModuleType("my_package"), ModuleType("my_package.rewards")
    exec("def spin(env, sigma: float = 0.1):\n    return env.base.height\nspin.__module__ = 'my_package.rewards'", module.__dict__)
    monkeypatch.setitem(sys.modules, "my_package", package)
    monkeypatch.setitem(sys.modules, "my_package.rewards", module)
    monkeypatch.syspath_prepend(str(ROOT / "examples/my_robot_package"))
    return tmp_path


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_every_yaml_is_one_and_every_preset_loads(block: Block, stand_ins: Path) -> None:
    parse_yaml(block.text, str(block))
    told = yaml.safe_load(block.text.replace("...]", "]").replace(", ]", "]"))
    if not set(told) <= PRESET_KEYS or ("env" not in told and "teacher" not in told and "extends" not in told):
        return
    text = block.text.replace("my_robot/robot.yaml", "go1")  # a reader's robot may be any
    lines = [] if "extends" in told or "task" in told else ["extends: go1-velocity-flat"]
    (stand_ins / "mine.yaml").write_text("\n".join([*lines, text]) + "\n", encoding="utf-8")
    assert schema.load(stand_ins / "mine.yaml").task


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_every_toml_is_one(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_compiles_and_what_it_imports_is_there(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [(node.module or "", tuple(alias.name for alias in node.names))]
        else:
            continue
        for name, members in modules:
            if name.partition(".")[0] in OPTIONAL and importlib.util.find_spec(name.partition(".")[0]) is None:
                continue
            module = importlib.import_module(name)
            assert not [member for member in members if not hasattr(module, member)], name


def test_the_gymnasium_page_runs_and_names_every_id() -> None:
    import gymnasium

    from envs.adapters.gymnasium import gym_id
    from envs.robots.registry import ROBOTS
    from envs.tasks.registry import TASKS

    page = ROOT / "docs/gymnasium.md"
    ours = [gym_id(task, robot) for task in TASKS for robot in ("", *ROBOTS) if gym_id(task, robot) in gymnasium.registry]
    own = [name for name in ours if TASKS.source(gymnasium.spec(name).kwargs["task"]) == "robolearn"]
    assert not [name for name in own if f"`{name}`" not in page.read_text(encoding="utf-8")]
    for block in blocks(page):
        if block.language == "python" and "gymnasium.make(" in block.text:
            scope: dict[str, Any] = {}
            exec(compile(block.text, str(block), "exec"), scope)
            scope["env"].close()


def test_links_lead_somewhere() -> None:
    wrong = []
    for page in PAGES:
        for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            there = (page.parent / path).resolve() if path else page
            if not there.exists():
                wrong.append(f"{page.name}: [{text}]({target})")
            elif anchor and there.suffix == ".md" and anchor not in _anchors(there):
                wrong.append(f"{page.name}: no heading for {target}")
    assert not wrong, "\n".join(wrong)


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

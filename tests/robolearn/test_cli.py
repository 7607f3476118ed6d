"""The command line: what it prints, how it exits, and how fast it answers."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from policies.contract.file import PolicyFileError
from policies.files import WriteError
from robolearn import cli
from robolearn.commands import write_json
from robolearn.errors import ConfigError, UserError

ROOT = Path(__file__).resolve().parent.parent.parent
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a stand-in for the module of `robolearn train` in place."""

    def install(run: Callable[[argparse.Namespace, list[str]], int], overrides: bool = True) -> None:
        module = ModuleType("robolearn.commands.train", "Train something.\n\nAt length.")

        def configure(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("preset", nargs="?")
            parser.add_argument("--resume", metavar="PATH")

        module.__dict__.update(configure=configure, run=run, ACCEPTS_OVERRIDES=overrides)
        monkeypatch.setitem(sys.modules, "robolearn.commands.train", module)

    monkeypatch.delenv("ROBOLEARN_DEBUG", raising=False)
    return install


def fail(error: BaseException) -> Callable[[argparse.Namespace, list[str]], int]:
    def run(args: argparse.Namespace, overrides: list[str]) -> int:
        raise error

    return run


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("robolearn: error: ")
    return err


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)
    assert cli.main([]) == 2
    assert cli.main(["--version"]) == 0


def test_unknown_command_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == 2
    assert "did you mean 'train'?" in one_line(capsys)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_its_module_and_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"robolearn.commands.{name}")
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: robolearn {name}")
    assert (module.__doc__ or "").splitlines()[0] in out


def test_overrides_are_collected_wherever_they_stand(install: Install) -> None:
    seen: list[object] = []

    def run(args: argparse.Namespace, overrides: list[str]) -> int:
        seen.extend([args.preset, args.resume, overrides, args.ros_args])
        return 7

    install(run)
    argv = ["train", "--ppo.hidden=[1, 2]", "walk", "--resume=x", "--seed=3", "--ros-args", "-r", "__node:=a", "--", "--name=a b"]
    assert cli.main(argv) == 7
    assert seen == ["walk", "x", ["--ppo.hidden=[1, 2]", "--seed=3", "--name=a b"], ["--ros-args", "-r", "__node:=a", "--"]]


@pytest.mark.parametrize(
    ("overrides", "argument", "message"),
    [
        (True, "--resum", "unknown option '--resum'; did you mean '--resume'?"),
        (True, "--ppo.gamma", "a setting is changed with --ppo.gamma=VALUE"),
        (False, "--ppo.gamma=1", "has no configuration to override"),
        (False, "--resum=3", "did you mean '--resume'?"),
        (False, "-x", "unknown option '-x'"),
        (False, "--resume", "argument --resume: expected one argument"),
    ],
)
def test_unknown_arguments(install: Install, capsys: pytest.CaptureFixture[str], overrides: bool, argument: str, message: str) -> None:
    install(lambda args, overrides: 0, overrides)
    assert cli.main(["train", argument]) == 2
    assert message in one_line(capsys)


def test_a_stray_word_is_named(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(lambda args, overrides: 0)
    assert cli.main(["train", "a", "b"]) == 2
    assert "unexpected argument 'b'" in one_line(capsys)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigError("configs/a.yaml:3: no"), "configs/a.yaml:3: no"),
        (UserError("two\nlines"), "two lines"),
        (PolicyFileError("no policy file at x.onnx"), "no policy file at x.onnx"),
        (FileNotFoundError(2, "No such file or directory", "gone.pt"), "No such file or directory: gone.pt"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), f"pip install -e '{ROOT}[train]'"),
        (ModuleNotFoundError("No module named 'mujoco.batch'", name="mujoco.batch"), "mujoco"),
        (ModuleNotFoundError("No module named 'rclpy'", name="rclpy"), f"pip install -e '{ROOT}[ros]'"),
        (ModuleNotFoundError("No module named 'viser'", name="viser"), f"pip install -e '{ROOT}[view]'"),
    ],
)
def test_user_errors_are_one_line(install: Install, capsys: pytest.CaptureFixture[str], error: Exception, message: str) -> None:
    install(fail(error))
    assert cli.main(["train"]) == 2
    assert message in one_line(capsys)


def test_debug_shows_the_traceback(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fail(ConfigError("x")))
    monkeypatch.setenv("ROBOLEARN_DEBUG", "1")
    with pytest.raises(ConfigError):
        cli.main(["train"])


@pytest.mark.parametrize("bug", [ValueError("x"), ModuleNotFoundError("x", name="robolearn.nothing"), KeyError("x")])
def test_a_bug_keeps_its_traceback(install: Install, bug: Exception) -> None:
    install(fail(bug))
    with pytest.raises(type(bug)):
        cli.main(["train"])


def test_ctrl_c_exits_130(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install(fail(KeyboardInterrupt()))
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "robolearn: interrupted\n"


def test_list_prints_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--json", "-"]) == 0
    lists = json.loads(capsys.readouterr().out)
    assert set(lists) == {"presets", "studies", "tasks", "robots", "networks", "engines", "controllers", "transports", "policies"}
    assert {
        thing["source"] for kind in ("tasks", "robots", "networks", "engines", "controllers", "transports") for thing in lists[kind]
    } == {"robolearn"}
    assert {transport["name"] for transport in lists["transports"]} == {"ros2", "unitree", "sim"}
    assert {robot["name"] for robot in lists["robots"]} >= {"go1", "panda"}
    assert {task["name"] for task in lists["tasks"]} >= {"velocity-flat", "reach"}
    assert all(preset["description"] for preset in lists["presets"]), "a preset's first line is a comment that says what it is for"
    assert cli.main(["list"]) == 0
    assert "go1" in capsys.readouterr().out


def test_list_survives_without_the_train_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from robolearn.commands import list as command

    def absent() -> list[dict[str, str]]:
        raise ModuleNotFoundError("No module named 'mujoco'", name="mujoco")

    monkeypatch.setattr(command, "tasks", absent)
    monkeypatch.setattr(command, "robots", absent)
    assert cli.main(["list"]) == 0
    assert f"pip install -e '{ROOT}[train]'" in capsys.readouterr().out
    assert cli.main(["list", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] is None


def test_json_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"x": 1})
    assert json.loads((tmp_path / "new" / "a.json").read_text(encoding="utf-8")) == {"x": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()
    with pytest.raises(WriteError, match="cannot write"):
        write_json(tmp_path / "new" / "a.json" / "c.json", {})


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'mujoco', 'numpy', 'onnxruntime', 'yaml', 'matplotlib'}"
    code = f"import sys; from robolearn.cli import main; main(['--help']); print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    took = []
    for _ in range(3):
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - start)
        assert result.stderr.strip() == "[]"
    assert min(took) < 0.3


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -c \"from robolearn.cli import main; [main(['--help']) for _ in range(2000)]\" | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=dict(os.environ), timeout=60)
    assert result.stderr == ""


@pytest.mark.parametrize("command", [["evaluate", "go1-velocity"], ["identify", "--demo", "go1"]])
def test_a_graphics_library_that_does_not_exist_is_one_line(command: list[str]) -> None:
    environment = {**os.environ, "MUJOCO_GL": "nonsense"}
    result = subprocess.run([sys.executable, "-m", "robolearn.cli", *command], capture_output=True, text=True, env=environment)
    assert result.returncode == 2
    assert "MuJoCo cannot be imported with MUJOCO_GL=nonsense" in result.stderr
    assert "Traceback" not in result.stderr

"""`deploy.yaml`: every option as a key, files under overrides under options, and a mistake is one line before anything starts."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import deploy, options, settings
from bridge.fields import options_in, split_overrides
from bridge.logs.reader import read_log
from policies.contract.file import PolicyFile
from policies.errors import ConfigError
from robolearn import cli
from robolearn.commands import deploy as command
from robolearn.policy_path import zoo
from tests.bridge_helpers import REPOSITORY

GO1 = PolicyFile(zoo()["go1-velocity"])
FILE = """\
transport: ros2
auto_start: true
command: [0.5, 0, 0]
limits: {max_tilt: 0.7, heartbeat_timeout_s: .inf}
simulated: {gantry: always, realtime: false}
ros2:
  command_interface: trajectory
  joint_prefix: left_
  extra_joints: [gripper]
unitree: {dds_domain: 1, check_crc: false}
"""


def resolve(path: Path, *arguments: str, configure: Callable[[argparse.ArgumentParser], None] = command.configure) -> argparse.Namespace:
    """What a command line comes to, as the two programs do it."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    configure(parser)
    ours, overrides = split_overrides(["walk.onnx", "--config", str(path), *arguments], options_in(parser))
    settings.prepare(parser, ours, overrides)
    made = parser.parse_args(ours)
    settings.settle(made)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deploy.yaml"
    path.write_text(FILE)
    return path


def test_a_file_sets_what_options_set(file: Path) -> None:
    made = resolve(file)
    typed = argparse.ArgumentParser()
    command.configure(typed)
    same = "--auto-start --command 0.5 0 0 --limit max_tilt=0.7 --limit heartbeat_timeout_s=inf --command-interface trajectory"
    wanted = typed.parse_args(["walk.onnx", *same.split(), "--joint-prefix", "left_", "--extra-joints", "gripper"])
    differs = {key for key, value in vars(wanted).items() if getattr(made, key) != value}
    assert differs == {"config", "limit", "limits"}
    assert options.limits_of(made) == options.limits_of(wanted)
    options.check_options(GO1.spec, made)


def test_options_win_over_overrides_and_those_over_the_file(file: Path) -> None:
    made = resolve(file, "--ros2.joint_prefix=right_", "--limits.max_tilt=0.6", "--ros2.command_interface=forward", "--auto_start=false")
    assert (made.joint_prefix, made.command_interface, made.auto_start) == ("right_", "forward", False)
    assert options.limits_of(made) == {"max_tilt": 0.6, "heartbeat_timeout_s": float("inf")}
    made = resolve(file, "--limits.max_tilt=0.6", "--limit", "max_tilt=0.5", "--command", "0", "0", "0", "--joint-prefix", "x_")
    assert options.limits_of(made)["max_tilt"] == 0.5
    assert (made.command, made.joint_prefix) == ([0.0, 0.0, 0.0], "x_")


@pytest.mark.parametrize("place", ["ros2", "ros2 --simulate", "unitree", "unitree --simulate", "sim"])
def test_a_file_speaks_of_every_transport_and_the_chosen_one_is_read(file: Path, place: str) -> None:
    made = resolve(file, "--transport", *place.split())
    ros2, simulated = place.startswith("ros2"), place == "sim" or "--simulate" in place
    assert made.command_interface == ("trajectory" if ros2 else "impedance")
    assert made.extra_joints == (["gripper"] if ros2 else ())
    assert made.dds_domain == (None if not place.startswith("unitree") else 1)
    assert made.gantry == ("always" if simulated else "auto")
    assert made.realtime is (False if place == "sim" else None)
    made.mjcf = REPOSITORY / "README.md"  # any file
    if not simulated:
        made.mjcf = None
    options.check_options(GO1.spec, made)


def test_what_is_typed_for_another_transport_is_refused_all_the_same(file: Path) -> None:
    made = resolve(file, "--transport", "unitree", "--ros2.command_interface=forward")
    with pytest.raises(options.DeployError, match="--command-interface is for --transport ros2"):
        options.check_options(GO1.spec, made)


def test_paths_are_relative_to_the_file_that_says_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "base.yaml").write_text("log: run.mcap\nrobot: spot/robot.yaml\nsimulated: {mjcf: a.xml}\ntransport: sim\n")
    (tmp_path / "deploy.yaml").write_text("extends: lab/base.yaml\nevents: e.jsonl\ngamepad: /dev/input/js1\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made = resolve(tmp_path / "deploy.yaml")
    assert made.log.resolve() == tmp_path / "lab" / "run.mcap"
    assert Path(made.robot).resolve() == tmp_path / "lab" / "spot" / "robot.yaml"
    assert made.mjcf.resolve() == tmp_path / "lab" / "a.xml"
    assert made.events.resolve() == tmp_path / "e.jsonl"
    assert made.gamepad == Path("/dev/input/js1")
    assert resolve(tmp_path / "deploy.yaml", "--simulated.mjcf=b.xml", "--robot", "go1").mjcf == Path("b.xml")


def test_what_held_is_a_file_that_gives_the_same_again(file: Path, tmp_path: Path) -> None:
    first = resolve(file, "--simulate", "--limits.stand_s=3", "--duration", "2")
    again = tmp_path / "again.yaml"
    again.write_text(first.settings)
    second = resolve(again)
    assert second.settings == first.settings
    assert second.duration == 2.0
    assert second.simulate
    assert options.limits_of(second) == options.limits_of(first)


def test_what_held_has_paths_that_do_not_depend_on_where_it_lies(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = resolve(file, "--transport", "sim", "--mjcf", "a.xml", "--robot", "spot/robot.yaml", "--log", "run.mcap")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "again.yaml").write_text(first.settings)
    second = resolve(tmp_path / "kept" / "again.yaml")
    assert second.mjcf.resolve() == tmp_path / "a.xml"
    assert second.log.resolve() == tmp_path / "run.mcap"
    assert Path(second.robot).resolve() == tmp_path / "spot" / "robot.yaml"


MISTAKES = [
    ("auto-start: true", r"deploy.yaml:1: unknown key 'auto-start'; did you mean 'auto_start'\?; valid: transport, dry_run"),
    ("cpu: 1\nmax_tilt: 1", r"deploy.yaml:2: unknown key 'max_tilt'; did you mean 'limits.max_tilt'\?"),
    ("command_interface: forward", r"did you mean 'ros2.command_interface'\?"),
    ("ros2:\n  command_interface: forwrd", r"deploy.yaml:2: ros2.command_interface must be one of impedance, .* did you mean 'forward'\?"),
    ("ros2: null", r"deploy.yaml:1: ros2 must be a table with keys from command_interface, .*, not null"),
    ("transport: ros", r"transport must be one of .*ros2.*, not 'ros'; did you mean 'ros2'\?"),
    ("limits: {max_tlt: 1}", r"unknown key 'limits.max_tlt'; did you mean 'limits.max_tilt'\?"),
    ("limits: {max_tilt: -1}", r"deploy.yaml:1: limits: safety limit max_tilt must be above zero"),
    ("limits: {max_tilt: .inf}", r"safety limit max_tilt must be above zero and at most"),
    ("duration: fast", r"deploy.yaml:1: duration must be a number, not 'fast'"),
    ("command: 0.5", r"command must be a list \[...\], not 0.5"),
    ("auto_start: 1", r"auto_start must be true or false, not 1"),
    ("cpu: 1\ncpu: 2", r"deploy.yaml:2: key 'cpu' is given twice"),
    ("- 1", r"deploy.yaml:1: the configuration must be a table"),
    ("cpu: [1", r"deploy.yaml:1: not valid YAML"),
    ("", r"deploy.yaml is empty; leave --config out"),
    ("extends: nowhere", r"deploy.yaml:1: extends: no configuration file at .*nowhere.yaml"),
    ("extends: deploy.yaml", r"extends itself"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "deploy.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(tmp_path / "deploy.yaml")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.yaml").write_bytes(b"log: \xff.mcap\n")
    wanted = {
        "nowhere.yaml": "no configuration file at nowhere.yaml",
        ".": "cannot read .: Is a directory",
        "latin.yaml": "cannot read latin",
    }
    for name, said in wanted.items():
        for main in (lambda args: cli.main(["deploy", *args]), deploy.main):
            assert main([str(GO1.path), "--transport", "sim", "--config", name]) == 2
            line = capsys.readouterr().err
            assert said in line
            assert line.count("\n") == 1
    for main in (lambda args: cli.main(["deploy", *args]), deploy.main):
        assert main([str(GO1.path), "--config", "a.yaml", "--config", "b.yaml"]) == 2
        assert "--config is given 2 times; a file may begin with another one's settings: extends: a.yaml" in capsys.readouterr().err
        assert main([str(GO1.path), "--limit", "max_tlt=1"]) == 2
        assert "unknown safety limit 'max_tlt'; did you mean 'max_tilt'?" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_robots_program_reads_the_same_file_and_names_what_it_lacks(tmp_path: Path, file: Path) -> None:
    made = resolve(file, configure=options.configure)
    assert (made.command_interface, made.auto_start) == ("trajectory", True)
    for text in ("simulate: true", "motion: squats", "robot: go1"):
        file.write_text(f"transport: ros2\n{text}\n")
        with pytest.raises(ConfigError, match=rf"deploy.yaml:2: {text.partition(':')[0]} is for robolearn deploy; python -m bridge.deploy"):
            resolve(file, configure=options.configure)


def test_each_option_of_the_help_is_a_key_and_each_key_an_option() -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    dests = {action.dest for action in parser._actions} - {"help", "policy", "config", "limit"}
    keys = {key[-1] for key, _ in settings._leaves(settings._tree(())) or []}
    assert keys == set()
    text = settings.dump(parser.parse_args(["walk.onnx"]))
    inside = set(re.findall(r"^ *(\w+):", text, re.MULTILINE)) - {"limits", "simulated", "ros2", "unitree"}
    assert dests <= inside
    assert inside - dests == set(re.findall(r"^  (\w+): null$", text.partition("limits:")[2].partition("simulated:")[0], re.MULTILINE))


def test_a_run_from_a_file_notes_its_settings_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "deploy.yaml").write_text("transport: sim\nauto_start: true\ncommand: [0.3, 0, 0]\nlog: run.mcap\nduration: 2.2\n")
    run = [sys.executable, "-m", "robolearn", "deploy", "go1-velocity", "--config", str(tmp_path / "deploy.yaml"), "--limits.max_tilt=0.8"]
    done = subprocess.run(run, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "safety limit overridden: max_tilt=0.8" in done.stdout
    log = read_log(tmp_path / "run.mcap")
    assert "command: [0.3, 0.0, 0.0]" in log.metadata["settings"]
    assert "max_tilt: 0.8" in log.metadata["settings"]
    assert log.ticks["command"][-1].tolist() == [0.3, 0.0, 0.0]

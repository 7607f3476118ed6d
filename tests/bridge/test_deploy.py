"""The command line: what it refuses, what it runs, what it imports; and the launch files, as far as that goes without ROS's launch."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
import py_compile
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from bridge import deploy, options
from bridge.isolation import LOOPBACK_CYCLONE, isolate
from bridge.transports.registry import TRANSPORTS
from policies import plugins
from policies.contract.file import GOLDEN_KEY, PROVENANCE_KEY, PolicyFile
from policies.contract.golden import Golden
from robolearn import cli
from tests.bridge_helpers import REPOSITORY, events
from tests.learning_helpers import edit_metadata
from tests.make_policy import make_policy

ROBOTS = REPOSITORY / "envs" / "robots"
MJCF = ROBOTS / "go1" / "go1.xml"


@pytest.fixture(autouse=True)
def _logs_go_into_a_folder_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stand(tmp_path: Path) -> Path:
    return make_policy(tmp_path / "stand.onnx", kind="stand")


def sim(policy: Path, *options: str) -> int:
    return deploy.main([str(policy), "--transport", "sim", "--mjcf", str(MJCF), *options])


def test_stands_and_runs_in_lock_step(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = stand.parent / "events.jsonl"
    code = sim(stand, "--auto-start", "--command", "0.5", "0", "0", "--duration", "4", "--permute-joints", "3", "--events", str(log))
    assert code == 0
    record = events(log)
    states = [event["to"] for event in record if event["event"] == "transition"]
    assert states == ["damping", "stand", "policy", "damping"]
    assert record[-1]["event"] == "timing"
    assert record[-1]["ticks"] == 200
    assert "golden run reproduced" in capsys.readouterr().out


def test_a_file_that_the_gate_did_not_pass_drives_no_robot(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before any participant of ROS 2 exists; `--ungated` and a robot simulated in process are the ways on."""
    parser = argparse.ArgumentParser()
    options.configure(parser)
    for verdict, found in ((None, "was not evaluated by the gate"), (False, "failed its gate")):
        edit_metadata(stand, PROVENANCE_KEY, lambda provenance, verdict=verdict: provenance | {"deployable": verdict})
        for transport, flags in (("ros2", []), ("ros2", ["--dry-run"]), ("unitree", [])):
            assert deploy.main([str(stand), "--transport", transport, *flags]) == 2
            error = capsys.readouterr().err
            assert found in error
            assert error.count("\n") == 1
        assert cli.main(["deploy", str(stand), "--simulate"]) == 2  # a real robot may listen too
        assert found in capsys.readouterr().err
        for option in (["--ungated"], ["--transport", "sim"]):
            options.check_gate(PolicyFile(stand), parser.parse_args([str(stand), *option]))
            assert f"{found}\n" in capsys.readouterr().out
    edit_metadata(stand, PROVENANCE_KEY, lambda provenance: provenance | {"deployable": True})
    options.check_gate(PolicyFile(stand), parser.parse_args([str(stand)]))
    assert capsys.readouterr().out == ""


def test_the_command_finds_shipped_policies_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--transport", "sim", "--auto-start", "--command", "0.3", "0", "0", "--duration", "3"]
    assert cli.main(["deploy", "go1-velocity-flat", *options]) == 0
    assert ": velocity-flat at 50 Hz" in capsys.readouterr().out


def test_the_command_finds_the_policy_of_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_policy(tmp_path / "policy.onnx", kind="stand")
    assert cli.main(["deploy", str(tmp_path), "--transport", "sim", "--duration", "0.1"]) == 0
    assert "policy.onnx" in capsys.readouterr().out
    assert cli.main(["deploy", "go1-velocity-flt", "--transport", "sim"]) == 2
    assert "did you mean 'go1-velocity-flat'?" in capsys.readouterr().err


def test_a_dry_run_infers_and_sends_nothing(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(stand, "--dry-run", "--auto-start", "--command", "0", "0", "0", "--duration", "3") == 0
    said = capsys.readouterr().out
    assert "would send, furthest first [rad]: " in said
    assert "stand ->" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rate", "100"), "trained at 50 Hz"),
        (("--command", "1"), "3 finite numbers"),
        (("--command", "1", "nan", "0"), "3 finite numbers"),
        (("--limit", "tilt=1"), "unknown safety limit"),
        (("--limit", "max_tilt"), "NAME=NUMBER"),
        (("--duration", "-1"), "above zero"),
        (("--limit", "max_tilt=1", "--limit", "max_tilt=1"), "given twice"),
        (("--mjcf", "/nowhere.xml"), "no robot model"),
        (("--mjcf", str(ROBOTS / "g1" / "g1.xml")), "--mjcf does not fit go1, the policy's robot: "),
        (("--mjcf", str(REPOSITORY / "constraints.txt")), "--mjcf does not fit go1, the policy's robot: could not find decoder"),
        (("--network-interface", "lo"), "--network-interface is for --transport unitree"),
        (("--gamepad", "/nowhere/js0"), "cannot open /nowhere/js0: No such file or directory; is it plugged in?"),
        (("--dashboard",), "--dashboard needs a terminal"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    stand: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert sim(stand, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_gamepad_that_this_user_may_not_read_says_who_may(
    stand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(deploy, "Gamepad", refused)  # root may read everything
    assert sim(stand, "--gamepad") == 2
    error = capsys.readouterr().err
    assert "cannot open /dev/input/js0: Permission denied; give this user permission to read it" in error
    assert "usermod -aG input" in error


@pytest.mark.parametrize(
    ("package", "flag", "advice"),
    [("mcap", "--no-dashboard", "run: pip install mcap rosbags, or give --no-log"), ("rich", "--dashboard", "or give --no-dashboard")],
)
def test_a_package_of_the_robots_side_that_is_missing_is_named(
    package: str, flag: str, advice: str, stand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a colcon workspace, which installs no Python dependencies."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    monkeypatch.setattr(deploy, "on_terminal", lambda: flag == "--dashboard")
    assert sim(stand, flag, "--duration", "0.1") == 2
    error = capsys.readouterr().err
    assert f"needs {package}" in error
    assert advice in error
    assert error.count("\n") == 1


@pytest.mark.ros
def test_what_ros_says_to_its_arguments_is_one_line(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rclpy")
    for bad, said in ((["-r", "nonsense"], "remap rule: '-r nonsense'"), (["--nonsense"], "['--nonsense']")):
        assert deploy.main([str(stand), "--ungated", "--duration", "0.1", "--ros-args", *bad]) == 2
        out, error = capsys.readouterr()
        assert error.splitlines()[-1].startswith("deploy: --transport ros2: ")
        assert said in error
        assert "timing" not in out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("_rclpy.so: undefined symbol: rcl_take\nThe C extension failed"), "_rclpy.so: undefined symbol: rcl_take; is another"),
        (ModuleNotFoundError("No module", name="rclpy._rclpy_pybind11"), "the installed rclpy is not for Python 3."),
        (ModuleNotFoundError("No module", name="rclpy"), f"needs rclpy; run: pip install -e '{REPOSITORY}[ros]'"),
    ],
)
def test_two_installations_of_ros_are_told_from_none(
    error: ImportError, said: str, stand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages are those of a library of another ROS 2 on LD_LIBRARY_PATH, of another Python's rclpy on PYTHONPATH, and of no rclpy."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setitem(TRANSPORTS._things, "ros2", dataclasses.replace(TRANSPORTS.get("ros2"), make=fails))
    assert deploy.main([str(stand), "--ungated", "--duration", "0.1"]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_warnings_stand_on_the_screen_too(stand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the terminal a moment after they were printed."""
    shown: list[str] = []

    class Screen:
        def due(self, now_ns: int) -> bool:
            return True

        def show(self, now_ns: int, snapshot: dict[str, list[str]]) -> None:
            shown.extend(snapshot["events"])

        def close(self) -> None:
            pass

    monkeypatch.setattr(deploy, "Screen", Screen)
    monkeypatch.setattr(deploy, "open_devices", lambda *_: [])
    assert sim(stand, "--dashboard", "--no-realtime", "--duration", "0.1", "--limit", "max_tilt=0.9") == 0
    assert "warning: safety limit overridden: max_tilt=0.9 rad (default 1)" in shown


def test_a_policy_that_does_not_reproduce_its_golden_run_is_refused(stand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    model = onnx.load(str(stand))
    for entry in model.metadata_props:
        if entry.key == GOLDEN_KEY:
            golden = Golden.from_text(entry.value)
            golden.action[3, 2] += 0.01
            entry.value = golden.to_text()
    onnx.save(model, str(stand))
    assert sim(stand, "--auto-start", "--duration", "1") == 2
    assert "differs by" in capsys.readouterr().err


def test_importing_the_bridge_brings_no_torch_mujoco_ros_or_envs() -> None:
    code = (
        "import sys, bridge.deploy, bridge.transports.sim, bridge.simulated.robot, bridge.transports.ros2.transport\n"
        "print(sorted({'torch', 'mujoco', 'rclpy', 'envs', 'robolearn'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ros_stays_on_this_computer_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "CYCLONEDDS_URI", "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    isolate()
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert 'multicast="false"' in os.environ["CYCLONEDDS_URI"]
    monkeypatch.delenv("CYCLONEDDS_URI")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    isolate()
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"
    assert os.environ["FASTDDS_BUILTIN_TRANSPORTS"] == "UDPv4"
    assert "CYCLONEDDS_URI" not in os.environ


def test_one_setting_keeps_cyclone_on_loopback_without_multicast() -> None:
    general, discovery = ElementTree.fromstring(LOOPBACK_CYCLONE).findall("Domain/*")
    assert [interface.attrib for interface in general.findall("Interfaces/*")] == [{"name": "lo", "multicast": "false"}]
    assert general.findtext("AllowMulticast") == "false"
    assert [peer.attrib for peer in discovery.findall("Peers/*")] == [{"address": "localhost"}]  # without it nobody is found
    assert os.environ["CYCLONEDDS_URI"] == LOOPBACK_CYCLONE  # tests/conftest.py
    assert "CycloneDDS" not in (REPOSITORY / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["sim", "deploy"])
def test_launch_files_compile_and_pass_only_options_that_exist(name: str, tmp_path: Path) -> None:
    path = REPOSITORY / "launch" / f"{name}.launch.py"
    py_compile.compile(str(path), cfile=str(tmp_path / "compiled"), doraise=True)
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"]
    declared = {ast.literal_eval(call.args[0]) for call in calls}
    assert {"policy", "command_interface", "discovery", "ungated"} <= declared
    ungated = {keyword.arg: ast.unparse(keyword.value) for call in calls if call.args[0].value == "ungated" for keyword in call.keywords}
    assert (ungated["default_value"], ungated["choices"]) == ("'false'", "true_or_false")
    assert all("description" in {keyword.arg for keyword in call.keywords} for call in calls)
    import argparse

    from bridge.simulated import robot as simulated_robot

    parser = argparse.ArgumentParser()
    plugins.add_option(parser)
    options.configure(parser)
    known = {option for p in (parser, simulated_robot.parser()) for action in p._actions for option in action.option_strings}
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    others = {"--", "--ros-args", "--out"}  # the last is that of `robolearn robot mjcf`
    assert {text for text in strings if text.startswith("--")} - others <= known


def test_the_simulated_robot_stands_in_both_joint_orders() -> None:
    from bridge.simulated.physics import PhysicsRobot
    from tests.make_policy import go1_spec

    spec = go1_spec().robot
    plain, permuted = PhysicsRobot(spec, MJCF), PhysicsRobot(spec, MJCF, permute=5)
    for robot in (plain, permuted):
        for _ in range(200):
            robot.step()
    index = [permuted.names.index(name) for name in plain.names]
    np.testing.assert_allclose(permuted.sample().position[index], plain.sample().position, atol=1e-12)
    assert plain.damped

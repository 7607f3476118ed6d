"""What `robolearn deploy --help` shows is true, and an option that would do nothing is refused."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from bridge import deploy, options, settings
from bridge.control.joints import JointError
from bridge.control.safety import SafetyLimitError, SafetyLimits
from bridge.fields import options_in, split_overrides
from bridge.transports.ros2.options import wire_names
from envs.robots.registry import get_robot
from policies.contract.file import PolicyFile
from policies.contract.spec import CommandSpec, ImageSpec, ObservationGroup, PolicySpec
from robolearn import cli
from robolearn.commands import deploy as command
from robolearn.errors import UsageError
from robolearn.policy_path import zoo
from tests.make_policy import POSE, asking, go1_spec, make_policy

GO1, PANDA = (PolicyFile(zoo()[name]) for name in ("go1-velocity", "panda-reach"))
FILES = {"walk.onnx": GO1, "reach.onnx": PANDA, **{name: PolicyFile(path) for name, path in zoo().items()}}
EXAMPLES = re.findall(r"^  robolearn deploy (.+)$", options.INTRODUCTION, re.MULTILINE)
OF_POLICY = {"max_tilt", "warm_motor_c", "hot_motor_c", "max_lateness_s", "command_timeout_s", "heartbeat_timeout_s"}
"""Limits whose default depends on the policy file."""


def parse(*arguments: str) -> argparse.Namespace:
    """Options and overrides; the file of `--config`, which an example only names, is not read."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    command.configure(parser)
    ours, overrides = split_overrides(arguments, options_in(parser))
    settings.prepare(parser, [], overrides)
    return parser.parse_args(ours)


def check(spec: PolicySpec, parsed: argparse.Namespace) -> None:
    """As `robolearn deploy` does, which finds a bundled robot's model itself."""
    if parsed.mjcf is None and (parsed.simulate or parsed.transport == "sim"):
        parsed.mjcf = get_robot(spec.robot.name).model
    options.check_options(spec, parsed)
    SafetyLimits.of(spec, options.parse_limits(parsed.limit))


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_of_the_help_is_right(example: str) -> None:
    parsed = parse(*shlex.split(example))
    policy = FILES[str(parsed.policy)]
    check(policy.spec, parsed)
    assert "fr3_joint1" in options.INTRODUCTION
    if parsed.joint_prefix is not None:
        assert wire_names(policy.spec.robot.joint_names, prefix=parsed.joint_prefix)[0] == "fr3_joint1"


def test_the_examples_show_every_transport_and_what_is_asked_for_most() -> None:
    assert 4 <= len(EXAMPLES) <= 7
    shown = " ".join(EXAMPLES)
    for option in ("--transport sim", "--transport unitree", "--simulate", "--dry-run", "--motion", "--limit", "--command-interface"):
        assert option in shown


def test_help_lists_every_limit_with_its_default_and_unit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for run in (lambda: cli.main(["deploy", "--help"]), lambda: deploy.main(["--help"])):
        with contextlib.suppress(SystemExit):  # argparse's way of ending after --help
            run()
        shown = capsys.readouterr().out
        assert shown.index("examples:") < shown.index("--transport {") < shown.index("limits that --limit")
        for field in dataclasses.fields(SafetyLimits):
            unit = {"_s": " s", "lt": " rad", "ed": " rad/s"}.get(field.name[-2:], "")
            assert re.search(rf"^  {field.name} +{field.default:g}{unit} +\S.*\S$", shown, re.MULTILINE), field.name
    note = options.LIMITS.partition("{limits}")[2]
    assert OF_POLICY - {"command_timeout_s", "heartbeat_timeout_s"} <= set(re.findall(r"\w+", note))
    assert "time-outs" in note
    for policy in FILES.values():  # nothing else depends on the file
        limits, default = dataclasses.asdict(SafetyLimits.of(policy.spec)), dataclasses.asdict(SafetyLimits())
        assert {name for name, value in limits.items() if value != default[name]} <= OF_POLICY


PLACES = ("ros2", "ros2 --simulate", "unitree", "unitree --simulate", "sim")


def at(place: str, *given: str) -> argparse.Namespace:
    transport, *simulate = place.split()
    return parse("walk.onnx", "--transport", transport, *simulate, *given)


def groups() -> dict[str, list[argparse.Action]]:
    parser = argparse.ArgumentParser()
    options.configure(parser)
    return {str(group.title): group._group_actions for group in parser._action_groups if "--transport" in str(group.title)}


def value_of(action: argparse.Action) -> list[str]:
    """Something that is not the default."""
    if action.nargs == 0:
        return []
    if action.choices is not None:
        return [next(choice for choice in action.choices if choice != action.default)]
    return {int: ["3"], float: ["0.5"], Path: [str(get_robot("go1").model)]}.get(action.type, ["x"])  # type: ignore[call-overload]


@pytest.mark.parametrize("place", PLACES)
def test_an_option_of_another_transport_is_refused_by_name(place: str) -> None:
    """Which group belongs where stands in its title; what only some of the simulated robots know is the exception."""
    fewer = {"--realtime": {"sim"}, "--permute-joints": {"sim", "ros2 --simulate"}}
    assert set(groups()) == {"a simulated robot: --transport sim, or --simulate", "--transport ros2", "--transport unitree"}
    seen = 0
    for title, actions in groups().items():
        inside = {
            other for other in PLACES if f"--transport {other.split()[0]}" in title or ("--simulate" in title and "--simulate" in other)
        }
        for action in actions:
            name = action.option_strings[0]
            fits = place in fewer.get(name, inside)
            try:
                check(GO1.spec, at(place, name, *value_of(action)))
                refused = ""
            except ValueError as error:
                refused = str(error)
            assert refused.startswith(f"{name} is for --transport") is not fits, (name, refused)
            assert fits or place.split()[0] in refused
            seen += not fits
    assert seen >= 4


@pytest.mark.parametrize("place", PLACES)
def test_defaults_are_refused_nowhere(place: str) -> None:
    check(GO1.spec, at(place))
    check(GO1.spec, at(place, "--gantry", "auto", "--base-frame", "base", "--known-publishers", "0"))  # said, but nothing new


def test_no_realtime_is_named_as_it_was_typed() -> None:
    with pytest.raises(options.DeployError, match=r"^--no-realtime is for --transport sim; with --transport ros2 it would"):
        check(GO1.spec, at("ros2", "--no-realtime"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--joint-order", "a", "b"), "it lacks FR_hip_joint, .*; it has unknown a, b"),
        (("--joint-order", *GO1.spec.robot.joint_names, "FR_hip_joint"), "it repeats FR_hip_joint$"),
        (("--joint-names", "foo=bar"), "'foo' is no joint of the policy"),
        (("--joint-prefix", "x=y"), "do not begin with 'x'"),
        (("--extra-joints", "gripper", "FL_hip_joint"), "has joints of the policy: FL_hip_joint;"),
        (("--rate", "nan"), "--rate nan refused"),
        (("--managed", "--auto-start"), "--managed cannot be combined with --auto-start"),
        (("--command", "1", "2"), r"needs 3 finite numbers \(vx, vy, yaw_rate\), not 1 2$"),
        (("--mjcf", "nowhere.xml", "--simulate"), "--mjcf: there is no robot model at nowhere.xml"),
        (("--mjcf", "/", "--simulate"), "no robot model at /, that is a folder"),
        (("--log", "/"), "--log: / is a folder"),
        (("--transport", "unitree", "--known-publishers", "-1"), "must not be negative"),
        (("--transport", "unitree", "--known-senders", "-1"), "--known-senders must not be negative"),
        (("--transport", "sim", "--permute-joints", "-1"), "a seed from 0 on"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_opens(given: tuple[str, ...], message: str) -> None:
    with pytest.raises((options.DeployError, JointError), match=message):
        check(GO1.spec, parse("walk.onnx", *given))


def test_joint_options_are_in_the_robots_own_names() -> None:
    names = GO1.spec.robot.joint_names
    ours = [f"left_{name}" for name in reversed(names)]
    check(GO1.spec, parse("walk.onnx", "--joint-prefix", "left_", "--joint-order", *ours, "--extra-joints", "FR_hip_joint"))
    with pytest.raises(options.DeployError, match="it has unknown FR_hip_joint"):
        check(GO1.spec, parse("walk.onnx", "--joint-prefix", "left_", "--joint-order", *names))


def test_names_with_commas_do_not_go_where_commas_stand_between_names() -> None:
    """Symptom: the robot heard nothing that it could read, damped itself, and nobody said why."""
    robot = dataclasses.replace(GO1.spec.robot, joint_names=("FR,hip", *GO1.spec.robot.joint_names[1:]))
    spec = dataclasses.replace(GO1.spec, robot=robot)
    with pytest.raises(JointError, match=r"commas between joint names, and 'FR,hip' have some: call them otherwise .*--joint-names"):
        check(spec, parse("walk.onnx"))
    check(spec, parse("walk.onnx", "--joint-names", "FR,hip=FR_hip"))
    check(spec, parse("walk.onnx", "--command-interface", "trajectory"))
    check(spec, parse("walk.onnx", "--transport", "unitree"))


def test_a_ros_domain_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for domain in ("999", "abc", "-1"):
        monkeypatch.setenv("ROS_DOMAIN_ID", domain)
        with pytest.raises(options.DeployError, match=f"from 0 to 232, not '{domain}'"):
            check(GO1.spec, at("ros2"))
        check(GO1.spec, at("sim"))
    monkeypatch.setenv("ROS_DOMAIN_ID", "")
    check(GO1.spec, at("ros2"))


def test_a_limit_is_known_and_given_once() -> None:
    assert options.parse_limits(["max_tilt=0.5", "stand_s=3"]) == {"max_tilt": 0.5, "stand_s": 3.0}
    with pytest.raises(SafetyLimitError, match=r"unknown safety limit 'max_tlt'; did you mean 'max_tilt'\?"):
        options.parse_limits(["max_tlt=0.5"])
    with pytest.raises(SafetyLimitError, match=r"unknown safety limit 'foo'; known: sensor_timeout_s, .*entry_speed"):
        options.parse_limits(["foo=1"])
    with pytest.raises(options.DeployError, match=r"--limit max_tilt is given twice, as 0\.5 and as 0\.6"):
        options.parse_limits(["max_tilt=0.5", "max_tilt=0.6"])
    for pair in ("max_tilt", "max_tilt=", "max_tilt=x", ""):
        with pytest.raises(options.DeployError, match="NAME=NUMBER"):
            options.parse_limits([pair])


def test_a_robot_in_this_process_that_nobody_can_ask_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = lambda policy, *given: " ".join(options.said_of(policy.spec, parse("walk.onnx", "--transport", "sim", *given)))  # noqa: E731
    monkeypatch.setattr(options, "on_terminal", lambda: False)
    assert "stand and start cannot be requested" in said(GO1)
    assert "there is no source for vx, vy, yaw_rate" in said(GO1, "--auto-start")
    assert said(GO1, "--auto-start", "--command", "0", "0", "0") == said(GO1, "--dry-run") == said(GO1, "--gamepad") == ""
    monkeypatch.setattr(options, "on_terminal", lambda: True)
    assert said(GO1) == ""
    assert "there is no source for x, y, z" in said(PANDA)  # the keys steer no arm
    assert "sticks give velocities, and this policy takes a goal_position" in said(PANDA, "--gamepad")
    assert said(PANDA, "--command", "0.5", "0", "0.5") == ""


@pytest.mark.parametrize("interface", ["impedance", "forward_effort", "trajectory", "forward", "forward_velocity"])
def test_a_motion_needs_gains_that_act(interface: str) -> None:
    parsed = parse("reach.onnx", "--motion", "sines", "--command-interface", interface)
    if interface in ("impedance", "forward_effort"):
        check(PANDA.spec, parsed)
    else:
        with pytest.raises(options.DeployError, match=f"takes gains .* on {interface} the robot's own"):
            check(PANDA.spec, parsed)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--transport", "unitree"), "feet free, and confirm it with --base-held"),
        (("--transport", "ros2"), "feet free, and confirm it with --base-held"),
        (("--transport", "unitree", "--base-held"), ""),
        (("--transport", "ros2", "--base-held"), ""),
        (("--transport", "sim"), "give --gantry always"),
        (("--transport", "sim", "--base-held"), "give --gantry always"),
        (("--simulate", "--base-held"), "give --gantry always"),
        (("--transport", "sim", "--gantry", "always"), ""),
        (("--simulate", "--gantry", "always", "--base-held"), ""),
    ],
)
def test_sines_need_somebodys_word_that_a_legged_robot_is_held(given: tuple[str, ...], says: str) -> None:
    parsed = parse("walk.onnx", "--motion", "sines", *given)
    if says:
        with pytest.raises(UsageError, match=f"^--motion sines needs the base held: .*{says}$"):
            command.prepare_motion(parsed, GO1)
    else:
        command.prepare_motion(parsed, GO1)
        assert parsed.motion.base_held


def test_an_arm_and_a_robot_on_its_feet_need_no_such_word() -> None:
    for policy, motion in ((PANDA, "sines"), (GO1, "squats")):
        parsed = parse("x.onnx", "--transport", "unitree", "--motion", motion)
        command.prepare_motion(parsed, policy)
        assert not parsed.motion.base_held


def test_nobody_has_to_ask_anything_of_a_policy_in_whose_place_a_motion_plays(tmp_path: Path) -> None:
    """And no warning speaks of a command outside the range of a policy that does not run."""
    pose = PolicyFile(make_policy(tmp_path / "pose.onnx", asking("goal_pose", POSE), kind="stand"))
    for policy in (PANDA, pose):
        parsed = parse("x.onnx", "--transport", "sim", "--motion", "sines")
        command.prepare_motion(parsed, policy)
        parsed.mjcf = get_robot("panda").model
        options.check_options(policy.spec, parsed)
        assert not any("outside the trained range" in line for line in options.said_of(policy.spec, parsed))


@pytest.mark.parametrize("motion", [(), ("--motion", "squats")])
def test_base_held_without_sines_would_do_nothing(motion: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--base-held is for --motion sines"):
        command.run(parse("go1-velocity", "--transport", "unitree", "--base-held", *motion), [])


@pytest.mark.parametrize("seconds", ["inf", "nan", "-inf", "1e9", "3.9", "601"])
def test_a_motion_has_a_length_that_makes_sense(seconds: str) -> None:
    options_of = ("--transport", "sim", "--gantry", "always", "--motion", "sines", f"--motion-seconds={seconds}")
    with pytest.raises(UsageError, match=f"must lie between 4 and 600, not {re.escape(f'{float(seconds):g}')}$"):
        command.run(parse("go1-velocity", *options_of), [])


@pytest.mark.parametrize(
    ("kind", "labels", "given", "match"),
    [
        ("none", (), None, None),
        ("motion", ("phase",), [0.5], None),
        ("motion", ("phase",), None, None),
        ("motion", ("phase",), [0.5, 1.0], "--command needs 1 finite numbers"),
        ("goal_pose", POSE, [0.5, 0.0, 0.4, 0.0, 0.0, 0.0, 2.0], None),
        ("goal_pose", POSE, None, None),
        ("goal_pose", POSE, [0.5, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0], r"--command has the quaternion \[0.0, 0.0, 0.0, 0.0\] .* not an attitude"),
    ],
)
def test_commands_of_other_kinds(kind: str, labels: tuple[str, ...], given: list[float] | None, match: str | None) -> None:
    size = len(labels)
    command = CommandSpec(kind=kind, labels=labels, lower=(0.0,) * size, upper=(1.0,) * size, ages=False)
    kept = tuple(term for term in go1_spec().terms if term.name != "command")
    spec = dataclasses.replace(go1_spec(), command=command, observation=(ObservationGroup(name="state", terms=kept),))
    chosen = parse("policy.onnx")
    chosen.command = given
    if match is None:
        options.check_options(spec, chosen)
        assert chosen.command is None or len(chosen.command) == size
    else:
        with pytest.raises(options.DeployError, match=match):
            options.check_options(spec, chosen)


def eyed(spec: PolicySpec) -> PolicySpec:
    eye = ImageSpec(kind="depth", width=8, height=6, frame="head", fx=5.0, fy=5.0, cx=4.0, cy=3.0)
    return dataclasses.replace(spec, observation=(*spec.observation, ObservationGroup(name="eye", image=eye)))


@pytest.mark.parametrize(
    ("sees", "legged", "arguments", "said"),
    [
        (True, True, ["--transport", "unitree"], r"sees pictures \(eye\), which --transport unitree does not bring; use ros2, sim"),
        (True, True, ["--image-fault", "hold"], "a legged robot that holds still in mid-step falls"),
        (True, False, ["--image-fault", "hold", "--resize-images", "--log-images", "jpeg"], None),
        (False, True, ["--image-fault", "hold"], "--image-fault hold is for policies that see pictures; this one has no camera"),
        (False, True, ["--resize-images"], "--resize-images is for policies that see pictures"),
        (False, True, ["--log-images", "jpeg"], "--log-images jpeg is for policies that see pictures"),
    ],
)
def test_options_of_cameras(sees: bool, legged: bool, arguments: list[str], said: str | None) -> None:
    spec = go1_spec() if legged else PANDA.spec
    spec = eyed(spec) if sees else spec
    with pytest.raises(options.DeployError, match=said) if said else contextlib.nullcontext():
        options.check_options(spec, parse("policy.onnx", *arguments))


def test_jpeg_needs_a_package_that_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "can_jpeg", lambda: False)
    with pytest.raises(options.DeployError, match="--log-images jpeg needs OpenCV or Pillow; run: pip install"):
        options.check_options(eyed(PANDA.spec), parse("policy.onnx", "--log-images", "jpeg"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gripper-joints", "panda_joint7"], None),
        (["--gripper-joints", "finger"], "--gripper-joints: finger is no joint of the policy; on the wire they are panda_joint1"),
        (["--gripper-joints", "panda_joint7", "panda_joint7"], "names a joint twice"),
        (["--gripper-joints", *PANDA.spec.robot.joint_names], "has all joints of the policy"),
        (["--gripper-topic", "/hand"], "--gripper-topic and --gripper-interface need --gripper-joints"),
        (["--joint-prefix", "panda_=fr3_", "--gripper-joints", "fr3_joint7", "--gripper-interface", "forward"], None),
        (
            ["--gripper-joints", "panda_joint7", "--joint-order", *PANDA.spec.robot.joint_names[:6], "--command-interface", "forward"],
            None,
        ),
        (
            ["--gripper-joints", "panda_joint7", "--joint-order", *PANDA.spec.robot.joint_names, "--command-interface", "forward"],
            "--joint-order must name each joint once, by the robot's name: it has unknown panda_joint7",
        ),
    ],
)
def test_options_of_a_gripper(arguments: list[str], said: str | None) -> None:
    with pytest.raises((options.DeployError, JointError), match=said) if said else contextlib.nullcontext():
        options.check_options(PANDA.spec, parse("policy.onnx", *arguments))


def test_a_log_has_the_name_of_the_run_whose_file_is_called_policy(tmp_path: Path) -> None:
    assert deploy.label(tmp_path / "runs" / "go1-student" / "2026-11-30_10-19-40" / "policy.onnx") == "go1-student"
    assert deploy.label(tmp_path / "walk.onnx") == "walk"
    assert deploy.label(tmp_path / "folder" / "policy.onnx") == "policy"

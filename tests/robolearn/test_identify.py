"""Identification against simulated robots whose parameters the fit does not see, and what it says of bad or poor recordings."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import mujoco
import numpy as np
import pytest

from bridge.control.command import JointCommand
from bridge.simulated.physics import PhysicsRobot
from envs.robots.registry import get_robot
from robolearn import cli
from robolearn.config import schema
from robolearn.identify.demo import Demonstration, demonstrate
from robolearn.identify.excitation import LEG_GAINS, sines, squats
from robolearn.identify.fit import FitCfg, identify
from robolearn.identify.hidden import Noise, draw, hidden_physical, record
from robolearn.identify.model import nominal_of
from robolearn.identify.parameters import Parameter, groups, make_parameters, parse_kinds, physical
from robolearn.identify.recording import Recording, RecordingError
from robolearn.identify.report import preset_text, proposal, remarks, table, to_dict
from robolearn.identify.result import Channel, Estimate, Fit
from robolearn.identify.staircase import CommandMeans
from robolearn.identify.uncertainty import long_run

GO1, PANDA = get_robot("go1"), get_robot("panda")
COARSE_S = 0.0005  # hidden robots' step; still a quarter of the fit's
WRIST = FitCfg(kinds=("kp", "kd", "delay"), by="robot")


def small(**changes: object) -> Recording:
    """A valid recording of two joints."""
    time, sent = np.arange(100) / 100, np.arange(50) / 50
    fields: dict = {
        "time_s": time, "position": np.zeros((100, 2)), "velocity": np.zeros((100, 2)), "effort": np.full((100, 2), np.nan),
        "command_time_s": sent, "target": np.zeros((50, 2)), "command_velocity": np.zeros((50, 2)),
        "command_effort": np.zeros((50, 2)), "kp": np.ones((50, 2)), "kd": np.ones((50, 2)),
    }  # fmt: skip
    return Recording(**(fields | changes))


def with_value(array: np.ndarray, index: tuple[int, ...] | int, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": with_value(np.zeros((100, 2)), (7, 1), math.nan)}, "position.*not finite.*row 7"),
        ({"kp": with_value(np.ones((50, 2)), (3, 0), math.inf)}, "kp.*not finite.*row 3"),
        ({"kd": with_value(np.ones((50, 2)), (4, 0), -1.0)}, "kd is negative in row 4"),
        ({"time_s": with_value(np.arange(100) / 100, 5, 0.0)}, "time_s must increase; entry 5"),
        ({"command_time_s": with_value(np.arange(50) / 50, 9, math.nan)}, "command_time_s must increase; entry 9"),
        ({"velocity": np.zeros((100, 3))}, r"velocity must have shape \(100, 2\), not \(100, 3\)"),
        ({"imu_quat_wxyz": np.zeros((100, 3))}, r"imu_quat_wxyz must have shape \(100, 4\)"),
        ({"mount": "flying"}, "valid: held, standing"),
        ({"simulated_timestep_s": -1.0}, "--simulated.* between 0.00005"),
        ({"simulated_timestep_s": 1e-6}, "--simulated.* between 0.00005"),
    ],
)
def test_bad_recordings_are_refused(changes: dict, message: str) -> None:
    small()
    with pytest.raises(RecordingError, match=message):
        small(**changes)


def test_a_recording_of_another_robot_is_refused() -> None:
    with pytest.raises(RecordingError, match="2 joints, panda has 7"):
        identify([small()], PANDA)
    with pytest.raises(RecordingError, match="at least one"):
        identify([], PANDA)


def recorded(mount: str = "held", **changes: np.ndarray) -> Recording:
    """A quiet Go1 for 3 s, without physics."""
    time = np.arange(1500) / 500
    pose = np.tile(GO1.default_pose, (1500, 1))
    zero, one = np.zeros((1500, 12)), np.ones((1500, 12))
    fields: dict = {"command_time_s": time, "target": pose, "command_velocity": zero, "command_effort": zero, "kp": one, "kd": one}
    quat = np.tile([1.0, 0, 0, 0], (1500, 1))
    fields |= {"time_s": time, "position": pose, "velocity": zero, "effort": zero, "imu_quat_wxyz": quat, "mount": mount}
    return Recording(**(fields | changes))


def test_recordings_that_tell_nothing_are_refused() -> None:
    with pytest.raises(RecordingError, match="no usable window"):
        identify([recorded(kp=np.zeros((1500, 12)))], GO1)
    with pytest.raises(RecordingError, match="the mass of a held base has no effect on the joints"):
        identify([recorded()], GO1, FitCfg(kinds=("mass",)))
    with pytest.raises(RecordingError, match="only determines the mass"):
        identify([recorded("standing")], GO1, FitCfg(kinds=("kp",)))
    with pytest.raises(RecordingError, match="record squats"):
        identify([recorded("standing")], GO1)


def test_command_means_are_the_integral_of_the_staircase() -> None:
    """Against a sum over a thousand times finer steps."""
    rng = np.random.default_rng(0)
    sent = np.sort(rng.uniform(0, 1, 30))
    values = rng.uniform(0.5, 1.0, (30, 2))
    recording = small(
        **{"command_time_s": sent} | dict.fromkeys(("target", "command_velocity", "command_effort", "kp", "kd"), values[:30] ** 2)
    )
    start, steps, dt, delay = np.array([0.1, 0.45]), 50, 0.007, 0.0123
    means = CommandMeans(recording)(start, steps, dt, delay)
    fine = start[:, None, None] + dt * np.arange(steps)[:, None] + dt * (np.arange(1000) + 0.5) / 1000 - delay
    row = np.clip(np.searchsorted(sent, fine, side="right") - 1, 0, 29)
    np.testing.assert_allclose(means[:, :, 0], (values**4)[row].mean(axis=2), atol=5e-3)
    np.testing.assert_allclose(means[:, :, 3], (values**2)[row].mean(axis=2), atol=5e-3)


def test_groups_share_motors_across_legs_and_sides() -> None:
    assert groups(GO1.joints, "group") == {"hip": (0, 3, 6, 9), "thigh": (1, 4, 7, 10), "calf": (2, 5, 8, 11)}
    assert len(groups(get_robot("g1").joints, "group")) < 20
    assert len(groups(PANDA.joints, "group")) == 7
    assert parse_kinds("delay, kp") == ("kp", "delay")


def test_nominal_values_mean_the_nominal_robot() -> None:
    nominal = nominal_of(GO1)
    parameters = make_parameters(nominal, ("kp", "motor_strength", "damping", "friction", "armature", "delay", "mass"))
    values = physical(parameters, np.array([p.nominal for p in parameters]), nominal)
    np.testing.assert_array_equal(values.damping, nominal.damping)
    np.testing.assert_array_equal(values.armature, nominal.armature)
    assert values.payload == values.delay_s == 0.0
    assert (values.kp == 1).all()


def test_long_run_covariance_of_an_autoregressive_score() -> None:
    """The variance of the sum of an AR(1) process with coefficient 0.8 is 25 times that of white noise."""
    rng = np.random.default_rng(0)
    noise, scores = rng.normal(size=200_000), np.zeros(200_000)
    for i in range(1, len(scores)):
        scores[i] = 0.8 * scores[i - 1] + noise[i]
    assert long_run(scores[:, None], 60)[0, 0] / len(scores) == pytest.approx(25, rel=0.1)
    assert float(scores @ scores) / len(scores) < 3  # what white noise would make of it


def test_excitation_stays_inside_the_robots_limits() -> None:
    for robot in (GO1, PANDA, get_robot("g1")):
        spec = robot.spec()
        commands = sines(spec, 8.0)
        assert (commands.target >= np.array(spec.position_lower)).all()
        assert (commands.target <= np.array(spec.position_upper)).all()
        assert (np.abs(np.diff(commands.target, axis=0)).max(axis=0) * 100 <= np.array(spec.velocity_limit)).all()
        assert (commands.kp <= np.array(spec.kp)).all()


@pytest.fixture(scope="module")
def arm() -> Demonstration:
    """Panda with gains, delay and load hidden; values shared by all joints keep it quick."""
    return demonstrate(PANDA, seed=3, seconds=4.5, cfg=FitCfg(kinds=("kp", "kd", "friction", "delay", "mass"), by="robot"), step_s=COARSE_S)


@pytest.mark.slow
def test_hidden_parameters_of_an_arm_are_recovered(arm: Demonstration) -> None:
    assert len(arm.errors) == len(arm.hidden), remarks(arm.fit)  # all identifiable
    assert np.abs(arm.errors).max() < 0.05, table(arm.fit, arm.hidden.tolist())
    assert arm.covered.sum() >= len(arm.hidden) - 1, table(arm.fit, arm.hidden.tolist())  # 5 intervals of 95 %
    assert 0.9 < arm.fit.unexplained < 1.1
    assert all(channel.after <= 1.05 * channel.before for channel in arm.fit.channels)


@pytest.mark.slow
def test_hidden_parameters_of_a_quadruped_are_recovered() -> None:
    """Every group of joints held in the air, and the load while it squats."""
    shown = demonstrate(GO1, seed=5, seconds=3.0, step_s=COARSE_S)
    report = table(shown.fit, shown.hidden.tolist())
    assert len(shown.errors) >= len(shown.hidden) - 2 - 1, report  # a tilt has no relative error
    assert np.abs(shown.errors).max() < 0.05, report
    assert shown.covered.mean() > 0.75, report
    assert shown.fit.of("mass").identifiable


@pytest.mark.slow
def test_what_cannot_be_told_apart_is_said() -> None:
    """With one kd throughout, only the sum of kd and passive damping moves a leg."""
    cfg = FitCfg(kinds=("kd", "damping", "delay"))
    shown = demonstrate(GO1, seed=1, seconds=3.0, cfg=cfg, gains=((1.0, 1.0),), step_s=COARSE_S)
    mixed = {e.parameter.name: e for e in shown.fit.estimates}
    assert not mixed["damping.calf"].identifiable
    assert mixed["delay"].identifiable
    assert any("not identifiable" in remark and "damping.calf" in remark and "acts like kd" in remark for remark in remarks(shown.fit))
    assert "joint_damping" not in proposal(shown.fit, 0.02)
    apart = demonstrate(GO1, seed=1, seconds=3.0, cfg=cfg, gains=LEG_GAINS[:2], step_s=COARSE_S)
    assert apart.fit.of("damping.calf").identifiable, table(apart.fit, apart.hidden.tolist())


@pytest.mark.slow
def test_a_model_that_cannot_explain_the_log_is_noticed() -> None:
    """Two joints' columns swapped: no gain makes up for that."""
    parameters = make_parameters(nominal_of(PANDA), WRIST.kinds or (), "robot")
    _, hidden = hidden_physical(PANDA, parameters, draw(parameters, 0))
    good = record(PANDA, hidden, sines(PANDA.spec(), 2.5), step_s=COARSE_S)
    swapped = dataclasses.replace(good, position=good.position[:, [1, 0, 2, 3, 4, 5, 6]])
    fit = identify([swapped], PANDA, WRIST)
    assert any("does not explain" in remark for remark in remarks(fit))


@pytest.mark.slow
def test_the_robot_of_the_bridge_is_identified(tmp_path: Path) -> None:
    """`bridge.simulated.physics` with its base welded to the world and 0.8 of the gains that the log says."""
    text = GO1.model.read_text()
    welded = re.sub(
        r"<keyframe>.*</keyframe>", "", text.replace('<freejoint name="base"/>', "").replace("0 0 0.278", "0 0 2"), flags=re.DOTALL
    )
    path = tmp_path / "welded.xml"
    path.write_text(welded)
    spec = GO1.spec()
    physics = PhysicsRobot(dataclasses.replace(spec, floating_base=False, imu_frame=None), path)
    commands = sines(spec, 3.0)
    rows = []
    for step in range(1500):
        k = min(int(step * physics.dt * 100 + 1e-6), len(commands.time_s) - 1)
        physics.apply(
            JointCommand(commands.target[k], commands.velocity[k], commands.effort[k], 0.8 * commands.kp[k], 0.8 * commands.kd[k])
        )
        physics.step()
        sample = physics.sample()
        rows.append((physics.time_s, sample.position, sample.velocity, sample.effort))
    time, position, velocity, effort = (np.array(column) for column in zip(*rows, strict=True))
    rng = np.random.default_rng(0)
    recording = Recording(
        time_s=time, position=position + 5e-4 * rng.normal(size=position.shape), velocity=velocity + 0.03 * rng.normal(size=velocity.shape),
        effort=effort, imu_quat_wxyz=np.tile([1.0, 0, 0, 0], (len(time), 1)), command_time_s=commands.time_s, target=commands.target,
        command_velocity=commands.velocity, command_effort=commands.effort, kp=commands.kp, kd=commands.kd, simulated_timestep_s=physics.dt,
    )  # fmt: skip
    fit = identify([recording], GO1, FitCfg(kinds=("kp", "kd", "delay"), by="robot"))
    assert fit.of("kp.all").value == pytest.approx(0.8, rel=0.002)
    assert fit.of("kd.all").value == pytest.approx(0.8, rel=0.005)
    assert abs(fit.of("delay").value) < 0.001


@pytest.mark.slow
def test_base_mass_of_a_standing_robot_with_known_joints() -> None:
    parameters = make_parameters(nominal_of(GO1), ("mass",))
    for payload in (0.8, 2.0):
        _, hidden = hidden_physical(GO1, parameters, np.array([payload]))
        standing = record(GO1, hidden, squats(GO1, 4.0), mount="standing", noise=Noise(), step_s=COARSE_S)
        found = identify([standing], GO1).of("mass")
        assert found.value == pytest.approx(payload, rel=0.05)
        assert found.low <= payload <= found.high


def made_up(kinds: tuple, values: dict[str, float], half_width: float = 0.01) -> Fit:
    """A result with the given values by kind."""
    parameters: tuple[Parameter, ...] = make_parameters(nominal_of(GO1), kinds)
    estimates = tuple(
        Estimate(parameter=p, value=values.get(p.kind, 1.0), half_width=half_width * values.get(p.kind, 1.0)) for p in parameters
    )
    channels = (Channel(name="x: position a", before=3.0, after=1.0, noise=1.0),)
    return Fit(robot="go1", estimates=estimates, channels=channels, seconds=1.0, iterations=1)


def test_the_proposed_table_is_a_preset(tmp_path: Path) -> None:
    kinds = parse_kinds("kp,kd,motor_strength,damping,friction,armature,delay,mass")
    fit = made_up(kinds, {"kp": 0.9, "friction": 0.3, "delay": 0.008, "mass": 1.5, "damping": 2.0})
    path = tmp_path / "identified.yaml"
    path.write_text(preset_text(fit, "go1-velocity-flat", GO1))
    cfg = schema.load(path)
    drawn = cfg.env.randomization.entries
    assert drawn["kp"].low < 0.9 < drawn["kp"].high
    assert drawn["kp"].low == pytest.approx(0.9 * 0.99 - 0.05 * 0.9)
    assert drawn["joint_friction"].operation == "add"
    assert drawn["action_delay_s"].low < 0.008 < drawn["action_delay_s"].high < cfg.env.control_dt
    assert drawn["payload"].low < 1.5 < drawn["payload"].high
    assert drawn["joint_damping"].low < 2.0 < drawn["joint_damping"].high
    plain = schema.load("go1-velocity-flat")
    assert drawn["friction"] == plain.env.randomization.range("friction")  # what was not identified stays


def test_what_is_not_identifiable_is_left_out_of_the_table() -> None:
    fit = made_up(("kp", "damping"), {})
    vague = tuple(dataclasses.replace(e, half_width=0.6) if e.parameter.name == "damping.calf" else e for e in fit.estimates)
    fit = dataclasses.replace(fit, estimates=vague)
    assert set(proposal(fit, 0.02)) == {"kp"}
    assert "not identifiable" in table(fit)
    assert json.dumps(to_dict(fit), allow_nan=False)


@pytest.mark.slow
def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arm: Demonstration) -> None:
    monkeypatch.setattr("robolearn.identify.demo.demonstrate", lambda *args, **kwargs: arm)  # the fit is made once for all tests
    out, data = tmp_path / "found.yaml", tmp_path / "found.json"
    assert cli.main(["identify", "--demo", "panda", "--out", str(out), "--json", str(data)]) == 0
    printed = capsys.readouterr().out
    assert "kp.all" in printed
    assert "residual / noise" in printed
    assert set(json.loads(data.read_text())["hidden"]) == {e.parameter.name for e in arm.fit.estimates}
    assert schema.load(out).task == "reach"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either logs or --demo"),
        (["a.mcap"], "no log at a.mcap"),
        (["a.mcap", "--demo", "go1"], "give either logs or --demo"),
        (["--demo", "go2"], "did you mean 'go1'"),
        (["--demo", "go1", "--parameters", "kq"], "no parameter 'kq'"),
        (["--demo", "go1", "--out", "x.json"], "must end in .yaml"),
        (["--demo", "go1", "--seconds", "1"], "--seconds must be at least 4"),
        (["--demo", "go1", "--seconds", "inf"], "at most 600, not inf"),
        (["--demo", "go1", "--seed", "-1"], "--seed must not be negative"),
        (["--demo", "go1", "--out", "x.yaml", "--preset", "panda-reach"], "trains panda, but the log is of go1"),
        (["--demo", "go1", "--out", "x.yaml", "--preset", "nonsense"], "nonsense"),
        (["a.mcap", "--json", "./a.mcap"], "must not name a log"),
        (["a.mcap", "--json", "b.yaml", "--out", "b.yaml"], "must not name a log"),
        (["a.mcap", "--standing", "./a.mcap"], "a.mcap: given more than once"),
    ],
)
def test_wrong_command_lines(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["identify", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_from_deploy_to_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A motion through the bridge's loop, guards and limits, its log, the fit, the proposal: by the commands that a user types."""
    monkeypatch.chdir(tmp_path)
    hidden = mujoco.MjSpec.from_file(str(GO1.model))
    for joint in hidden.joints:
        joint.armature *= 1.2
    Path("hidden.xml").write_text(hidden.to_xml())
    options = ["--transport", "sim", "--mjcf", "hidden.xml", "--gantry", "always", "--auto-start", "--motion", "sines"]
    assert cli.main(["deploy", "go1-velocity", *options, "--motion-seconds", "5", "--log", "run.mcap"]) == 0
    fit = ["--parameters", "kp,armature,delay", "--by", "robot"]
    assert cli.main(["identify", "run.mcap", *fit, "--json", "found.json", "--out", "real.yaml"]) == 0
    found = {entry["name"]: entry for entry in json.loads(Path("found.json").read_text())["parameters"]}
    assert found["kp.all"]["value"] == pytest.approx(1.0, abs=0.01)
    assert found["armature.all"]["value"] == pytest.approx(1.2, abs=0.03)
    assert found["delay"]["value"] == pytest.approx(0.0, abs=5e-4)
    assert "joint_armature" in Path("real.yaml").read_text()
    capsys.readouterr()
    assert cli.main(["deploy", "panda-reach", *options[:2], "--duration", "0.5", "--log", "panda.mcap"]) == 0
    assert cli.main(["identify", "run.mcap", "panda.mcap"]) == 2
    assert "different robots" in capsys.readouterr().err
    assert cli.main(["identify", "nothing.mcap"]) == 2

"""What a log does not tell, or tells wrongly, is said and goes into no preset."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn import cli
from robolearn.identify.demo import Demonstration
from robolearn.identify.excitation import sines, squats
from robolearn.identify.fit import FitCfg, identify
from robolearn.identify.hidden import hidden_physical, record
from robolearn.identify.log import _rounding_s
from robolearn.identify.model import nominal_of
from robolearn.identify.parameters import Kind, Physical, make_parameters
from robolearn.identify.recording import Recording, RecordingError
from robolearn.identify.report import remarks, table
from robolearn.identify.result import Channel, Estimate, Fit

GO1, PANDA = get_robot("go1"), get_robot("panda")
NOMINAL = nominal_of(GO1)


def go1(**values: float) -> Physical:
    """A Go1 whose values of some kinds are not the nominal ones."""
    kinds: tuple[Kind, ...] = tuple(values)  # type: ignore[assignment]
    parameters = make_parameters(NOMINAL, kinds, "robot")
    return hidden_physical(GO1, parameters, np.array([values[p.kind] for p in parameters]))[1]


def hanging(robot: Physical, seconds: float = 4.0) -> Recording:
    return record(GO1, robot, sines(GO1.spec(), seconds), step_s=0.0005)


def squatting(robot: Physical) -> Recording:
    return record(GO1, robot, squats(GO1, 6.0), mount="standing", seed=1, step_s=0.0005)


@pytest.mark.slow
def test_a_robot_that_hangs_is_not_weighed() -> None:
    """Its motion balances no weight; -13 kg were found with a narrow interval, and written into a preset."""
    fit = identify([dataclasses.replace(hanging(go1()), mount="standing")], GO1)
    assert not fit.of("mass").identifiable
    assert not fit.believable
    assert any("do not balance" in remark for remark in remarks(fit)), remarks(fit)


@pytest.mark.slow
def test_a_load_is_weighed_with_the_joints_as_they_are() -> None:
    """Also where only the mass is asked for; with the gains as told it would be 3 kg."""
    robot = go1(kp=0.85, friction=0.3, mass=1.0)
    squat = squatting(robot)
    fit = identify([hanging(robot), squat], GO1, FitCfg(kinds=("mass",), by="robot"))
    assert [e.parameter.name for e in fit.estimates] == ["mass"]
    assert fit.of("mass").value == pytest.approx(1.0, abs=0.1), table(fit)
    assert fit.of("mass").low <= 1.0 <= fit.of("mass").high
    alone = identify([squat], GO1)
    assert any("10 % less of kp would make it" in remark and "base held" in remark for remark in remarks(alone)), remarks(alone)
    with pytest.raises(RecordingError, match="only determines the mass, which was not requested"):
        identify([hanging(robot), squat], GO1, FitCfg(kinds=("kp",)))


@pytest.mark.slow
def test_a_joint_without_friction_has_an_interval_that_holds_zero() -> None:
    fit = identify([hanging(go1(kp=1.1))], GO1, FitCfg(kinds=("kp", "friction")))
    frictions = [e for e in fit.estimates if e.parameter.kind == "friction"]
    assert len(frictions) == 3
    assert all(e.low == 0.0 and e.precise for e in frictions), table(fit)
    assert fit.believable
    assert fit.of("kp.calf").value == pytest.approx(1.1, rel=1e-3)


@pytest.mark.slow
def test_what_ends_at_the_bounds_of_the_search_is_not_believed() -> None:
    fit = identify([hanging(go1(delay=0.07))], GO1, FitCfg(kinds=("delay",)))
    assert not fit.of("delay").identifiable
    assert any("delay = 0.06 s: at a bound of the search, 0 to 0.06 s" in remark for remark in remarks(fit)), remarks(fit)


@pytest.mark.slow
def test_reported_torques_are_those_of_the_model() -> None:
    """They were compared one physics step late, which on a Panda was taken for 2 ms of delay."""
    _, robot = hidden_physical(PANDA, (), np.zeros(0))
    recording = record(PANDA, robot, sines(PANDA.spec(), 4.0), step_s=0.0005)
    fit = identify([recording], PANDA, FitCfg(kinds=("kp", "delay"), by="robot", use_effort=True))
    assert fit.unexplained < 1.15, remarks(fit)
    assert fit.of("delay").value == pytest.approx(0.0, abs=3e-4)


def doubtful() -> Demonstration:
    """A fit that leaves five times the noise."""
    parameter = make_parameters(NOMINAL, ("kp",), "robot")[0]
    channels = (Channel(name="x: position a", before=9.0, after=5.0, noise=1.0),)
    estimate = Estimate(parameter=parameter, value=1.0, half_width=0.01)
    fit = Fit(robot="go1", estimates=(estimate,), channels=channels, seconds=1.0, iterations=1)
    return Demonstration(hidden=np.ones(1), fit=fit)


def test_no_preset_is_written_of_what_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("robolearn.identify.demo.demonstrate", lambda *args, **kwargs: doubtful())
    assert cli.main(["identify", "--demo", "go1", "--out", str(tmp_path / "real.yaml")]) == 1
    assert "was not written" in capsys.readouterr().err
    assert not (tmp_path / "real.yaml").exists()


def test_joints_are_compared_by_name() -> None:
    recording = hanging(go1(), 4.0)
    names = ("FL_hip_joint", *GO1.joint_names[1:])
    with pytest.raises(RecordingError, match=f"the joint FL_hip_joint where go1 has {GO1.joint_names[0]}"):
        identify([dataclasses.replace(recording, joint_names=names)], GO1)
    with pytest.raises(RecordingError, match="there are no IMU readings"):
        identify([dataclasses.replace(recording, imu_quat_wxyz=None)], GO1)


def test_rounded_stamps_are_noticed() -> None:
    """A tick in milliseconds at 400 Hz comes in steps of 2 and 3 ms."""
    ms = 1_000_000
    assert _rounding_s(np.array([7 * ms])) == 0.0  # a robot whose stamps stand still leaves one
    assert _rounding_s(np.arange(100) * 2 * ms) == 0.0
    assert _rounding_s(np.array([0, 2, 4, 8, 10]) * ms) == 0.0  # one is lost
    assert _rounding_s(np.array([0, 2, 5, 7, 10]) * ms) == pytest.approx(1e-3)
    assert _rounding_s(np.array([0, 2_000_001, 4_000_007, 6_000_002])) < 1e-6

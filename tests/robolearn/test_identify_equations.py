"""Windows whose start states are unknowns too, limbs that share simulations, and what is said of intervals of each width."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from envs.robots.registry import get_robot
from robolearn.identify import normal_equations
from robolearn.identify.excitation import sines
from robolearn.identify.fit import FitCfg, identify
from robolearn.identify.hidden import draw, hidden_physical, record
from robolearn.identify.model import nominal_of
from robolearn.identify.normal_equations import NormalEquations, Point, linearize
from robolearn.identify.parameters import make_parameters, physical
from robolearn.identify.recording import Recording, RecordingError
from robolearn.identify.report import remarks, table, to_dict
from robolearn.identify.result import Channel, Estimate, Fit
from robolearn.identify.simulation import Simulation
from robolearn.identify.windows import cut

GO1, PANDA = get_robot("go1"), get_robot("panda")


@pytest.fixture(scope="module")
def hanging() -> Recording:
    """A Go1 with other gains and friction than its model's."""
    parameters = make_parameters(nominal_of(GO1), ("kp", "friction"))
    _, hidden = hidden_physical(GO1, parameters, draw(parameters, 2))
    return record(GO1, hidden, sines(GO1.spec(), 2.6), step_s=0.0005)


def test_windows_share_no_reading_and_leave_none_out(hanging: Recording) -> None:
    windows = cut(hanging, 0.5)
    np.testing.assert_array_equal(np.diff(windows.sample), 1)
    for number, first in enumerate(windows.first):
        inside = windows.sample[windows.window == number]
        assert inside[0] == first
        assert hanging.time_s[inside[-1]] - hanging.time_s[first] < 0.5
    gap = dataclasses.replace(
        hanging, kp=np.where((hanging.command_time_s > 1.0)[:, None] & (hanging.command_time_s < 1.2)[:, None], 0, hanging.kp)
    )
    assert cut(gap, 0.5).skipped >= 1


def test_steps_without_the_starts_are_those_of_the_whole_system() -> None:
    """Against one dense matrix of parameters and starts."""
    rng = np.random.default_rng(0)
    count, windows, size, rows = 4, 3, 6, 40
    whole = np.zeros((windows * rows, count + windows * size))
    whole[:, :count] = rng.normal(size=(windows * rows, count))
    for w in range(windows):
        whole[w * rows : (w + 1) * rows, count + w * size : count + (w + 1) * size] = rng.normal(size=(rows, size))
    residual = rng.normal(size=windows * rows)
    dense, slope = whole.T @ whole, whole.T @ residual
    parts = [slice(count + w * size, count + (w + 1) * size) for w in range(windows)]
    equations = NormalEquations(
        normal=dense[:count, :count],
        gradient=slope[:count],
        cross=np.stack([dense[part, :count] for part in parts]),
        inner=np.stack([dense[part, part] for part in parts]),
        inner_gradient=np.stack([slope[part] for part in parts]),
        rows=np.zeros((0, 1, count)),
    )
    expected = -np.linalg.solve(dense, slope)
    normal, gradient = equations.reduced(0.0)
    step = -np.linalg.solve(normal, gradient)
    np.testing.assert_allclose(step, expected[:count], rtol=1e-8)
    np.testing.assert_allclose(equations.start_steps(step, 0.0).ravel(), expected[count:], rtol=1e-8)
    np.testing.assert_allclose(np.linalg.inv(normal), np.linalg.inv(dense)[:count, :count], rtol=1e-8)


def test_limbs_in_one_simulation_are_limbs_each_in_its_own(hanging: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(hanging, GO1, 1.2, threads=1)
    assert len(set(simulation.limbs)) == 4
    nominal = nominal_of(GO1)
    parameters = make_parameters(nominal, ("kp", "delay"), "joint")
    values = np.array([p.nominal for p in parameters])
    predicted = simulation.predict([physical(parameters, values, nominal)], simulation.starts[None])[0]
    noise = np.full(24, 1e-3)
    point = Point(
        values=values,
        moves=np.full(len(values), 1e-3),
        unit=np.ones(len(values)),
        starts=simulation.starts,
        residual=(predicted - simulation.measured) / noise,
        noise=noise,
    )
    shared = linearize(simulation, parameters, nominal, point)
    monkeypatch.setattr(normal_equations, "_share", lambda limbs: [[column] for column in range(len(limbs))])
    alone = linearize(simulation, parameters, nominal, point)
    for name in ("normal", "gradient", "cross", "inner", "inner_gradient"):
        one, other = getattr(shared, name), getattr(alone, name)
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max(), err_msg=name)


@pytest.mark.slow
def test_a_soft_joint_that_keeps_the_noise_of_its_start_is_not_misjudged() -> None:
    """A Panda at a tenth of its kp and a fiftieth of its kd: its windows begin in states known to 0.5 mrad and 0.03 rad/s only."""
    parameters = make_parameters(nominal_of(PANDA), ("kp", "kd", "damping", "friction"), "robot")
    hidden = draw(parameters, 7)
    _, robot = hidden_physical(PANDA, parameters, hidden)
    fit = identify(
        [record(PANDA, robot, sines(PANDA.spec(), 5.0, gains=((1.0, 0.3), (0.1, 0.02))), step_s=0.0005)],
        PANDA,
        FitCfg(kinds=("kp", "kd", "damping", "friction"), by="robot"),
    )
    found = np.array([e.value for e in fit.estimates])
    np.testing.assert_allclose(found, hidden, rtol=0.01, err_msg=table(fit, hidden.tolist()))
    assert all(abs(e.value - h) < 2 * e.half_width for e, h in zip(fit.estimates, hidden, strict=True)), table(fit, hidden.tolist())


def judged(*half_widths: float, value: float = 2.0, rate_hz: float = 500.0) -> Fit:
    """A damping factor with each of the intervals."""
    parameter = make_parameters(nominal_of(GO1), ("damping",), "robot")[0]
    estimates = tuple(Estimate(parameter=parameter, value=value, half_width=half) for half in half_widths)
    channels = (Channel(name="x: position a", before=3.0, after=1.0, noise=1.0),)
    return Fit(robot="go1", estimates=estimates, channels=channels, seconds=1.0, iterations=1, rate_hz=rate_hz)


def test_an_interval_of_more_than_5_percent_is_called_weak_with_its_width() -> None:
    fit = judged(0.09, 0.3, 1.2)
    assert [(e.precise, e.identifiable) for e in fit.estimates] == [(True, True), (False, True), (False, False)]
    lines = table(fit).splitlines()[1:]
    assert "weak" not in lines[0]
    assert lines[1].endswith("weak: +- 15 %")
    assert lines[2].endswith("not identifiable")
    assert any(
        "weakly identifiable from this log: damping.all (+- 15 %); not identifiable from this log: damping.all" in r for r in remarks(fit)
    )
    assert [p["precise"] for p in to_dict(fit)["parameters"]] == [True, False, False]
    assert "+- 0.05 x" in table(judged(0.05, value=0.01))  # a share of next to nothing says nothing


def test_a_log_of_the_control_steps_alone_is_remarked() -> None:
    assert any("50 Hz: intervals are about 3.2 times as wide" in r and "--log-sensors all" in r for r in remarks(judged(0.1, rate_hz=50.0)))
    assert not any("--log-sensors" in r for r in remarks(judged(0.1)))


def test_motor_strength_beside_both_gains_needs_torques_fed_forward(hanging: Recording) -> None:
    with pytest.raises(RecordingError, match="motor_strength has the same effect as kp and kd"):
        identify([hanging], GO1, FitCfg(kinds=("kp", "kd", "motor_strength")))


def test_a_base_that_turns_is_not_held(hanging: Recording) -> None:
    walking = np.full((len(hanging.time_s), 3), 0.4)
    with pytest.raises(RecordingError, match=r"turned at 0\.69 rad/s .*--standing"):
        identify([dataclasses.replace(hanging, imu_angular_velocity_b=walking)], GO1)


@pytest.mark.slow
def test_an_imu_that_is_off_is_found_and_is_no_softness_of_the_joints() -> None:
    parameters = make_parameters(nominal_of(GO1), ("kp", "tilt"), "robot")
    hidden = np.array([1.1, 0.05, -0.04])
    _, robot = hidden_physical(GO1, parameters, hidden)
    recording = record(GO1, robot, sines(GO1.spec(), 4.0), step_s=0.0005)
    assert recording.imu_quat_wxyz is not None
    np.testing.assert_allclose(recording.imu_quat_wxyz.mean(axis=0), [1, 0, 0, 0], atol=2e-4)  # what it says
    fit = identify([recording], GO1, FitCfg(kinds=("kp",), by="robot"))
    assert [e.parameter.name for e in fit.estimates] == ["kp.all", "tilt.roll", "tilt.pitch"]
    np.testing.assert_allclose([e.value for e in fit.estimates], hidden, rtol=0.03, err_msg=table(fit, hidden.tolist()))
    assert fit.of("kp.all").value == pytest.approx(1.1, rel=1e-3)


def test_an_arm_has_no_tilt_to_find() -> None:
    recording = record(PANDA, hidden_physical(PANDA, (), np.zeros(0))[1], sines(PANDA.spec(), 4.0), step_s=0.001)
    with pytest.raises(RecordingError, match="a base that does not tilt"):
        identify([recording], PANDA, FitCfg(kinds=("tilt",)))

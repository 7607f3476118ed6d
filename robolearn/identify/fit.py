"""Estimates a robot's parameters from recordings: joints and delay if the base was held, the base's mass if the robot stood."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from envs.robots.robot import Robot
from robolearn.evaluation.statistics import Z95
from robolearn.identify.least_squares import CORRELATION_S, LeastSquares, Solution
from robolearn.identify.model import check_robot, nominal_of
from robolearn.identify.parameters import Grouping, Kind, Nominal, Parameter, Physical, make_parameters, physical
from robolearn.identify.recording import FloatArray, Recording, RecordingError
from robolearn.identify.result import Estimate, Fit
from robolearn.identify.simulation import Simulation
from robolearn.identify.standing import StandingBalance, weigh
from robolearn.identify.start import starting_values
from robolearn.identify.uncertainty import long_run

OF_JOINTS: tuple[Kind, ...] = ("kp", "kd", "damping", "friction", "armature", "delay")
"""Estimated by default if the base was held; motor strength cannot be distinguished from the gains without feed-forward torques."""
UNBALANCED = 0.03  # share of the weight: 1 % for a simulated Go1 that squats, 10 % for one that hangs
GRAVITY = 9.81  # m/s2


@dataclass(frozen=True, kw_only=True)
class FitCfg:
    """Settings of the fit.

    Attributes:
        kinds: what to estimate; None for everything that the recordings determine, except motor strength.
        by: whether each joint has its own values, joints with the same motor share them, or all joints do.
        window_s: length of the separately simulated windows [s].
        use_effort: whether reported torques are used as the joints' torques.
        threads: simulation threads; 0 for all cores.
    """

    kinds: tuple[Kind, ...] | None = None
    by: Grouping = "group"
    window_s: float = 1.2
    use_effort: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        if self.kinds is not None and not self.kinds:
            raise ValueError("kinds is empty: there is nothing to estimate")
        if not self.window_s > 0:
            raise ValueError(f"window_s must be above zero, not {self.window_s:g}")


def identify(
    recordings: Sequence[Recording], robot: Robot, cfg: FitCfg | None = None, progress: Callable[[int, float], None] | None = None
) -> Fit:
    """Estimate the parameters that explain the recordings, all of which share them.

    Args:
        recordings: one or more of the same robot.
        robot: the nominal model.
        cfg: the settings.
        progress: called with the iteration and the ratio of residual to noise.

    Raises:
        RecordingError: no recordings, one does not fit the robot, or none determines what is requested.
    """
    if not recordings:
        raise RecordingError("no recordings: give at least one")
    cfg = cfg or FitCfg()
    for recording in recordings:
        check_robot(recording, robot)
    held = [recording for recording in recordings if recording.mount == "held"]
    standing = [recording for recording in recordings if recording.mount == "standing"]
    kinds = with_tilt(_kinds(cfg, robot, held, standing), robot)
    nominal = nominal_of(robot)
    parameters = make_parameters(nominal, kinds, cfg.by)
    # a load is computed from the joints' torques, so what determines them is estimated too, if possible
    fitted = kinds if not (held and standing) else with_tilt((*OF_JOINTS, *(k for k in kinds if k not in OF_JOINTS)), robot)
    of_held = tuple(p for p in make_parameters(nominal, fitted, cfg.by) if p.kind != "mass" or not robot.floating_base) if held else ()
    estimates: list[Estimate] = []
    notes = [note for recording in recordings for note in recording.notes]
    solution = None
    if of_held:
        simulations = [Simulation(recording, robot, cfg.window_s, cfg.use_effort, cfg.threads) for recording in held]
        start = starting_values(held, robot, of_held, nominal)
        solution = LeastSquares(simulations, of_held, start, nominal, progress).solve()
        # errors that all readings of a log share are invisible to the fit
        shared = {"tilt": max(map(_attitude_error, held)), "delay": max(recording.stamp_step_s for recording in held) / 2 / Z95}
        deviations = np.sqrt(np.diag(solution.covariance) + np.array([shared.get(p.kind, 0.0) for p in of_held]) ** 2)
        estimates = [
            Estimate(parameter=p, value=float(v), half_width=float(Z95 * d), flaw=_bound_reached(p, float(v)))
            for p, v, d in zip(of_held, solution.values, deviations, strict=True)
        ]
        estimates = [_with_partner(i, estimates, solution.correlation) for i in range(len(estimates))]
        estimates = [estimate for estimate in estimates if estimate.parameter.kind in kinds]
        if not solution.converged:
            notes.append(f"the search stopped after {solution.iterations} steps, although the last one still improved the fit")
    if robot.floating_base and "mass" in kinds:
        known = physical(of_held, np.zeros(0) if solution is None else solution.values, nominal)
        balances = [StandingBalance(recording, robot, nominal, known.tilt) for recording in standing]
        estimates.append(_weighed(balances, known, nominal, parameters[-1], of_held, solution))
        if solution is None:
            notes.append(_unknown_gains(balances, known, nominal))
    return Fit(
        robot=robot.name,
        estimates=tuple(estimates),
        channels=() if solution is None else solution.channels,
        seconds=float(sum(recording.time_s[-1] - recording.time_s[0] for recording in recordings)),
        iterations=0 if solution is None else solution.iterations,
        rate_hz=1 / max(recording.period_s for recording in recordings),
        notes=tuple(notes),
    )


def with_tilt(kinds: tuple[Kind, ...], robot: Robot) -> tuple[Kind, ...]:
    """The kinds, with the tilt of a held base if it can tilt: an IMU error of 1 mrad makes a G1's waist seem weaker than it is."""
    tilts = robot.floating_base and set(kinds) - {"mass", "tilt"}
    return (*kinds, "tilt") if tilts and "tilt" not in kinds else kinds


def _kinds(cfg: FitCfg, robot: Robot, held: Sequence[Recording], standing: Sequence[Recording]) -> tuple[Kind, ...]:
    """What to estimate; raises if the recordings cannot determine it."""
    where, weighs = [*held, *standing][0].source, bool(standing) or not robot.floating_base
    if cfg.kinds is None:
        return (OF_JOINTS if held else ()) + (("mass",) if weighs else ())
    if "tilt" in cfg.kinds and not robot.floating_base:
        raise RecordingError(f"{where}: {robot.name} has a base that does not tilt")
    if "mass" in cfg.kinds and not weighs:
        raise RecordingError(
            f"{where}: the mass of a held base has no effect on the joints; to estimate it, record {robot.name} standing (squats)"
        )
    if standing and "mass" not in cfg.kinds:
        raise RecordingError(f"{standing[0].source}: a standing robot only determines the mass, which was not requested")
    if not held and set(cfg.kinds) - {"mass"}:
        raise RecordingError(f"{where}: a standing robot only determines the mass; add a recording with the base held for the joints")
    if {"kp", "kd", "motor_strength"} <= set(cfg.kinds) and not any(recording.command_effort.any() for recording in held):
        raise RecordingError(
            f"{where}: there were no feed-forward torques (robolearn deploy sends none), so motor_strength has the same effect as kp and "
            f"kd together; leave it out, so that the estimates of kp and kd include it, or leave out one of those"
        )
    return cfg.kinds


def _attitude_error(recording: Recording) -> float:
    """Standard deviation of the mean attitude from the IMU of a held base [rad], the larger of roll and pitch."""
    quat = recording.imu_quat_wxyz
    if quat is None:
        return 0.0
    turns = 2 * (quat * np.sign(quat @ quat[0])[:, None])[:, 1:3]
    total = long_run(turns - turns.mean(axis=0), max(1, round(CORRELATION_S / recording.period_s)))
    return float(np.sqrt(np.diag(total).max())) / len(turns)


def _weighed(
    balances: Sequence[StandingBalance],
    known: Physical,
    nominal: Nominal,
    mass: Parameter,
    of_held: tuple[Parameter, ...],
    solution: Solution | None,
) -> Estimate:
    """The base's mass; its interval includes the uncertainty of the joints. Without a solution the commanded gains are assumed."""
    found = weigh(balances, known)
    variance = found.deviation**2
    if solution is not None:
        steps = 0.1 * np.sqrt(np.diag(solution.covariance))
        moved = [weigh(balances, physical(of_held, shifted, nominal)).payload for shifted in solution.values + np.diag(steps)]
        slope = (np.array(moved) - found.payload) / steps
        variance += float(slope @ solution.covariance @ slope)
    weight = GRAVITY * balances[0].robot_mass
    flaw = _bound_reached(mass, float(np.clip(found.payload, mass.low, mass.high)))
    if found.imbalance > UNBALANCED * weight:
        flaw = (
            f"{found.imbalance:.0f} N of the robot's {weight:.0f} N do not balance in a typical reading (at most {100 * UNBALANCED:.0f} %):"
            " it hangs, walks or leans on something, or its joints differ from their description"
        )
    return Estimate(parameter=mass, value=found.payload, half_width=float(Z95 * np.sqrt(variance)), flaw=flaw)


def _unknown_gains(balances: Sequence[StandingBalance], told: Physical, nominal: Nominal) -> str:
    """How errors of gains and friction would change a load that was estimated without a log with the base held."""
    found = weigh(balances, told).payload
    softer = weigh(balances, dataclasses.replace(told, kp=0.9 * told.kp)).payload - found
    dry = weigh(balances, dataclasses.replace(told, friction=told.friction + 0.01 * nominal.effort_limit)).payload - found
    return (
        f"the mass assumes the commanded gains and the model's friction: 10 % less of kp would make it {softer:+.2g} kg, dry friction of "
        f"1 % of the effort"
        f" limits {dry:+.2g} kg. Add a log with the base held, so that both are estimated"
    )


def _bound_reached(parameter: Parameter, value: float) -> str:
    """The flaw of a value at a bound of the search; empty inside the bounds, or at a bound that means zero."""
    near = 1e-6 * (parameter.high - parameter.low)
    if value < parameter.high - near and (parameter.vanishes or value > parameter.low + near):
        return ""
    return f"at a bound of the search, {parameter.low:g} to {parameter.high:g} {parameter.unit}"


def _with_partner(index: int, estimates: list[Estimate], correlation: FloatArray) -> Estimate:
    """For parameters with a wide interval, name the one that each is most correlated with, if any."""
    mine = estimates[index]
    if mine.precise or len(estimates) < 2:
        return mine
    nearest = max((i for i in range(len(estimates)) if i != index), key=lambda i: abs(correlation[index, i]))
    if abs(correlation[index, nearest]) < 0.8:
        return mine
    return dataclasses.replace(mine, partner=estimates[nearest].parameter.name)

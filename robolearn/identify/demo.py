"""Simulates, excites, records and identifies a robot with hidden random parameters, and compares the estimates with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.robots.robot import Robot
from robolearn.identify.excitation import Gains, sines, squats
from robolearn.identify.fit import OF_JOINTS, FitCfg, identify, with_tilt
from robolearn.identify.hidden import STEP_S, draw, hidden_physical, record
from robolearn.identify.model import nominal_of
from robolearn.identify.parameters import make_parameters
from robolearn.identify.recording import FloatArray, Recording
from robolearn.identify.result import Fit


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """The hidden values and the estimates.

    Attributes:
        hidden: true values of the fit's estimates, in their order, (P,).
        fit: the result.
    """

    hidden: FloatArray
    fit: Fit

    @property
    def errors(self) -> FloatArray:
        """Relative errors of the precise estimates, without the tilt, which may be zero."""
        found = zip(self.fit.estimates, self.hidden, strict=True)
        pairs = [(e.value, h) for e, h in found if e.precise and e.parameter.kind != "tilt"]
        return np.array([value / hidden - 1 for value, hidden in pairs])

    @property
    def covered(self) -> FloatArray:
        """Whether the interval contains the true value, for each (weakly) identifiable estimate; 0 or 1."""
        return np.array([float(e.low <= h <= e.high) for e, h in zip(self.fit.estimates, self.hidden, strict=True) if e.identifiable])


def demonstrate(
    robot: Robot,
    seed: int = 0,
    seconds: float = 16.0,
    cfg: FitCfg | None = None,
    gains: Gains | None = None,
    step_s: float = STEP_S,
    progress: Callable[[int, float], None] | None = None,
) -> Demonstration:
    """Hide, record and identify.

    Args:
        robot: the robot.
        seed: of hidden values, excitation and noise.
        seconds: of the excitation with the base held [s]; a quadruped also squats for 6 s if its mass is estimated.
        cfg: settings of the fit; `kinds` also selects what is hidden, by default everything except motor strength.
        gains: gains of the excitation; None for those that suit the robot.
        step_s: physics step of the hidden robot [s].
        progress: as in `robolearn.identify.fit.identify`.
    """
    cfg = cfg or FitCfg()
    squatting = robot.floating_base and len(robot.feet) >= 3
    weighs = squatting or not robot.floating_base
    kinds = with_tilt(cfg.kinds or OF_JOINTS + (("mass",) if weighs else ()), robot)
    nominal = nominal_of(robot)
    parameters = make_parameters(nominal, kinds, cfg.by)
    values = draw(parameters, seed)
    _, hidden = hidden_physical(robot, parameters, values)
    spec = robot.spec()
    feed = 0.1 if "motor_strength" in kinds else 0.0
    recordings: list[Recording] = []
    if not squatting or set(kinds) != {"mass"}:
        recordings.append(record(robot, hidden, sines(spec, seconds, seed=seed, gains=gains, effort_share=feed), seed=seed, step_s=step_s))
    if squatting and "mass" in kinds:
        recordings.append(record(robot, hidden, squats(robot, 6.0, seed=seed), mount="standing", seed=seed + 1, step_s=step_s))
    return Demonstration(hidden=values, fit=identify(recordings, robot, cfg, progress))

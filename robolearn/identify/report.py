"""The result as text (a table and advice), as plain values, and as a preset with a randomization table for training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from envs.robots.registry import ROBOTS, get_robot
from envs.robots.robot import Robot
from envs.terms.randomization import OPERATION
from policies.yaml_tree import write
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.errors import UserError
from robolearn.identify.result import UNEXPLAINED, Estimate, Fit

ADVICE = {
    "kp": "let the joint follow sines of 0.3 to 8 Hz with a base that is held",
    "kd": "repeat the motion with another kd: a constant kd acts like passive damping",
    "motor_strength": "add feed-forward torques: without them motor strength acts like kp and kd together",
    "damping": "move longer and faster, partly with a small kd: a large kd hides passive damping",
    "friction": "add slow, wide motion with reversals: dry friction shows when a joint reverses",
    "armature": "add fast motion, up to the joint's bandwidth: inertia only shows in acceleration",
    "tilt": "let the joints carry weight while the base is held still",
    "delay": "add fast motion and log commands with the times at which they were sent",
    "mass": "squat on flat ground without touching it with anything but the feet, or move an arm faster",
}
ENTRY = {"kp": "kp", "kd": "kd", "motor_strength": "motor_strength", "damping": "joint_damping", "friction": "joint_friction",
         "armature": "joint_armature", "delay": "action_delay_s", "mass": "payload"}  # fmt: skip
"""Kind of parameter -> entry of `envs.terms.randomization.RandomizationCfg`. A tilt belongs to the sensor's mounting and has none."""
SLOW_HZ = 150.0  # below it: a log of the control steps only
MARGIN = 0.05  # share of the value on each side, for changes from day to day


def table(fit: Fit, hidden: Sequence[float] | None = None) -> str:
    """One line per parameter, with the true values if they are known."""
    columns = ("nominal", "found") if hidden is None else ("nominal", "hidden", "found")
    lines = [f"{'parameter':24}{''.join(f'{column:>10}' for column in columns)}  {'95 % interval':22}".rstrip()]
    for i, estimate in enumerate(fit.estimates):
        p = estimate.parameter
        line = f"{p.name:24}{p.nominal:10.4g}"
        if hidden is not None:
            line += f" {hidden[i]:9.4g}"
        interval = f"[{estimate.low:.4g}, {estimate.high:.4g}]"
        line += f" {estimate.value:9.4g}  {interval:22} {p.unit}" if estimate.identifiable else f"{'-':>10}  not identifiable"
        if hidden is not None and estimate.identifiable:
            relative = hidden[i] and p.kind != "tilt"
            line += f"  {100 * (estimate.value / hidden[i] - 1):+.2f} %" if relative else f"  {estimate.value - hidden[i]:+.2g} {p.unit}"
            line += "" if estimate.low <= hidden[i] <= estimate.high else "  outside"
        if estimate.identifiable and not estimate.precise:
            line += f"  weak: {_width(estimate)}"
        lines.append(line)
    return "\n".join(lines)


def remarks(fit: Fit) -> list[str]:
    """Notes for the user: residuals, what is not identifiable and why, and whether the model explains the data."""
    said = [f"warning: {e.parameter.name} = {e.value:.4g} {e.parameter.unit}: {e.flaw}" for e in fit.estimates if e.flaw]
    said += fit.notes
    if fit.channels:
        before = math.sqrt(sum((c.before / c.noise) ** 2 for c in fit.channels) / len(fit.channels))
        said.append(
            f"residual / noise: {before:.2f} with the nominal values, {fit.unexplained:.2f} with the estimates ({fit.seconds:.0f} s)"
        )
    if fit.channels and fit.rate_hz < SLOW_HZ:
        said.append(
            f"sensors were logged at {fit.rate_hz:.0f} Hz: intervals are about {math.sqrt(500 / fit.rate_hz):.1f} times as wide as at 500 "
            f"Hz, and model errors show less in the residual; robolearn deploy --log-sensors all logs every reading"
        )
    vague = [e for e in fit.estimates if not e.precise and not e.flaw]
    for kind in dict.fromkeys(e.parameter.kind for e in vague):
        mine = [e for e in vague if e.parameter.kind == kind]
        weak = ", ".join(f"{e.parameter.name} ({_width(e)})" for e in mine if e.identifiable)
        unknown = ", ".join(e.parameter.name for e in mine if not e.identifiable)
        names = [f"weakly identifiable from this log: {weak}"] * bool(weak) + [f"not identifiable from this log: {unknown}"] * bool(unknown)
        partners = sorted({e.partner for e in mine if e.partner})
        mixed = f" (acts like {', '.join(partners)})" if partners else ""
        said.append(f"{'; '.join(names)}{mixed}; {ADVICE[kind]}")
    if fit.unexplained > UNEXPLAINED:
        worst = max(fit.channels, key=lambda c: c.after / c.noise)
        said.append(
            f"warning: the model does not explain the log: residual {fit.unexplained:.1f} times the noise, worst {worst.name}"
            f" ({worst.after / worst.noise:.1f} times). The intervals are then too narrow; look for contacts, a moving base, or wrong names"
        )
    return said


def _width(estimate: Estimate) -> str:
    """Half of the interval as a share of the value, or in the parameter's unit if the value is too small for that."""
    if abs(estimate.value) >= 0.5 * estimate.parameter.reference:
        return f"+- {100 * estimate.share:.0f} %"
    return f"+- {estimate.half_width:.2g} {estimate.parameter.unit}"


def to_dict(fit: Fit) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "robot": fit.robot,
        "seconds": fit.seconds,
        "iterations": fit.iterations,
        "residual_to_noise": fit.unexplained if fit.channels else None,
        "believable": fit.believable,
        "notes": list(fit.notes),
        "parameters": [
            {
                "name": e.parameter.name,
                "unit": e.parameter.unit,
                "nominal": e.parameter.nominal,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "identifiable": e.identifiable,
                "precise": e.precise,
                "acts_like": e.partner or None,
                "flaw": e.flaw or None,
            }
            for e in fit.estimates
        ],
        "channels": [{"name": c.name, "before": c.before, "after": c.after, "noise": c.noise} for c in fit.channels],
    }


def proposal(fit: Fit, control_dt: float) -> dict[str, dict[str, Any]]:
    """Entries of the randomization table: the hull of the intervals of all joints, and a margin of 5 % of the value on each side.

    A world draws one factor per joint from one range, so if groups of joints differ much, correct the robot's model instead.

    Args:
        fit: the result; estimates that are not identifiable are left out.
        control_dt: the task's control step [s], which bounds the delay.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, entry in ENTRY.items():
        mine = [e for e in fit.estimates if e.parameter.kind == kind]
        if not mine or not all(e.identifiable for e in mine):
            continue
        low, high = min(map(_lowest, mine)), max(map(_highest, mine))
        factor = mine[0].parameter.is_factor
        if kind != "mass":
            low = max(low, 0.01 if factor else 0.0)
        if kind == "delay":
            low, high = min(low, control_dt), min(high, control_dt)
        operation = OPERATION.get(entry, "scale" if factor else "add")
        found[entry] = {"low": round(low, 6), "high": round(high, 6), "operation": operation, "distribution": "uniform", "when": "reset"}
    return found


def _lowest(estimate: Estimate) -> float:
    return estimate.low - MARGIN * max(abs(estimate.value), estimate.parameter.reference)


def _highest(estimate: Estimate) -> float:
    return estimate.high + MARGIN * max(abs(estimate.value), estimate.parameter.reference)


def preset_of(robot: Robot) -> str:
    """The first preset that trains a robot with our own algorithms, or one for any robot of its kind."""
    for name in config.preset_names():
        if config.peek(name, "robot", default="") == called(robot) and not name.endswith("-sb3"):
            return name
    return "velocity-flat" if robot.floating_base else "reach"


def called(robot: Robot) -> str:
    """The name of a robot in configs: its name if it is registered, otherwise the path of its `robot.yaml`."""
    if robot.name in ROBOTS and get_robot(robot.name) == robot:
        return robot.name
    return str(robot.source or robot.name)


def check_preset(preset: str, robot: Robot) -> None:
    """Refuse a preset for another robot.

    Raises:
        ConfigError: no such preset.
        UserError: it is for another robot.
    """
    trains = config.peek(preset, "robot", default="")
    if trains and get_robot(trains) != robot:
        raise UserError(f"the preset {preset} trains {trains}, but the log is of {robot.name}")


def preset_text(fit: Fit, preset: str, robot: Robot) -> str:
    """A preset that extends another one with the proposed ranges, checked by reading it back.

    Raises:
        ConfigError: no such preset, or it cannot take the ranges.
        UserError: nothing is identifiable, so there is nothing to propose.
    """
    own = {} if config.peek(preset, "robot", default="") else {"robot": called(robot)}
    control_dt = schema.load(preset, [f"--{key}={value}" for key, value in own.items()]).env.control_dt
    entries = proposal(fit, control_dt)
    if not entries:
        raise UserError("nothing was identifiable from this log, so there is no table to write")
    lines = [f"# Ranges identified from a log of {fit.robot}: the 95 % intervals plus {100 * MARGIN:.0f} % on each side."]
    lines += [f"# {line}" for line in table(fit).splitlines()]
    lines += [f"# {line}" for line in remarks(fit)]
    late = [e for e in fit.estimates if e.parameter.kind == "delay" and e.identifiable and e.high > control_dt]
    lines += [
        f"# The delay is longer than the task's control step of {control_dt:g} s, the largest delay of an action in training." for _ in late
    ]
    text = "\n".join(lines) + "\n" + write({"extends": preset, **own, "env": {"randomization": entries}})
    plain = write({"env": {"randomization": entries}})
    config.loads(schema.schema_of(config.peek(preset, "task"), called(robot)), plain, "the proposed table")
    return text

"""The parameters that can be identified, their joints, and the meaning of a vector of values for the physics.

Joints with the same motor share values: `group` joins the joints of all legs (arms, sides) that have the same name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from robolearn.errors import UsageError, suggestion
from robolearn.identify.recording import FloatArray

Kind = Literal["kp", "kd", "motor_strength", "damping", "friction", "armature", "delay", "tilt", "mass"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Grouping = Literal["joint", "group", "robot"]
_SIDE = re.compile(r"^(FR|FL|RR|RL|left|right)_")


@dataclass(frozen=True, kw_only=True)
class Nominal:
    """The model's values, joints in policy order, (J,) each.

    Attributes:
        joint_names: names.
        damping: viscous friction of the joints [N m s / rad].
        friction: dry friction [N m].
        armature: reflected inertia of the rotors [kg m2].
        effort_limit: largest torque [N m].
        base_mass: mass of the body that carries payloads [kg].
    """

    joint_names: tuple[str, ...]
    damping: FloatArray
    friction: FloatArray
    armature: FloatArray
    effort_limit: FloatArray
    base_mass: float


@dataclass(frozen=True, kw_only=True)
class Physical:
    """One set of values for the physics; (J,) each, except the last three.

    Attributes:
        kp, kd: factors on the commanded gains.
        strength: factor on the whole torque and its limit.
        damping, friction, armature: as in `Nominal`.
        delay_s: time from command to torque [s].
        payload: mass added to the base body's [kg].
        tilt: rotation of the base about its own x and y relative to its IMU's attitude [rad], (2,).
    """

    kp: FloatArray
    kd: FloatArray
    strength: FloatArray
    damping: FloatArray
    friction: FloatArray
    armature: FloatArray
    delay_s: float
    payload: float
    tilt: FloatArray


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One number to estimate.

    Attributes:
        kind: kind of parameter.
        group: name of its joints; empty for the whole robot.
        joints: their indices in policy order.
        unit: `x` for factors on the nominal value.
        nominal: its value in the model.
        start: start value of the search.
        low, high: its bounds. A parameter with a positive lower bound is searched by its logarithm.
        spread: standard deviation of the prior. It is so wide that any informative log overrules it; it keeps the fit solvable if a log has
            no information.
        reference: smallest size for judging an interval [its unit]; the interval of a friction close to zero is compared with this.
    """

    kind: Kind
    group: str
    joints: tuple[int, ...]
    unit: str
    nominal: float
    start: float
    low: float
    high: float
    spread: float
    reference: float

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def is_factor(self) -> bool:
        return self.unit == "x"

    @property
    def vanishes(self) -> bool:
        """Whether its lower bound means zero, as for a joint without friction."""
        return self.kind == "delay" or (self.low > 0 and not self.is_factor)


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """The kinds in a list separated by commas.

    Raises:
        UsageError: unknown kind; names the valid ones.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in KINDS:
            raise UsageError(f"no parameter {name!r}{suggestion(name, KINDS)}; valid: {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in names)


def groups(joint_names: Sequence[str], by: Grouping) -> dict[str, tuple[int, ...]]:
    """Joints that share their values: group name -> indices."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(joint_names):
        short = _SIDE.sub("", name).removesuffix("_joint")
        key = {"joint": name, "group": short, "robot": "all"}[by]
        found.setdefault(key, []).append(index)
    return {name: tuple(members) for name, members in found.items()}


def make_parameters(nominal: Nominal, kinds: Sequence[Kind], by: Grouping = "group") -> tuple[Parameter, ...]:
    """The parameters of these kinds, in the order of `KINDS`."""
    found: list[Parameter] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        if kind == "delay":
            limits = {"low": 0.0, "high": 0.06, "spread": 0.02, "reference": 0.005}
            found.append(Parameter(kind=kind, group="", joints=(), unit="s", nominal=0.0, start=0.004, **limits))
        elif kind == "tilt":
            limits = {"low": -0.2, "high": 0.2, "spread": 0.03, "reference": 0.1}
            found += [
                Parameter(kind=kind, group=axis, joints=(), unit="rad", nominal=0.0, start=0.0, **limits) for axis in ("roll", "pitch")
            ]
        elif kind == "mass":
            mass = nominal.base_mass
            limits = {"low": -0.8 * mass, "high": 3 * mass, "spread": mass, "reference": 0.1 * mass}
            found.append(Parameter(kind=kind, group="", joints=(), unit="kg", nominal=0.0, start=0.0, **limits))
        else:
            found += [_of_joints(kind, nominal, name, joints) for name, joints in groups(nominal.joint_names, by).items()]
    return tuple(found)


def _of_joints(kind: Kind, nominal: Nominal, group: str, joints: tuple[int, ...]) -> Parameter:
    if kind in ("kp", "kd", "motor_strength"):
        factor = {"low": 0.1, "high": 3.0, "spread": 0.5, "reference": 0.2}
        return Parameter(kind=kind, group=group, joints=joints, unit="x", nominal=1.0, start=1.0, **factor)
    values = getattr(nominal, kind)[list(joints)]
    if kind != "friction" and (values > 0).all():
        factor = {"low": 0.01, "high": 20.0, "spread": 2.0, "reference": 0.2}
        return Parameter(kind=kind, group=group, joints=joints, unit="x", nominal=1.0, start=1.0, **factor)
    # no nominal value for a factor, so it is estimated as a difference
    effort = float(nominal.effort_limit[list(joints)].mean())
    scale = effort * {"friction": 0.02, "damping": 0.02, "armature": 0.001}[kind]
    unit = {"friction": "N m", "damping": "N m s/rad", "armature": "kg m2"}[kind]
    limits = {"low": 1e-3 * scale, "high": 15 * scale, "spread": 3 * scale, "reference": 0.5 * scale}
    return Parameter(kind=kind, group=group, joints=joints, unit=unit, nominal=0.0, start=0.25 * scale, **limits)


def physical(parameters: Sequence[Parameter], values: FloatArray, nominal: Nominal) -> Physical:
    """The physics for values (P,) of the parameters; everything else is nominal."""
    one = np.ones(len(nominal.joint_names))
    arrays = {"kp": one.copy(), "kd": one.copy(), "motor_strength": one.copy(), "damping": nominal.damping.copy()}
    arrays |= {"friction": nominal.friction.copy(), "armature": nominal.armature.copy()}
    scalars = {"delay": 0.0, "mass": 0.0, "tilt.roll": 0.0, "tilt.pitch": 0.0}
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.name in scalars:
            scalars[parameter.name] = float(value)
        elif parameter.is_factor:
            arrays[parameter.kind][list(parameter.joints)] *= value
        else:
            arrays[parameter.kind][list(parameter.joints)] += value
    strength = arrays.pop("motor_strength")
    tilt = np.array([scalars["tilt.roll"], scalars["tilt.pitch"]])
    return Physical(**arrays, strength=strength, delay_s=scalars["delay"], payload=scalars["mass"], tilt=tilt)

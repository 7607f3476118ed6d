"""The contract between training and robot: one frozen `PolicySpec`, written by the task, read by everything else.

Joint order, default pose, gains, limits, observation terms, action law, normaliser and rates are defined here only, so that training,
export, evaluation, bridge and viewer cannot disagree about them. The spec is stored in the policy file as JSON whose numbers have Python's
shortest exact representation, so that reading restores the same bits.

This module only needs the standard library.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from policies.contract import validation
from policies.contract.parts import (
    ACTION_MODES,
    COMMAND_SIZES,
    ENDS,
    STATE,
    ActionSpec,
    CommandSpec,
    ImageSpec,
    NormalizerSpec,
    ObservationGroup,
    ObservationTerm,
    RobotSpec,
    SpecError,
)
from policies.contract.strict import build

SCHEMA_VERSION = 2

__all__ = [
    "ACTION_MODES",
    "COMMAND_SIZES",
    "SCHEMA_VERSION",
    "STATE",
    "ActionSpec",
    "CommandSpec",
    "ImageSpec",
    "NormalizerSpec",
    "ObservationGroup",
    "ObservationTerm",
    "OldSpecError",
    "PolicySpec",
    "RobotSpec",
    "SpecError",
]


class OldSpecError(SpecError):
    """A spec has a version that is no longer supported."""


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Everything a runtime needs to run a policy as it was trained.

    Attributes:
        task: name of the task, e.g. `velocity-flat`; it names no robot.
        robot, action, command: see their classes.
        observation: groups, one for each input of the policy. Each only has the present: the past is in the network's memory. The group
            `state` always exists: the vector of terms from the robot's sensors at every control step.
        history_steps: number of observations that an action depends on through the memory, including the present one; 0 for all since the
            reset. A reset sets the memory to its initial value in the policy file, without any further filling.
        control_dt: time between two actions [s].
        decimation: physics steps per control step in training.
        clock_hz: rate of the gait clock of the term `clock`; 0 for none.
        clock_still_below: norm of a command below which the clock is zero, since a standing robot has no gait. 0 for a clock that always
            runs.
        pd_hz: rate at which the joint PD ran in training [Hz].
        normalizer: statistics of the group `state`; None if the network has none.
        quaternion_order: order inside robolearn; ROS's xyzw is converted at the boundary.
    """

    task: str
    robot: RobotSpec
    observation: tuple[ObservationGroup, ...]
    action: ActionSpec
    command: CommandSpec
    control_dt: float
    decimation: int
    history_steps: int = 1
    clock_hz: float = 0.0
    clock_still_below: float = 0.0
    normalizer: NormalizerSpec | None = None
    quaternion_order: str = "wxyz"
    schema_version: int = SCHEMA_VERSION

    @property
    def state(self) -> ObservationGroup:
        """The group `state`."""
        return self.group(STATE)

    @property
    def terms(self) -> tuple[ObservationTerm, ...]:
        """Terms of the group `state`, in order."""
        return self.state.terms

    @property
    def observation_dim(self) -> int:
        """O, entries of the group `state`."""
        return self.state.shape[0]

    @property
    def action_dim(self) -> int:
        """J."""
        return self.robot.num_joints

    @property
    def pd_hz(self) -> float:
        """Rate at which the joint PD ran in training [Hz]."""
        return self.decimation / self.control_dt

    def group(self, name: str) -> ObservationGroup:
        """The observation group with that name.

        Raises:
            SpecError: no such group; lists the names.
        """
        for group in self.observation:
            if group.name == name:
                return group
        raise SpecError(f"there is no observation group {name!r}; valid: {', '.join(group.name for group in self.observation)}")

    def __post_init__(self) -> None:
        validate(self)

    def to_json(self) -> str:
        """Serialize exactly; an infinite limit is `null`, since JSON has no infinity."""
        raw = dataclasses.asdict(self)
        for name in ENDS:
            raw["robot"][name] = [None if math.isinf(value) else value for value in raw["robot"][name]]
        return json.dumps(raw, indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> PolicySpec:
        """Read the result of `to_json`.

        Raises:
            OldSpecError: version 1.
            SpecError: malformed JSON, unknown or missing key, wrong type, inconsistent sizes, other schema version.
        """
        try:
            raw: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise SpecError(f"policy spec is not JSON: {error}") from error
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version == 1:
            raise OldSpecError(
                f"has contract version 1, which is no longer supported (this robolearn reads {SCHEMA_VERSION}): export it again from its "
                f"run with: robolearn export RUN (or use the current shipped policy)"
            )
        if version != SCHEMA_VERSION:
            raise SpecError(f"policy spec has schema version {version!r}; this robolearn reads version {SCHEMA_VERSION}")
        robot = raw.get("robot")
        for name, no_end in ENDS.items():
            if isinstance(robot, dict) and isinstance(robot.get(name), list):
                robot[name] = [no_end if value is None else value for value in robot[name]]
        return build(PolicySpec, raw, "spec")


def validate(spec: PolicySpec) -> None:
    """Check sizes, ranges and finiteness.

    Raises:
        SpecError: names what is wrong.
    """
    validation.check_robot(spec.robot)
    validation.check_action(spec.action, spec.robot.num_joints)
    validation.check_command(spec.command)
    validation.check_not_negative(
        {"clock_hz": spec.clock_hz, "clock_still_below": spec.clock_still_below, "history_steps": spec.history_steps}
    )
    validation.check_groups(spec.observation, spec.clock_hz)
    if spec.normalizer is not None:
        validation.check_normalizer(spec.normalizer, spec.observation_dim)
    validation.check_positive({"control_dt": spec.control_dt, "decimation": spec.decimation})
    if spec.quaternion_order != "wxyz":
        raise SpecError(f"quaternion_order is {spec.quaternion_order!r}; inside robolearn it is always wxyz")

"""The state of a robot, of the parts that it has."""

from __future__ import annotations

import mujoco
import torch

from envs.engines.face import Engine
from envs.parts import Buffers
from envs.robots.robot import Robot
from envs.scene.terrain import Terrain
from envs.terms.state import BaseState, Derived, FeetState, JointState, ToolState
from policies.contract.observation import ActionConstants


class States:
    """What is derived from the physics once a step.

    Attributes:
        joints: always there.
    """

    def __init__(
        self,
        robot: Robot,
        engine: Engine,
        terrain: Terrain | None,
        constants: ActionConstants,
        rest: torch.Tensor,
        contact_force: float,
        buffers: Buffers,
    ) -> None:
        """Find the parts of a robot that rests in the state `rest` (nq,); a foot with more than `contact_force` [N] is on the ground."""
        self._name = robot.name
        self.joints = JointState(robot, engine, constants.default_pose, constants.lower, constants.upper)
        self._base = BaseState(engine, terrain, rest[2]) if robot.floating_base else None
        self._feet, self._tool = None, None
        if robot.feet:
            self._feet = FeetState(robot, engine, terrain, contact_force, buffers.new("air_time_s", (len(robot.feet),)))
        if mujoco.mj_name2id(engine.model, mujoco.mjtObj.mjOBJ_SENSOR, "end_effector_position") >= 0:
            self._tool = ToolState(engine)
        self._parts: tuple[Derived, ...] = tuple(p for p in (self.joints, self._base, self._feet, self._tool) if p is not None)

    @property
    def base(self) -> BaseState:
        """State of the base.

        Raises:
            ValueError: it is fixed.
        """
        if self._base is None:
            raise ValueError(f"this asks for a base that moves; that of {self._name} is fixed")
        return self._base

    @property
    def feet(self) -> FeetState:
        """State of the feet.

        Raises:
            ValueError: there are none.
        """
        if self._feet is None:
            raise ValueError(f"this asks for feet; {self._name} has none")
        return self._feet

    @property
    def tool(self) -> ToolState:
        """State of the tool.

        Raises:
            ValueError: there is none.
        """
        if self._tool is None:
            raise ValueError(f"this asks for a tool; {self._name} has none")
        return self._tool

    def forget(self) -> None:
        """The physics has moved on."""
        for part in self._parts:
            part.forget()

    def count(self, seconds: float) -> None:
        """Let time pass for what is counted, once a step."""
        if self._feet is not None:
            self._feet.count(seconds)

    def reset(self, ids: torch.Tensor) -> None:
        """The worlds `ids` begin anew."""
        if self._feet is not None:
            self._feet.air_time_s[ids] = 0.0

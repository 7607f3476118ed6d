"""What a policy was shown of the robot, as a column beside what its sensors read: late, and with their noise.

A policy answers what it was shown. Who learns from clean readings alone learns the mean of its answers over all noise that there may have
been, and not the answer; so `robolearn collect --sensed` keeps both, and a pretraining is shown the one and asked for the other.
"""

from __future__ import annotations

import torch

from policies.contract.spec import PolicySpec


class Shown:
    """Finds the readings in the observations of a contract.

    Attributes:
        spec: the contract.
    """

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec
        joints = spec.action_dim
        where = {"joint_position": 0, "joint_velocity": joints, "projected_gravity": 2 * joints, "base_angular_velocity": 2 * joints + 3}
        self._parts: list[tuple[int, int, int, float]] = []
        first = 0
        for term in spec.terms:
            if term.name in where:
                self._parts.append((first, where[term.name], term.dim, term.scale))
            first += term.dim
        self._pose = torch.tensor(spec.robot.default_pose)

    def __call__(self, observation: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The readings (N, 2J + 6), laid out as `observation.state`; what the contract does not observe is as it was.

        Args:
            observation: of the contract, scaled, (N, O).
            state: without noise and delay, (N, 2J + 6).
        """
        found = state.clone()
        for first, at, width, scale in self._parts:
            found[:, at : at + width] = observation[:, first : first + width].to(state) / scale
        if any(at == 0 for _, at, _, _ in self._parts):
            found[:, : self.spec.action_dim] += self._pose.to(state)
        return found

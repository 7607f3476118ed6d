"""What a token is: the observation of a policy's contract, put together from the columns of a dataset, modality by modality.

Token t is (o_t, a_{t-1}), as a student sees it. Its entries fall into modalities, which are known or missing each for itself: `body`, what
the robot's sensors feel; `command`; `clock`; and `action`, the action before. A person's motion has no actions and no clock, a controller's
no actions of the policy's kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from policies.contract.observation import ActionConstants, joint_targets
from policies.contract.spec import PolicySpec
from robolearn.errors import UserError

BODY, COMMAND, CLOCK, ACTION = MODALITIES = ("body", "command", "clock", "action")
_OF_TERM = {"command": COMMAND, "clock": CLOCK, "last_action": ACTION, "joint_target": ACTION}
_OF_BODY = ("base_angular_velocity", "projected_gravity", "joint_position", "joint_velocity")


@dataclass(kw_only=True)
class Tokens:
    """B windows of T tokens and the observation after them.

    Attributes:
        observation: raw, as the contract has it, (B, T + 1, O); anything where it is not known.
        known: modalities that are known, (B, T + 1, M) bool; none outside the episode.
        action: a_t as the policy gave it, (B, T, J); anything where it is not known.
        acted: where it is, (B, T) bool.
        source: (B,) index into the sources' statistics.
        shown: as the policy was shown it, late and with noise, (B, T, O); anything where that is not known, None where it never is.
        told: where it is, (B, T) bool; None likewise.
    """

    observation: torch.Tensor
    known: torch.Tensor
    action: torch.Tensor
    acted: torch.Tensor
    source: torch.Tensor
    shown: torch.Tensor | None = None
    told: torch.Tensor | None = None

    def as_shown(self, otherwise: torch.Tensor | None = None) -> torch.Tensor:
        """Observations (B, T, O) as the policy was shown them, and `otherwise` (clean where None) where that is not known."""
        clean = self.observation[:, :-1] if otherwise is None else otherwise
        return clean if self.shown is None or self.told is None else torch.where(self.told[..., None], self.shown, clean)

    @property
    def inside(self) -> torch.Tensor:
        """Tokens of the episode, (B, T + 1) bool."""
        return self.known[..., MODALITIES.index(BODY)]

    def to(self, device: torch.device) -> Tokens:
        """The same on a device."""
        given = {name: value.to(device, non_blocking=True) for name, value in vars(self).items() if value is not None}
        return Tokens(**given)


@dataclass(kw_only=True)
class Rows:
    """What a dataset holds of B windows of R = T + 1 rows, in the policy's joint order.

    Attributes:
        state: joint positions and velocities, gravity, angular velocity, (B, R, 2J + 6).
        command: (B, R, C).
        before: the action of the row before, (B, R, J).
        step: rows since the episode's start, (B, R).
    """

    state: np.ndarray
    command: np.ndarray
    before: np.ndarray
    step: np.ndarray


class Layout:
    """The order of a contract's observation.

    Attributes:
        spec: the contract.
        modality: of each entry, index into `MODALITIES`, (O,).
        predicted: entries that are predicted as observations: all but the action before, (P,).
        noise: half-width of the sensor noise that training adds to each entry, (O,).
        delay: largest sensing delay of each entry that training simulates, in control steps, (O,).
    """

    def __init__(self, spec: PolicySpec) -> None:
        """Find the modalities.

        Raises:
            UserError: a term that no dataset tells.
        """
        self.spec = spec
        for term in spec.terms:
            if term.name not in (*_OF_BODY, *_OF_TERM) or (term.name == "joint_target" and spec.action.mode != "position_offset"):
                raise UserError(
                    f"task {spec.task} observes {term.name!r}, which no dataset tells; a pretraining needs a task without it"
                    f" (known: {', '.join((*_OF_BODY, *_OF_TERM))})"
                )
        parts = [torch.full((term.dim,), MODALITIES.index(_OF_TERM.get(term.name, BODY))) for term in spec.terms]
        self.modality = torch.cat(parts)
        self.predicted = (self.modality != MODALITIES.index(ACTION)).nonzero()[:, 0]
        self.noise = torch.cat([torch.full((term.dim,), term.noise * term.scale) for term in spec.terms])
        self.delay = torch.cat([torch.full((term.dim,), term.delay_s / spec.control_dt) for term in spec.terms])
        self._clip = np.concatenate([np.full(term.dim, term.clip, np.float32) for term in spec.terms])
        self._scale = np.concatenate([np.full(term.dim, term.scale, np.float32) for term in spec.terms])
        self._constants = ActionConstants.of(spec, lambda values: np.array(values, np.float32))
        turns = max(1, round(1.0 / (spec.clock_hz * spec.control_dt))) if spec.clock_hz else 1
        angle = np.arange(turns) * (2.0 * np.pi / turns)
        self._clock = np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)  # of each step of a turn

    def observe(self, rows: Rows) -> np.ndarray:
        """The observations (B, R, O) of rows; the arithmetic of `policies.contract.observation.observe`."""
        joints = self.spec.action_dim
        pose, speed = rows.state[..., :joints], rows.state[..., joints : 2 * joints]
        found = {
            "base_angular_velocity": lambda: rows.state[..., 2 * joints + 3 : 2 * joints + 6],
            "projected_gravity": lambda: rows.state[..., 2 * joints : 2 * joints + 3],
            "command": lambda: rows.command,
            "joint_position": lambda: pose - self._constants.default_pose,
            "joint_velocity": lambda: speed,
            "last_action": lambda: rows.before,
            "joint_target": lambda: self._target(rows, pose),
            "clock": lambda: self._clock[rows.step % len(self._clock)],
        }
        whole = np.concatenate([found[term.name]() for term in self.spec.terms], axis=-1)
        return np.clip(whole, -self._clip, self._clip) * self._scale

    def _target(self, rows: Rows, pose: np.ndarray) -> np.ndarray:
        """The targets of the step before, less the default pose; the measured pose after a reset."""
        asked = joint_targets(rows.before, rows.before, self.spec, self._constants)
        return np.where((rows.step > 0)[..., None], asked, pose) - self._constants.default_pose

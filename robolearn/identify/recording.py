"""The content of a log that identification needs: the joints' motion and their commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import UserError

FloatArray = NDArray[np.float64]
Mount = Literal["held", "standing"]


class RecordingError(UserError, ValueError):
    """A recording that cannot be used: the message says what is wrong, where, and what is valid."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A robot's sensors and the commands that were sent to it, on one clock; joints in policy order.

    Attributes:
        time_s: when the sensors were read [s], (T,), increasing.
        position: measured joint positions [rad], (T, J).
        velocity: measured joint velocities [rad/s], (T, J).
        effort: measured joint torques [N m], (T, J); NaN where not reported.
        imu_quat_wxyz: attitude of the base, (T, 4); None for a fixed base.
        imu_angular_velocity_b: of the base, in the base frame [rad/s], (T, 3); None for a fixed base.
        command_time_s: when the commands were sent [s], (K,), increasing. Each holds until the next.
        target: joint position targets [rad], (K, J).
        command_velocity: joint velocity targets [rad/s], (K, J).
        command_effort: feed-forward torques [N m], (K, J).
        kp: commanded position gains [N m / rad], (K, J).
        kd: commanded velocity gains [N m s / rad], (K, J).
        mount: `held` if the base does not move (an arm, a robot on a gantry), `standing` if on its feet on flat ground.
        simulated_timestep_s: physics step of the simulator that played the robot [s], None for a real one. The fit then integrates as
            that simulator did, so that its error does not end up in the damping.
        joint_names: names of the joints, in the order of the columns; None if unknown.
        stamp_step_s: resolution of the robot's stamps [s], 0 for exact stamps.
        source: where it came from, for messages.
        notes: notes for the user, one sentence each.
    """

    time_s: FloatArray
    position: FloatArray
    velocity: FloatArray
    effort: FloatArray
    imu_quat_wxyz: FloatArray | None = None
    imu_angular_velocity_b: FloatArray | None = None
    command_time_s: FloatArray
    target: FloatArray
    command_velocity: FloatArray
    command_effort: FloatArray
    kp: FloatArray
    kd: FloatArray
    mount: Mount = "held"
    simulated_timestep_s: float | None = None
    joint_names: tuple[str, ...] | None = None
    stamp_step_s: float = 0.0
    source: str = "recording"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name not in ("mount", "simulated_timestep_s", "joint_names", "stamp_step_s", "source", "notes"):
                object.__setattr__(self, field.name, np.asarray(value, np.float64))
        if self.mount not in ("held", "standing"):
            raise RecordingError(f"{self.source}: mount is {self.mount!r}; valid: held, standing")
        step = self.simulated_timestep_s
        if step is not None and not 5e-5 <= step <= 0.02:
            raise RecordingError(f"{self.source}: a simulator's step (--simulated) must lie between 0.00005 and 0.02 s, not {step:g}")
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        if self.position.ndim != 2 or not len(self.position):
            raise RecordingError(f"{self.source}: position must have shape (T, J), not {self.position.shape}")
        samples, joints, commands = len(self.time_s), self.position.shape[1], len(self.command_time_s)
        expected = dict.fromkeys(("position", "velocity", "effort"), (samples, joints))
        expected |= dict.fromkeys(("target", "command_velocity", "command_effort", "kp", "kd"), (commands, joints))
        expected |= {"time_s": (samples,), "command_time_s": (commands,), "imu_quat_wxyz": (samples, 4)}
        expected |= {"imu_angular_velocity_b": (samples, 3)}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise RecordingError(f"{self.source}: {name} must have shape {shape}, not {value.shape}")

    def _check_values(self) -> None:
        for name in ("time_s", "command_time_s"):
            stamps = getattr(self, name)
            if len(stamps) < 2:
                raise RecordingError(f"{self.source}: {name} has {len(stamps)} entries; at least 2 are needed")
            bad = np.flatnonzero(~(np.diff(stamps) > 0))  # a NaN is not greater either
            if len(bad):
                at = int(bad[0]) + 1
                raise RecordingError(f"{self.source}: {name} must increase; entry {at} is {stamps[at]:g} s after {stamps[at - 1]:g} s")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and field.name != "effort" and not np.isfinite(value).all():
                row = int(np.argwhere(~np.isfinite(value))[0][0])
                raise RecordingError(f"{self.source}: {field.name} holds a value that is not finite, first in row {row}")
        for name in ("kp", "kd"):
            if (getattr(self, name) < 0).any():
                raise RecordingError(f"{self.source}: {name} is negative in row {int(np.argwhere(getattr(self, name) < 0)[0][0])}")

    @property
    def num_joints(self) -> int:
        return int(self.position.shape[1])

    @property
    def period_s(self) -> float:
        """Median time between two readings [s]."""
        return float(np.median(np.diff(self.time_s)))

"""Simulates the windows of a recording for many sets of parameters at once: one world per window and set, in lock-step on all threads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from envs.robots.robot import Robot
from envs.terms.ids import actuator_ids
from robolearn.identify.model import make_model, model_fields
from robolearn.identify.parameters import Physical
from robolearn.identify.recording import FloatArray, Recording
from robolearn.identify.staircase import CommandMeans
from robolearn.identify.windows import cut, start_states

LARGEST_STEP_S, FINE_STEP_S = 0.002, 0.0005
WORLDS_AT_ONCE = 512  # limits the memory of trajectories


class Simulation:
    """The windows of a recording whose base was held, ready to be simulated.

    Attributes:
        recording: the recording.
        windows: its windows, W.
        starts: measured joint positions and velocities at their beginnings, (W, 2, J).
        dt: physics step [s].
        measured: measurements to compare with, (M, C): positions, velocities, and torques if they are used.
        channels: C names, such as `position hip`.
        channel_joints: joint of each channel, (C,).
        effort_joints: joints whose torques are compared.
        limbs: kinematic tree of each joint, (J,); on a held base these move independently.
    """

    def __init__(
        self,
        recording: Recording,
        robot: Robot,
        window_s: float,
        use_effort: bool = False,
        threads: int = 0,
        largest_step_s: float = LARGEST_STEP_S,
    ) -> None:
        """Prepare.

        Args:
            recording: the recording.
            robot: the robot.
            window_s: length of a window, see `robolearn.identify.windows` [s].
            use_effort: whether reported torques are used as measurements of the joints' torques.
            threads: simulation threads, 0 for all cores.
            largest_step_s: largest physics step [s]; for a simulated robot, its simulator's step is used.

        Raises:
            RecordingError: the recording has no usable part.
        """
        self.recording, self._robot, self._threads = recording, robot, threads
        self._refined = (recording, robot, window_s, use_effort, threads, FINE_STEP_S)
        self.windows = cut(recording, window_s)
        self.starts = np.stack(start_states(recording, self.windows), axis=1)
        simulated = recording.simulated_timestep_s
        self.dt = simulated or recording.period_s / math.ceil(recording.period_s / largest_step_s - 1e-6)
        quat = recording.imu_quat_wxyz
        mean = None if quat is None else np.mean(quat * np.sign(quat @ quat[0])[:, None], axis=0)
        self._model = make_model(robot, "held", mean)
        self._model.opt.timestep = self.dt
        # a real robot has no integration error, and RK4 has hardly any at this step
        self._integrator = mujoco.mjtIntegrator.mjINT_RK4 if simulated is None else mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        self._steps = math.ceil(self.windows.duration_s / self.dt - 1e-6) + 1
        self._commands = CommandMeans(recording)
        self._qpos = [int(self._model.joint(name).qposadr[0]) for name in robot.joints]
        self._dofs = [int(self._model.joint(name).dofadr[0]) for name in robot.joints]
        self._actuators = actuator_ids(self._model, robot.joint_names)
        sample = self.windows.sample
        parts = [recording.position[sample], recording.velocity[sample]]
        self.effort_joints = np.flatnonzero(np.isfinite(recording.effort[sample]).all(axis=0)) if use_effort else np.array([], int)
        if len(self.effort_joints):
            parts.append(recording.effort[sample][:, self.effort_joints])
        self.measured = np.concatenate(parts, axis=1)
        self.channel_joints = np.concatenate([np.arange(recording.num_joints)] * 2 + [self.effort_joints])
        self.limbs = self._model.dof_treeid[self._dofs]
        self.channels = tuple(f"{what} {joint}" for what in ("position", "velocity") for joint in robot.joints)
        self.channels += tuple(f"effort {robot.joint_names[j]}" for j in self.effort_joints)

    def refined(self) -> Simulation:
        """The same with a finer step."""
        return Simulation(*self._refined)

    def rows(self, windows: slice) -> slice:
        """The indices of these windows' readings among M."""
        first, last = np.searchsorted(self.windows.window, [windows.start, windows.stop])
        return slice(int(first), int(last))

    def predict(self, sets: Sequence[Physical], starts: FloatArray, coarse: bool = False, windows: slice | None = None) -> FloatArray:
        """The simulated sensor readings, (B, M, C); not finite if the physics failed.

        Args:
            sets: B sets of parameters.
            starts: joint positions and velocities at the windows' beginnings, (B, W, 2, J) or (1, W, 2, J) for all sets.
            coarse: whether to integrate with MuJoCo's implicit Euler method, a quarter of the work: accurate enough for finite differences.
            windows: which of the W windows to simulate; M then counts only their readings. None for all.
        """
        self._model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST if coarse else self._integrator
        whole = windows or slice(0, len(self.windows.start_s))
        per_set = whole.stop - whole.start
        count = max(1, WORLDS_AT_ONCE // per_set)
        starts = np.broadcast_to(starts, (len(sets), *starts.shape[1:]))[:, whole]
        return np.concatenate([self._predict(sets[i : i + count], starts[i : i + count], whole) for i in range(0, len(sets), count)])

    def _predict(self, sets: Sequence[Physical], starts: FloatArray, windows: slice) -> FloatArray:
        actuators, per_set = self._actuators, starts.shape[1]
        worlds = len(sets) * per_set
        batch = Batch(self._model, worlds, self._threads)
        for name, rows in _stack([model_fields(self._model, self._robot, values) for values in sets]).items():
            field = batch.expand(name)
            field[:] = np.repeat(rows, per_set, axis=0).reshape(field.shape)
        batch.set_const()
        qpos, qvel, ctrl = batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl")
        force = batch.bind("actuator_force") if len(self.effort_joints) else None
        bias = batch.expand("actuator_biasprm")
        batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        qpos[:], qvel[:] = self._model.qpos0, 0.0
        qpos[:, self._qpos], qvel[:, self._dofs] = np.moveaxis(starts.reshape(worlds, 2, -1), 1, 0)
        drive, kp, kd = self._torque_law(sets, windows)
        trajectory = np.empty((self._steps + 1, 2, worlds, len(self._qpos)))
        torque = np.empty((self._steps + 1, worlds, len(self._qpos))) if force is not None else None
        gains_vary = bool((np.ptp(kp, axis=1) > 1e-9).any() or (np.ptp(kd, axis=1) > 1e-9).any())
        for step in range(self._steps + 1):
            trajectory[step] = qpos[:, self._qpos], qvel[:, self._dofs]
            if step == self._steps:
                break
            ctrl[:, actuators] = drive[:, step]
            if step == 0 or gains_vary:
                bias[:, actuators, 1], bias[:, actuators, 2] = -kp[:, step], -kd[:, step]
            try:
                batch.step()
            except SimulationError as error:
                qpos[error.ids] = np.nan
            if torque is not None and force is not None:
                torque[step + 1] = force[:, actuators]  # sensor readings after the step
        if torque is not None:
            torque[0] = torque[1]
        return self._at_samples(trajectory, torque, len(sets), windows)

    def _torque_law(self, sets: Sequence[Physical], windows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Constant part, stiffness and damping of the motors' torques, (N, S, J) each."""
        start, steps = self.windows.start_s[windows], self._steps
        means = {delay: self._commands(start, steps, self.dt, delay) for delay in {values.delay_s for values in sets}}
        parts: list[list[FloatArray]] = [[], [], []]
        for values in sets:
            spring, damper, effort, kp, kd = np.moveaxis(means[values.delay_s], 2, 0)
            parts[0].append(values.strength * (values.kp * spring + values.kd * damper + effort))
            parts[1].append(values.strength * values.kp * kp)
            parts[2].append(values.strength * values.kd * kd)
        drive, stiffness, damping = (np.concatenate(part) for part in parts)
        return drive, stiffness, damping

    def _at_samples(self, trajectory: FloatArray, torque: FloatArray | None, sets: int, windows: slice) -> FloatArray:
        """The trajectories at the readings' times: positions by cubic Hermite interpolation, velocities linearly."""
        rows = self.rows(windows)
        window, sample = self.windows.window[rows], self.windows.sample[rows]
        phase = (self.recording.time_s[sample] - self.windows.start_s[window]) / self.dt
        row = np.clip(np.floor(phase + 1e-6).astype(int), 0, self._steps - 1)
        s = np.clip(phase - row, 0.0, 1.0)[None, :, None]
        world = window - windows.start + (windows.stop - windows.start) * np.arange(sets)[:, None]  # (B, M)
        q0, q1 = trajectory[row, 0, world], trajectory[row + 1, 0, world]
        v0, v1 = trajectory[row, 1, world], trajectory[row + 1, 1, world]
        position = (1 + 2 * s) * (1 - s) ** 2 * q0 + s * (1 - s) ** 2 * self.dt * v0
        position += s**2 * (3 - 2 * s) * q1 + s**2 * (s - 1) * self.dt * v1
        parts = [position, v0 + s * (v1 - v0)]
        if torque is not None:
            parts.append(torque[row, world][..., self.effort_joints])
        return np.concatenate(parts, axis=2)


def _stack(sets: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([fields[name] for fields in sets]) for name in sets[0]}

"""Simulates the windows of a recording for many sets of parameters at once: one world a window and set, in lock-step on all threads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from envs.robots.robot import Robot
from robolearn.identify.commands import CommandMeans
from robolearn.identify.model import actuator_ids, make_model, model_fields
from robolearn.identify.parameters import Physical
from robolearn.identify.recording import FloatArray, Recording
from robolearn.identify.windows import cut, start_states

LARGEST_STEP_S, FINE_STEP_S = 0.002, 0.0005
WORLDS_AT_ONCE = 512  # bounds the memory of trajectories


class Simulation:
    """The windows of a recording whose base was held, ready to be simulated.

    Attributes:
        recording: the recording.
        windows: its windows.
        dt: physics step [s].
        measured: what the simulation is compared with, (M, C): positions, velocities, and torques where they are used.
        channels: C names, such as `position hip`.
        effort_joints: joints whose torques are compared.
    """

    def __init__(
        self,
        recording: Recording,
        robot: Robot,
        burn_in_s: float,
        compared_s: float,
        use_effort: bool = False,
        threads: int = 0,
        largest_step_s: float = LARGEST_STEP_S,
    ) -> None:
        """Prepare.

        Args:
            recording: what the robot did.
            robot: what it is.
            burn_in_s, compared_s: see `robolearn.identify.windows`.
            use_effort: whether reported torques count as measurements of the joints' torques.
            threads: simulation threads, 0 for all cores.
            largest_step_s: of the physics [s]; for a simulated robot its simulator's step counts.

        Raises:
            RecordingError: the recording has no usable part.
        """
        self.recording, self._robot, self._threads = recording, robot, threads
        self._refined = (recording, robot, burn_in_s, compared_s, use_effort, threads, FINE_STEP_S)
        self.windows = cut(recording, burn_in_s, compared_s)
        simulated = recording.simulated_timestep_s
        self.dt = simulated or recording.period_s / math.ceil(recording.period_s / largest_step_s - 1e-6)
        quat = recording.imu_quat_wxyz
        mean = None if quat is None else np.mean(quat * np.sign(quat @ quat[0])[:, None], axis=0)
        self._model = make_model(robot, "held", mean)
        self._model.opt.timestep = self.dt
        # a real robot has no integration error: RK4 has next to none at this step
        self._integrator = mujoco.mjtIntegrator.mjINT_RK4 if simulated is None else mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        self._steps = math.ceil(self.windows.duration_s / self.dt - 1e-6) + 1
        self._kept = max(0, math.floor(burn_in_s / self.dt) - 1)
        self._commands = CommandMeans(recording)
        self._qpos = [int(self._model.joint(name).qposadr[0]) for name in robot.joints]
        self._dofs = [int(self._model.joint(name).dofadr[0]) for name in robot.joints]
        self._actuators = actuator_ids(self._model, robot)
        self._start = self._initial_states()
        sample = self.windows.sample
        parts = [recording.position[sample], recording.velocity[sample]]
        self.effort_joints = np.flatnonzero(np.isfinite(recording.effort[sample]).all(axis=0)) if use_effort else np.array([], int)
        if len(self.effort_joints):
            parts.append(recording.effort[sample][:, self.effort_joints])
        self.measured = np.concatenate(parts, axis=1)
        self.channels = tuple(f"{what} {joint}" for what in ("position", "velocity") for joint in robot.joints)
        self.channels += tuple(f"effort {robot.joints[j]}" for j in self.effort_joints)

    def refined(self) -> Simulation:
        """The same with a finer step."""
        return Simulation(*self._refined)

    def _initial_states(self) -> tuple[FloatArray, FloatArray]:
        """qpos (W, nq), qvel (W, nv)."""
        position, velocity = start_states(self.recording, self.windows)
        qpos = np.tile(self._model.qpos0, (len(position), 1))
        qvel = np.zeros((len(position), self._model.nv))
        qpos[:, self._qpos] = position
        qvel[:, self._dofs] = velocity
        return qpos, qvel

    def predict(self, sets: Sequence[Physical], coarse: bool = False) -> FloatArray:
        """What the sensors would have said, (B, M, C), for B sets of parameters; not finite where the physics failed.

        Args:
            sets: the parameters.
            coarse: whether to integrate with MuJoCo's implicit Euler method, a quarter of the work: good enough for differences.
        """
        self._model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST if coarse else self._integrator
        count = max(1, WORLDS_AT_ONCE // len(self.windows.start_s))
        return np.concatenate([self._predict(sets[i : i + count]) for i in range(0, len(sets), count)])

    def _predict(self, sets: Sequence[Physical]) -> FloatArray:
        actuators, per_set = self._actuators, len(self.windows.start_s)
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
        qpos[:], qvel[:] = (np.tile(state, (len(sets), 1)) for state in self._start)
        drive, kp, kd = self._torque_law(sets)
        kept = self._steps + 1 - self._kept
        trajectory = np.empty((kept, 2, worlds, len(self._qpos)))
        torque = np.empty((kept, worlds, len(self._qpos))) if force is not None else None
        gains_vary = bool((np.ptp(kp, axis=1) > 1e-9).any() or (np.ptp(kd, axis=1) > 1e-9).any())
        for step in range(self._steps + 1):
            if step >= self._kept:
                trajectory[step - self._kept] = qpos[:, self._qpos], qvel[:, self._dofs]
            if step == self._steps:
                break
            ctrl[:, actuators] = drive[:, step]
            if step == 0 or gains_vary:
                bias[:, actuators, 1], bias[:, actuators, 2] = -kp[:, step], -kd[:, step]
            try:
                batch.step()
            except SimulationError as error:
                qpos[error.ids] = np.nan
            if torque is not None and force is not None and step >= self._kept:
                torque[step - self._kept] = force[:, actuators]  # acts from this step's beginning on
        if torque is not None:
            torque[-1] = torque[-2]
        return self._at_samples(trajectory, torque, len(sets))

    def _torque_law(self, sets: Sequence[Physical]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Constant part, stiffness and damping of the motors' torques, (N, S, J) each."""
        start, steps = self.windows.start_s, self._steps
        means = {delay: self._commands(start, steps, self.dt, delay) for delay in {values.delay_s for values in sets}}
        parts: list[list[FloatArray]] = [[], [], []]
        for values in sets:
            spring, damper, effort, kp, kd = np.moveaxis(means[values.delay_s], 2, 0)
            parts[0].append(values.strength * (values.kp * spring + values.kd * damper + effort))
            parts[1].append(values.strength * values.kp * kp)
            parts[2].append(values.strength * values.kd * kd)
        drive, stiffness, damping = (np.concatenate(part) for part in parts)
        return drive, stiffness, damping

    def _at_samples(self, trajectory: FloatArray, torque: FloatArray | None, sets: int) -> FloatArray:
        """The trajectories at the readings' times: positions by cubic Hermite interpolation, velocities linearly."""
        windows, per_set = self.windows, len(self.windows.start_s)
        phase = (self.recording.time_s[windows.sample] - windows.start_s[windows.window]) / self.dt
        step = np.clip(np.floor(phase + 1e-6).astype(int), 0, self._steps - 1)
        s = np.clip(phase - step, 0.0, 1.0)[None, :, None]
        row = step - self._kept
        world = windows.window + per_set * np.arange(sets)[:, None]  # (B, M)
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

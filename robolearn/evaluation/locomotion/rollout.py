"""Run a policy file in all worlds of an environment under commands that somebody else chooses, and keep what was seen.

A world that falls is out: its series count up to the step before. The policy runs as on the robot, one memory a world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from envs.engines.face import sensor_slice
from envs.tasks.velocity import VelocityEnv
from policies.contract.file import PolicyFile

SETTLE_S = 1.0  # of an episode that no figure counts
GRAVITY = 9.81  # m/s2

Command = torch.Tensor | Callable[[VelocityEnv], torch.Tensor]
"""(N, 3), held; or what gives it from the present state."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """T control steps of N worlds with F feet.

    Attributes:
        dt: control step [s].
        command: of each step, (T, N, 3).
        alive: had not fallen by the end of the step, (T, N).
        velocity: vx, vy [m/s] and yaw rate [rad/s] in the base frame, (T, N, 3).
        tilt: angle between base and vertical [rad], (T, N).
        contact: loaded feet, (T, N, F).
        foot_position: in the world [m], (T, N, F, 3).
        foot_speed: planar [m/s], (T, N, F).
        power: sum of |torque * joint velocity| [W], (T, N).
        qpos: (T, N, nq).
        mass: of the robot with its payload [kg], (N,).
    """

    dt: float
    command: np.ndarray
    alive: np.ndarray
    velocity: np.ndarray
    tilt: np.ndarray
    contact: np.ndarray
    foot_position: np.ndarray
    foot_speed: np.ndarray
    power: np.ndarray
    qpos: np.ndarray
    mass: np.ndarray

    @property
    def survived(self) -> np.ndarray:
        """Worlds (N,) that never fell."""
        return self.alive[-1]

    def counted(self) -> np.ndarray:
        """Steps (T, N) that figures count: alive and settled."""
        return self.alive & (np.arange(len(self.alive)) * self.dt >= SETTLE_S)[:, None]

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean planar velocity error [m/s] and yaw rate error [rad/s] of each world (N,); NaN for one that fell before it settled."""
        off = self.velocity - self.command
        counted = self.counted()
        return over_time(np.linalg.norm(off[..., :2], axis=-1), counted), over_time(np.abs(off[..., 2]), counted)

    def cost_of_transport(self) -> np.ndarray:
        """Power over weight times planar speed, of each world (N,); NaN for one that is not asked to move by more than 0.1 m/s."""
        counted = self.counted()
        moving = np.linalg.norm(self.command[..., :2], axis=-1).mean(0) > 0.1
        speed = over_time(np.linalg.norm(self.velocity[..., :2], axis=-1), counted)
        return np.where(moving, over_time(self.power, counted) / (self.mass * GRAVITY * np.maximum(speed, 1e-3)), np.nan)


def over_time(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the counted steps of (T, N) values, (N,); NaN where there are none."""
    steps = counted.sum(0)
    return np.where(steps > 0, (values * counted).sum(0) / np.maximum(steps, 1), np.nan)


class Robots:
    """The policy file in N worlds, one memory each."""

    def __init__(self, file: PolicyFile, worlds: int) -> None:
        self.memories = [file.fork() for _ in range(worlds)]

    def act(self, observation: torch.Tensor, alive: np.ndarray) -> torch.Tensor:
        """Actions (N, J) of the worlds that are alive; zeros elsewhere."""
        rows = observation.cpu().numpy()
        action = np.zeros((len(rows), self.memories[0].spec.action_dim), np.float32)
        for index in np.flatnonzero(alive):
            action[index] = self.memories[index].act(rows[index])
        return torch.from_numpy(action)


def rollout(
    env: VelocityEnv,
    file: PolicyFile,
    command: Command,
    seconds: float,
    label: str,
    before: Callable[[int], None] | None = None,
    alter: Callable[[torch.Tensor], torch.Tensor] | None = None,
    watch: Callable[[int, torch.Tensor, np.ndarray, Robots], bool] | None = None,
) -> Record:
    """Run all worlds from a reset.

    Args:
        env: worlds as `Setup.env` makes them.
        file: the policy.
        command: what is asked.
        seconds: how long [s].
        label: on the progress bar.
        before: called with the step's index before each step, to push.
        alter: what becomes of the actions (N, J) before they reach the robot.
        watch: called after the policy acted with the step's index, what it saw (N, O), who is alive (N,) and the robots; True ends it.
    """
    torch.set_num_threads(1)
    dt, worlds, model = env.cfg.control_dt, env.num_worlds, env.engine.model
    feet = [sensor_slice(model, f"{foot}_position") for foot in env.robot.feet]
    robots, alive = Robots(file, worlds), np.ones(worlds, bool)
    ask = command if callable(command) else lambda _env: command.clone()
    env.reset()
    env.command = ask(env)
    observation, _ = env.observe()
    series: dict[str, list[np.ndarray]] = {
        name: [] for name in ("command", "alive", "velocity", "tilt", "contact", "foot_position", "foot_speed", "power", "qpos")
    }

    def keep(**values: torch.Tensor) -> None:
        for name, value in values.items():
            series[name].append(value.cpu().numpy().copy())

    for index in tqdm(
        range(round(seconds / dt)), desc=f"{label}, {worlds} worlds", unit="step", dynamic_ncols=True, leave=False, disable=None
    ):
        if before is not None:
            before(index)
        action = robots.act(observation, alive)
        if watch is not None and watch(index, observation, alive, robots):
            break
        asked = env.command.clone()
        step = env.step(action if alter is None else alter(action))
        alive = alive & ~(step.terminated | step.truncated).cpu().numpy()
        data = env.engine.sensordata
        keep(
            command=asked,
            alive=torch.from_numpy(alive),
            velocity=torch.cat([env.velocity_b[:, :2], env.angular_velocity_b[:, 2:]], dim=1),
            tilt=torch.arccos((-env.gravity_b[:, 2]).clamp(-1, 1)),
            contact=env.foot_contact,
            foot_position=torch.stack([data[:, foot] for foot in feet], dim=1),
            foot_speed=env.foot_speed2.sqrt(),
            power=(env.torque * env.joint_velocity).abs().sum(1),
            qpos=env.engine.qpos,
        )
        env.command = ask(env)
        observation = step.policy
        if not alive.any():
            break
    return Record(dt=dt, mass=env.robot_mass().cpu().numpy(), **{name: np.stack(values) for name, values in series.items()})

"""Velocity tracking on flat or rough ground: follow a commanded planar velocity and yaw rate, standing still when asked to."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Self

import mujoco
import torch

from envs.engines.face import sensor_slice
from envs.robots.robot import Robot
from envs.scene.terrain import SCAN_POINTS, Curriculum, Terrain, TerrainCfg
from envs.terms.joint_range import soft_range
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.symmetry import Mirror, velocity_mirror
from envs.vec_env import EnvCfg, Stateful, VecEnv, uniform
from policies.contract.observation import projected_gravity
from policies.contract.spec import ActionSpec, CommandSpec, ObservationTerm, PolicySpec

GOOD_TRACKING = 0.6  # share of the reward for planar velocity over an episode that went well; standing gets 0.35
CONTACT_THRESHOLD = 1.0  # N: a foot that is loaded more than this is on the ground


@dataclass(frozen=True, kw_only=True)
class VelocityCommandCfg:
    """Commands are drawn uniformly and held.

    Attributes:
        vx, vy: ranges of the planar velocity in the base frame [m/s].
        yaw_rate: range [rad/s].
        standing: share of commands that are exactly zero.
        hold_s: range of the time that a command is held [s].
    """

    vx: tuple[float, float] = (-1.0, 1.0)
    vy: tuple[float, float] = (-0.6, 0.6)
    yaw_rate: tuple[float, float] = (-1.0, 1.0)
    standing: float = 0.1
    hold_s: tuple[float, float] = (4.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class VelocityRewardCfg:
    """Weights of the reward terms, a second; the sign lives here.

    Attributes:
        track_velocity: exp(-|v_xy - command|^2 / sigma^2).
        track_yaw_rate: exp(-(w_z - command)^2 / sigma^2).
        track_sigma: scale of both errors [m/s, rad/s].
        vertical_velocity: v_z^2.
        roll_pitch_rate: |w_xy|^2.
        tilt: |g_xy|^2 of projected gravity.
        height: (base height - standing height)^2.
        action_rate: |a_t - a_{t-1}|^2.
        torque: sum of squared torques.
        gait: exp(-sum over feet of (foot height - reference)^2 / sigma^2), the reference being the robot's gait in time with the clock.
        gait_sigma: scale of that error [m].
        gait_contact: share of the feet that touch the ground when the gait says so, and only then.
        swing_height: height of the reference at mid-swing [m].
        swing_share: share of the cycle that a foot swings.
        foot_slip: squared planar speed of loaded feet.
        foot_tilt: squared sine of the angle between sole and horizontal, over feet; for robots with soles.
        pose: squared deviation of the joints from the default pose, weighed by the robot's `posture`.
        joint_velocity: squared speeds of the joints.
        stand_still: absolute deviation from the default pose while the command is zero.
        joint_limit: how far joints are beyond 95 % of their range.
        fall: given once when the episode terminates (not a rate).
    """

    track_velocity: float = 2.5
    track_yaw_rate: float = 1.5
    track_sigma: float = 0.5
    vertical_velocity: float = -0.5
    roll_pitch_rate: float = -0.08
    tilt: float = -3.0
    height: float = -5.0
    action_rate: float = -0.01
    torque: float = -0.0002
    gait: float = 2.0
    gait_sigma: float = 0.06
    gait_contact: float = 0.0
    swing_height: float = 0.07
    swing_share: float = 0.5
    foot_slip: float = -0.15
    foot_tilt: float = 0.0
    pose: float = -0.15
    joint_velocity: float = 0.0
    stand_still: float = -0.2
    joint_limit: float = -1.0
    fall: float = -4.0


def velocity_randomization() -> RandomizationCfg:
    """The table for legged robots."""
    return RandomizationCfg(
        friction=Range(low=0.5, high=2.0),
        mass=Range(low=0.85, high=1.15, when="startup"),
        payload=Range(low=-1.0, high=2.0, operation="add", when="startup"),
        center_of_mass=Range(low=-0.03, high=0.03, operation="add", when="startup"),
        motor_strength=Range(low=0.85, high=1.15),
        kp=Range(low=0.9, high=1.1),
        kd=Range(low=0.9, high=1.1),
        joint_damping=Range(low=0.3, high=4.0, distribution="log_uniform"),
        joint_armature=Range(low=0.9, high=1.1, when="startup"),
        gravity=Range(low=-0.3, high=0.3, operation="add"),
        joint_offset=Range(low=-0.035, high=0.035, operation="set"),
        observation_delay_s=Range(low=0.0, high=0.01, operation="set"),
        action_delay_s=Range(low=0.0, high=0.01, operation="set"),
        push_velocity=Range(low=-0.5, high=0.5, operation="add"),
        push_interval_s=Range(low=5.0, high=10.0, operation="set"),
    )


def rough_randomization() -> RandomizationCfg:
    """The same with link sizes, restitution, lasting forces and thrown objects, for who walks outdoors."""
    return dataclasses.replace(
        velocity_randomization(),
        link_size=Range(low=0.98, high=1.02, when="startup"),
        restitution=Range(low=0.0, high=0.4, operation="set"),
        external_force=Range(low=-8.0, high=8.0, operation="set"),
        external_force_interval_s=Range(low=1.0, high=4.0, operation="set"),
        thrown_mass=Range(low=0.3, high=2.0, operation="set"),
        thrown_speed=Range(low=2.0, high=5.0, operation="set"),
        throw_interval_s=Range(low=6.0, high=14.0, operation="set"),
    )


@dataclass(frozen=True, kw_only=True)
class VelocityCfg(EnvCfg):
    """Config of a velocity task; see the parts.

    Attributes:
        command: what is asked.
        reward: what is rewarded.
        clock_hz: rate of the gait, in cycles.
        max_tilt: base tilt that ends the episode [rad].
        min_height: base height above the ground that ends the episode [m].
        terrain: what to walk on; a plane where None.
        curriculum: start on easy ground and move on with success; otherwise all levels from the start.
    """

    command: VelocityCommandCfg = field(default_factory=VelocityCommandCfg)
    reward: VelocityRewardCfg = field(default_factory=VelocityRewardCfg)
    randomization: RandomizationCfg = field(default_factory=velocity_randomization)
    clock_hz: float = 2.0
    max_tilt: float = 1.0
    min_height: float = 0.12
    terrain: TerrainCfg | None = None
    curriculum: bool = True

    def at_rates_of(self, spec: PolicySpec) -> Self:
        return dataclasses.replace(super().at_rates_of(spec), clock_hz=spec.clock_hz)


class VelocityEnv(VecEnv):
    """A legged robot follows velocity commands on a plane or a map of terrain.

    Attributes:
        velocity_b: base linear velocity in the base frame [m/s], (N, 3).
        angular_velocity_b: [rad/s], (N, 3).
        gravity_b: direction of gravity in the base frame, (N, 3).
        foot_contact: (N, F) bool.
    """

    cfg: VelocityCfg

    def __init__(self, cfg: VelocityCfg, robot: Robot, task_name: str) -> None:
        self.clock_hz = cfg.clock_hz
        self.terrain = None if cfg.terrain is None else Terrain(cfg.terrain, cfg.device)
        super().__init__(cfg, robot, task_name)
        model = self.engine.model
        feet = len(robot.feet)
        self._foot_turns = self.tensor(robot.gait)
        self._touch, self._foot_position, self._foot_velocity = (
            _run_of_sensors(model, [f"{foot}_{kind}" for foot in robot.feet]) for kind in ("touch", "position", "velocity")
        )
        self._has_soles = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, f"{robot.feet[0]}_upright") >= 0
        if self._has_soles:
            self._foot_upright = _run_of_sensors(model, [f"{foot}_upright" for foot in robot.feet])
        elif cfg.reward.foot_tilt:
            raise ValueError(f"reward.foot_tilt is for robots with soles; {robot.name} has none")
        self._torque = _run_of_sensors(model, [name.removesuffix("_joint") + "_torque" for name in robot.joints])
        self._posture = self.tensor(robot.posture or (1.0,) * len(robot.joints))
        self._grounded_height = grounded_foot_height(model, robot)
        n = self.num_worlds
        self._command_left_s = torch.zeros(n, device=self.device)
        self.air_time_s = torch.zeros(n, feet, device=self.device)
        self._scan = self.tensor([list(point) for point in SCAN_POINTS])
        self._curriculum = None if self.terrain is None else Curriculum(self.terrain, n, self.generator, everywhere=not cfg.curriculum)
        self._start_xy = torch.zeros(n, 2, device=self.device)
        self._tracked_s, self._seen_s = torch.zeros(n, device=self.device), torch.zeros(n, device=self.device)
        self._fell = torch.zeros(n, dtype=torch.bool, device=self.device)
        self._stand = torch.tensor(model.key("stand").qpos, dtype=torch.float32, device=self.device)
        self._soft_lower, self._soft_upper = soft_range(self._constants.lower, self._constants.upper)

    def build_scene(self) -> mujoco.MjSpec:
        spec = super().build_scene()
        if self.terrain is not None:
            self.terrain.add_to(spec)
        return spec

    @property
    def num_commands(self) -> int:
        return 3

    def observation_terms(self) -> tuple[ObservationTerm, ...]:
        joints = len(self.robot.joints)
        delay = self.cfg.randomization.observation_delay_s
        delay_s = 0.0 if delay is None else delay.high
        return (
            ObservationTerm(name="base_angular_velocity", dim=3, unit="rad/s", frame="base", noise=0.2, delay_s=delay_s),
            ObservationTerm(name="projected_gravity", dim=3, unit="1", frame="base", noise=0.05, delay_s=delay_s),
            ObservationTerm(name="command", dim=3, unit="m/s, m/s, rad/s", frame="command"),
            ObservationTerm(name="joint_position", dim=joints, unit="rad", frame="joint", noise=0.02, delay_s=delay_s),
            ObservationTerm(name="joint_velocity", dim=joints, unit="rad/s", frame="joint", noise=1.0, delay_s=delay_s),
            ObservationTerm(name="last_action", dim=joints, unit="1", frame="action", clip=5.0),
            ObservationTerm(name="clock", dim=2, unit="1", frame="base"),
        )

    def action_spec(self) -> ActionSpec:
        delay = self.cfg.randomization.action_delay_s
        scale = self.robot.action_scale
        return ActionSpec(mode="position_offset", scale=scale, clip=5.0, delay_s=0.0 if delay is None else delay.high)

    def command_spec(self) -> CommandSpec:
        ranges = (self.cfg.command.vx, self.cfg.command.vy, self.cfg.command.yaw_rate)
        return CommandSpec(
            name="velocity", labels=("vx", "vy", "yaw_rate"), lower=tuple(r[0] for r in ranges), upper=tuple(r[1] for r in ranges)
        )

    def reset_worlds(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n, generator = len(ids), self.generator
        qpos = self._stand.repeat(n, 1)
        qpos[:, 2] += uniform(0.0, 0.03, (n,), generator)
        yaw = uniform(-torch.pi, torch.pi, (n,), generator)
        qpos[:, 3], qpos[:, 6] = torch.cos(yaw / 2), torch.sin(yaw / 2)
        qpos[:, self._joint_slice[0]] += uniform(-0.1, 0.1, (n, len(self.robot.joints)), generator)
        qvel = torch.zeros(n, self.engine.model.nv, device=self.device)
        qvel[:, :3] = uniform(-0.3, 0.3, (n, 3), generator)
        qvel[:, 3:6] = uniform(-0.3, 0.3, (n, 3), generator)
        if self.terrain is not None:
            qpos[:, :3] += self._place_on_terrain(ids)
        self.air_time_s[ids], self._tracked_s[ids], self._seen_s[ids] = 0.0, 0.0, 0.0
        return qpos, qvel

    def _place_on_terrain(self, ids: torch.Tensor) -> torch.Tensor:
        """Where worlds `ids` start, after what they did in the episode that ended [m], (n, 3)."""
        assert self.terrain is not None
        assert self._curriculum is not None
        if self.cfg.curriculum:
            walked = (self.engine.qpos[ids, :2] - self._start_xy[ids]).norm(dim=1)
            known = self.episode_steps[ids] > 0
            self._curriculum.update(ids[known], walked[known], self.succeeded()[ids[known]])
        xy = self._curriculum.origins(ids) + uniform(-0.3, 0.3, (len(ids), 2), self.generator)
        self._start_xy[ids] = xy
        return torch.cat([xy, self.terrain.height(xy)[:, None]], dim=1)

    def resample_commands(self, ids: torch.Tensor) -> None:
        cfg, n = self.cfg.command, len(ids)
        draw = torch.stack([uniform(*r, (n,), self.generator) for r in (cfg.vx, cfg.vy, cfg.yaw_rate)], dim=1)
        moving = uniform(0.0, 1.0, (n, 1), self.generator) >= cfg.standing
        self.command = self.command.clone()
        self.command[ids] = draw * moving
        self._command_left_s[ids] = uniform(*cfg.hold_s, (n,), self.generator)

    def update_state(self) -> None:
        engine = self.engine
        quat = engine.qpos[:, 3:7]
        self.velocity_b = rotate_inverse(quat, engine.qvel[:, :3])
        self.angular_velocity_b = engine.qvel[:, 3:6]
        self.gravity_b = projected_gravity(quat)
        data = engine.sensordata
        n, feet = self.num_worlds, len(self.robot.feet)
        position = data[:, self._foot_position].reshape(n, feet, 3)
        self.base_height, self.foot_height = engine.qpos[:, 2], position[..., 2] - self._grounded_height
        if self.terrain is not None:
            self.base_height = self.base_height - self.terrain.height(engine.qpos[:, :2])
            self.foot_height = self.foot_height - self.terrain.height(position[..., :2])
        self.foot_force = data[:, self._touch]
        self.foot_contact = self.foot_force > CONTACT_THRESHOLD
        self.foot_speed2 = data[:, self._foot_velocity].reshape(n, feet, 3)[..., :2].square().sum(-1)
        self.torque = data[:, self._torque]
        if self._has_soles:
            self.foot_tilt2 = data[:, self._foot_upright].reshape(n, feet, 3)[..., :2].square().sum(-1)

    def height_scan(self) -> torch.Tensor:
        """Height of the standing base above the ground at points around it, less what it is on a plane [m], (N, S), within +-1 m."""
        assert self.terrain is not None
        qpos = self.engine.qpos
        w, x, y, z = qpos[:, 3:7].unbind(1)
        yaw = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        c, s = torch.cos(yaw)[:, None], torch.sin(yaw)[:, None]
        forward, left = self._scan[:, 0], self._scan[:, 1]
        points = torch.stack([c * forward - s * left, s * forward + c * left], dim=-1) + qpos[:, None, :2]
        return (qpos[:, 2:3] - self._stand[2] - self.terrain.height(points)).clamp(-1.0, 1.0)

    def truncations(self) -> torch.Tensor:
        over = super().truncations()
        return over if self.terrain is None else over | ~self.terrain.inside(self.engine.qpos[:, :2])

    def update_timers(self) -> None:
        self.air_time_s = torch.where(self.foot_contact, 0.0, self.air_time_s + self.cfg.control_dt)

    def succeeded(self) -> torch.Tensor:
        return ~self._fell & (self._tracked_s > GOOD_TRACKING * self._seen_s)

    def advance_commands(self) -> None:
        self._command_left_s -= self.cfg.control_dt
        ids = (self._command_left_s <= 0).nonzero()[:, 0]
        if len(ids):
            self.resample_commands(ids)

    def rewards(self, terminated: torch.Tensor) -> dict[str, torch.Tensor]:
        w = self.cfg.reward
        command = self.command
        sigma2 = w.track_sigma**2
        moving = (command.square().sum(1) > 0.01).float()
        error2 = (self.velocity_b[:, :2] - command[:, :2]).square().sum(1)
        yaw2 = (self.angular_velocity_b[:, 2] - command[:, 2]).square()
        joints = self.joint_position
        deviation = joints - self.default_pose
        beyond = (joints - self._soft_upper).relu() + (self._soft_lower - joints).relu()
        turn = torch.remainder(self.phase[:, None] / (2 * torch.pi) + self._foot_turns, 1.0)  # (N, F), a foot swings from 0 to swing_share
        swing = torch.sin(torch.pi * (turn / w.swing_share).clamp(max=1.0)) * moving[:, None]  # 1 at mid-swing
        gait_error = (self.foot_height - w.swing_height * swing).square().sum(1)
        in_time = (self.foot_contact == (swing <= 0.1)).float().mean(1)
        tracked = torch.exp(-error2 / sigma2)
        self._tracked_s += self.cfg.control_dt * tracked
        self._seen_s += self.cfg.control_dt
        self._fell = terminated  # worlds whose physics failed included
        terms = {
            "track_velocity": w.track_velocity * tracked,
            "track_yaw_rate": w.track_yaw_rate * torch.exp(-yaw2 / sigma2),
            "vertical_velocity": w.vertical_velocity * self.velocity_b[:, 2].square(),
            "roll_pitch_rate": w.roll_pitch_rate * self.angular_velocity_b[:, :2].square().sum(1),
            "tilt": w.tilt * self.gravity_b[:, :2].square().sum(1),
            "height": w.height * (self.base_height - self._stand[2]).square(),
            "action_rate": w.action_rate * (self.action - self.previous_action).square().sum(1),
            "torque": w.torque * self.torque.square().sum(1),
            "gait": w.gait * torch.exp(-gait_error / w.gait_sigma**2),
            "gait_contact": w.gait_contact * in_time,
            "foot_slip": w.foot_slip * (self.foot_speed2 * self.foot_contact).sum(1),
            "pose": w.pose * (deviation.square() @ self._posture),
            "joint_velocity": w.joint_velocity * self.joint_velocity.square().sum(1),
            "stand_still": w.stand_still * deviation.abs().sum(1) * (1 - moving),
            "joint_limit": w.joint_limit * beyond.sum(1),
            "fall": w.fall / self.cfg.control_dt * terminated,
        }
        if self._has_soles:
            terms["foot_tilt"] = w.foot_tilt * self.foot_tilt2.sum(1)
        return terms

    def task_metrics(self) -> dict[str, float]:
        planar = (self.velocity_b[:, :2] - self.command[:, :2]).norm(dim=1)
        yaw = (self.angular_velocity_b[:, 2] - self.command[:, 2]).abs()
        metrics = {"velocity_error_xy": float(planar.mean()), "velocity_error_yaw": float(yaw.mean())}
        if self.cfg.randomization.disturbance_ramp:
            metrics["disturbance_strength"] = float(self.disturbances.strength.mean())
        if self._curriculum is not None:
            metrics["terrain_level"] = float(self._curriculum.level.float().mean())
        return metrics

    def terminations(self) -> torch.Tensor:
        upright = -self.gravity_b[:, 2]
        return (upright < math.cos(self.cfg.max_tilt)) | (self.base_height < self.cfg.min_height)

    def privileged_extras(self) -> torch.Tensor:
        contact = self.foot_contact.float()
        parts = [self.velocity_b, self.base_height[:, None], contact, self.foot_height, self.air_time_s, self.randomizer.privileged()]
        if self.terrain is not None:
            parts.append(self.height_scan())
        return torch.cat(parts, dim=1)

    def parts(self) -> dict[str, Stateful]:
        return super().parts() | ({} if self._curriculum is None else {"curriculum": self._curriculum})

    def mirror(self) -> dict[str, Mirror]:
        return velocity_mirror(self)


def _run_of_sensors(model: mujoco.MjModel, names: list[str]) -> slice:
    """Where sensors that follow each other stand in `sensordata`."""
    return slice(sensor_slice(model, names[0]).start, sensor_slice(model, names[-1]).stop)


def grounded_foot_height(model: mujoco.MjModel, robot: Robot) -> float:
    """Height of the feet's sites while the robot stands [m]."""
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("stand").id)
    mujoco.mj_kinematics(model, data)
    return sum(float(data.site(f"{foot}_foot").xpos[2]) for foot in robot.feet) / len(robot.feet)


def rotate_inverse(quat_wxyz: torch.Tensor, vector_w: torch.Tensor) -> torch.Tensor:
    """R(q)^T v: a world vector (N, 3) in the frame of unit quaternion (N, 4)."""
    w, u = quat_wxyz[:, :1], quat_wxyz[:, 1:]
    t = 2 * torch.linalg.cross(u, vector_w)
    return vector_w - w * t + torch.linalg.cross(u, t)

"""Velocity tracking on flat or rough ground: follow a commanded planar velocity and yaw rate, standing still when asked to.

The tables of a quadruped are Go1's, those of a biped G1's; every number with a dimension is scaled to the robot, see `envs.tasks.scaling`.
No term names an arm: how arms move is left to physics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from envs.env_cfg import ActionCfg, EnvCfg
from envs.robots.robot import Robot
from envs.scene.terrain import TerrainCfg
from envs.tasks.scaling import Scale, scale_of
from envs.terms import curriculum, metrics, observations, resets, rewards, terminations
from envs.terms.commands import VelocityCommand
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.term import (
    CommandTerm,
    CurriculumTerm,
    MetricTerm,
    PrivilegedTerm,
    ResetTerm,
    RewardTerm,
    SensedTerm,
    SuccessTerm,
    TerminationTerm,
)
from envs.terms.tracking import FollowsVelocity

LEAST_FEET = 2
LIGHTEST = 0.5  # share of the base's mass that a payload may take away


def velocity_flat(robot: Robot) -> EnvCfg:
    """Walking on a plane.

    Raises:
        ValueError: the robot has fewer than two feet.
    """
    return _legged(robot, rough=False)


def velocity_rough(robot: Robot) -> EnvCfg:
    """Walking on rough ground, slopes, steps and planks, among pushes, lasting forces and thrown objects.

    Raises:
        ValueError: the robot has fewer than two feet.
    """
    return _legged(robot, rough=True)


def is_biped(robot: Robot) -> bool:
    """Whether it walks on two feet."""
    return len(robot.feet) == LEAST_FEET


def _legged(robot: Robot, rough: bool) -> EnvCfg:
    if not robot.floating_base or len(robot.feet) < LEAST_FEET:
        have = f"{len(robot.feet)} feet" + ("" if robot.floating_base else " and a fixed base")
        raise ValueError(f"velocity tasks are for robots that walk on two feet or more; {robot.name} has {have}; arms have the task reach")
    s = scale_of(robot)
    cfg = biped(s, rough) if is_biped(robot) else quadruped(s, rough)
    cfg = dataclasses.replace(cfg, randomization=_bearable(cfg.randomization, robot))
    if not all(foot.sole for foot in robot.feet.values()):
        cfg = dataclasses.replace(cfg, rewards={**cfg.rewards, "foot_tilt": RewardTerm(rewards.foot_tilt, weight=0.0)})
    return dataclasses.replace(cfg, terrain=terrain(s)) if rough else cfg


def _bearable(table: RandomizationCfg, robot: Robot) -> RandomizationCfg:
    """The table with no payload that would take more than half of the base away: some robots carry their mass elsewhere."""
    base = float(robot.compiled.body_mass[robot.compiled.body(robot.base).id])
    payload = table.range("payload")
    if payload is None or payload.low >= -LIGHTEST * base:
        return table
    return dataclasses.replace(table, payload=dataclasses.replace(payload, low=round(-LIGHTEST * base, 3)))


def quadruped(s: Scale, rough: bool = False) -> EnvCfg:
    """Omnidirectional walking on four feet or so: Go1's numbers. On rough ground, where it can walk already, more is asked of how."""
    how = {
        "tilt": RewardTerm(rewards.tilt, weight=-10.0),
        "height": RewardTerm(rewards.base_height, weight=s(-50.0, "length", -2)),
        "gait": RewardTerm(rewards.gait, weight=2.0, sigma=s(0.06, "length"), swing_height=s(0.07, "length"), swing_share=0.5, soft=True),
        "gait_contact": RewardTerm(rewards.gait_contact, weight=1.0, swing_share=0.5, soft=True),
        "landing": RewardTerm(rewards.landing, weight=s(-3.0, "speed", -2), below=s(0.03, "length")),
        "foot_slip": RewardTerm(rewards.foot_slip, weight=s(-2.0, "speed", -2)),
        "idle_step": RewardTerm(rewards.idle_step, weight=-1.0),
    }
    return EnvCfg(
        command=CommandTerm(
            VelocityCommand,
            vx=s((-1.0, 1.0), "speed"),
            vy=s((-0.6, 0.6), "speed"),
            yaw_rate=s((-1.0, 1.0), "rate"),
            moving_above=s(0.1, "speed"),
        ),
        rewards=_rewards(
            s,
            track_velocity=RewardTerm(rewards.track_velocity, weight=2.5, sigma=s(0.5, "speed")),
            track_yaw_rate=RewardTerm(rewards.track_yaw_rate, weight=1.5, sigma=s(0.5, "rate")),
            **(how if rough else {}),
        ),
        randomization=rough_randomization(s) if rough else flat_randomization(s),
        clock_hz=s(2.0, "rate"),
        clock_still_below=s(0.1, "speed"),
        **_common(s, minimum_height=0.12),
    )


def biped(s: Scale, rough: bool = False) -> EnvCfg:
    """Omnidirectional walking of a humanoid: G1's numbers. On rough ground, where it can walk already, more is asked of it."""
    along, about, strict, hardest = (12.0, 8.0, 2.0, 0.2) if rough else (7.0, 5.0, 1.0, 1.0)
    table = _rewards(
        s,
        track_velocity=RewardTerm(rewards.track_velocity, weight=along, sigma=s(0.5, "speed")),
        track_yaw_rate=RewardTerm(rewards.track_yaw_rate, weight=about, sigma=s(0.5, "rate")),
        trunk_lean=RewardTerm(rewards.trunk_lean, weight=-30.0, pitch=0.087),
        trunk_rate=RewardTerm(rewards.trunk_rate, weight=s(-0.05, "rate", -2)),
        height=RewardTerm(rewards.base_height, weight=s(-25.0, "length", -2)),
        torque=RewardTerm(rewards.torque, weight=s(-1e-5, "torque", -2)),
        gait=RewardTerm(rewards.gait, weight=4.0, sigma=s(0.1, "length"), swing_height=s(0.08, "length"), swing_share=0.45, soft=True),
        gait_load=RewardTerm(rewards.gait_load, weight=4.0, swing_share=0.45, soft=True),
        gait_contact=RewardTerm(rewards.gait_contact, weight=2.0, swing_share=0.45, soft=True),
        landing=RewardTerm(rewards.landing, weight=s(-20.0 * strict, "speed", -2), below=s(0.05, "length"), grows=True, hardest=hardest),
        foot_slip=RewardTerm(rewards.foot_slip, weight=s(-15.0 * strict, "speed", -2), grows=True, hardest=hardest),
        foot_tilt=RewardTerm(rewards.foot_tilt, weight=-1.0),
        pose=RewardTerm(rewards.pose, weight=-0.5),
        overshoot=RewardTerm(rewards.overshoot, weight=-5.0),
        joint_velocity=RewardTerm(rewards.joint_velocity, weight=s(-0.001, "rate", -2)),
        stand_still=RewardTerm(rewards.stand_still, weight=-0.1),
        idle_step=RewardTerm(rewards.idle_step, weight=-4.0),
        fall=RewardTerm(rewards.fall, weight=-40.0, grows=True),
    )
    return EnvCfg(
        command=CommandTerm(
            VelocityCommand,
            vx=s((-0.6, 1.2), "speed"),
            vy=s((-0.6, 0.6), "speed"),
            yaw_rate=s((-1.0, 1.0), "rate"),
            standing=0.2,
            moving_above=s(0.1, "speed"),
        ),
        rewards=table,
        randomization=biped_randomization(s),
        clock_hz=s(1.2, "rate"),
        **_common(s, minimum_height=0.45),
    )


def _rewards(s: Scale, **terms: RewardTerm) -> Mapping[str, RewardTerm]:
    """Go1's table with the `terms` in place of its own."""
    table = {
        "track_velocity": RewardTerm(rewards.track_velocity, weight=2.5),
        "track_yaw_rate": RewardTerm(rewards.track_yaw_rate, weight=1.5),
        "vertical_velocity": RewardTerm(rewards.vertical_velocity, weight=s(-0.5, "speed", -2)),
        "roll_pitch_rate": RewardTerm(rewards.roll_pitch_rate, weight=s(-0.08, "rate", -2)),
        "tilt": RewardTerm(rewards.tilt, weight=-3.0),
        "height": RewardTerm(rewards.base_height, weight=s(-5.0, "length", -2)),
        "action_rate": RewardTerm(rewards.action_rate, weight=-0.01),
        "torque": RewardTerm(rewards.torque, weight=s(-0.0002, "torque", -2)),
        "gait": RewardTerm(rewards.gait, weight=2.0, sigma=s(0.06, "length"), swing_height=s(0.07, "length"), swing_share=0.5),
        "gait_contact": RewardTerm(rewards.gait_contact, weight=0.0, swing_share=0.5),
        "foot_slip": RewardTerm(rewards.foot_slip, weight=s(-0.15, "speed", -2)),
        "pose": RewardTerm(rewards.pose, weight=-0.15),
        "joint_velocity": RewardTerm(rewards.joint_velocity, weight=0.0),
        "stand_still": RewardTerm(rewards.stand_still, weight=-0.2),
        "joint_limit": RewardTerm(rewards.joint_limit, weight=-1.0),
        "fall": RewardTerm(rewards.fall, weight=-4.0),
        "foot_tilt": RewardTerm(rewards.foot_tilt, weight=0.0),
    }
    return table | terms


def _common(s: Scale, minimum_height: float) -> dict:
    """What quadrupeds and bipeds share."""
    return {
        "contact_force": s(1.0, "force"),
        "action": ActionCfg(mode="position_offset", clip=5.0),
        "observations": {
            "base_angular_velocity": SensedTerm(noise=s(0.2, "rate"), delayed=True),
            "projected_gravity": SensedTerm(noise=0.05, delayed=True),
            "command": SensedTerm(),
            "joint_position": SensedTerm(noise=0.02, delayed=True),
            "joint_velocity": SensedTerm(noise=s(1.0, "rate"), delayed=True),
            "last_action": SensedTerm(clip=5.0),
            "clock": SensedTerm(),
        },
        "privileged": {
            "base_velocity": PrivilegedTerm(observations.base_velocity),
            "base_height": PrivilegedTerm(observations.base_height),
            "foot_contact": PrivilegedTerm(observations.foot_contact),
            "foot_height": PrivilegedTerm(observations.foot_height),
            "foot_air_time": PrivilegedTerm(observations.foot_air_time),
            "randomization": PrivilegedTerm(observations.randomization),
            "height_scan": PrivilegedTerm(observations.HeightScan, spacing=s(0.15, "length"), limit=s(1.0, "length")),
        },
        "terminations": {
            "tilt": TerminationTerm(terminations.tilted, max_tilt=1.0),
            "height": TerminationTerm(terminations.too_low, minimum=s(minimum_height, "length")),
            "time": TerminationTerm(terminations.time_up, time_out=True),
            "map": TerminationTerm(terminations.off_the_map, time_out=True),
        },
        "reset": ResetTerm(
            resets.standing,
            drop=s(0.03, "length"),
            joint_spread=0.1,
            velocity=s(0.3, "speed"),
            angular_velocity=s(0.3, "rate"),
        ),
        "success": SuccessTerm(FollowsVelocity, sigma=s(0.5, "speed"), share=0.6),
        "curriculum": {"terrain": CurriculumTerm(curriculum.terrain_levels)},
        "metrics": {
            "velocity_error_xy": MetricTerm(metrics.planar_error),
            "velocity_error_yaw": MetricTerm(metrics.yaw_error),
            "disturbance_strength": MetricTerm(metrics.disturbance_strength),
            "terrain_level": MetricTerm(metrics.terrain_level),
        },
    }


def terrain(s: Scale) -> TerrainCfg:
    """The map, every length of it scaled; a tile has as many cells whatever the robot."""
    cfg = TerrainCfg()
    cell = s(cfg.cell, "length")
    lengths = ("platform", "roughness", "step", "step_depth", "plank", "plank_gap", "plank_width", "rim", "start_spread")
    scaled = {name: s(getattr(cfg, name), "length") for name in lengths}
    whole = {name: cell * round(getattr(cfg, name) / cfg.cell) for name in ("tile", "border")}
    return cfg if s.length == 1.0 else dataclasses.replace(cfg, cell=cell, **scaled, **whole)


def flat_randomization(s: Scale) -> RandomizationCfg:
    """The table for legged robots."""
    return RandomizationCfg(
        friction=Range(low=0.5, high=2.0),
        mass=Range(low=0.85, high=1.15, when="startup"),
        payload=s(Range(low=-1.0, high=2.0, operation="add", when="startup"), "mass"),
        center_of_mass=s(Range(low=-0.03, high=0.03, operation="add", when="startup"), "length"),
        motor_strength=Range(low=0.85, high=1.15),
        kp=Range(low=0.9, high=1.1),
        kd=Range(low=0.9, high=1.1),
        joint_damping=Range(low=0.3, high=4.0, distribution="log_uniform"),
        joint_armature=Range(low=0.9, high=1.1, when="startup"),
        gravity=Range(low=-0.3, high=0.3, operation="add"),
        joint_offset=Range(low=-0.035, high=0.035, operation="set"),
        observation_delay_s=Range(low=0.0, high=0.01, operation="set"),
        action_delay_s=Range(low=0.0, high=0.01, operation="set"),
        push_velocity=s(Range(low=-0.5, high=0.5, operation="add"), "speed"),
        push_interval_s=Range(low=5.0, high=10.0, operation="set"),
    )


def rough_randomization(s: Scale) -> RandomizationCfg:
    """The same with link sizes, restitution, lasting forces and thrown objects, for who walks outdoors.

    Masses and lengths are drawn once a world: what MuJoCo derives from them takes longer than the rest of a reset.
    """
    return dataclasses.replace(
        flat_randomization(s),
        link_size=Range(low=0.98, high=1.02, when="startup"),
        restitution=Range(low=0.0, high=0.4, operation="set"),
        external_force=s(Range(low=-8.0, high=8.0, operation="set"), "force"),
        external_force_interval_s=Range(low=1.0, high=4.0, operation="set"),
        thrown_mass=s(Range(low=0.3, high=2.0, operation="set", when="startup"), "mass"),
        thrown_speed=s(Range(low=2.0, high=5.0, operation="set"), "speed"),
        throw_interval_s=Range(low=6.0, high=14.0, operation="set"),
    )


def biped_randomization(s: Scale) -> RandomizationCfg:
    """The whole table for humanoids, where it differs from a quadruped's; ranges of arXiv 2303.03381 where it has them."""
    return dataclasses.replace(
        rough_randomization(s),
        friction=Range(low=0.4, high=2.0),
        payload=s(Range(low=-1.0, high=4.0, operation="add", when="startup"), "mass"),
        center_of_mass=s(Range(low=-0.04, high=0.04, operation="add", when="startup"), "length"),
        external_force=s(Range(low=-15.0, high=15.0, operation="set"), "force"),
        thrown_mass=s(Range(low=0.5, high=3.0, operation="set", when="startup"), "mass"),
    )

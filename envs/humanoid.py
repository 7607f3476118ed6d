"""What a humanoid's velocity task asks for, where it differs from a quadruped's. No term names an arm: how arms move is left to physics."""

from __future__ import annotations

from envs.randomization import RandomizationCfg, Range
from envs.velocity import VelocityCfg, VelocityCommandCfg, VelocityRewardCfg


def humanoid_randomization() -> RandomizationCfg:
    """The table for humanoids; ranges of arXiv 2303.03381 where it has them."""
    return RandomizationCfg(
        friction=Range(low=0.4, high=2.0),
        mass=Range(low=0.85, high=1.15, when="startup"),
        payload=Range(low=-1.0, high=4.0, operation="add", when="startup"),
        center_of_mass=Range(low=-0.04, high=0.04, operation="add", when="startup"),
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
        link_size=Range(low=0.98, high=1.02, when="startup"),
        restitution=Range(low=0.0, high=0.4, operation="set"),
        external_force=Range(low=-15.0, high=15.0, operation="set"),
        external_force_interval_s=Range(low=1.0, high=4.0, operation="set"),
        thrown_mass=Range(low=0.5, high=3.0, operation="set"),
        thrown_speed=Range(low=2.0, high=5.0, operation="set"),
        throw_interval_s=Range(low=6.0, high=14.0, operation="set"),
    )


def humanoid_cfg() -> VelocityCfg:
    """Omnidirectional walking of a 1.3 m humanoid."""
    return VelocityCfg(
        command=VelocityCommandCfg(vx=(-0.6, 1.2), vy=(-0.6, 0.6), yaw_rate=(-1.0, 1.0)),
        reward=VelocityRewardCfg(
            torque=-1e-5,
            gait=4.0,
            gait_sigma=0.06,
            gait_contact=2.0,
            swing_height=0.1,
            swing_share=0.42,
            foot_slip=-0.3,
            foot_tilt=-1.0,
            pose=-0.5,
            stand_still=-0.05,
            joint_velocity=-0.001,
            fall=-8.0,
        ),
        randomization=humanoid_randomization(),
        clock_hz=1.4,
        min_height=0.45,
    )

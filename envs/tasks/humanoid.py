"""What a humanoid's velocity task asks for, where it differs from a quadruped's. No term names an arm: how arms move is left to physics."""

from __future__ import annotations

import dataclasses

from envs.tasks.velocity import VelocityCfg, VelocityCommandCfg, VelocityRewardCfg, rough_randomization
from envs.terms.randomization import RandomizationCfg, Range


def humanoid_randomization() -> RandomizationCfg:
    """The whole table for humanoids, where it differs from a quadruped's; ranges of arXiv 2303.03381 where it has them."""
    return dataclasses.replace(
        rough_randomization(),
        friction=Range(low=0.4, high=2.0),
        payload=Range(low=-1.0, high=4.0, operation="add", when="startup"),
        center_of_mass=Range(low=-0.04, high=0.04, operation="add", when="startup"),
        external_force=Range(low=-15.0, high=15.0, operation="set"),
        thrown_mass=Range(low=0.5, high=3.0, operation="set"),
    )


def humanoid_cfg() -> VelocityCfg:
    """Omnidirectional walking of a 1.3 m humanoid."""
    return VelocityCfg(
        command=VelocityCommandCfg(vx=(-0.6, 1.2), vy=(-0.6, 0.6), yaw_rate=(-1.0, 1.0)),
        reward=VelocityRewardCfg(
            track_velocity=4.0,
            track_yaw_rate=2.0,
            torque=-1e-5,
            gait=4.0,
            gait_sigma=0.06,
            gait_contact=2.0,
            swing_height=0.1,
            swing_share=0.42,
            foot_slip=-0.8,
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

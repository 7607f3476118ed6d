"""Reaching: move the end effector to goal positions in the workspace and hold it there. The numbers are the Panda's."""

from __future__ import annotations

from envs.env_cfg import ActionCfg, EnvCfg
from envs.robots.robot import Robot
from envs.tasks.scaling import Scale, scale_of
from envs.terms import metrics, observations, resets, rewards, terminations
from envs.terms.commands import GoalPosition
from envs.terms.randomization import RandomizationCfg, Range
from envs.terms.term import CommandTerm, MetricTerm, PrivilegedTerm, ResetTerm, RewardTerm, SensedTerm, TerminationTerm

SUCCESS_DISTANCE = 0.02  # m, from the goal
WORKSPACE = ((0.3, 0.65), (-0.4, 0.4), (0.15, 0.7))  # m, the Panda's


def reach(robot: Robot) -> EnvCfg:
    """Reaching with an arm on a fixed base.

    Raises:
        ValueError: the robot's base moves, or it has no tool.
    """
    if robot.floating_base:
        raise ValueError(f"reaching is for arms on a fixed base; {robot.name} walks: use the tasks velocity-flat and velocity-rough")
    s = scale_of(robot)
    x, y, z = robot.workspace or WORKSPACE
    return EnvCfg(
        episode_s=10.0,
        action=ActionCfg(mode="position_delta", scale=0.05, clip=1.0),
        command=CommandTerm(GoalPosition, x=x, y=y, z=z),
        observations={
            "command": SensedTerm(),
            "joint_position": SensedTerm(noise=0.001, delayed=True),
            "joint_velocity": SensedTerm(noise=0.02, delayed=True),
            "joint_target": SensedTerm(),
            "last_action": SensedTerm(clip=3.0),
        },
        privileged={
            "goal_error": PrivilegedTerm(observations.goal_error),
            "tool_position": PrivilegedTerm(observations.tool_position),
            "tool_velocity": PrivilegedTerm(observations.tool_velocity),
            "randomization": PrivilegedTerm(observations.randomization),
        },
        rewards={
            "distance": RewardTerm(rewards.goal_distance, weight=s(-2.0, "length", -1)),
            "near": RewardTerm(rewards.near_goal, weight=1.0, sigma=s(0.15, "length")),
            "at": RewardTerm(rewards.near_goal, weight=2.0, sigma=SUCCESS_DISTANCE),
            "joint_velocity": RewardTerm(rewards.joint_velocity, weight=-0.02),
            "action_rate": RewardTerm(rewards.action_rate, weight=-0.01),
            "joint_limit": RewardTerm(rewards.joint_limit, weight=-2.0),
        },
        terminations={"time": TerminationTerm(terminations.time_up, time_out=True)},
        reset=ResetTerm(resets.around_default, joint_spread=0.3),
        metrics={
            "distance": MetricTerm(rewards.goal_distance),
            "at_goal": MetricTerm(metrics.at_goal, distance=SUCCESS_DISTANCE, settled_s=1.0),
        },
        randomization=reach_randomization(s),
    )


def reach_randomization(s: Scale) -> RandomizationCfg:
    """The table for arms: accurate encoders, and gravity compensated by the manufacturer's controller for the nominal hand."""
    return RandomizationCfg(
        friction=Range(low=0.5, high=1.5),
        mass=Range(low=0.9, high=1.1, when="startup"),
        payload=s(Range(low=0.0, high=0.5, operation="add", when="startup"), "mass"),
        center_of_mass=s(Range(low=-0.02, high=0.02, operation="add", when="startup"), "length"),
        motor_strength=Range(low=0.9, high=1.1),
        kp=Range(low=0.9, high=1.1),
        kd=Range(low=0.9, high=1.1),
        joint_damping=Range(low=0.5, high=2.0, distribution="log_uniform"),
        joint_armature=Range(low=0.9, high=1.1, when="startup"),
        joint_offset=Range(low=-0.002, high=0.002, operation="set"),
        observation_delay_s=Range(low=0.0, high=0.01, operation="set"),
        action_delay_s=Range(low=0.0, high=0.01, operation="set"),
    )

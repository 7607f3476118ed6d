"""Reward terms: functions of the environment that give (N,), before their weight.

Terms about legs read the gait: a foot swings from turn 0 to `swing_share` of its own cycle, which begins at its turn of the robot's.
"""

from __future__ import annotations

import torch

from envs.terms.commands import VelocityCommand
from envs.terms.face import Env
from envs.terms.tracking import tracked

STANCE = 0.1
"""Of the reference height of a swing: below it the gait has the foot on the ground."""
EARLY = 0.1
"""Share of a penalty that grows which is there from the start."""


def track_velocity(env: Env, sigma: float = 0.5) -> torch.Tensor:
    """exp(-|v_xy - command|^2 / sigma^2): how well the commanded planar velocity is followed.

    Args:
        env: the environment.
        sigma: error at which it has fallen to 1/e [m/s].
    """
    return tracked(env, sigma)


def track_yaw_rate(env: Env, sigma: float = 0.5) -> torch.Tensor:
    """exp(-(w_z - command)^2 / sigma^2): how well the commanded yaw rate is followed.

    Args:
        env: the environment.
        sigma: error at which it has fallen to 1/e [rad/s].
    """
    error2 = (env.base.angular_velocity_b[:, 2] - env.command[:, 2]).square()
    return torch.exp(-error2 / sigma**2)


def vertical_velocity(env: Env) -> torch.Tensor:
    """Vertical velocity of the base, squared [m2/s2]."""
    return env.base.velocity_b[:, 2].square()


def roll_pitch_rate(env: Env) -> torch.Tensor:
    """Roll and pitch rate of the base, squared and summed [rad2/s2]."""
    return env.base.angular_velocity_b[:, :2].square().sum(1)


def tilt(env: Env) -> torch.Tensor:
    """Tilt of the base: |g_xy|^2 of projected gravity, the squared sine of the angle."""
    return env.base.gravity_b[:, :2].square().sum(1)


def trunk_lean(env: Env, pitch: float = 0.0) -> torch.Tensor:
    """(pitch of the trunk - `pitch`)^2 + roll^2 in the world [rad2]: of what carries head and arms, wherever the base is.

    Args:
        env: the environment.
        pitch: what the trunk should lean forward [rad].
    """
    return (env.trunk.pitch - pitch).square() + env.trunk.roll.square()


def trunk_rate(env: Env) -> torch.Tensor:
    """|w_xy|^2 of the trunk [rad2/s2]."""
    return env.trunk.angular_velocity_b[:, :2].square().sum(1)


def base_height(env: Env) -> torch.Tensor:
    """Height of the base less its standing height, squared [m2]."""
    return (env.base.height - env.base.standing_height).square()


def action_rate(env: Env) -> torch.Tensor:
    """Change of the action since the last step, squared and summed: |a_t - a_{t-1}|^2."""
    return (env.action - env.previous_action).square().sum(1)


def overshoot(env: Env) -> torch.Tensor:
    """How far beyond the joint range an action asks, squared [rad2]: it moves nothing, so nothing else keeps it from leaping there."""
    return (env.asked - env.target).square().sum(1)


def strain(env: Env, free: float = 0.15) -> torch.Tensor:
    """How far targets are ahead of their joints beyond `free`, squared and summed [rad2].

    Steps of targets (`position_delta`) that a joint cannot follow, for example while the hand presses on the floor, pile up, and must be
    taken back before it moves again.

    Args:
        env: the environment.
        free: distance of a target from its joint that costs nothing [rad].
    """
    return ((env.target - env.joints.position).abs() - free).relu().square().sum(1)


def torque(env: Env) -> torch.Tensor:
    """Sum of squared torques [N2 m2]."""
    return env.joints.torque.square().sum(1)


def joint_velocity(env: Env) -> torch.Tensor:
    """Sum of squared joint velocities [rad2/s2]."""
    return env.joints.velocity.square().sum(1)


def joint_limit(env: Env) -> torch.Tensor:
    """How far joints are beyond 95 % of their range [rad], summed."""
    return env.joints.beyond.sum(1)


def pose(env: Env) -> torch.Tensor:
    """Squared deviation of the joints from the default pose, weighed by the robot's `posture` [rad2]."""
    return env.joints.deviation.square() @ env.joints.posture


def idle_step(env: Env) -> torch.Tensor:
    """Feet in the air while the command is to stand, (N,)."""
    return (~env.feet.contact).sum(1) * (1.0 - moving(env))


def stand_still(env: Env) -> torch.Tensor:
    """Absolute deviation from the default pose while the command is to stand [rad]."""
    return env.joints.deviation.abs().sum(1) * (1 - moving(env))


def fall(env: Env, grows: bool = False) -> torch.Tensor:
    """1 / (time step) in the step in which the robot falls, otherwise 0: the weight per second becomes the weight of one fall.

    Args:
        env: the environment.
        grows: whether it starts at a tenth and grows with each world's disturbances (`disturbance_ramp`): a robot that must not
            fall from the start does not learn to walk.
    """
    return env.terminated * (1.0 / env.cfg.control_dt) * (grown(env) if grows else 1.0)


def moving(env: Env) -> torch.Tensor:
    """One where the command is to move, zero where it is to stand, (N,)."""
    commander = env.commander
    if not isinstance(commander, VelocityCommand):
        raise ValueError("this term is about a velocity command (envs.terms.commands:VelocityCommand), which the task does not have")
    return env.once("moving", lambda: (env.command.square().sum(1) > commander.moving_above**2).float())


def swing(env: Env, swing_share: float, soft: bool = False) -> torch.Tensor:
    """The reference height of each foot, 1 at mid-swing, 0 on the ground, (N, F): half a sine, or its square, which lands at no speed.

    Args:
        env: the environment.
        swing_share: share of the cycle that a foot swings.
        soft: whether the reference meets the ground at no speed.
    """

    def compute() -> torch.Tensor:
        turn = torch.remainder(env.phase[:, None] / (2 * torch.pi) + env.feet.turns, 1.0)  # a foot swings from 0 to swing_share
        height = torch.sin(torch.pi * (turn / swing_share).clamp(max=1.0))
        return (height.square() if soft else height) * moving(env)[:, None]

    return env.once(("swing", swing_share, soft), compute)


def gait(env: Env, sigma: float = 0.06, swing_height: float = 0.07, swing_share: float = 0.5, soft: bool = False) -> torch.Tensor:
    """exp(-sum over feet of (foot height - reference)^2 / sigma^2), the reference being the robot's gait in time with the clock.

    Args:
        env: the environment.
        sigma: scale of the error [m].
        swing_height: height of the reference at mid-swing [m].
        swing_share: share of the cycle that a foot swings.
        soft: whether the reference meets the ground at no speed.
    """
    error2 = (env.feet.height - swing_height * swing(env, swing_share, soft)).square().sum(1)
    return torch.exp(-error2 / sigma**2)


def gait_contact(env: Env, swing_share: float = 0.5, soft: bool = False) -> torch.Tensor:
    """Share of the feet that touch the ground when the gait says so, and only then.

    Args:
        env: the environment.
        swing_share: share of the cycle that a foot swings.
        soft: whether the reference meets the ground at no speed.
    """
    return (env.feet.contact == (swing(env, swing_share, soft) <= STANCE)).float().mean(1)


def gait_load(env: Env, swing_share: float = 0.5, soft: bool = False) -> torch.Tensor:
    """Share of the ground's force that is on the feet which the gait has on the ground, 0 in the air.

    Unlike `gait_contact` it tells who still stands on both feet which way to lean, before a foot leaves the ground.

    Args:
        env: the environment.
        swing_share: share of the cycle that a foot swings.
        soft: whether the reference meets the ground at no speed.
    """
    force = env.feet.force.clamp(min=0.0)
    carrying = (force * (swing(env, swing_share, soft) <= STANCE)).sum(1)
    return carrying / force.sum(1).clamp(min=env.cfg.contact_force)


def grown(env: Env) -> torch.Tensor:
    """Share of a penalty that comes with the disturbances, in each world with its success, (N,): all of it where they do not grow."""
    return EARLY + (1.0 - EARLY) * env.disturbances.strength


def eased(env: Env, hardest: float) -> torch.Tensor | float:
    """Share of a penalty that is left on hard ground, in each world with the difficulty of its tile: 1 on flat ground, (N,)."""
    places = env.places
    return 1.0 if places is None else 1.0 - (1.0 - hardest) * env.once("difficulty", places.difficulty)


def landing(env: Env, below: float = 0.03, grows: bool = False, hardest: float = 1.0) -> torch.Tensor:
    """Squared downward speed of feet close to the ground [m2/s2], summed: a step that is heard.

    Args:
        env: the environment.
        below: height of a foot under which its speed counts [m].
        grows: whether it starts at a tenth and grows with each world's disturbances (`disturbance_ramp`).
        hardest: share of the penalty that is left on the hardest level of the terrain; flat ground has all of it.
    """
    down = (-env.feet.velocity_w[..., 2]).relu()
    return (down.square() * (env.feet.height < below)).sum(1) * (grown(env) if grows else 1.0) * eased(env, hardest)


def foot_slip(env: Env, grows: bool = False, hardest: float = 1.0) -> torch.Tensor:
    """Squared planar speed of loaded feet [m2/s2], summed.

    Args:
        env: the environment.
        grows: whether it starts at a tenth and grows with each world's disturbances (`disturbance_ramp`): a penalty from
            the start keeps a robot that cannot walk yet from moving its feet.
        hardest: share of the penalty that is left on the hardest level of the terrain; flat ground has all of it.
    """
    return (env.feet.speed2 * env.feet.contact).sum(1) * (grown(env) if grows else 1.0) * eased(env, hardest)


GROWING = (fall, landing, foot_slip)
"""Terms whose `grows` has no effect where disturbances do not grow."""
EASING = (landing, foot_slip)
"""Terms whose `hardest` has no effect where there is no terrain."""


def foot_tilt(env: Env) -> torch.Tensor:
    """Squared sine of the angle between sole and horizontal, over feet; for robots with soles."""
    return env.feet.tilt2.sum(1)


def goal_distance(env: Env) -> torch.Tensor:
    """From the tool to the goal [m]."""
    return env.once("goal_distance", lambda: (env.command - env.tool.position).norm(dim=1))


def near_goal(env: Env, sigma: float = 0.15) -> torch.Tensor:
    """exp(-d^2 / sigma^2) of the distance d from the tool to the goal.

    Args:
        env: the environment.
        sigma: distance at which it has fallen to 1/e [m].
    """
    return torch.exp(-goal_distance(env).square() / sigma**2)

"""Which rewards are penalties, to warn of a weight whose sign turns one into the other: a minus is easily forgotten."""

from __future__ import annotations

from envs.terms import rewards
from robolearn.config.schema import TrainCfg

PENALTIES = frozenset(
    {
        rewards.vertical_velocity, rewards.roll_pitch_rate, rewards.tilt, rewards.trunk_lean, rewards.trunk_rate, rewards.base_height,
        rewards.action_rate, rewards.overshoot, rewards.torque, rewards.joint_velocity, rewards.joint_limit, rewards.pose,
        rewards.idle_step, rewards.stand_still, rewards.fall, rewards.landing, rewards.foot_slip, rewards.foot_tilt, rewards.goal_distance,
    }
)  # fmt: skip
"""Our functions that grow with what is unwanted and so need a negative weight."""
REWARDS = frozenset(
    {rewards.track_velocity, rewards.track_yaw_rate, rewards.gait, rewards.gait_contact, rewards.gait_load, rewards.near_goal}
)
"""Our functions that grow with what is wanted."""


def doubtful(cfg: TrainCfg) -> list[str]:
    """Warnings about weights with the wrong sign for their function, one sentence each. Functions that are not ours are not checked."""
    found: list[str] = []
    for name, term in cfg.env.rewards.items():
        key = f"env.rewards.{name}.weight"
        if term.func in PENALTIES and term.weight > 0:
            found.append(f"{key}={term.weight:g} rewards what {name} is meant to penalise; did you mean {-term.weight:g}?")
        elif term.func in REWARDS and term.weight < 0:
            found.append(f"{key}={term.weight:g} penalises what {name} is meant to reward; did you mean {-term.weight:g}?")
    return found

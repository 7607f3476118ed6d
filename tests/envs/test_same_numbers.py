"""The tasks give what they gave when each was a class of its own: rewards, observations and draws of a short rollout.

Recorded from commit 5d015be, whose rewards read the gait's phase one step late; that alone was mended there before recording.
"""

from dataclasses import dataclass

import pytest
import torch

from tests.pairs import PAIRS, make_env

STEPS = (0, 1, 9, 29)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Of 8 worlds, seed 3, episodes of 0.5 s.

    Attributes:
        first: sums of magnitudes of the first observations, the policy's and the privileged.
        steps: the same and the sum of rewards, of the steps `STEPS`.
        rewards: weighted terms, summed over 30 steps and all worlds.
    """

    first: tuple[float, float]
    steps: tuple[tuple[float, float, float], ...]
    rewards: dict[str, float]


RECORDED = {
    "go1-velocity-flat": Recorded(
        first=(77.52489, 102.6443),
        steps=(
            (143.1268, 222.5543, 0.4652715),
            (158.3328, 245.3572, 0.4334038),
            (138.0248, 221.3935, 0.3931736),
            (183.465, 261.5393, 0.2917043),
        ),
        rewards={
            "track_velocity": 246.684,
            "track_yaw_rate": 158.6922,
            "vertical_velocity": -9.020337,
            "roll_pitch_rate": -12.67606,
            "tilt": -2.227888,
            "height": -1.055749,
            "action_rate": -2.285054,
            "torque": -9.557206,
            "gait": 236.5475,
            "foot_slip": -1.930311,
            "pose": -3.499788,
            "stand_still": -10.22074,
        },
    ),
    "g1-velocity-flat": Recorded(
        first=(157.7304, 124.2118),
        steps=(
            (257.2776, 328.6882, 1.24654),
            (286.6037, 355.5424, 1.055175),
            (257.2306, 300.9594, 0.7684758),
            (277.2047, 344.2259, 0.5000934),
        ),
        rewards={
            "track_velocity": 475.4798,
            "track_yaw_rate": 196.391,
            "vertical_velocity": -5.62849,
            "roll_pitch_rate": -14.5251,
            "tilt": -10.19989,
            "height": -0.7417891,
            "action_rate": -5.356495,
            "torque": -2.193161,
            "gait": 487.6371,
            "gait_contact": 286.0,
            "foot_slip": -2.513427,
            "pose": -6.21276,
            "joint_velocity": -4.93624,
            "stand_still": -2.423155,
            "foot_tilt": -1.442403,
        },
    ),
    "go1-velocity-rough": Recorded(
        first=(80.01038, 108.3883),
        steps=(
            (132.0672, 217.3079, 0.4758568),
            (158.4751, 248.9388, 0.4416064),
            (132.3808, 229.7988, 0.3562407),
            (168.9193, 263.4973, 0.3535701),
        ),
        rewards={
            "track_velocity": 187.6045,
            "track_yaw_rate": 180.7546,
            "vertical_velocity": -8.374177,
            "roll_pitch_rate": -13.56236,
            "tilt": -2.031696,
            "height": -0.9224304,
            "action_rate": -2.285054,
            "torque": -9.014599,
            "gait": 223.4276,
            "foot_slip": -4.140419,
            "pose": -3.540593,
            "stand_still": -4.938081,
        },
    ),
    "g1-velocity-rough": Recorded(
        first=(159.3148, 130.9883),
        steps=(
            (270.0029, 325.7581, 0.9295161),
            (287.5635, 353.4277, 0.8450828),
            (244.8363, 315.4161, 0.4596209),
            (263.1482, 332.4718, 0.7519774),
        ),
        rewards={
            "track_velocity": 280.7153,
            "track_yaw_rate": 165.5543,
            "vertical_velocity": -5.439091,
            "roll_pitch_rate": -15.15135,
            "tilt": -10.20327,
            "height": -0.8518874,
            "action_rate": -5.356495,
            "torque": -2.218641,
            "gait": 441.6518,
            "gait_contact": 269.0,
            "foot_slip": -3.915638,
            "pose": -6.373028,
            "joint_velocity": -4.86227,
            "stand_still": -0.3329314,
            "joint_limit": -0.05670702,
            "foot_tilt": -1.610861,
        },
    ),
    "panda-reach": Recorded(
        first=(26.39487, 78.44323),
        steps=(
            (36.41565, 89.63987, -0.08778325),
            (37.87198, 91.23216, -0.08831099),
            (39.88282, 93.89642, -0.08974795),
            (39.42419, 95.18933, -0.1225209),
        ),
        rewards={"distance": -181.0149, "near": 39.19289, "at": 0.0009419243, "joint_velocity": -0.6654659, "action_rate": -1.276236},
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_rollout_is_what_it_was(name: str) -> None:
    env, expected = make_env(name, num_worlds=8, num_threads=1, seed=3, episode_s=0.5), RECORDED[name]
    policy, privileged = env.reset()
    assert (size(policy), size(privileged)) == pytest.approx(expected.first, rel=1e-5)
    generator, steps = torch.Generator().manual_seed(11), []
    rewards: dict[str, float] = {}
    for _ in range(30):
        step = env.step(0.2 * torch.randn(8, env.spec.action_dim, generator=generator))
        steps.append((size(step.policy), size(step.privileged), float(step.reward.double().sum())))
        for term, value in env.reward_terms.items():
            rewards[term] = rewards.get(term, 0.0) + float(value.double().sum())
    for index, told in zip(STEPS, expected.steps, strict=True):
        assert steps[index] == pytest.approx(told, rel=1e-3, abs=1e-3), index
    assert {term: value for term, value in rewards.items() if value} == pytest.approx(expected.rewards, rel=1e-3, abs=1e-4)


def size(values: torch.Tensor) -> float:
    """Sum of magnitudes."""
    return float(values.double().abs().sum())

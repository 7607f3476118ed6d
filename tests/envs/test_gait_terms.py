"""Terms about how a humanoid moves: its trunk in the world (found in a foreign one, the base where there is no other), its feet."""

import dataclasses
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.errors import RobotError
from envs.robots.loading import dump_robot, load_robot
from envs.robots.registry import get_robot
from envs.terms import rewards
from envs.vec_env import VecEnv
from tests import robot_builder
from tests.envs.test_describe import found
from tests.pairs import make_env


def turned(pitch: float, roll: float) -> list[float]:
    """Quaternion wxyz of a roll about x, then a pitch about the level y, facing 1 rad to the left."""
    quat = np.array([1.0, 0.0, 0.0, 0.0])
    for axis, angle in (((0, 0, 1), 1.0), ((0, 1, 0), pitch), ((1, 0, 0), roll)):
        before, part = quat.copy(), np.append(np.cos(angle / 2), np.sin(angle / 2) * np.array(axis))
        mujoco.mju_mulQuat(quat, before, part)
    return quat.tolist()


def posed(env: VecEnv, waist: dict[str, float], quat: list[float], rate: float = 0.0) -> None:
    """Put the first world into a pose, with a rate of the first joint of `waist` [rad/s]."""
    model = env.engine.model
    qpos, qvel = env.rest.repeat(env.num_worlds, 1), torch.zeros(env.num_worlds, model.nv)
    qpos[0, 3:7] = torch.tensor(quat)
    for name, angle in waist.items():
        qpos[0, model.joint(name).qposadr[0]] = angle
    if waist:
        qvel[0, model.joint(next(iter(waist))).dofadr[0]] = rate
    env.engine.write_state(torch.arange(env.num_worlds), qpos, qvel)
    env.moved()


@pytest.fixture(scope="module")
def g1() -> VecEnv:
    env = make_env("g1-velocity-flat", num_worlds=2)
    env.reset()
    return env


@pytest.mark.parametrize(("base", "waist", "pitch"), [(0.0, 0.2, 0.2), (0.15, -0.15, 0.0), (-0.1, 0.25, 0.15)])
def test_the_waist_counts(g1: VecEnv, base: float, waist: float, pitch: float):
    """A trunk is upright or leans in the world: what the pelvis does is made up for or doubled at the waist."""
    posed(g1, {"waist_pitch_joint": waist}, turned(base, 0.0))
    assert float(g1.trunk.pitch[0]) == pytest.approx(pitch, abs=1e-5)
    assert float(g1.trunk.roll[0]) == pytest.approx(0.0, abs=1e-5)
    assert float(rewards.trunk_lean(g1, pitch=0.05)[0]) == pytest.approx((pitch - 0.05) ** 2, abs=1e-6)


def test_roll_and_rates(g1: VecEnv):
    posed(g1, {"waist_pitch_joint": 0.0}, turned(0.0, 0.1), rate=0.7)
    assert float(g1.trunk.roll[0]) == pytest.approx(0.1, abs=1e-5)
    assert g1.trunk.angular_velocity_b[0].tolist() == pytest.approx([0.0, 0.7, 0.0], abs=1e-5)
    assert float(rewards.trunk_rate(g1)[0]) == pytest.approx(0.49, abs=1e-4)
    assert float(g1.base.angular_velocity_b[0].abs().max()) == 0.0


def test_without_a_trunk_of_its_own_it_is_the_base():
    env = make_env("go1-velocity-flat", num_worlds=2)
    env.reset()
    posed(env, {}, turned(0.3, 0.0))
    assert float(env.trunk.pitch[0]) == pytest.approx(0.3, abs=1e-5)
    assert torch.equal(env.trunk.angular_velocity_b, env.base.angular_velocity_b)


def test_an_arm_has_none():
    env = make_env("panda-reach", num_worlds=2)
    with pytest.raises(ValueError, match="has a fixed base"):
        env.trunk  # noqa: B018


def test_the_heaviest_body_above_the_base_is_found(tmp_path: Path):
    assert found(tmp_path, robot_builder.biped()).trunk == "torso"
    assert found(tmp_path, robot_builder.quadruped()).trunk is None


def test_a_trunk_that_is_not_there_is_said():
    with pytest.raises(RobotError, match=r"trunk: the model has no body 'torso'; did you mean 'torso_link'"):
        dataclasses.replace(get_robot("g1"), trunk="torso").scene()


def test_it_is_read_from_a_file(tmp_path: Path):
    g1 = get_robot("g1")
    (tmp_path / "robot.yaml").write_text(dump_robot(g1), encoding="utf-8")
    assert load_robot(tmp_path / "robot.yaml").trunk == "torso_link"


def test_a_foot_that_comes_down_fast_is_heard(g1: VecEnv):
    """The base falls at 0.5 m/s: both feet come down with it, near the ground and not above it."""
    for height, heard in ((0.0, 2 * 0.25), (0.1, 0.0)):
        qpos, qvel = g1.rest.repeat(2, 1), torch.zeros(2, g1.engine.model.nv)
        qpos[:, 2] += height
        qvel[:, 2] = -0.5
        g1.engine.write_state(torch.arange(2), qpos, qvel)
        g1.moved()
        assert rewards.landing(g1, below=0.03).tolist() == pytest.approx([heard] * 2, abs=1e-4)


def test_a_soft_swing_lands_at_no_speed(g1: VecEnv):
    """Near its ends the reference rises with the square of the time, not with the time."""
    g1.reset()
    g1.hold_command(torch.tensor([0.5, 0.0, 0.0]))
    g1.episode_steps[:] = torch.tensor([1, 2])
    g1.moved()
    for soft, ratio in ((False, 2.0), (True, 4.0)):
        height = rewards.swing(g1, 0.5, soft)
        foot = int(height[0].argmax())
        assert float(height[1, foot] / height[0, foot]) == pytest.approx(ratio, rel=0.05)
    g1.release_command()


def test_penalties_that_grow_come_with_the_disturbances(g1: VecEnv):
    """A tenth of them at first, all of them in a world whose disturbances are there in full."""
    g1.disturbances.strength[:] = torch.tensor([0.0, 1.0])
    qpos, qvel = g1.rest.repeat(2, 1), torch.zeros(2, g1.engine.model.nv)
    qvel[:, 2] = -0.5
    g1.engine.write_state(torch.arange(2), qpos, qvel)
    g1.moved()
    whole = rewards.landing(g1)
    assert rewards.landing(g1, grows=True).tolist() == pytest.approx([0.1 * float(whole[0]), float(whole[1])])
    g1.disturbances.restart()
    g1.terminated[:] = True
    full = 1.0 / g1.cfg.control_dt
    assert rewards.fall(g1).tolist() == pytest.approx([full, full])
    g1.disturbances.strength[:] = torch.tensor([0.0, 1.0])
    assert rewards.fall(g1, grows=True).tolist() == pytest.approx([0.1 * full, full])
    g1.disturbances.restart()
    g1.terminated[:] = False


def test_penalties_on_feet_ease_on_hard_ground() -> None:
    """All of them on flat tiles and at the first level, the share that was asked for at the last."""
    env = make_env("g1-velocity-rough", num_worlds=4)
    assert env.places is not None
    kinds, levels = env.places.terrain.cfg.kinds, env.places.terrain.cfg.levels
    env.places.level[:] = torch.tensor([0, levels - 1, levels - 1, 3])
    env.places.column[:] = torch.tensor([1, 1, kinds.index("flat"), 1])
    env.moved()
    env.feet.speed2[:] = 0.01
    env.feet.contact[:] = True
    assert rewards.foot_slip(env).tolist() == pytest.approx([0.02] * 4)
    share = 1 - 0.8 * 3 / (levels - 1)
    assert rewards.foot_slip(env, hardest=0.2).tolist() == pytest.approx([0.02, 0.004, 0.02, 0.02 * share])


def test_a_load_that_is_shifted_is_rewarded_before_a_foot_leaves_the_ground(g1: VecEnv):
    """The left foot swings, then the right one: what the other carries counts. Standing, both may carry; in the air none does."""
    g1.reset()
    forces = g1.engine.sensordata[:, g1.feet._touch]

    def shares(left: float, right: float) -> list[float]:
        g1.engine.sensordata[:, g1.feet._touch] = torch.tensor([left, right])
        g1.episode_steps[:] = torch.tensor([9, 29])
        g1.moved()
        return rewards.gait_load(g1, 0.5, True).tolist()

    g1.hold_command(torch.tensor([0.5, 0.0, 0.0]))
    assert shares(150.0, 150.0) == pytest.approx([0.5, 0.5])
    assert shares(100.0, 300.0) == pytest.approx([0.75, 0.25])
    assert shares(300.0, 0.0) == pytest.approx([0.0, 1.0])
    assert shares(0.0, 0.0) == [0.0, 0.0]
    g1.hold_command(torch.zeros(3))
    assert shares(100.0, 300.0) == pytest.approx([1.0, 1.0])
    g1.release_command()
    g1.engine.sensordata[:, g1.feet._touch] = forces
    g1.moved()


def test_feet_in_the_air_are_counted_while_it_should_stand(g1: VecEnv):
    g1.reset()
    for command, count in ((0.0, [0.0, 2.0]), (0.5, [0.0, 0.0])):
        g1.hold_command(torch.tensor([command, 0.0, 0.0]))
        qpos = g1.rest.repeat(2, 1)
        qpos[1, 2] += 0.3
        g1.engine.write_state(torch.arange(2), qpos, torch.zeros(2, g1.engine.model.nv))
        g1.moved()
        g1.engine.sensordata[0, g1.feet._touch] = 100.0
        g1.engine.sensordata[1, g1.feet._touch] = 0.0
        assert rewards.idle_step(g1).tolist() == count
    g1.release_command()


def test_what_is_asked_beyond_the_joint_range_is_seen(g1: VecEnv):
    """The range clips the target, so that nothing else tells an action that asks for 0.2 rad more from one that asks for its end."""
    g1.reset()
    spec = g1.spec
    joint = spec.robot.joint_names.index("left_ankle_roll_joint")
    upper, pose, scale = (values[joint] for values in (spec.robot.position_upper, spec.robot.default_pose, spec.action.scale))
    action = torch.zeros(2, spec.action_dim)
    action[:, joint] = torch.tensor([upper - pose, upper - pose + 0.2]) / scale
    g1.step(action)
    assert g1.target[:, joint].tolist() == pytest.approx([upper, upper])
    assert rewards.overshoot(g1).tolist() == pytest.approx([0.0, 0.04], abs=1e-5)


def test_the_policys_clock_stands_still_while_it_should_stand():
    """Zeros below the norm, and the mirror leaves them zeros; the gait's own phase goes on."""
    env = make_env("go1-velocity-flat", num_worlds=2)
    env.reset()
    limit = env.spec.clock_still_below
    assert limit > 0
    for _ in range(7):
        env.step(torch.zeros(2, env.spec.action_dim))
    env.hold_command(torch.tensor([[0.99 * limit, 0.0, 0.0], [0.0, 0.0, 1.01 * limit]]))
    sensors = env.sensors()
    phase = env.phase[1]
    assert sensors.clock is not None
    assert sensors.clock.tolist() == [[0.0, 0.0], pytest.approx([float(phase.sin()), float(phase.cos())])]

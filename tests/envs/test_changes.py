"""Bodies that change in mid-episode: the physics that follows, what comes back, and that a training with it goes on exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from envs.late import Late
from envs.parts import Buffers
from envs.snapshot import restore, snapshot
from envs.terms import observations
from envs.terms.changes import Change
from envs.terms.randomization import RandomizationCfg, Range, without_randomization
from envs.terms.term import EventTerm, PrivilegedTerm
from envs.vec_env import VecEnv
from tests.pairs import cfg_of, make_env

GO1 = "go1-velocity-flat"
DT = 0.02
EVERY = torch.arange(4)
ODD = torch.tensor([1, 3])


def change(quantity: str, low: float, high: float, every_s: float = 1e6, **more: Any) -> EventTerm:
    return EventTerm(Change, when="interval", interval_s=(every_s, every_s), quantity=quantity, low=low, high=high, **more)


def env_of(seed: int = 0, table: RandomizationCfg | None = None, episode_s: float = 20.0, **entries: Any) -> VecEnv:
    """Four worlds of a robot that starts in its pose without a push, nothing varying but the entries."""
    cfg = cfg_of(GO1)
    table = dataclasses.replace(table or without_randomization(), **entries)
    reset = cfg.reset.changed(joint_spread=0.0, velocity=0.0, angular_velocity=0.0, drop=0.0)
    privileged = {**cfg.privileged, "hidden": PrivilegedTerm(observations.hidden)}
    ends = {"time": cfg.terminations["time"]}
    cfg = dataclasses.replace(
        cfg, randomization=table, reset=reset, privileged=privileged, terminations=ends, episode_s=episode_s, seed=seed
    )
    env = make_env(GO1, cfg, num_worlds=4, num_threads=1)
    env.reset()
    return env


def happen(env: VecEnv, name: str, ids: torch.Tensor = ODD) -> None:
    """Let a change happen now."""
    env.events.made(name)(env, ids)


def act(env: VecEnv, steps: int, action: torch.Tensor | float = 0.0) -> None:
    for _ in range(steps):
        env.step(torch.zeros(4, 12) + action)


# what it does to the physics ---------------------------------------------------------------------------------------------


def test_a_weak_motor_holds_less() -> None:
    """A leg whose three motors give a third is bent further by the same weight."""
    env = env_of(weak=change("motor_strength", 0.33, 0.33))
    act(env, 50)
    held = (env.joint_position - env.target).abs().sum(1)
    happen(env, "weak")
    act(env, 50)
    ratio = (env.joint_position - env.target).abs().sum(1) / held
    assert (ratio[ODD] > 2.0).all()
    assert (ratio[[0, 2]] < 1.5).all()


def test_a_stiff_joint_moves_slowly() -> None:
    env = env_of(stiff=change("joint_damping", 100.0, 100.0))
    happen(env, "stiff")
    before = env.joint_position.clone()
    act(env, 5, 1.0)
    way = (env.joint_position - before).abs().mean(1)
    assert (way[ODD] < 0.35 * way[[0, 2]]).all()


def test_a_load_in_mid_episode_stands_on_the_feet_and_moves_nothing_by_itself() -> None:
    """What MuJoCo derives from masses is made anew while the robot stands; its state must not jump."""
    env = env_of(load=change("payload", 3.0, 3.0))
    act(env, 50)
    before, mass = env.engine.qpos.clone(), env.robot_mass()
    happen(env, "load")
    assert torch.equal(env.engine.qpos, before)
    torch.testing.assert_close(env.robot_mass() - mass, torch.tensor([0.0, 3.0, 0.0, 3.0]))
    act(env, 1)
    assert (env.engine.qpos - before).abs().max() < 0.01
    act(env, 100)
    model = env.engine.model
    touch = [int(model.sensor(i).adr[0]) for i in range(model.nsensor) if model.sensor(i).name.endswith("_touch")]
    weight = torch.zeros(4)
    for _ in range(50):
        act(env, 1)
        weight += env.engine.sensordata[:, touch].sum(1) / 9.81 / 50
    torch.testing.assert_close(weight, env.robot_mass(), rtol=0.05, atol=0.0)


def test_a_slippery_floor_brakes_less() -> None:
    env = env_of(slippery=change("friction", 0.1, 0.1))
    act(env, 50)
    happen(env, "slippery")
    velocity = env.engine.qvel.clone()
    velocity[:, 0] += 1.0
    env.engine.set_velocity(EVERY, velocity)
    act(env, 5)
    assert (env.engine.qvel[ODD, 0].min() > env.engine.qvel[[0, 2], 0].max() + 0.15).all(), env.engine.qvel[:, 0]


def test_an_encoder_that_is_off_puts_the_joint_off_by_as_much() -> None:
    """In the air, with nothing to hold, the reading comes to the target and the joint does not."""
    env = env_of(off=change("joint_offset", 0.1, 0.1, some=1))
    happen(env, "off")
    where = env.joint_offset != 0
    assert where.sum(1).tolist() == [0, 1, 0, 1]
    qpos = env.engine.qpos.clone()
    qpos[:, 2] += 5.0
    env.engine.set_position(EVERY, qpos)
    act(env, 30)
    off = env.joint_position - env.target
    assert off[where].numpy() == pytest.approx(-0.1, abs=0.03)
    assert off[~where].abs().max() < 0.03


def test_a_hidden_slope_is_a_fall_to_the_side() -> None:
    env = env_of(slope=change("gravity", 1.5, 1.5, some=1))
    happen(env, "slope")
    qpos = env.engine.qpos.clone()
    qpos[:, 2] += 5.0
    env.engine.set_position(EVERY, qpos)
    act(env, 5)
    data = mujoco.MjData(env.engine.model)
    for world in range(4):
        data.qpos[:], data.qvel[:] = env.engine.qpos[world], env.engine.qvel[world]
        mujoco.mj_forward(env.engine.model, data)
        mujoco.mj_subtreeVel(env.engine.model, data)
        expected = env.randomizer.drawn["gravity"][world].numpy() + np.array([0, 0, -9.81])
        np.testing.assert_allclose(data.subtree_linvel[1] / (5 * DT), expected, atol=0.05)
    assert (env.randomizer.drawn["gravity"] != 0).sum(1).tolist() == [0, 1, 0, 1]


def test_late_actions_come_as_much_later() -> None:
    """Three steps late: the joints do on the fourth step what those of the others did on the first."""
    env = env_of(late=change("action_delay_s", 3 * DT, 3 * DT))
    act(env, 20)
    happen(env, "late")
    start = env.joint_position.clone()
    ways = []
    for _ in range(8):
        env.step(torch.ones(4, 12))
        ways.append((env.joint_position - start).abs().mean(1))
    way = torch.stack(ways)
    assert (way[:3, ODD] < 0.01).all()
    assert (way[0, [0, 2]] > 0.02).all()
    torch.testing.assert_close(way[3, ODD], way[0, [0, 2]], rtol=0.05, atol=2e-3)


def test_a_delay_is_that_of_the_targets_whatever_its_share() -> None:
    """Against the targets written out one after the other."""
    for delay in (0.0, 0.3, 1.0, 1.7, 2.0, 2.6, 3.0):
        late = Late(3.0, 1, Buffers(1, torch.device("cpu")))
        targets = [torch.tensor([[float(k)]]) for k in range(8)]
        late.begin(torch.tensor([0]), targets[0])
        for k in range(1, 8):
            sent, before, share = late.sent(targets[k], targets[k - 1], torch.tensor([[delay]]))
            mean = float(torch.lerp(sent, before, share))
            assert mean == pytest.approx(max(0.0, k - delay) if k >= delay else 0.0, abs=1e-6), (delay, k)


# what comes back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["startup", "reset"])
def test_a_new_episode_is_as_the_table_draws_it(when: str) -> None:
    """Of what is drawn once a world the same again, of what is drawn each episode another."""
    strength = Range(low=0.9, high=1.1, when=when)  # pyright: ignore[reportArgumentType]
    env = env_of(motor_strength=strength, weak=change("motor_strength", 0.2, 0.3, some=2), episode_s=0.2)
    usual = env.randomizer.drawn["motor_strength"].clone()
    happen(env, "weak")
    happen(env, "weak")  # on top of itself
    assert ((env.randomizer.drawn["motor_strength"] < 0.5).sum(1) == torch.tensor([0, 2, 0, 2])).all()
    act(env, 10)
    now = env.randomizer.drawn["motor_strength"]
    assert (now > 0.8).all()
    assert torch.equal(now, usual) == (when == "startup")
    nominal = torch.tensor(env.engine.model.actuator_gainprm[:, 0], dtype=torch.float32)
    torch.testing.assert_close(env.engine.field("actuator_gainprm")[:, :, 0] / nominal, now)


def test_some_changes_bring_back_what_was() -> None:
    env = env_of(off=change("joint_offset", 0.1, 0.2, every_s=0.02, share=0.5))
    seen = []
    for _ in range(60):
        env.step(torch.zeros(4, 12))
        seen.append((env.joint_offset != 0).all(1))
        assert ((env.joint_offset != 0).all(1) | (env.joint_offset == 0).all(1)).all()
    assert 0.35 < float(torch.stack(seen).float().mean()) < 0.65


def test_a_fall_does_not_mend_what_is_kept() -> None:
    """The same motor of the same world; where time was up another robot begins."""
    for kept in (True, False):
        env = env_of(weak=change("motor_strength", 0.2, 0.6, some=1, kept=kept))
        happen(env, "weak", EVERY)
        act(env, 2)
        before = env.randomizer.drawn["motor_strength"].clone()
        env.terminated = torch.tensor([True, True, False, False])  # 0 and 1 fell, of 2 and 3 time is up
        env._reset_worlds(EVERY)
        after = env.randomizer.drawn["motor_strength"]
        assert torch.equal(after[:2], before[:2]) == kept
        assert (after[2:] == 1.0).all()
        if kept:
            act(env, 2)
            env.reseed(1)
            env.reset()
            assert (env.randomizer.drawn["motor_strength"] == 1.0).all()


def test_an_episode_may_begin_with_it() -> None:
    env = env_of(weak=change("motor_strength", 0.2, 0.6, some=3, share=1.0, at_start=True))
    assert ((env.randomizer.drawn["motor_strength"] < 1.0).sum(1) == 3).all()
    assert ((observations.hidden(env)[:, :12] < 1.0).sum(1) == 3).all()


# nothing is lost ---------------------------------------------------------------------------------------------------------

ALL = {
    "weak": change("motor_strength", 0.2, 0.6, 0.12, some=1, share=0.7, at_start=True, kept=True),
    "stiff": change("joint_damping", 10.0, 40.0, 0.1, some=1),
    "load": change("payload", 1.0, 3.0, 0.14, share=0.5),
    "slippery": change("friction", 0.1, 0.3, 0.08),
    "off": change("joint_offset", 0.1, 0.2, 0.1, some=2, flips=True, at_start=True),
    "late": change("action_delay_s", 0.0, 0.07, 0.06),
    "slope": change("gravity", 1.0, 2.0, 0.1, some=1, flips=True),
}


def wander(env: VecEnv, steps: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    taken = [env.step(0.5 * torch.randn(4, 12, generator=generator)) for _ in range(steps)]
    return [torch.cat([step.policy, step.privileged, step.reward[:, None]], dim=1) for step in taken]


def test_a_training_goes_on_exactly() -> None:
    """With every kind of change due again and again, and episodes that end: also into worlds that had drawn others."""
    table = cfg_of(GO1).randomization
    env = env_of(0, table, 0.4, **ALL)
    other = env_of(9, table, 0.4, **ALL)
    wander(env, 13, 1)
    wander(other, 7, 2)
    restore(other, snapshot(env))
    for mine, theirs in zip(wander(env, 40, 3), wander(other, 40, 3), strict=True):
        assert torch.equal(mine, theirs)


def test_a_new_seed_forgets_all_changes() -> None:
    table = cfg_of(GO1).randomization
    env, other = env_of(0, table, 20.0, **ALL), env_of(9, table, 20.0, **ALL)
    wander(env, 13, 1)
    for one in (env, other):
        one.reseed(5)
        one.reset()
    for mine, theirs in zip(wander(env, 20, 3), wander(other, 20, 3), strict=True):
        assert torch.equal(mine, theirs)


def test_the_mirror_image_of_a_weak_left_leg_is_a_weak_right_leg() -> None:
    env = env_of()
    mirror = env.mirror()
    assert mirror is not None
    permutation, sign = mirror["privileged"]
    joints = list(env.robot.joints)
    left, right = joints.index("FL_hip_joint"), joints.index("FR_hip_joint")
    env.randomizer.put("motor_strength", torch.tensor([0]), torch.ones(1, 12).index_fill(1, torch.tensor([left]), 0.3))
    env.randomizer.put("motor_strength", torch.tensor([1]), torch.ones(1, 12).index_fill(1, torch.tensor([right]), 0.3))
    env.joint_offset[0, left], env.joint_offset[1, right] = 0.1, -0.1  # hips turn about x, which a mirror turns round
    hidden = env.privileged_extras()
    start = len(permutation) - hidden.shape[1]
    image = hidden[:, permutation[start:] - start] * sign[start:]
    torch.testing.assert_close(image[0, -38:], hidden[1, -38:])


# what makes no sense -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (change("motor_strength", -0.1, 0.5), "randomization.*motor_strength must not be below 0|motor_strength must not be below 0"),
        (change("motor_strength", 0.1, 0.5, flips=True), "and flips"),
        (change("payload", 2.0, 1.0), "low 2 is more than high 1"),
        (change("motor_strength", 0.1, 0.5, some=13), "some must lie between 0 .for all. and 12"),
        (change("payload", 1.0, 2.0, share=1.5), "share must lie between 0 and 1"),
        (change("observation_delay_s", 0.0, 0.05), "at most one control step"),
        (change("action_delay_s", 0.0, 1.0), "at most 8 control steps late"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(entry: EventTerm, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        env_of(mine=entry)


def test_a_quantity_has_one_change() -> None:
    with pytest.raises(ValueError, match="already"):
        env_of(one=change("payload", 1.0, 2.0), other=change("payload", 2.0, 3.0))

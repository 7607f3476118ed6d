"""Disturbances that grow with a world's success, and who has none."""

import dataclasses

import mujoco
import numpy as np
import pytest
import torch

from envs.terms.disturbance import BALL, BALL_MASS, BALL_RADIUS, add_ball
from envs.terms.randomization import RandomizationCfg
from tests.envs.test_randomization import exactly, world
from tests.pairs import cfg_of


def test_ramp_gives_each_world_the_disturbances_it_can_bear():
    table = {"push_velocity": exactly(1.0, "add"), "push_interval_s": exactly(0.02, "set")}
    env = world("go1-velocity-flat", worlds=4, disturbance_ramp=True, **table)
    ids = torch.arange(4)
    assert (env.disturbances.strength == 0).all()
    half = env.num_worlds // 2
    for _ in range(2):
        env.disturbances.ramp(ids, ids < half)
    assert (env.disturbances.strength[:half] == 0.5).all()
    assert (env.disturbances.strength[half:] == 0).all()
    before = env.engine.qvel[:, 0].clone()
    env.disturbances.advance(0.02)
    torch.testing.assert_close(env.engine.qvel[:, 0] - before, 0.5 * (ids < half))


def test_ramp_rises_with_episodes_that_track_and_falls_with_falls():
    worlds = 8
    env = world("go1-velocity-flat", worlds=worlds, disturbance_ramp=True)
    env.disturbances.strength[:] = 0.5
    env.episode_steps[:], env.buffers["follows_velocity.seen_s"][:] = 100, 2.0
    env.buffers["follows_velocity.tracked_s"][:] = torch.where(torch.arange(worlds) % 2 == 0, 1.9, 0.5)  # of 2 s
    env.buffers["follows_velocity.fell"][:] = torch.arange(worlds) % 4 == 0
    env._reset_worlds(torch.arange(worlds))
    expected = torch.where(torch.arange(worlds) % 4 == 2, 0.75, 0.25)
    torch.testing.assert_close(env.disturbances.strength, expected)


def test_evaluation_and_students_meet_everything_at_once():
    table = RandomizationCfg(push_velocity=exactly(1.0, "add"), push_interval_s=exactly(1.0, "set"), disturbance_ramp=True)
    assert not dataclasses.replace(cfg_of("go1-velocity-flat"), randomization=table).at_full_strength().randomization.disturbance_ramp


def test_what_happens_to_walkers_is_refused_on_a_fixed_base():
    for entry in ({"push_velocity": exactly(1.0, "add"), "push_interval_s": exactly(1.0, "set")},):
        with pytest.raises(ValueError, match="push_velocity is for walking robots; panda has a fixed base"):
            world("panda-reach", **entry)


def test_a_ball_has_its_mass_whatever_a_model_says_of_inertia() -> None:
    """A model whose compiler takes no inertia from shapes, as those of many URDFs: the ball is a body with mass all the same."""
    spec = mujoco.MjSpec()
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    add_ball(spec)
    ball = spec.compile().body(BALL)
    assert float(ball.mass[0]) == BALL_MASS
    np.testing.assert_allclose(ball.inertia, 2 / 5 * BALL_MASS * BALL_RADIUS**2)
    np.testing.assert_array_equal(ball.ipos, 0.0)

"""Images in a collected dataset are those that the policy saw, each once at its camera's rate, and the dataset is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from envs.tasks.registry import make_env
from envs.vec_env import VecEnv
from robolearn.cli import main
from robolearn.config import schema
from robolearn.data.collect import Plan, collect, columns_of
from robolearn.data.harvest import take
from robolearn.data.reader import Dataset
from robolearn.data.shots import CAMERAS, IMAGES, unkept
from robolearn.data.source import Source
from robolearn.data.writer import DatasetWriter
from robolearn.errors import UserError
from robolearn.evaluation.actors import TeacherActor
from robolearn.evaluation.rollout import Rollout
from tests.envs.seeing import any_renderer
from tests.learning_helpers import TINY, tiny_teacher

SOURCE = Source(kind="policy", robot="panda", fps=50.0, control_mode="position_delta", licence="Apache-2.0", seed=0)


def seeing(worlds: int, *overrides: str) -> tuple[Rollout, VecEnv]:
    kind = any_renderer()
    views = (
        f"--env.observations.room={{camera: outside, height: 64, width: 64, rate: 10, renderer: {kind}}}",
        f"--env.observations.hand={{camera: wrist, height: 64, width: 66, rate: 25, renderer: {kind}}}",
        f"--env.observations.deep={{camera: wrist, height: 16, width: 16, modality: depth, renderer: {kind}}}",
    )
    cfg = schema.load("panda-reach-pixels", [*TINY, *views, "--env.episode_s=0.4", *overrides])
    env = make_env(cfg.task, cfg.robot, cfg.env, num_worlds=worlds)
    return Rollout(env, TeacherActor(tiny_teacher(cfg))), env


def test_each_image_is_kept_once_and_stands_where_it_was_seen() -> None:
    rollout, env = seeing(3)
    rollout.start()
    seen: list[np.ndarray] = []
    act = rollout.actor.act

    def noting(policy: torch.Tensor, privileged: torch.Tensor, alive: torch.Tensor) -> torch.Tensor:
        seen.append(env.images["room"].numpy().copy())
        return act(policy, privileged, alive)

    rollout.actor.act = noting
    episodes = take(rollout, 20, cameras=None)
    for world, taken in enumerate(episodes):
        assert taken is not None
        assert set(taken.shots) == {"room", "hand"}
        assert [len(taken.shots[name].images) for name in ("room", "hand")] == [4, 10]
        columns = taken.shots["room"].columns("room")
        np.testing.assert_array_equal(columns[f"{IMAGES}room"], np.stack(seen)[:, world])
        assert np.flatnonzero(columns[f"{CAMERAS}room.is_new"]).tolist() == [0, 5, 10, 15]
    assert not np.array_equal(episodes[0].shots["room"].images[0], episodes[0].shots["room"].images[-1])


def test_a_dataset_holds_the_images_and_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rollout, env = seeing(2)
    assert unkept(env.spec) == ["deep"]
    with DatasetWriter(tmp_path / "data", columns_of(env.robot, env.spec), 50) as writer:
        done = collect(rollout, Plan(episodes=3, steps=20), SOURCE, writer)
    assert (done.episodes, done.frames) == (3, 60)
    episode = Dataset(tmp_path / "data").episode(2)
    images = episode.columns[f"{IMAGES}hand"]
    assert images.shape == (20, 64, 66, 3)
    env.reseed(1)
    env.release_command()  # as the collection does
    rollout.start()
    assert np.abs(images[0].astype(int) - env.images["hand"][0].numpy()).mean() < 4  # a video is lossy
    assert np.flatnonzero(episode.columns[f"{CAMERAS}hand.is_new"]).tolist() == list(range(0, 20, 2))
    assert main(["data", "check", str(tmp_path / "data")]) == 0
    assert "no faults in 3 episodes" in capsys.readouterr().out


def test_images_too_small_for_a_video_are_refused_with_what_to_type() -> None:
    env = seeing(1, "--env.observations.room.height=48")[1]
    with pytest.raises(UserError, match=r"camera room: has pictures of 48 x 64.*--env.observations.room.height=64"):
        columns_of(env.robot, env.spec)

"""What is collected is what happened: frames give their actions again, and a stopped collection ends as one that was not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from policies.contract.observation import Sensors, clock_phase, observe
from policies.contract.spec import PolicySpec
from robolearn.cli import main
from robolearn.data.collect import Plan, collect, columns_of, succeeded, worlds_of
from robolearn.data.columns import ACTION, COMMAND, DONE, REWARD, ROOT, STATE
from robolearn.data.harvest import Taken, take
from robolearn.data.reader import Dataset
from robolearn.data.source import Source
from robolearn.data.writer import DatasetWriter
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.rollout import Rollout
from tests.robolearn.data.rollouts import worlds

SOURCE = Source(kind="policy", robot="go1", fps=50.0, control_mode="position_offset", licence="Apache-2.0", seed=0)
POLICY = "go1-velocity-flat"


def observations(columns: dict[str, np.ndarray], spec: PolicySpec) -> np.ndarray:
    """The policy's observations (T, O) from an episode's columns alone."""
    state, joints = columns[STATE], spec.robot.num_joints
    action = np.concatenate([np.zeros((1, joints), np.float32), columns[ACTION][:-1]])
    default, scale = np.array(spec.robot.default_pose, np.float32), np.array(spec.action.scale, np.float32)
    target = default + np.clip(action, -spec.action.clip, spec.action.clip) * scale
    target = target.clip(spec.robot.position_lower, spec.robot.position_upper).astype(np.float32)
    target[0] = state[0, :joints]
    quat = columns[ROOT][:, 3:7]
    phase = clock_phase(np.arange(len(state)), spec)
    clock = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    sensors = Sensors(state[:, :joints], state[:, joints : 2 * joints], columns[COMMAND], action, quat, state[:, -3:], target, clock)
    return observe(sensors, spec, default)


def test_the_episodes_give_their_actions_again() -> None:
    """Without noise and delay the policy, fed with the columns, answers what stands in them."""
    file, env = worlds(POLICY, 3, 3.0, calm=True)
    rollout = Rollout(env, FileActor(file, 3))
    rollout.start()
    for taken in take(rollout, 100):
        assert taken is not None
        policy = file.fork()
        policy.reset()
        answers = np.stack([policy.act(row).copy() for row in observations(taken.columns, file.spec).astype(np.float32)])
        np.testing.assert_allclose(answers, taken.columns[ACTION], atol=2e-4)
        assert len(taken) == 100
        assert np.abs(taken.columns[ACTION]).max() > 0.1


def test_an_episode_is_one_worlds_and_ends_where_it_ended() -> None:
    """Worlds that fall give shorter episodes; nothing of their next life is in them."""
    file, env = worlds(POLICY, 8, 2.0)
    rollout = Rollout(env, FileActor(file, 8))
    rollout.start()
    pushed = env.engine.qvel.clone()
    pushed[:4, 3] = 25.0
    env.engine.set_velocity(torch.arange(8), pushed)
    taken = [item for item in take(rollout, 90) if item is not None]
    assert len(taken) == 8
    fell = [item for item in taken[:4] if not item.lasted]
    assert fell
    assert all(len(item) < 90 for item in fell)
    assert all(item.lasted and len(item) == 90 for item in taken[4:])
    for item in taken:
        assert {len(values) for values in item.columns.values()} == {len(item)}
        assert item.columns[DONE].tolist() == [False] * (len(item) - 1) + [True]
        assert np.abs(np.diff(item.columns[ROOT][:, :3], axis=0)).max() < 0.3
        assert item.total == pytest.approx(float(item.columns[REWARD].sum()), rel=1e-5)


def run(path: Path, episodes: int, stop: int | None = None, append: bool = False, **plan: object) -> Dataset:
    """Collect with four worlds; `stop`: be killed in that step."""
    file, env = worlds(POLICY, 4, 0.6)
    writer = DatasetWriter.append(path) if append else DatasetWriter(path, columns_of(env.robot, env.spec), 50)
    steps = 0

    def tell(kept: int, step: int) -> None:
        nonlocal steps
        steps += 1
        if steps == stop:
            raise KeyboardInterrupt

    try:
        collect(Rollout(env, FileActor(file, 4)), Plan(episodes=episodes, steps=30, **plan), SOURCE, writer, tell)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        assert stop is not None
    finally:
        writer.close()
    return Dataset(path)


def same(left: Dataset, right: Dataset) -> None:
    assert len(left) == len(right)
    for index in range(len(left)):
        a, b = left.episode(index), right.episode(index)
        assert a.source == b.source
        for name in a.columns:
            np.testing.assert_array_equal(a.columns[name], b.columns[name])


def test_a_collection_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 10)
    assert len(whole) == 10
    assert len(run(tmp_path / "parts", 10, stop=75)) == 8
    same(run(tmp_path / "parts", 10, append=True), whole)


def test_more_of_a_collection_is_the_same_as_more_at_once(tmp_path: Path) -> None:
    """The last batch was cut short by the number that was wanted; its rest comes first."""
    whole = run(tmp_path / "whole", 11)
    run(tmp_path / "parts", 5)
    same(run(tmp_path / "parts", 11, append=True), whole)


def test_commands_are_held_in_turn(tmp_path: Path) -> None:
    asked = ((0.5, 0.0, 0.0), (0.0, 0.0, 0.5))
    data = run(tmp_path / "data", 4, commands=asked)
    for index in range(4):
        np.testing.assert_allclose(data.episode(index).columns[COMMAND], [asked[index % 2]] * len(data.episode(index)), atol=1e-6)


def test_the_best_of_several_attempts_stays(tmp_path: Path) -> None:
    """Four worlds try the same command; what stays has the highest return of what they gave without it."""
    best = run(tmp_path / "best", 2, best_of=4, commands=((0.4, 0.0, 0.0),))
    every = run(tmp_path / "every", 8, commands=((0.4, 0.0, 0.0),))
    totals = [float(every.episode(index).columns[REWARD].sum()) for index in range(8)]
    kept = [float(best.episode(index).columns[REWARD].sum()) for index in range(2)]
    assert kept == [pytest.approx(max(totals[:4])), pytest.approx(max(totals[4:]))]
    assert len(set(totals[:4])) == 4


def test_nothing_that_may_stay_is_an_error(tmp_path: Path) -> None:
    from robolearn.errors import UserError

    with pytest.raises(UserError, match="was kept"):
        run(tmp_path / "data", 2, keep="failures")


def test_success_is_what_the_task_says() -> None:
    command = np.repeat([[0.0], [1.0]], 100, axis=0)
    good = np.zeros(200, bool)
    taken = Taken({STATE: np.zeros((200, 1)), COMMAND: command}, True, good, 0.0)
    assert not succeeded(taken, 0.02)
    good[75:100] = good[175:] = True
    assert succeeded(taken, 0.02)
    good[80] = False
    assert not succeeded(taken, 0.02)
    assert not succeeded(dataclasses.replace(taken, lasted=False, good=None), 0.02)


def test_worlds_of_a_batch() -> None:
    assert worlds_of(Plan(episodes=5, steps=10), 64) == 5
    assert worlds_of(Plan(episodes=100, steps=10), 64) == 64
    assert worlds_of(Plan(episodes=100, steps=10, best_of=3), 64) == 66


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "data")
    line = ["collect", POLICY, "--out", out, "--seconds", "1", "--worlds", "3", "--licence", "Apache-2.0"]
    assert main([*line, "--episodes", "3"]) == 0
    assert main([*line, "--episodes", "3"]) == 2
    assert "--resume continues" in capsys.readouterr().err
    assert main(["collect", POLICY, "--out", out, "--seconds", "0.5", "--episodes", "4", "--resume"]) == 2
    assert "holds another collection: the existing one differs in licence, config, note;" in capsys.readouterr().err
    assert main([*line[:-4], "--licence", "Apache-2.0", "--episodes", "4", "--resume"]) == 0  # without --worlds: as many as before
    assert main([*line, "--episodes", "2", "--append"]) == 0
    assert main(["collect", POLICY, "--out", out, "--seconds", "0.5", "--worlds", "3", "--episodes", "2", "--append"]) == 0
    assert len(Dataset(out)) == 8
    assert [source.seed for source in Dataset(out).sources] == [0, 1, 2, 3]  # no seed twice, though the options are others
    assert main(["data", "check", out]) == 0
    source = Dataset(out).sources[0]
    assert (source.kind, source.robot, source.licence, source.engine) == ("policy", "go1", "Apache-2.0", "mujoco")
    assert "randomization" in source.config
    assert len(source.file_hash) == 64
    nominal = str(tmp_path / "nominal")
    asked = ["--no-randomization", "--command", "0.5", "0", "0", "--engine", "precise"]
    assert main(["collect", POLICY, "--out", nominal, "--seconds", "0.4", "--episodes", "2", *asked]) == 0
    first, second = (Dataset(nominal).episode(index).columns for index in range(2))
    np.testing.assert_allclose(first[COMMAND], [[0.5, 0, 0]] * len(first[COMMAND]))
    assert Dataset(nominal).sources[0].engine == "precise"
    del second


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--command", "0.5"], "takes 3 numbers (vx vy yaw_rate)"),
        (["--command", "0.5", "0", "nan"], "finite"),
        (["--grid", "--command", "0.5", "0", "0"], "leave one of them out"),
        (["--episodes", "0"], "--episodes must lie between"),
        (["--seconds", "0"], "--seconds must lie between"),
        (["--engine", "mujocco"], "did you mean mujoco"),
        (["--env.randomization.noize=1"], "noize"),
        (["--env.num_worlds=3"], "see --worlds"),
        (["--env.episode_s=3"], "see --seconds"),
        (["--no-randomization", "--env.randomization.noise=1.5"], "leave one of them out"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", POLICY, "--out", str(tmp_path / "data"), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "data").exists()

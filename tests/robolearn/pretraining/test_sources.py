"""What of a dataset is a token, what is missing, and which episodes are held out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from robolearn.data.columns import ACTION as ACTION_COLUMN
from robolearn.data.columns import SENSED, STATE, DataError, robot_columns, sensed_column
from robolearn.data.harvest import take
from robolearn.data.merge import merge
from robolearn.data.source import Episode
from robolearn.data.writer import DatasetWriter
from robolearn.evaluation.actors import FileActor
from robolearn.evaluation.rollout import Rollout
from robolearn.pretraining.mixture import Mixture
from robolearn.pretraining.sources import Sources
from robolearn.pretraining.tokens import ACTION, BODY, CLOCK, COMMAND, MODALITIES
from tests.robolearn.data.rollouts import worlds
from tests.robolearn.pretraining.trajectories import columns, episode, source, spec, write

SEEDS = range(5)


def sources(*paths: str, **options: object) -> Sources:
    given = {"held_out": 0.25, "seed": 0, **options}
    return Sources(paths, get_robot("go1"), spec(), **given)  # pyright: ignore[reportArgumentType]


def whole(found: Sources, shelf: int = 0, number: int = 0):
    """All tokens of one episode."""
    length = int(found.shelves[shelf].stop[number] - found.shelves[shelf].start[number])
    return found.cut(shelf, np.array([number]), np.array([0]), length)


def known(found: Sources, name: str, shelf: int = 0, number: int = 0) -> np.ndarray:
    return whole(found, shelf, number).known[0, :-1, MODALITIES.index(name)].numpy()


def test_tokens_are_what_the_policy_saw(tmp_path: Path) -> None:
    """In worlds without noise, against the observations that the policy itself acted on."""
    file, env = worlds("go1-velocity-flat", 2, 0.6, calm=True)
    rollout = Rollout(env, FileActor(file, 2))
    rollout.start()
    seen: list[torch.Tensor] = []
    original = rollout.actor.act

    def act(policy: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        seen.append(policy.clone())
        return original(policy, *rest)

    rollout.actor.act = act  # pyright: ignore[reportAttributeAccessIssue]
    taken = [item for item in take(rollout, 20) if item is not None]
    own = source(robot=env.robot.name, joint_names=env.robot.joint_names)
    with DatasetWriter(tmp_path / "d", columns(), 50) as writer:
        for item in taken:
            values = {name: rows for name, rows in item.columns.items() if name in {c.name for c in columns()}}
            writer.add(Episode(columns=values, task="walk", source=own))
    found = sources(str(tmp_path / "d"), held_out=0.0)
    for world in range(2):
        got = whole(found, number=world)
        assert bool(got.known[0, :-1].all())
        assert bool(got.acted.all())
        torch.testing.assert_close(got.observation[0, :-1], torch.stack(seen)[:20, world], atol=1e-5, rtol=0)


def test_a_person_has_no_actions_and_no_clock_and_a_controller_neither(tmp_path: Path) -> None:
    path = write(tmp_path / "d", episode(0), episode(1, of=source("mocap")), episode(2, of=source("controller")))
    found = sources(path, held_out=0.0)
    assert [bool(known(found, name).all()) for name in MODALITIES] == [True] * 4
    for number in (1, 2):
        assert known(found, BODY, number=number).all()
        assert known(found, COMMAND, number=number).all()
        assert not known(found, CLOCK, number=number).any()
        assert not known(found, ACTION, number=number).any()
        assert not bool(whole(found, number=number).acted.any())
    statistics = found.statistics()
    assert statistics.names == ["go1/position_offset", "go1/mocap", "go1/controller"]
    assert statistics.rows == [60, 0, 0]


def test_actions_of_another_law_are_missing_and_a_person_is_told(tmp_path: Path) -> None:
    found = sources(write(tmp_path / "d", episode(0, of=source(control_mode="position_delta"))), held_out=0.0)
    assert not bool(whole(found).acted.any())
    assert any("position_delta" in line for line in found.remarks.text())


def test_what_the_policy_was_shown_is_seen_in_place_of_noise(tmp_path: Path) -> None:
    """Beside a dataset that does not tell it, in the policy's joint order, and not as what is asked for."""
    joints = spec().robot.joint_names
    order = [*range(1, len(joints)), 0]
    plain = episode(0)
    late = plain.columns[STATE] + 0.05
    n = len(joints)

    def moved(state: np.ndarray) -> np.ndarray:
        return np.concatenate([state[:, :n][:, order], state[:, n : 2 * n][:, order], state[:, 2 * n :]], axis=1)

    rows = {**plain.columns, STATE: moved(plain.columns[STATE]), SENSED: moved(late), ACTION_COLUMN: plain.columns[ACTION_COLUMN][:, order]}
    names = tuple(joints[index] for index in order)
    with DatasetWriter(tmp_path / "told", robot_columns(names, (), spec().command.labels, [sensed_column(names)]), 50) as writer:
        writer.add(dataclasses.replace(plain, columns=rows, source=source(joint_names=names)))
    found = sources(str(tmp_path / "told"), write(tmp_path / "silent", episode(1)), held_out=0.0)
    told, silent = whole(found), whole(found, shelf=1)
    expected = whole(sources(write(tmp_path / "late", dataclasses.replace(plain, columns={**plain.columns, STATE: late})), held_out=0.0))
    torch.testing.assert_close(told.as_shown(), expected.observation[:, :-1])
    clean = whole(sources(write(tmp_path / "clean", plain), held_out=0.0))
    assert torch.equal(told.observation, clean.observation)
    assert torch.equal(silent.as_shown(), silent.observation[:, :-1])
    both = Mixture(found, 8).draw(40, (0, 0, 0))
    assert both.told is not None
    assert 0 < float(both.told.float().mean()) < 1


def test_the_clock_of_another_rate_is_missing(tmp_path: Path) -> None:
    found = sources(write(tmp_path / "d", episode(0, of=source(config="env:\n  clock_hz: 1.1\n"))), held_out=0.0)
    assert not known(found, CLOCK).any()
    assert known(found, ACTION).all()


def test_joints_are_found_by_name(tmp_path: Path) -> None:
    joints = spec().robot.joint_names
    order = [*range(1, len(joints)), 0]
    plain = episode(0)
    state, n = plain.columns[STATE], len(joints)
    moved = np.concatenate([state[:, :n][:, order], state[:, n : 2 * n][:, order], state[:, 2 * n :]], axis=1)
    other = dataclasses.replace(
        plain,
        columns={**plain.columns, STATE: moved, ACTION_COLUMN: plain.columns[ACTION_COLUMN][:, order]},
        source=source(joint_names=tuple(joints[index] for index in order)),
    )
    one, two = whole(sources(write(tmp_path / "a", plain), held_out=0.0)), whole(sources(write(tmp_path / "b", other), held_out=0.0))
    assert torch.equal(one.observation, two.observation)
    assert torch.equal(one.action, two.action)


def test_other_robots_are_left_out_and_nothing_left_is_an_error(tmp_path: Path) -> None:
    alien = source(robot="hopper", joint_names=tuple(f"j{index}" for index in range(12)))
    theirs = write(tmp_path / "e", episode(1, of=alien))
    merge([write(tmp_path / "a", episode(0)), theirs], tmp_path / "d")
    found = sources(str(tmp_path / "d"), held_out=0.0)
    assert list(found.shelves[0].number) == [0]
    assert any("hopper" in line for line in found.remarks.text())
    with pytest.raises(DataError, match=r"no episode of go1; its robots: hopper"):
        sources(theirs)


def test_a_licence_that_is_not_free_is_refused_and_can_be_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "d", episode(0, of=source(licence="CC-BY-NC-4.0")))
    with pytest.raises(DataError, match=r"--allow-licence CC-BY-NC-4\.0"):
        sources(path)
    assert len(sources(path, allow=("CC-BY-NC-4.0",)).shelves[0].number) == 1


def test_another_rate_is_refused(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", columns(), 25) as writer:
        writer.add(episode(0))
    with pytest.raises(DataError, match="25 rows a second, the policy acts 50 times"):
        sources(str(tmp_path / "d"))


def test_an_episode_is_never_on_both_sides_also_of_two_datasets(tmp_path: Path) -> None:
    several = [episode(index, 20) for index in range(40)]
    paths = write(tmp_path / "a", *several), write(tmp_path / "b", *several[10:30])
    for seed in SEEDS:
        found = sources(*paths, seed=seed)
        one, two = (shelf.held for shelf in found.shelves)
        assert 0 < one.sum() < 40
        assert np.array_equal(one[10:30], two)
    assert len({tuple(sources(paths[0], seed=seed).shelves[0].held) for seed in SEEDS}) > 1


def test_what_a_handful_holds_out_no_other_dataset_teaches(tmp_path: Path) -> None:
    """Where no draw falls below the share, each dataset chooses one of its own: they must not choose against each other."""
    several = [episode(index, 20) for index in range(6)]
    for seed in SEEDS:
        both = write(tmp_path / f"a{seed}", *several), write(tmp_path / f"b{seed}", *several[2:])
        one, two = (shelf.held for shelf in sources(*both, held_out=0.01, seed=seed).shelves)
        assert np.array_equal(one[2:], two)


def test_a_dataset_all_of_which_another_holds_out_is_refused(tmp_path: Path) -> None:
    several = [episode(index, 20) for index in range(3)]
    path = write(tmp_path / "a", *several)
    held = int(np.flatnonzero(sources(path).shelves[0].held)[0])
    found = sources(path, write(tmp_path / "b", several[held]))
    with pytest.raises(DataError, match="no episode left to learn from"):
        Mixture(found, 8, weights=(1, 1))


def test_episodes_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    several = [episode(index, 20) for index in range(20)]
    for item in several:
        item.columns[STATE][0] = several[0].columns[STATE][0]
    assert 1 < sources(write(tmp_path / "d", *several), held_out=0.4).shelves[0].held.sum() < 19


def test_actions_of_another_scale_are_missing_and_a_person_is_told(tmp_path: Path) -> None:
    """The same mode, but a unit of action asks for another angle."""
    own = get_robot("go1").action_scale
    for scale, acts in ((f"{own[0] * 2}", False), ("null", bool(np.allclose(own, spec().action.scale)))):
        found = sources(write(tmp_path / scale, episode(0, of=source(config=f"env:\n  action: {{scale: {scale}}}\n"))), held_out=0.0)
        assert bool(whole(found).acted.any()) == acts
        assert any("action.scale" in line for line in found.remarks.text()) != acts


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    found = sources(write(tmp_path / "d", episode(0), episode(1)), held_out=0.0)
    dataset = found.shelves[0].dataset
    rows = np.array(dataset.column(STATE))
    rows[70, 3] = np.nan
    found.shelves[0].mapped[STATE] = rows, None
    with pytest.raises(DataError, match=r"not finite in episode 1; robolearn data check"):
        found.statistics()


def test_of_a_handful_one_is_held_out_and_of_one_none(tmp_path: Path) -> None:
    assert sources(write(tmp_path / "a", episode(0), episode(1)), held_out=0.05).shelves[0].held.sum() == 1
    assert sources(write(tmp_path / "b", episode(0)), held_out=0.5).shelves[0].held.sum() == 0
    assert sources(str(tmp_path / "a"), held_out=0.0).shelves[0].held.sum() == 0


def mixture(tmp_path: Path, **options: object) -> tuple[Mixture, Sources]:
    write(tmp_path / "a", *(episode(index, 40) for index in range(4)))
    write(tmp_path / "b", *(episode(10 + index, 10, of=source("mocap")) for index in range(2)))
    found = sources(str(tmp_path / "a"), str(tmp_path / "b"), held_out=0.0)
    return Mixture(found, 8, **options), found  # pyright: ignore[reportArgumentType]


def shares_of(given: Mixture, progress: float) -> float:
    """Share of the second dataset, which is the only one without actions."""
    return 1 - float(given.draw(4000, (1, 2), progress).acted.any(dim=1).float().mean())


def test_shares_are_by_rows_or_as_asked_and_change_as_asked(tmp_path: Path) -> None:
    given, found = mixture(tmp_path)
    assert abs(shares_of(given, 0.0) - 20 / 180) < 0.03
    asked = Mixture(found, 8, weights=(1, 3), final=(1, 0))
    assert abs(shares_of(asked, 0.0) - 0.75) < 0.03
    assert abs(shares_of(asked, 0.5) - 0.375) < 0.03
    assert shares_of(asked, 1.0) == 0.0
    held = Mixture(sources(str(tmp_path / "a"), str(tmp_path / "b"), held_out=0.25), 8, weights=(0, 1), final=(1, 0), held=True)
    assert bool(held.draw(20, (0,)).inside.any())
    with pytest.raises(DataError, match="3 entries for 2 datasets"):
        Mixture(found, 8, weights=(1, 1, 1))


def test_a_draw_is_a_function_of_its_key_and_sees_every_step(tmp_path: Path) -> None:
    given, found = mixture(tmp_path)
    one, two, other = given.draw(50, (0, 1, 0)), given.draw(50, (0, 1, 0)), given.draw(50, (0, 1, 1))
    assert all(torch.equal(value, getattr(two, name)) for name, value in vars(one).items() if value is not None)
    assert not torch.equal(one.observation, other.observation)
    many = Mixture(found, 8, weights=(1, 0)).draw(20000, (0,))
    rows = many.observation[:, :-1][many.inside[:, :-1]]
    first = whole(found).observation[0, :40]
    counts = torch.stack([(rows == row).all(dim=-1).sum() for row in first]).float()
    assert float(counts[:8].min()) > 0.5 * float(counts.mean()), "the first steps are seen as often as others"
    assert float(counts.min()) > 0, "and the last ones, too"

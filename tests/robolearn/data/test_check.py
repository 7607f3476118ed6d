"""Good rollouts have no faults; each fault that is put into them is found by the check that is about it, and said in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from envs.robots.go1 import GO1
from envs.robots.registry import get_robot
from robolearn.data.check.findings import Seen, line
from robolearn.data.check.run import check
from robolearn.data.columns import ACTION, ROOT, STATE
from tests.robolearn.data.faults import FAULTS, broken
from tests.robolearn.data.rollouts import rollouts


@pytest.fixture(scope="module")
def go1() -> list[Seen]:
    return [Seen(index, episode.columns, episode.source, 50.0, GO1) for index, episode in enumerate(rollouts("go1-velocity-flat", 6, 4.0))]


@pytest.mark.parametrize("policy", ["go1-velocity-flat", "go1-velocity", "g1-velocity", "panda-reach"])
def test_rollouts_of_the_shipped_policies_have_no_faults(policy: str) -> None:
    episodes = rollouts(policy, 6, 4.0)
    robot = get_robot(episodes[0].source.robot)
    found = check(Seen(index, episode.columns, episode.source, 50.0, robot) for index, episode in enumerate(episodes))
    assert found.episodes == 6
    assert not found.faults, [line(finding) for finding in found.faults]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(go1: list[Seen], name: str) -> None:
    episodes = [*go1[:3], broken(go1[3], name), *go1[4:]]
    found = check(episodes, [STATE, ROOT, ACTION])
    checks = {finding.check for finding in found.faults}
    assert FAULTS[name][1] in checks, [line(finding) for finding in found.findings]
    about = [finding for finding in found.faults if finding.check == FAULTS[name][1]]
    assert any(finding.episode in ("episode 3", None) for finding in about)
    assert all("\n" not in line(finding) for finding in found.findings)


def test_what_is_wrong_everywhere_is_one_line(go1: list[Seen]) -> None:
    found = check(broken(seen, "velocities in degrees") for seen in go1)
    units = [finding for finding in found.faults if finding.check == "units"]
    assert len(units) == 1
    assert "5 other episodes" in units[0].text


def test_names_in_another_order(go1: list[Seen]) -> None:
    names = GO1.joint_names
    swapped = dataclasses.replace(go1[0].source, joint_names=(names[1], names[0], *names[2:]))
    found = check([dataclasses.replace(go1[0], source=swapped)])
    assert any(f.check == "order" and "column 0 is FR_thigh_joint, not FR_hip_joint" in f.text for f in found.faults)
    other = dataclasses.replace(go1[0].source, joint_names=("m0", *names[1:]))
    found = check([dataclasses.replace(go1[0], source=other)])
    assert any(f.check == "order" and "lack FR_hip_joint" in f.text for f in found.faults)


def test_stamps_that_miss_time(go1: list[Seen]) -> None:
    times = np.arange(len(go1[0])) / 50.0
    good = dataclasses.replace(go1[0], time_s=times)
    assert not check([good]).faults
    late = dataclasses.replace(go1[0], time_s=times + 0.3 * (np.arange(len(times)) > 50))
    assert any(f.check == "clock" and "frames 50 and 51" in f.text for f in check([late]).faults)


def test_a_copy_across_a_split(go1: list[Seen]) -> None:
    train = [dataclasses.replace(seen, split="train", dataset="train") for seen in go1[:4]]
    test = [dataclasses.replace(seen, split="test", dataset="test") for seen in go1[4:]]
    assert not check([*train, *test]).faults
    copied = dataclasses.replace(go1[1], split="test", dataset="test", index=0)
    told = [f for f in check([*train, *test, copied]).faults if f.check == "copies"]
    assert len(told) == 1
    assert "test episode 0: is a copy of train episode 1" in line(told[0])


def test_a_near_copy_across_a_split(go1: list[Seen]) -> None:
    """An episode that begins 37 frames later and has other noise is the same motion."""
    train = [dataclasses.replace(seen, split="train") for seen in go1[:4]]
    generator = np.random.default_rng(0)
    columns = {name: values[37:].copy() for name, values in go1[2].columns.items()}
    columns[STATE] += generator.normal(0, 0.002, columns[STATE].shape).astype(np.float32)
    near = dataclasses.replace(go1[2], columns=columns, split="test", index=9)
    told = [f for f in check([*train, near]).faults if f.check == "copies"]
    assert len(told) == 1
    assert "episode 9" in line(told[0])
    assert "episode 2" in line(told[0])


def test_a_copy_within_one_part_is_a_note(go1: list[Seen]) -> None:
    found = check([*go1, dataclasses.replace(go1[0], index=6)])
    assert not found.faults
    assert any(f.check == "copies" for f in found.findings)


def test_another_robots_ranges_are_not_asked(go1: list[Seen]) -> None:
    told = check([dataclasses.replace(seen, robot=get_robot("g1")) for seen in go1]).faults
    assert [f.check for f in told] == ["order"]
    assert "not those of g1" in told[0].text


def test_no_episodes_are_a_fault() -> None:
    assert check([]).faults

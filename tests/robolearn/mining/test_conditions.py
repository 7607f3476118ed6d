"""Worlds that meet conditions: each gets what its row says, the others what the tables draw, and a snapshot goes on exactly."""

import dataclasses
import math

import pytest
import torch

from envs.snapshot import restore, snapshot
from envs.terms.conditions import NONE, Conditions
from envs.terms.randomization import Range
from envs.vec_env import VecEnv
from tests.learning_helpers import assert_identical
from tests.pairs import make_env

N = 6
NAN = float("nan")


def rough(**changes) -> VecEnv:
    return make_env("go1-velocity-rough", num_worlds=N, num_threads=1, curriculum={}, **changes)


def meet(env: VecEnv, ordinary: float = 0.0, weights=None, **columns) -> Conditions:
    """Give an environment a list of conditions by columns; world i gets row i where no weights are given."""
    values = torch.tensor(list(columns.values()), dtype=torch.float32).T
    names = [name.replace("__", ".") for name in columns]
    table = Conditions(names, values, env.num_worlds, env.generator, weights, ordinary)
    if weights is None and not ordinary:
        table.first = 0
    env.meet(table)
    return table


def still(env: VecEnv) -> torch.Tensor:
    return torch.zeros(env.num_worlds, env.spec.action_dim)


def test_each_world_gets_what_its_row_says_and_the_table_draws_the_rest():
    env = rough()
    friction = [0.2, 0.4, NAN, 0.8, 1.0, 3.0]
    payload = [-1.5, 0.0, 0.5, NAN, 2.0, 4.0]
    strength = [0.7, 0.9, NAN, 1.0, 1.1, 1.3]
    ahead = [0.04, NAN, -0.04, 0.0, 0.01, 0.02]
    delay = [0.0, 0.005, NAN, 0.01, 0.02, 0.015]
    meet(env, friction=friction, payload=payload, motor_strength=strength, center_of_mass__x=ahead, action_delay_s=delay)
    env.reset()
    drawn = env.randomizer.drawn
    floor = [g for g in range(env.engine.model.ngeom) if env.engine.model.geom(g).name != "floor" and env.engine.model.geom_condim[g] > 1]
    nominal = torch.tensor(env.engine.model.geom_friction[floor[0], 0], dtype=torch.float32)
    for i in range(N):
        if not math.isnan(friction[i]):
            assert env.engine.field("geom_friction")[i, floor[0], 0] == pytest.approx(float(nominal) * friction[i], rel=1e-5)
        else:
            assert 0.5 <= drawn["friction"][i, 0] <= 2.0
        if not math.isnan(payload[i]):
            assert drawn["payload"][i, 0] == pytest.approx(payload[i])
        if not math.isnan(strength[i]):
            assert drawn["motor_strength"][i].mean() == pytest.approx(strength[i], rel=1e-5)
        assert drawn["motor_strength"][i].std() > 0.01, "joints still differ"
        if not math.isnan(ahead[i]):
            assert drawn["center_of_mass"][i, 0] == pytest.approx(ahead[i])
        assert abs(drawn["center_of_mass"][i, 1]) <= 0.03
        if not math.isnan(delay[i]):
            assert env._action_delay[i, 0] * env.cfg.control_dt == pytest.approx(delay[i])


def test_what_is_drawn_once_a_world_follows_conditions_at_every_reset():
    """The payload is a table's `startup`; it must be the condition's, and change with the next one, in the physics too."""
    env = rough()
    base = env.engine.model.body(env.robot.base).id
    table = meet(env, payload=[0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    env.reset()
    before = env.engine.field("body_mass")[:, base].clone()
    table.first = 1
    env.reset()
    after = env.engine.field("body_mass")[:, base]
    expected = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, -2.5])
    assert torch.allclose(after - before, expected, atol=1e-4)


def test_commands_are_the_rows_and_change_when_it_says():
    env = rough()
    meet(env, command__vx=[0.1 * i for i in range(N)], then__vx=[-0.1 * i for i in range(N)], change_s=[0.1] * 3 + [0.2] * 3)
    env.reset()
    asked = torch.arange(N) * 0.1
    assert torch.allclose(env.command[:, 0], asked)
    for _ in range(6):  # 0.12 s
        env.step(still(env))
    assert torch.allclose(env.command[:3, 0], -asked[:3])
    assert torch.allclose(env.command[3:, 0], asked[3:])


def test_worlds_start_on_the_tile_of_their_row():
    env = rough()
    assert env.places is not None
    meet(env, terrain__level=[0, 1, 2, 3, 4, 7], terrain__column=[0, 2, 4, 6, 8, 9])
    env.reset()
    assert env.places.level.tolist() == [0, 1, 2, 3, 4, 7]
    assert env.places.column.tolist() == [0, 2, 4, 6, 8, 9]
    away = env.engine.qpos[:, :2] - env.places.origins(torch.arange(N))
    assert float(away.abs().max()) <= env.places.terrain.cfg.start_spread + 1e-6


def test_a_push_goes_the_way_of_its_row_seen_from_the_robot():
    env = rough()
    angles = [0.0, math.pi / 2, math.pi, -math.pi / 2, 0.3, -2.0]
    meet(env, push__speed=[1.0] * N, push__angle=angles, push__at_s=[0.02] * N, force__size=[5.0] * N, force__angle=angles,
         force__at_s=[0.02] * N)  # fmt: skip
    env.reset()
    jumps = []
    set_velocity = env.engine.set_velocity

    def noted(ids: torch.Tensor, values: torch.Tensor) -> None:
        assert ids.tolist() == list(range(N))
        jumps.append(values[:, :2] - env.engine.qvel[:, :2])
        set_velocity(ids, values)

    env.engine.set_velocity = noted
    env.step(still(env))
    w, x, y, z = env.engine.qpos[:, 3:7].T
    heading = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    assert len(jumps) == 1
    assert torch.allclose(jumps[0], _wanted(heading, angles, 1.0), atol=1e-5)
    assert torch.allclose(env.disturbances.force[:, :2], _wanted(heading, angles, 5.0), atol=1e-5)
    assert not env.disturbances.force[:, 2].any()


def _wanted(heading: torch.Tensor, angles: list[float], size: float) -> torch.Tensor:
    angle = heading + torch.tensor(angles)
    return size * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)


def test_rows_are_drawn_by_their_weights_and_a_share_of_resets_by_none():
    generator = torch.Generator().manual_seed(1)
    table = Conditions(("friction",), torch.tensor([[1.0], [2.0], [3.0]]), 20_000, generator, torch.tensor([1.0, 0.0, 3.0]), ordinary=0.4)
    table.draw(torch.arange(20_000))
    share = torch.stack([(table.index == value).float().mean() for value in (NONE, 0, 1, 2)])
    assert torch.allclose(share, torch.tensor([0.4, 0.15, 0.0, 0.45]), atol=0.015)
    over = table.over("friction", torch.arange(20_000), torch.full((20_000,), -1.0))
    assert torch.equal(over, torch.where(table.index == NONE, -1.0, table.index.float() + 1))


def test_a_snapshot_of_worlds_with_conditions_goes_on_exactly():
    def made() -> VecEnv:
        env = rough(episode_s=0.2)
        rows = 50
        generator = torch.Generator().manual_seed(3)
        columns = {"friction": torch.rand(rows, generator=generator) + 0.3, "command.vx": torch.rand(rows, generator=generator)}
        columns |= {"then.vx": -torch.rand(rows, generator=generator), "change_s": torch.full((rows,), 0.06)}
        columns |= {"terrain.level": torch.randint(0, 8, (rows,), generator=generator).float()}
        values = torch.stack(list(columns.values()), dim=1)
        env.meet(Conditions(tuple(columns), values, N, env.generator, torch.rand(rows, generator=generator), ordinary=0.3))
        return env

    def walked(env: VecEnv, steps: int) -> list:
        generator = torch.Generator().manual_seed(5)
        return [dataclasses.asdict(env.step(torch.randn(N, env.spec.action_dim, generator=generator))) for _ in range(steps)]

    env = made()
    env.reset()
    walked(env, 13)
    state = snapshot(env)
    wanted = walked(env, 25)  # resets are in it
    other = made()
    other.reset()
    walked(other, 2)
    restore(other, state)
    assert_identical(walked(other, 25), wanted)
    assert env.conditions is not None
    assert other.conditions is not None
    assert torch.equal(env.conditions.index, other.conditions.index)


def test_a_snapshot_of_another_list_is_refused():
    env = rough()
    meet(env, friction=[1.0] * N)
    env.reset()
    state = snapshot(env)
    meet(env, friction=[1.0] * N, payload=[0.0] * N)
    with pytest.raises(ValueError, match="another list"):
        restore(env, state)


def test_without_conditions_the_worlds_are_those_of_the_tables():
    """Conditions that were taken away leave nothing behind after a reseed."""
    env, other = rough(), rough()
    env.reseed(7)
    wanted = env.reset()
    meet(other, friction=[0.1] * N, payload=[4.0] * N)
    other.reset()
    other.meet(None)
    other.reseed(7)
    assert_identical(list(other.reset()), list(wanted))
    assert_identical(other.randomizer.drawn, env.randomizer.drawn)


@pytest.mark.parametrize(
    ("values", "weights", "words"),
    [
        (torch.zeros(0, 1), None, "at least 1"),
        (torch.zeros(2, 3), None, r"\(K, 1\)"),
        (torch.zeros(2, 1), torch.tensor([0.0, 0.0]), "not all zero"),
        (torch.zeros(2, 1), torch.tensor([1.0, -1.0]), "negative"),
        (torch.zeros(2, 1), torch.tensor([1.0]), "one per condition"),
    ],
)
def test_lists_that_cannot_be_drawn_from_are_refused(values, weights, words):
    with pytest.raises(ValueError, match=words):
        Conditions(("friction",), values, 4, torch.Generator(), weights)


def test_an_arm_meets_conditions_too():
    env = make_env("panda-reach", num_worlds=3, num_threads=1)
    table = Conditions(("command.x", "kp"), torch.tensor([[0.4, 0.8], [0.5, 1.0], [0.6, 1.2]]), 3, env.generator)
    table.first = 0
    env.meet(table)
    env.reset()
    assert torch.allclose(env.command[:, 0], torch.tensor([0.4, 0.5, 0.6]))
    if isinstance(env.cfg.randomization.entries.get("kp"), Range):
        assert torch.allclose(env.randomizer.drawn["kp"].mean(1), torch.tensor([0.8, 1.0, 1.2]))

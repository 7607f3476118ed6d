"""Terms of the randomization table that a user brings: when they happen, what they may not lose, and that a resume draws nothing twice."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from envs.snapshot import restore, snapshot
from envs.terms.fields import WRITES, FieldRandomizer
from envs.terms.randomization import QUANTITIES, RandomizationCfg, Range, without_randomization
from envs.terms.term import EventTerm, TermError
from envs.vec_env import VecEnv
from tests.envs import my_terms
from tests.envs.test_randomization import exactly
from tests.pairs import TASKS, cfg_of, make_env

GO1 = "go1-velocity-flat"
KICK = EventTerm(my_terms.kick, when="interval", interval_s=(0.09, 0.09), speed=1.0)


def env_of(name: str = GO1, table: RandomizationCfg | None = None, episode_s: float = 20.0, seed: int = 0, **entries) -> VecEnv:
    """Six worlds with a table of entries, nothing else varying by default."""
    table = dataclasses.replace(without_randomization() if table is None else table, **entries)
    return make_env(name, num_worlds=6, num_threads=1, episode_s=episode_s, randomization=table, seed=seed)


def walk(env: VecEnv, steps: int, seed: int = 0) -> list[torch.Tensor]:
    """What comes of random actions."""
    generator = torch.Generator().manual_seed(seed)
    taken = [env.step(0.3 * torch.randn(6, env.spec.action_dim, generator=generator)) for _ in range(steps)]
    return [torch.cat([step.privileged, step.reward[:, None]], dim=1) for step in taken]


def base_mass(env: VecEnv) -> torch.Tensor:
    return env.engine.field("body_mass")[:, 1]


# the table ---------------------------------------------------------------------------------------------------------------


def test_a_table_is_extended_changed_and_reduced_by_name() -> None:
    table = RandomizationCfg(friction=Range(low=0.5, high=2.0), kick=KICK, noise=0.5)
    more = dataclasses.replace(table, mass=Range(low=0.9, high=1.1), kick=None)
    assert list(more.entries) == ["friction", "mass"]
    assert more.noise == 0.5
    assert table.range("friction") == Range(low=0.5, high=2.0)
    assert table.range("mass") is None
    assert table.terms() == {"kick": KICK}
    assert RandomizationCfg(table.entries, noise=0.5) == table
    assert dataclasses.replace(table, friction=EventTerm(my_terms.heavier)).range("friction") is None
    with pytest.raises(KeyError, match="there is no quantity 'kick'"):
        table.range("kick")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"fricton": exactly(1.0)}, r"there is no quantity 'fricton'; did you mean 'friction'\?; valid: friction, mass"),
        ({"mine": exactly(1.0)}, "an entry of your own has a function"),
        ({"friction": 0.5}, "friction must be a Range, or an EventTerm with a function, not 0.5"),
        ({"entries": {"noise": KICK}}, "noise is a setting of the table; give your entry another name"),
        ({"push_velocity": exactly(1.0, "add")}, "push_velocity without push_interval_s: they are needed together"),
        ({"push_velocity": exactly(1.0, "add"), "push_interval_s": KICK}, "push_velocity without push_interval_s"),
        ({"kp": exactly(1.0, "add")}, "kp has operation 'scale', not 'add'"),
        ({"noise": -1.0}, "noise must not be negative"),
        ({"mass": Range(low=-0.5, high=1.0)}, "mass must be above zero, its low is -0.5"),
        ({"push_velocity": exactly(1.0, "add"), "push_interval_s": exactly(0.0, "set")}, "push_interval_s must be above zero"),
        ({"friction": Range(low=-0.1, high=1.0, operation="set")}, "friction must not be negative, its low is -0.1"),
    ],
)
def test_a_mistake_in_the_table_is_told_by_name(entries: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RandomizationCfg(**entries)


@pytest.mark.parametrize("func", [my_terms.spin, my_terms.Restless, my_terms.Heading])
def test_a_function_of_another_table_is_refused(func) -> None:
    with pytest.raises(TermError, match=r"an entry here takes env, ids|must have a method __call__\(self, env, ids\)"):
        EventTerm(func, **({"sigma": 1.0} if func is my_terms.spin else {}))


def test_an_interval_has_its_bounds() -> None:
    with pytest.raises(TermError, match=r"a term at intervals needs interval_s: \[least, most\]"):
        EventTerm(my_terms.kick, when="interval")
    with pytest.raises(TermError, match="interval_s has no effect at reset"):
        EventTerm(my_terms.kick, interval_s=(1.0, 2.0))


def test_an_undisturbed_table_keeps_what_worlds_are() -> None:
    table = dataclasses.replace(cfg_of("g1-velocity-rough").randomization, kick=KICK, heavy=EventTerm(my_terms.heavier, when="startup"))
    calm = table.undisturbed()
    gone = set(table.entries) - set(calm.entries)
    assert gone == {"kick", "push_velocity", "push_interval_s", "external_force", "external_force_interval_s", "thrown_mass",
                    "thrown_speed", "throw_interval_s"}  # fmt: skip
    assert all(calm.entries[name] == table.entries[name] for name in calm.entries)


# when they happen --------------------------------------------------------------------------------------------------------


def test_terms_happen_when_they_are_due() -> None:
    nominal = float(base_mass(env_of())[0])
    env = env_of(heavier=EventTerm(my_terms.heavier, when="startup", factor=2.0), kick=KICK, episode_s=1.0)
    torch.testing.assert_close(base_mass(env), torch.full((6,), 2 * nominal))
    env.reset()
    speeds = [float(env.engine.qvel[0, 2])]
    for _ in range(12):
        env.step(torch.zeros(6, 12))
        speeds.append(float(env.engine.qvel[0, 2]))
    jumps = [after - before > 0.5 for before, after in itertools.pairwise(speeds)]
    assert [step for step, jump in enumerate(jumps, 1) if jump] == [5, 10]  # 0.09 s end in the fifth step


def test_each_episode_draws_its_own_and_other_worlds_keep_theirs() -> None:
    env = env_of(slippery=EventTerm(my_terms.slippery, by=Range(low=0.2, high=0.4, operation="set")))
    env.reset()
    before = env.engine.field("geom_friction")[:, -1, 0]
    assert (before >= 0.2).all()
    assert (before <= 0.4).all()
    assert len(set(before.tolist())) == 6
    env.episode_steps[:2] = env.max_steps - 1
    env.step(torch.zeros(6, 12))
    after = env.engine.field("geom_friction")[:, -1, 0]
    assert (after[:2] != before[:2]).all()
    assert torch.equal(after[2:], before[2:])


def test_a_term_of_ones_own_leaves_our_quantities_as_they_are() -> None:
    """Ours are drawn first, so a term adds to what happens and changes nothing of it until it draws."""
    plain, more = env_of(table=cfg_of(GO1).randomization), env_of(table=cfg_of(GO1).randomization, kick=KICK)
    for name, drawn in plain.randomizer.drawn.items():
        assert torch.equal(drawn, more.randomizer.drawn[name]), name


def test_a_term_under_the_name_of_a_quantity_takes_its_place() -> None:
    env = env_of(table=cfg_of(GO1).randomization, friction=EventTerm(my_terms.slippery, by=exactly(0.3, "set")))
    env.reset()
    assert torch.allclose(env.engine.field("geom_friction")[..., 0], torch.tensor(0.3))
    assert (env.randomizer.drawn["friction"] == 1.0).all()


def test_a_term_may_remember_something() -> None:
    env = env_of(wind=EventTerm(my_terms.Wind, most=50.0, turn=0.2), episode_s=0.2)
    env.reset()
    force = env.buffers["wind.force"].clone()
    walk(env, 5)
    torch.testing.assert_close(env.buffers["wind.direction"], torch.full((6,), 1.0))
    assert torch.equal(env.buffers["wind.force"], force)
    walk(env, 5)  # the episode ends with them
    assert (env.buffers["wind.direction"] == 0).all()
    assert (env.buffers["wind.force"] != force).all()


def test_a_term_is_left_out_where_the_environment_lacks_what_it_needs() -> None:
    term = EventTerm(my_terms.on_rough_ground, when="startup")
    env_of(rough=term).reset()  # its assertion would fail
    env_of("go1-velocity-rough", rough=term).reset()


# nothing is lost, nothing is drawn twice ---------------------------------------------------------------------------------


def test_what_a_reset_would_overwrite_is_refused_at_startup() -> None:
    table = dataclasses.replace(without_randomization(), payload=Range(low=0.0, high=1.0, operation="add"))
    heavier = EventTerm(my_terms.heavier, when="startup")
    with pytest.raises(ValueError, match="heavier changes body_mass at startup, which payload overwrites at every reset: set"):
        env_of(table=table, heavier=heavier)
    at_startup = dataclasses.replace(table, payload=Range(low=1.0, high=1.0, operation="add", when="startup"))
    env = env_of(table=at_startup, heavier=heavier)
    nominal = float(env.engine.model.body_mass[1])
    env.reset()
    torch.testing.assert_close(base_mass(env), torch.full((6,), 2 * (nominal + 1.0)))


def test_quantities_write_the_fields_that_are_said_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the check above stands on: no field is written that is not listed, and none is listed that never is."""
    listed: set[tuple[str, str]] = set()
    rough = cfg_of("g1-velocity-rough").randomization
    throw = {name: rough.range(name) for name in ("thrown_speed", "throw_interval_s", "thrown_mass")}
    for name in FieldRandomizer.WIDTHS:
        entry = rough.range(name) or exactly(0.1, "add")
        whole = throw if name == "thrown_mass" else {}
        for robot in (GO1, "panda-reach") if name != "thrown_mass" else (GO1,):
            env = env_of(robot, **{**whole, name: dataclasses.replace(entry, when="reset")})
            written: set[str] = set()
            monkeypatch.setattr(env.engine, "set_field", lambda field, ids, values, written=written: written.add(field))
            env.randomizer.reset(torch.arange(6))
            assert written <= set(WRITES[name]), name
            assert set(env.randomizer.writes("reset")) == set(WRITES[name])
            listed |= {(name, field) for field in written}
    assert {(name, field) for name, fields in WRITES.items() for field in fields} - listed <= {("thrown_mass", "body_gravcomp")}
    assert set(WRITES) <= set(QUANTITIES)


def test_a_new_seed_makes_the_same_worlds_whatever_was_before() -> None:
    """What is drawn once a world is drawn anew, and not on top of what was there."""
    startup = {"heavier": EventTerm(my_terms.heavier, when="startup", factor=1.5),
               "slippery": EventTerm(my_terms.slippery, when="startup", by=Range(low=0.2, high=0.9, operation="set"))}  # fmt: skip
    mass = Range(low=0.8, high=1.2, when="startup")
    one, other = env_of(mass=mass, **startup), env_of(mass=mass, seed=7, **startup)
    one.reset(), other.reset()
    walk(one, 3)
    before = base_mass(one)
    for env in (one, other, one):
        env.reseed(5)
        env.reset()
    assert torch.equal(base_mass(one), base_mass(other))
    assert torch.equal(one.engine.field("geom_friction"), other.engine.field("geom_friction"))
    assert not torch.equal(base_mass(one), before)
    ratio = base_mass(one) / (one.randomizer.drawn["mass"][:, 1] * float(one.engine.model.body_mass[1]))
    torch.testing.assert_close(ratio, torch.full((6,), 1.5))
    for mine, theirs in zip(walk(one, 10), walk(other, 10), strict=True):
        assert torch.equal(mine, theirs)


def test_a_new_seed_forgets_what_happened_at_intervals() -> None:
    """The next turn of a term may be minutes away: until then worlds would be what an earlier seed left."""
    later = EventTerm(my_terms.heavier, when="interval", interval_s=(0.05, 0.05), factor=2.0)
    env = env_of(later=later)
    nominal = float(env.engine.model.body_mass[1])
    env.reset()
    walk(env, 4)
    assert (base_mass(env) > 1.9 * nominal).all()
    env.reseed(5)
    env.reset()
    torch.testing.assert_close(base_mass(env), torch.full((6,), nominal))


@pytest.mark.parametrize("name", [GO1, "panda-reach"])
def test_a_resumed_world_is_the_one_that_was_drawn(name: str) -> None:
    """Terms of all three kinds, with memory: the other environment has drawn others, and all of it is replaced."""
    entries = {
        "slippery": EventTerm(my_terms.slippery, when="startup", by=Range(low=0.2, high=0.9, operation="set")),
        "heavier": EventTerm(my_terms.heavier, when="startup", factor=1.5),
        "wind": EventTerm(my_terms.Wind, most=30.0),
        "kick": EventTerm(my_terms.kick, when="interval", interval_s=(0.05, 0.3), speed=0.2),
    }
    env, other = env_of(name, episode_s=0.24, **entries), env_of(name, episode_s=0.24, seed=99, **entries)
    env.reset(), other.reset()
    walk(other, 5, seed=4)
    walk(env, 10)
    drawn = env.engine.field("geom_friction")
    assert not torch.equal(drawn, other.engine.field("geom_friction"))
    restore(other, snapshot(env))
    assert torch.equal(other.engine.field("geom_friction"), drawn)
    assert torch.equal(base_mass(other), base_mass(env))
    for mine, theirs in zip(walk(env, 30), walk(other, 30), strict=True):  # resets among them
        assert torch.equal(mine, theirs)
    assert torch.equal(env.engine.field("geom_friction"), drawn)  # once a world
    assert torch.equal(env.generator.get_state(), other.generator.get_state())


@pytest.mark.parametrize("name", TASKS)
def test_nothing_varies_without_randomization(name: str) -> None:
    env = env_of(name)
    env.reset()
    first = {field: env.engine.field(field) for field in ("body_mass", "geom_friction", "actuator_gainprm", "opt.gravity")}
    assert all((value == value[:1]).all() for value in first.values())

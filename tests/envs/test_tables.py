"""Tables of terms: what a user changes, removes and adds, and what is told of a mistake."""

import dataclasses
import itertools

import mujoco
import pytest
import torch

from envs.env_cfg import EnvCfg
from envs.snapshot import restore, snapshot
from envs.tasks import registry
from envs.terms import rewards
from envs.terms.randomization import without_randomization
from envs.terms.term import (
    CommandTerm,
    PrivilegedTerm,
    RewardTerm,
    SceneTerm,
    SensedTerm,
    SuccessTerm,
    TermError,
    TerminationTerm,
    reference,
    resolve,
)
from envs.vec_env import VecEnv
from policies.contract.observation import ABOUT, TERMS
from robolearn.config import loading as config
from robolearn.config import schema
from robolearn.errors import ConfigError
from tests.envs import my_terms
from tests.pairs import TASKS, cfg_of, make_env

GO1 = "go1-velocity-flat"
MINE = "tests.envs.my_terms"


def env_of(name: str = GO1, **tables) -> VecEnv:
    """Six worlds of a task whose tables get more entries."""
    cfg = cfg_of(name)
    added = {key: {**getattr(cfg, key), **value} if isinstance(value, dict) else value for key, value in tables.items()}
    return make_env(name, cfg, **{"num_worlds": 6, "num_threads": 1, **added})


def still(env: VecEnv) -> torch.Tensor:
    return torch.zeros(env.num_worlds, env.spec.action_dim)


# a term in Python --------------------------------------------------------------------------------------------------------


def test_a_term_has_all_parameters_of_its_function_and_no_other() -> None:
    term = RewardTerm(my_terms.spin, weight=0.5, sigma=0.2)
    assert term.params == {"sigma": 0.2, "power": 2}
    assert term.changed(power=3, weight=1.0).values() == {"weight": 1.0, "sigma": 0.2, "power": 3}
    assert term.values() == {"weight": 0.5, "sigma": 0.2, "power": 2}
    with pytest.raises(TermError, match=r"my_terms:spin has no parameter 'sigm'; did you mean 'sigma'\?; valid: weight, sigma, power"):
        RewardTerm(my_terms.spin, sigm=0.2)
    with pytest.raises(TermError, match="my_terms:spin needs sigma"):
        RewardTerm(my_terms.spin)
    with pytest.raises(TermError, match=r"sigma of .* must be a finite number, not 'much'"):
        RewardTerm(my_terms.spin, sigma="much")
    with pytest.raises(TermError, match=r"power of .* must be a whole number, not 2.5"):
        RewardTerm(my_terms.spin, sigma=1.0, power=2.5)


def test_a_function_is_named_by_its_module() -> None:
    assert resolve(reference(my_terms.spin)) is my_terms.spin
    assert RewardTerm(f"{MINE}:spin", sigma=1.0) == RewardTerm(my_terms.spin, sigma=1.0)
    with pytest.raises(TermError, match=r"has no 'spinn'; did you mean 'spin'\?"):
        resolve(f"{MINE}:spinn")
    with pytest.raises(TermError, match=r"there is no module 'nowhere'; install its package, or put its folder on PYTHONPATH"):
        resolve("nowhere.terms:spin")
    with pytest.raises(TermError, match="has no name in its module"):
        reference(lambda env: env)


# rewards, terminations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_each_reward_is_its_weight_times_its_function_and_the_sum_is_the_reward(name: str) -> None:
    env = make_env(name, num_worlds=6, num_threads=1)
    env.reset()
    step = env.step(0.3 * torch.randn(6, env.spec.action_dim, generator=torch.Generator().manual_seed(0)))
    assert list(env.reward_terms) == [key for key, term in env.cfg.rewards.items() if term.weight]
    torch.testing.assert_close(step.reward, env.cfg.control_dt * sum(env.reward_terms.values()), rtol=1e-5, atol=1e-6)
    double = make_env(name, num_worlds=6, num_threads=1,
                      rewards={key: term.changed(weight=2 * term.weight) for key, term in env.cfg.rewards.items()})  # fmt: skip
    double.reset()
    again = double.step(0.3 * torch.randn(6, env.spec.action_dim, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(again.reward, 2 * step.reward)


def test_a_reward_of_ones_own_counts_like_any_other() -> None:
    env = env_of(rewards={"spin": RewardTerm(my_terms.spin, weight=0.5, sigma=0.3)})
    env.reset()
    env.step(still(env))
    expected = 0.5 * torch.exp(-env.engine.qvel[:, 5].square() / 0.3)
    torch.testing.assert_close(env.reward_terms["spin"], expected)


def test_a_term_of_another_shape_is_told_by_name_before_anything_runs() -> None:
    with pytest.raises(ValueError, match=r"rewards.bad returns \(6, 1\), but must return one value per world, \(6,\)"):
        env_of(rewards={"bad": RewardTerm(my_terms.column)})
    with pytest.raises(ValueError, match=r"terminations.bad returns torch.float32, but must return torch.bool"):
        env_of(terminations={"bad": TerminationTerm(rewards.tilt)})


def test_a_term_of_weight_zero_is_not_computed_and_one_that_the_robot_cannot_give_is_refused() -> None:
    assert env_of(rewards={"foot_tilt": RewardTerm(rewards.foot_tilt, weight=0.0)}).reset() is not None
    with pytest.raises(ValueError, match="the tilt of feet is for robots with soles; go1 has none"):
        env_of(rewards={"foot_tilt": RewardTerm(rewards.foot_tilt, weight=-1.0)})
    with pytest.raises(ValueError, match="this needs feet; panda has none"):
        env_of("panda-reach", rewards={"slip": RewardTerm(rewards.foot_slip)})


def test_what_a_term_remembers_is_saved_resumed_and_cleared_at_resets() -> None:
    def make() -> VecEnv:
        return env_of(episode_s=0.3, rewards={"restless": RewardTerm(my_terms.Restless, weight=-1.0)})

    env, other = make(), make()
    env.reset(), other.reset()
    actions = torch.randn(30, 6, 12, generator=torch.Generator().manual_seed(1))
    for action in actions[:12]:
        env.step(action)
    state = snapshot(env)
    assert state["buffers"]["restless.moved_s"].max() > 0
    restore(other, state)
    for action in actions[12:]:
        ours, theirs = env.step(action), other.step(action)
        assert torch.equal(ours.reward, theirs.reward)
        ended = ours.truncated | ours.terminated
        assert torch.equal(env.buffers["restless.moved_s"], other.buffers["restless.moved_s"])
        assert (env.buffers["restless.moved_s"][ended] == 0).all()
    assert ended.any() or (env.episode_steps < 15).all()
    with pytest.raises(ValueError, match=r"restless.moved_s, which is not here"):
        restore(env_of(episode_s=0.3), state)


def test_removing_any_reward_leaves_the_curriculum_and_the_others_alone() -> None:
    """What makes the next episode harder is computed for itself."""
    whole = make_env("go1-velocity-rough", num_worlds=8, num_threads=1, episode_s=0.4)
    bare = make_env("go1-velocity-rough", num_worlds=8, num_threads=1, episode_s=0.4, rewards={})
    whole.reset(), bare.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        action = 0.2 * torch.randn(8, 12, generator=generator)
        one, other = whole.step(action), bare.step(action)
        assert torch.equal(one.privileged, other.privileged)
        assert (other.reward == 0).all()
        assert torch.equal(whole.places.level, bare.places.level)
    assert whole.places.level.float().mean() != whole.cfg.terrain.start_levels / 2 - 0.5


# observations, symmetry --------------------------------------------------------------------------------------------------


def test_what_the_teacher_sees_more_comes_last_and_has_an_image() -> None:
    env = env_of(privileged={"turning": PrivilegedTerm(my_terms.turning)})
    _, privileged = env.reset()
    torch.testing.assert_close(privileged[:, -3:], env.engine.qvel[:, 3:6])
    permutation, sign = env.mirror()["privileged"]
    assert sign[-3:].tolist() == [-1.0, 1.0, -1.0]
    assert permutation[-3:].tolist() == [privileged.shape[1] - 3 + i for i in range(3)]


def test_a_term_without_an_image_is_why_there_is_no_symmetry() -> None:
    env = env_of(privileged={"sideways": PrivilegedTerm(my_terms.sideways)})
    assert env.mirror() is None
    assert env.symmetry().faults == (
        "term 'sideways' has no mirror image; declare one for its function with envs.terms.about.about(mirror=...)",
    )


def test_a_sensed_term_of_ones_own_is_known_to_the_contract_too() -> None:
    try:
        mine = {"joint_energy": SensedTerm(func=f"{MINE}:joint_energy")}
        env = env_of(observations=mine, randomization=without_randomization())
        policy, _ = env.reset()
        assert env.spec.terms[-1].name == "joint_energy"
        assert env.spec.terms[-1].dim == 12
        torch.testing.assert_close(policy[:, -12:], (env.joint_position - env.default_pose) * env.joint_velocity)
        assert env.mirror() is None
    finally:
        TERMS.pop("joint_energy", None), ABOUT.pop("joint_energy", None)
    with pytest.raises(ValueError, match=r"observations\.nothing: there is no such term; valid: base_angular_velocity"):
        env_of(observations={"nothing": SensedTerm()})
    with pytest.raises(ValueError, match=r"observations\.clock cannot be sensed here: clock_hz is 0"):
        env_of(clock_hz=0.0)


def test_a_task_may_see_and_be_asked_anything() -> None:
    """A command of one's own: drawn, observed, mirrored, and in the contract."""
    cfg = cfg_of(GO1)
    env = make_env(
        GO1, cfg, num_worlds=50, num_threads=1, command=CommandTerm(my_terms.Heading, limit=1.5),
        rewards={"tilt": cfg.rewards["tilt"]}, success=None, metrics={},
    )  # fmt: skip
    env.reset()
    assert (env.spec.command.kind, env.spec.command.labels, env.spec.command.upper) == ("motion", ("heading",), (1.5,))
    assert env.command.shape == (50, 1)
    assert env.command.abs().max() <= 1.5
    assert env.command.std() > 0.5
    assert env.mirror() is not None
    with pytest.raises(ValueError, match="this term is about a velocity command"):
        make_env(GO1, cfg, num_worlds=2, num_threads=1, command=CommandTerm(my_terms.Heading, limit=1.5), success=None, metrics={},
                 rewards={"still": cfg.rewards["stand_still"]})  # fmt: skip


# commands ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [GO1, "panda-reach"])
def test_a_held_command_stays_through_time_and_resets_until_it_is_released(name: str) -> None:
    cfg = cfg_of(name)
    env = make_env(name, cfg, num_worlds=6, num_threads=1, episode_s=0.1, command=cfg.command.changed(hold_s=(0.05, 0.08)))
    env.reset()
    free = env.command[3:].clone()
    asked = torch.tensor([[0.31, 0.11, 0.21], [0.32, 0.12, 0.22], [0.33, 0.13, 0.23]])
    env.hold_command(asked, torch.arange(3))
    before = env.command
    for _ in range(12):
        step = env.step(still(env))
        assert torch.equal(env.command[:3], asked)
        at = sum(t.dim for t in env.spec.terms[: [t.name for t in env.spec.terms].index("command")])
        assert torch.equal(step.policy[:3, at : at + 3], asked)
    assert not (env.command[3:] == free).all(1).any()
    assert torch.equal(before[:3], asked)  # who read it has it still
    state = snapshot(env)
    env.release_command()
    assert not (env.command[:3] == asked).all(1).any()
    restore(env, state)
    env.step(still(env))
    assert torch.equal(env.command[:3], asked)
    env.hold_command(torch.tensor([0.4, 0.1, 0.2]))
    assert (env.command == torch.tensor([0.4, 0.1, 0.2])).all()


# scene --------------------------------------------------------------------------------------------------------------------


def add_box(spec: mujoco.MjSpec, size: float) -> None:
    """A box in the air, for the scene."""
    spec.worldbody.add_geom(name="box", type=mujoco.mjtGeom.mjGEOM_BOX, size=[size] * 3, pos=[0, 0, 5])


def test_the_scene_has_what_the_task_puts_there() -> None:
    env = env_of(scene={"box": SceneTerm(add_box, size=0.2)})
    assert env.engine.model.geom("box").size.tolist() == [0.2, 0.2, 0.2]


# what is given and what is handed out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_nothing_that_was_given_or_handed_out_is_shared(name: str) -> None:
    """The caller may overwrite its actions and what a step gave it, and nothing is overwritten later."""
    env, twin = (make_env(name, num_worlds=6, num_threads=1, episode_s=0.2) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    given = torch.empty(6, env.spec.action_dim)
    first, _ = env.reset(), twin.reset()
    first[0].fill_(7.0), first[1].fill_(7.0)
    kept = []
    for _ in range(25):
        action = 0.3 * torch.randn(6, env.spec.action_dim, generator=generator)
        given.copy_(action)
        ours, theirs = env.step(given), twin.step(action)
        given.fill_(99.0)
        kept.append(([value.clone() for value in dataclasses.astuple(theirs)], theirs))
        for field in dataclasses.fields(ours):
            assert torch.equal(getattr(ours, field.name), getattr(theirs, field.name)), field.name
        for value in (getattr(ours, field.name) for field in dataclasses.fields(ours)):
            value.fill_(1 if value.dtype == torch.bool else 7.0)
    for before, step in kept:
        for value, field in zip(before, dataclasses.fields(step), strict=True):
            assert torch.equal(value, getattr(step, field.name)), field.name


# success -----------------------------------------------------------------------------------------------------------------


def test_success_may_be_the_users_own() -> None:
    env = env_of(success=SuccessTerm("envs.terms.tracking:lasted"))
    env.reset()
    assert not env._tables.success().any()
    env.episode_steps[:3] = env.max_steps
    assert env._tables.success().tolist() == [True] * 3 + [False] * 3


# YAML --------------------------------------------------------------------------------------------------------------------


def load(*overrides: str, preset: str = GO1) -> EnvCfg:
    return schema.load(preset, [f"--env.{override}" for override in overrides]).env


def test_overrides_change_remove_and_add_terms() -> None:
    cfg = load("rewards.torque.weight=-1e-4", "rewards.pose=null", "rewards.gait.sigma=0.1", "command.vx=[-0.5, 0.7]",
               f"rewards.spin={{func: '{MINE}:spin', weight: 0.5, sigma: 0.2}}")  # fmt: skip
    plain = cfg_of(GO1)
    assert cfg.rewards["torque"].weight == -1e-4
    assert "pose" not in cfg.rewards
    assert cfg.rewards["gait"] == plain.rewards["gait"].changed(sigma=0.1)
    assert cfg.rewards["spin"] == RewardTerm(my_terms.spin, weight=0.5, sigma=0.2)
    assert cfg.command.params["vx"] == (-0.5, 0.7)
    assert list(cfg.rewards) == [*(name for name in plain.rewards if name != "pose"), "spin"]
    swapped = load(f"rewards.torque.func='{MINE}:spin'", "rewards.torque.sigma=0.5")
    assert swapped.rewards["torque"] == RewardTerm(my_terms.spin, weight=plain.rewards["torque"].weight, sigma=0.5)


def test_an_entry_that_a_checkpoint_added_is_removed_by_null() -> None:
    added = ["rewards.spin={func: 'tests.envs.my_terms:spin', sigma: 0.2}", "observations.joint_target={noise: 0.1}"]
    text = config.dump(schema.load(GO1, [f"--env.{entry}" for entry in added]))
    removed = schema.loads(text, "checkpoint", ["--env.rewards.spin=null", "--env.observations.joint_target=null"])
    assert removed.env == load()
    with pytest.raises(ConfigError, match=r"unknown key 'env.rewards.spinn'"):
        schema.loads(text, "checkpoint", ["--env.rewards.spinn=null"])


@pytest.mark.parametrize("preset", [name for name in config.preset_names() if config.peek(name, "robot", default="")])
def test_a_resolved_config_comes_back_from_its_text(preset: str) -> None:
    cfg = schema.load(preset, ["--env.rewards.extra={func: 'envs.terms.rewards:action_rate', weight: 0.1}"])
    text = config.dump(cfg)
    again = schema.loads(text, "the text")
    assert again.env == cfg.env
    assert again.teacher == cfg.teacher
    assert config.dump(again) == text
    for table in ("observations", "privileged", "rewards", "terminations"):
        assert list(getattr(again.env, table)) == list(getattr(cfg.env, table))
    env = registry.make_env(again.task, again.robot, again.env, num_worlds=1, num_threads=1)
    assert [term.name for term in env.spec.terms] == list(cfg.env.sensed())


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("reward.torque=-1e-4", "env.reward.torque is env.rewards.torque.weight now"),
        ("reward={torque: 1.0}", "env.reward.torque is env.rewards.torque.weight now"),
        ("reward.track_sigma=0.4", "is env.rewards.track_velocity.sigma and env.rewards.track_yaw_rate.sigma now"),
        ("reward.swing_height=0.4", "is env.rewards.gait.swing_height now"),
        ("max_tilt=0.5", "env.max_tilt is env.terminations.tilt.max_tilt now"),
        ("min_height=0.5", "env.min_height is env.terminations.height.minimum now"),
        ("curriculum=false", "env.curriculum.terrain=null for all levels from the start"),
        ("rewards.torqe.weight=1", r"unknown key 'env.rewards.torqe'; did you mean 'env.rewards.torque'\?"),
        ("rewards.torque.wieght=1", r"'env.rewards.torque.wieght'; did you mean 'env.rewards.torque.weight'\?; valid: weight, func"),
        ("rewards.mine.weight=1", "a new entry says func: package.module:function"),
        ("rewards.torqe=null", r"did you mean 'env.rewards.torque'\?"),
        ("rewards.torque=3", "env.rewards.torque must be a table"),
        ("rewards.torque.weight=.inf", "env.rewards.torque.weight must be a finite number"),
        (f"rewards.mine={{func: '{MINE}:spin'}}", "env.rewards.mine.sigma is missing; tests.envs.my_terms:spin needs it"),
        (f"rewards.mine={{func: '{MINE}:spin', sigma: wide}}", "env.rewards.mine.sigma must be a number, not 'wide'"),
        (f"rewards.mine={{func: '{MINE}:spinn'}}", r"env.rewards.mine.func: .* did you mean 'spin'\?"),
        ("rewards.mine={func: spin}", "env.rewards.mine.func: 'spin' is not a function's name; write package.module:function"),
        ("observations.nothing={noise: 1.0}", "new ones: base_angular_velocity"),
        ("command.hold=[1, 2]", r"did you mean 'env.command.hold_s'\?"),
        ("terminations.tilt.time_out=2", "env.terminations.tilt.time_out must be true or false"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_is_valid(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(override)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"--env.{override}: ")


def test_a_task_that_named_its_robot_is_told_what_it_is_now() -> None:
    with pytest.raises(ConfigError, match="task go1-velocity-flat is now the task velocity-flat of any robot: write `task: velocity-flat`"):
        schema.load(GO1, ["--task=go1-velocity-flat"])


def test_a_task_registered_from_outside_is_made_like_ours() -> None:
    task = registry.Task(
        name="spin-around", description="turn on the spot",
        make=lambda robot: dataclasses.replace(cfg_of(GO1), rewards={"spin": RewardTerm(my_terms.spin, sigma=0.3)}),
        evaluation=registry.get_task("velocity-flat").evaluation,
    )  # fmt: skip
    registry.register_task(task)
    try:
        env = registry.make_env("spin-around", "go1", num_worlds=2, num_threads=1)
        assert env.spec.task == "spin-around"
        cfg = schema.load("spin-around", ["--robot=go1", "--env.rewards.spin.sigma=0.1"])
        assert cfg.env.rewards["spin"].params["sigma"] == 0.1
        with pytest.raises(ValueError, match="a task 'spin-around'"):
            registry.register_task(dataclasses.replace(task, description="another"))
    finally:
        registry.TASKS._things.pop("spin-around")


def test_no_two_of_our_terms_write_the_same_buffer() -> None:
    names = [list(make_env(name, num_worlds=1, num_threads=1).buffers.state()) for name in TASKS]
    assert all(len(set(each)) == len(each) for each in names)
    assert set(itertools.chain(*names)) == {"air_time_s", *(f"follows_velocity.{name}" for name in ("tracked_s", "seen_s", "fell"))}

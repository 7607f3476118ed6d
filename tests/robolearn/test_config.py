"""Configuration: every value survives a round trip exactly, and every mistake is one line that says where and what is valid."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from robolearn.config import loading as config
from robolearn.config import presets, schema
from robolearn.config.loading import ConfigError, dump, load, loads


class Cone(enum.Enum):
    PYRAMIDAL = "pyramidal"
    ELLIPTIC = "elliptic"


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    hidden: tuple[int, ...] = (256, 128)
    clip: float | None = None


@dataclass(frozen=True, kw_only=True)
class Push:
    start_s: float
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    name: str = "run"
    seed: int = 0
    resume: bool = False
    folder: Path = Path("runs")
    note: str | None = None
    engine: Literal["mujoco", "warp"] = "mujoco"
    cone: Cone = Cone.PYRAMIDAL
    optimizer: Optimizer = Optimizer()
    warmup: Optimizer | None = None
    fallback: Optimizer | None = Optimizer(learning_rate=0.5, hidden=(7,))
    pushes: tuple[Push, ...] = ()
    rewards: dict[str, float] = field(default_factory=lambda: {"track": 1.0, "torque": -1e-5})
    extra: dict[str, float] = field(default_factory=dict)
    limit: float = field(default=math.inf, metadata={"allow_nonfinite": True})

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
OPTIMIZERS = st.builds(
    Optimizer, learning_rate=FLOATS, betas=st.tuples(FLOATS, FLOATS), hidden=st.lists(st.integers()).map(tuple), clip=st.none() | FLOATS
)
RUNS = st.builds(
    Run,
    name=st.text(),
    seed=st.integers(min_value=0),
    resume=st.booleans(),
    folder=st.text(st.characters(exclude_categories=["C"]), min_size=1).map(Path),
    note=st.none() | st.text(),
    engine=st.sampled_from(["mujoco", "warp"]),
    cone=st.sampled_from(Cone),
    optimizer=OPTIMIZERS,
    warmup=st.none() | OPTIMIZERS,
    fallback=st.none() | OPTIMIZERS,
    pushes=st.lists(st.builds(Push, start_s=FLOATS, velocity=st.tuples(FLOATS, FLOATS, FLOATS)), max_size=3).map(tuple),
    rewards=st.dictionaries(st.sampled_from(["track", "torque"]), FLOATS),
    extra=st.dictionaries(st.text(), FLOATS, max_size=4),
    limit=st.floats(allow_nan=False),
)


@given(RUNS)
def test_dump_loads_back_to_the_same_object(run: Run) -> None:
    again = loads(Run, dump(run))
    assert again == run
    assert list(again.rewards) == [key for key in Run().rewards if key in run.rewards], "a closed table keeps its default's order"
    assert dump(loads(Run, dump(again))) == dump(again)


@given(RUNS)
def test_other_yaml_readers_see_the_same_values(run: Run) -> None:
    assert yaml.safe_load(dump(run)) == config.to_dict(run)


@given(FLOATS)
def test_an_override_carries_a_float_exactly(value: float) -> None:
    assert load(Run, None, [f"--optimizer.learning_rate={value!r}"]).optimizer.learning_rate == value


@given(st.text())
def test_an_override_carries_unquoted_text_as_typed(text: str) -> None:
    if not text.startswith(("'", '"')):
        assert load(Run, None, [f"--name={text}"]).name == text


def test_defaults_alone() -> None:
    assert load(Run) == Run()


def test_numbers_as_people_write_them() -> None:
    run = loads(Run, "seed: 1_000\nlimit: .inf\noptimizer: {learning_rate: 1e-3, betas: [0, 1.]}\nname: 'no'\n")
    assert run.optimizer.learning_rate == 1e-3
    assert run.optimizer.betas == (0.0, 1.0)
    assert isinstance(run.optimizer.betas[0], float)
    assert (run.seed, run.limit, run.name) == (1000, math.inf, "no")
    assert loads(Run, "seed: 010\nname: no\nnote: 2024-01-02").seed == 10


def test_tables_are_laid_over_what_they_stand_on() -> None:
    assert loads(Run, "rewards: {track: 2}").rewards == {"track": 2.0, "torque": -1e-5}
    assert loads(Run, "rewards: {torque: null}").rewards == {"track": 1.0}
    assert loads(Run, "extra: {anything: 2}").extra == {"anything": 2.0}
    assert loads(Run, "fallback: {clip: 1}").fallback == Optimizer(learning_rate=0.5, hidden=(7,), clip=1.0)
    assert loads(Run, "warmup: {clip: 1}").warmup == Optimizer(clip=1.0)


def test_later_overrides_win_and_reach_into_the_preset() -> None:
    run = loads(Run, "optimizer: {hidden: [1], clip: 2}", overrides=["--optimizer.clip=3", "--optimizer.clip=4", "--engine=warp"])
    assert run.optimizer == Optimizer(hidden=(1,), clip=4.0)
    assert run.engine == "warp"


MISTAKES = [
    ("seed: yes please", "text.yaml:1: seed must be a whole number, not 'yes please'"),
    ("name: x\nseed: true", "text.yaml:2: seed must be a whole number, not true"),
    ("seed: 1e6", "seed must be a whole number, written 1000000, not 1000000.0"),
    ("seed: '3'", "seed must be a whole number, not '3'"),
    ("seed: -1", "seed must not be negative, not -1"),
    ("resume: 1", "resume must be true or false, not 1"),
    ("resume: yes", "resume must be true or false, not 'yes'"),
    ("name: 7", "name must be text; put it in quotes, not 7"),
    ("optimizer: {learning_rate: '1'}", "optimizer.learning_rate must be a number, not '1'"),
    ("optimizer: {learning_rate: true}", "optimizer.learning_rate must be a number, not true"),
    ("optimizer: {learning_rate: .nan}", "optimizer.learning_rate must be a finite number, not nan"),
    ("optimizer: {learning_rate: -.inf}", "optimizer.learning_rate must be a finite number, not -inf"),
    (f"optimizer: {{learning_rate: 1{'0' * 400}}}", "must be a number that a double can hold"),
    (
        "optimizer: {learning_rte: 1}",
        "unknown key 'optimizer.learning_rte'; did you mean 'optimizer.learning_rate'?; valid: learning_rate, betas",
    ),
    ("learning_rate: 1", "unknown key 'learning_rate'; did you mean 'optimizer.learning_rate'?; valid: name, seed"),
    ("optimizer: 3", "optimizer must be a table with keys from learning_rate, betas, hidden, clip, not 3"),
    ("optimizer:\n  betas: [1]", "text.yaml:2: optimizer.betas must have 2 entries, not 1"),
    ("optimizer:\n  hidden:\n    - 1\n    - two", "text.yaml:4: optimizer.hidden[1] must be a whole number, not 'two'"),
    ("optimizer: {hidden: 3}", "optimizer.hidden must be a list [...], not 3"),
    ("pushes: [{velocity: [1, 2, 3]}]", "pushes[0].start_s is missing; it has no default"),
    ("engine: mujco", "engine must be one of mujoco, warp, not 'mujco'; did you mean 'mujoco'?"),
    ("cone: eliptic", "cone must be one of pyramidal, elliptic, not 'eliptic'; did you mean 'elliptic'?"),
    ("rewards: {trak: 1}", "unknown key 'rewards.trak'; did you mean 'rewards.track'?; valid: track, torque"),
    ("rewards: {track: x}", "rewards.track must be a number, not 'x'"),
    ("rewards: 1", "rewards must be a table (key: value), not 1"),
    ("seed: 1\nseed: 2", "text.yaml:2: key 'seed' is given twice"),
    ("seed: [1", "text.yaml:1: not valid YAML: "),
    ("seed: !!python/name:os.system x", "is not supported; use plain values"),
    ("optimizer: &a {clip: *a}", "an alias that contains itself"),
    ("- 1", "the configuration must be a table with keys from name"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(Run, text, "text.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("text.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--optimizer.clip=x", "--optimizer.clip=x: optimizer.clip must be a number, not 'x'"),
        ("--optimzer.clip=1", "unknown key 'optimzer'; did you mean 'optimizer'?"),
        ("--optimizer.hidden=[1", "optimizer.hidden must be a list [...], not '[1'"),
        ("--seed", "override '--seed' must have the form --section.key=value"),
        ("--optimizer..clip=1", "must have the form"),
    ],
)
def test_a_mistaken_override_names_itself(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Run, None, [override])
    assert message in str(caught.value)


def test_presets_extend_one_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: 1\noptimizer: {clip: 1, hidden: [1]}\n", encoding="utf-8")
    (tmp_path / "middle.yaml").write_text("extends: base\nname: middle\noptimizer: {clip: 2}\n", encoding="utf-8")
    (tmp_path / "leaf.yaml").write_text("extends: [middle, other.yaml]\n", encoding="utf-8")
    (tmp_path / "other.yaml").write_text("engine: warp\nname: other\n", encoding="utf-8")
    expected = Run(seed=1, name="other", engine="warp", optimizer=Optimizer(clip=2.0, hidden=(1,)))
    assert load(Run, tmp_path / "leaf.yaml") == expected
    assert load(Run, str(tmp_path / "leaf.yaml"), ["--seed=5"]) == replace(expected, seed=5)


def test_extends_mistakes_name_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("extends: b\n", encoding="utf-8")
    Path("b.yaml").write_text("extends: a\n", encoding="utf-8")
    Path("c.yaml").write_text("seed: 1\nextends: nothing-like-it\n", encoding="utf-8")
    Path("d.yaml").write_text("extends: e\n", encoding="utf-8")
    Path("e.yaml").write_text("seed: 1\n\nsed: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"extends itself through a.yaml -> b.yaml"):
        load(Run, "a.yaml")
    with pytest.raises(ConfigError, match=r"^c.yaml:2: extends: no preset 'nothing-like-it'"):
        load(Run, "c.yaml")
    with pytest.raises(ConfigError, match=r"^e.yaml:3: unknown key 'sed'; did you mean 'seed'\?"):
        load(Run, "d.yaml")


def test_a_missing_preset_names_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "walking.yaml").write_text("seed: 4\n", encoding="utf-8")
    monkeypatch.setattr(presets, "presets_dir", lambda: tmp_path)
    assert load(Run, "walking").seed == 4
    with pytest.raises(ConfigError, match=r"no preset 'wallking'; did you mean 'walking'\?; valid: walking"):
        load(Run, "wallking")
    with pytest.raises(ConfigError, match=r"no configuration file at .*absent.yaml"):
        load(Run, tmp_path / "absent.yaml")


def test_peek_reads_one_value_before_the_schema_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("task: walk\nseed: 2\n", encoding="utf-8")
    assert config.peek(path, "task") == "walk"
    assert config.peek(path, "task", ["--task=reach"]) == "reach"
    with pytest.raises(ConfigError, match=r"a.yaml: robot is missing"):
        config.peek(path, "robot")
    with pytest.raises(ConfigError, match=r"a.yaml:2: seed must be text"):
        config.peek(path, "seed")


def test_every_shipped_preset_is_readable_yaml() -> None:
    for name in config.preset_names():
        tree = config._read(config.preset_path(name))
        assert isinstance(tree.value, dict), name


OUT_OF_RANGE = [
    ("--env.decimation=0", "decimation must be at least 1"),
    ("--env.control_dt=0.0", "control_dt must be positive"),
    ("--env.randomization.observation_delay_s.high=0.05", "observation_delay_s must lie between 0 and control_dt"),
    ("--env.randomization.payload.operation=scale", "payload has operation 'add', not 'scale'"),
    ("--teacher.ppo.epochs=0", "epochs must be at least 1"),
    ("--student.ppo.minibatches=0", "minibatches must be at least 1"),
    ("--teacher.ppo.discount=1.5", "discount must lie between 0 and 1"),
    ("--checkpoint_every=0", "checkpoint_every must be at least 1"),
]


@pytest.mark.parametrize(("override", "message"), OUT_OF_RANGE)
def test_a_value_that_cannot_work_is_refused_before_anything_runs(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schema.load("go1-velocity-flat", [override])

"""All kinds of network: chunks equal the full pass, nothing leaks from the future or from an episode before, each becomes a policy file."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs.tasks.registry import make_env
from policies.contract.file import GoldenMismatchError, PolicyFile, PolicyFileError
from policies.contract.spec import ImageSpec, ObservationGroup
from policies.export.onnx_graph import EXPORT_TOLERANCE, export_student
from policies.networks.protocol import Memory, Network, NetworkCfg, clone
from policies.networks.registry import NETWORKS, NetworkKind, make_network, network_cfg, register_network
from policies.registry import UnknownNameError
from robolearn.config import loading
from robolearn.config.schema import StudentCfg
from robolearn.errors import ConfigError
from robolearn.learning.export import record_sensors
from robolearn.learning.student import StudentTrainer, load_student
from tests.learning_helpers import randomize, tiny_cfg, tiny_teacher

WORLDS, TOKENS, OBSERVATION, ACTION = 5, 20, 7, 3
EACH = pytest.mark.parametrize("kind", ["transformer", "lstm", "tcn", "mlp"])


def network(kind: str, observation: int = OBSERVATION, action: int = ACTION, **given: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"width": 16, "layers": 2, "heads": 2, "window": 9, **given}
    cfg = network_cfg(kind)
    net: Any = make_network(observation, action, cfg(**{name: value for name, value in sizes.items() if name in cfg.__dataclass_fields__}))
    torch.nn.init.normal_(net.head[-1].weight)  # no silent head
    return net.requires_grad_(False)


@EACH
def test_chunks_and_steps_equal_the_full_pass(kind):
    net = network(kind)
    x = torch.randn(WORLDS, TOKENS, OBSERVATION, generator=torch.Generator().manual_seed(1))
    first = torch.rand(WORLDS, TOKENS, generator=torch.Generator().manual_seed(2)) < 0.15
    full, after = net(x, net.start(WORLDS), first)
    assert full.std() > 0.05
    memory, outputs = net.start(WORLDS), []
    for begin, end in ((0, 1), (1, 8), (8, 20)):
        output, memory = net(x[:, begin:end], memory, first[:, begin:end])
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, dim=1), full, rtol=0, atol=1e-5)
    torch.testing.assert_close(memory, after, rtol=0, atol=1e-5)
    stream = net.stream(net.start(WORLDS))
    steps = torch.stack([stream.step(x[:, t], first[:, t]) for t in range(TOKENS)], dim=1)
    torch.testing.assert_close(steps, full, rtol=0, atol=1e-5)
    torch.testing.assert_close(stream.memory(), after, rtol=0, atol=1e-5)
    start = net.start(WORLDS)
    assert {name: value.shape for name, value in after.items()} == {name: value.shape for name, value in start.items()}
    assert all(value.shape[0] == WORLDS for value in start.values())


@EACH
def test_neither_the_future_nor_the_episode_before_is_seen(kind):
    net = network(kind)
    x = torch.randn(1, TOKENS, OBSERVATION, generator=torch.Generator().manual_seed(1))
    first = torch.zeros(1, TOKENS, dtype=torch.bool)
    first[0, 12] = True
    out, _ = net(x, net.start(1), first)
    later = x.clone()
    later[0, 8] += 1.0
    changed, _ = net(later, net.start(1), first)
    different = (changed - out).abs().amax(dim=(0, 2)) > 1e-7
    assert not different[:8].any()
    assert different[8]
    assert not different[12:].any()
    assert bool(different[9:12].all()) == (kind != "mlp")  # they remember, the MLP does not


def test_a_convolution_sees_its_window_and_no_more():
    net = network("tcn", window=9, layers=2)
    assert net.kernel == 3
    x = torch.zeros(1, TOKENS, OBSERVATION)
    out, _ = net(x, net.start(1))
    x[0, 2] += 1.0
    changed, _ = net(x, net.start(1))
    seen = ((changed - out).abs().amax(dim=(0, 2)) > 1e-7).nonzero().flatten().tolist()
    assert seen == list(range(2, 2 + 9))


@EACH
def test_each_can_be_a_student_and_go_on(kind):
    """Two iterations, saved and gone on from, equal three in one; and the trained network is what its checkpoint gives back."""
    cfg = tiny_cfg("go1-velocity-flat")
    sizes = {"width": 16, "layers": 1} | ({"heads": 2} if kind == "transformer" else {})
    cfg = dataclasses.replace(cfg, student=dataclasses.replace(cfg.student, network=network_cfg(kind)(**sizes)))
    teacher = tiny_teacher(cfg)
    whole, parts = StudentTrainer(cfg, teacher), StudentTrainer(cfg, teacher)
    for _ in range(3):
        whole.iterate()
    for _ in range(2):
        parts.iterate()
    resumed = StudentTrainer(cfg, teacher)
    resumed.load_state_dict(parts.state_dict())
    resumed.iterate()
    for name, value in whole.policy.state_dict().items():
        torch.testing.assert_close(resumed.policy.state_dict()[name], value, rtol=0, atol=0)
    net = load_student(resumed.state_dict(), cfg)
    x = torch.randn(2, 3, resumed.env.spec.observation_dim)
    torch.testing.assert_close(net(x, net.start(2))[0], resumed.policy.actor(x, net.start(2))[0])


@EACH
def test_each_becomes_a_policy_file_that_equals_torch(kind, tmp_path):
    env = make_env("velocity-flat", "go1", num_worlds=1, num_threads=1, seed=3)
    net = randomize(network(kind, env.spec.observation_dim, env.spec.action_dim)).requires_grad_(False)
    sensors = record_sensors(env, net, 40)
    file = export_student(net, env.spec, sensors, {}, tmp_path / "policy.onnx")
    assert file.verify() <= EXPORT_TOLERANCE
    rows = torch.randn(60, env.spec.observation_dim, generator=torch.Generator().manual_seed(4)) * 2
    for _ in range(2):  # a reset brings back the memory that it started with
        memory = net.start(1)
        file.reset()
        for row in rows:
            action, memory = net(row[None, None], memory)
            np.testing.assert_allclose(file.act(row.numpy()), action[0, 0].numpy(), rtol=0, atol=EXPORT_TOLERANCE)
    if kind != "transformer":  # whose age a policy file does not count on for ever
        assert {name: value.shape for name, value in file.memory.items()} == {name: value.shape for name, value in memory.items()}
    assert PolicyFile(file.path).spec.history_steps == net.history_steps


@EACH
def test_a_policy_that_runs_for_days_stays_as_it_is(kind):
    """What counts steps stops counting: float32 counts to 16 million, which is four days."""
    net = network(kind)
    memory, row = net.start(1), torch.ones(1, OBSERVATION)
    for _ in range(60):
        _, memory = net.step({"state": row}, memory)
    before = clone(memory)
    _, memory = net.step({"state": row}, memory)
    assert all(torch.allclose(memory[name], before[name], atol=1e-4) for name in memory)


@EACH
def test_history_steps_is_how_far_back_an_action_depends(kind):
    net = randomize(network(kind, window=4)).requires_grad_(False)
    reach = net.history_steps
    x = torch.randn(1, 30, OBSERVATION, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[:, : 30 - reach if reach else 1] += 1.0
    same = torch.equal(net(x, net.start(1))[0][:, -1], net(changed, net.start(1))[0][:, -1])
    assert same == (reach != 0)
    if reach:
        changed[:, 30 - reach] += 1.0
        assert not torch.equal(net(x, net.start(1))[0][:, -1], net(changed, net.start(1))[0][:, -1])


class Leaky(Network):
    """A user's network: a low pass of what it sees, which starts at a value of its own, and a camera's mean brightness."""

    groups = ("state", "eye")

    def __init__(self, observation_dim: int, action_dim: int, cfg: NetworkCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.initial = torch.nn.Parameter(torch.linspace(-1, 1, observation_dim))
        self.head = torch.nn.Linear(observation_dim + 1, action_dim)

    def start(self, worlds: int) -> Memory:
        return {"low": self.initial.detach().repeat(worlds, 1)}

    def step(self, observations: Any, memory: Memory) -> tuple[torch.Tensor, Memory]:
        low = 0.9 * memory["low"] + 0.1 * observations["state"]
        bright = observations["eye"].float().mean(dim=(1, 2, 3))[:, None] / 255
        return self.head(torch.cat([low, bright], dim=1)), {"low": low}


def with_eye(spec: Any) -> Any:
    eye = ImageSpec(kind="depth", width=8, height=6, frame="head", fx=5.0, fy=5.0, cx=4.0, cy=3.0, near=0.1, far=2.0)
    return dataclasses.replace(spec, observation=(*spec.observation, ObservationGroup(name="eye", image=eye, dtype="uint8", every=5)))


def test_a_network_of_ones_own_sees_an_image(tmp_path: Path) -> None:
    env = make_env("reach", "panda", num_worlds=1, num_threads=1)
    spec = with_eye(env.spec)
    torch.manual_seed(0)
    net = Leaky(spec.observation_dim, spec.action_dim, NetworkCfg(kind="leaky"))
    sensors = record_sensors(env, network("mlp", spec.observation_dim, spec.action_dim), 12)
    images = np.random.default_rng(0).integers(0, 255, (3, 6, 8, 1), np.uint8)
    file = export_student(net, spec, sensors, {}, tmp_path / "policy.onnx", {"eye": images})
    assert file.images == ("eye",)
    assert np.array_equal(file.golden.groups["eye"], images)
    assert file.verify() <= EXPORT_TOLERANCE
    np.testing.assert_array_equal(file.memory["low"][0], net.initial.detach().numpy())
    row = file.golden.observation[0]
    dark = file.act(row, {"eye": np.zeros((6, 8, 1), np.uint8)}).copy()
    file.reset()
    bright = file.act(row, {"eye": np.full((6, 8, 1), 255, np.uint8)}).copy()
    np.testing.assert_allclose(bright - dark, net.head.weight[:, -1].detach().numpy(), rtol=0, atol=1e-5)
    held = file.fork()
    held.act(row, {"eye": np.full((6, 8, 1), 255, np.uint8)})
    np.testing.assert_array_equal(held.act(row), file.act(row))  # no new image: the last one stays
    file.golden.groups["eye"][1] += 100
    with pytest.raises(GoldenMismatchError, match="action at golden step 5"):
        file.verify()


def test_what_does_not_fit_is_said_before_it_is_exported(tmp_path: Path) -> None:
    env = make_env("reach", "panda", num_worlds=1, num_threads=1)
    spec, eye = env.spec, with_eye(env.spec)
    net = Leaky(spec.observation_dim, spec.action_dim, NetworkCfg(kind="leaky"))
    with pytest.raises(PolicyFileError, match=r"Leaky takes the groups state, eye; its task gives state$"):
        export_student(net, spec, {}, {}, tmp_path / "x.onnx")
    with pytest.raises(PolicyFileError, match=r"Leaky.step returns actions of shape \(1, 2\), not \(1, 7\)"):
        export_student(Leaky(spec.observation_dim, 2, net.cfg), eye, {}, {}, tmp_path / "x.onnx")
    net.start = lambda worlds: {"low": torch.zeros(worlds, 1)}  # type: ignore[method-assign]
    with pytest.raises(PolicyFileError, match=r"Leaky.step returns the memory \{'low': \(1, 31\)\}, but start returns \{'low': \(1, 1\)\}"):
        export_student(net, eye, {}, {}, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_kinds_are_registered_once_and_chosen_by_name() -> None:
    assert list(NETWORKS)[:4] == ["transformer", "lstm", "tcn", "mlp"]
    with pytest.raises(ValueError, match="registers a network 'lstm', which robolearn has already"):
        register_network("lstm", NetworkKind(cfg=NetworkCfg, make=Leaky))
    with pytest.raises(UnknownNameError, match=r"unknown network 'lstmm' \(did you mean lstm\?\)"):
        make_network(1, 1, NetworkCfg(kind="lstmm"))


def test_a_kind_has_its_own_keys(tmp_path: Path) -> None:
    """A preset's keys of another kind do not stand in the way; one that is asked for beside the kind is an error."""
    preset = tmp_path / "preset.yaml"
    preset.write_text("network: {width: 96, layers: 2, heads: 4, window: 8}\n")
    plain = loading.load(StudentCfg, preset)
    assert plain.network == network_cfg("transformer")(width=96, layers=2, heads=4, window=8)
    chosen = loading.load(StudentCfg, preset, ["--network.kind=lstm"])
    assert chosen.network == network_cfg("lstm")(width=96, layers=2)
    assert loading.loads(StudentCfg, loading.dump(chosen)) == chosen
    with pytest.raises(ConfigError, match=r"--network.heads=2: .*heads"):
        loading.load(StudentCfg, preset, ["--network.kind=lstm", "--network.heads=2"])
    with pytest.raises(
        ConfigError,
        match=r"^--network.kind=lsmt: network.kind: unknown network 'lsmt' \(did you mean lstm\?\); valid: transf",
    ):
        loading.load(StudentCfg, preset, ["--network.kind=lsmt"])
    own = tmp_path / "own.yaml"
    own.write_text("network: {kind: lstm, heads: 4}\n")
    with pytest.raises(ConfigError, match=r"own.yaml:1: .*heads"):
        loading.load(StudentCfg, own)
    own.write_text("extends: preset\nnetwork: {kind: tcn}\n")
    assert loading.load(StudentCfg, own).network == network_cfg("tcn")(width=96, layers=2, window=8)

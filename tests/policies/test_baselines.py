"""The networks beside the transformer: chunks equal the full pass, nothing leaks from the future or from an episode before."""

import pytest
import torch

from policies.contract.file import PolicyFileError
from policies.export.onnx_graph import export_student
from policies.networks.baselines import KINDS, NetworkCfg, make_network
from robolearn.learning.student import StudentTrainer, load_student
from tests.learning_helpers import tiny_cfg, tiny_teacher

WORLDS, TOKENS, OBSERVATION, ACTION = 5, 20, 7, 3
EACH = pytest.mark.parametrize("kind", KINDS)


def network(kind: str, **sizes):
    torch.manual_seed(0)
    cfg = NetworkCfg(**{"kind": kind, "width": 16, "layers": 2, "heads": 2, "window": 9, **sizes})
    net = make_network(OBSERVATION, ACTION, cfg)
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
    torch.testing.assert_close(memory.cache, after.cache, rtol=0, atol=1e-5)
    stream = net.stream(net.start(WORLDS))
    steps = torch.stack([stream.step(x[:, t], first[:, t]) for t in range(TOKENS)], dim=1)
    torch.testing.assert_close(steps, full, rtol=0, atol=1e-5)
    torch.testing.assert_close(stream.memory().cache, after.cache, rtol=0, atol=1e-5)


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
    cfg = tiny_cfg("go1-velocity-flat", f"--student.network.kind={kind}")
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


def test_only_a_transformer_becomes_a_file(tmp_path):
    cfg = tiny_cfg("go1-velocity-flat")
    spec = StudentTrainer(cfg, tiny_teacher(cfg)).env.spec
    with pytest.raises(PolicyFileError, match="only a transformer becomes a policy file, not a Lstm"):
        export_student(network("lstm"), spec, {}, {}, tmp_path / "x.onnx")

"""The student's attention: cache equals full pass, nothing from the future, from too far back or from another episode."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.networks.protocol import Memory, ages, clone, select
from policies.networks.transformer import Transformer, TransformerCfg, TransformerStream
from tests.learning_helpers import random_transformer

O, A, LAYERS, WINDOW = 5, 3, 2, 4
REACH = LAYERS * (WINDOW - 1)  # a token's influence goes W - 1 tokens further in every layer


@pytest.fixture(scope="module")
def net() -> Transformer:
    return random_transformer(O, A, seed=1, layers=LAYERS, window=WINDOW)


def observations(worlds: int, tokens: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(worlds, tokens, O, generator=torch.Generator().manual_seed(seed))


def in_chunks(net: Transformer, x: torch.Tensor, first: torch.Tensor | None, lengths: list[int]) -> tuple[torch.Tensor, Memory]:
    """Run a sequence piece by piece, handing the memory on."""
    memory, outputs, start = net.start(len(x)), [], 0
    for length in lengths:
        part = slice(start, start + length)
        output, memory = net(x[:, part], memory, None if first is None else first[:, part])
        outputs.append(output)
        start += length
    assert start == x.shape[1]
    return torch.cat(outputs, dim=1), memory


@settings(max_examples=25)
@given(st.data())
def test_chunks_and_single_steps_equal_the_full_pass(data: st.DataObject) -> None:
    window, layers = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3))
    hidden = data.draw(st.sampled_from([(), (8,)]))
    net = random_transformer(O, A, data.draw(st.integers(0, 99)), layers=layers, window=window, embed_hidden=hidden, head_hidden=hidden)
    tokens, worlds = 17, 4
    x = observations(worlds, tokens, data.draw(st.integers(0, 99)))
    first = torch.rand(worlds, tokens, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99)))) < 0.2
    lengths = []
    while sum(lengths) < tokens:
        lengths.append(data.draw(st.integers(1, tokens - sum(lengths))))
    full, after_full = net(x, net.start(worlds), first)
    assert full.std() > 0.1  # the head is not silent, so 1e-5 means something
    for pieces in (lengths, [1] * tokens):
        output, after = in_chunks(net, x, first, pieces)
        torch.testing.assert_close(output, full, rtol=0, atol=1e-5)
        torch.testing.assert_close(after, after_full, rtol=0, atol=1e-5)
    stream = TransformerStream(net, net.start(worlds), room=data.draw(st.integers(1, tokens)))
    output = torch.stack([stream.step(x[:, t], first[:, t]) for t in range(tokens)], dim=1)
    torch.testing.assert_close(output, full, rtol=0, atol=1e-5)
    torch.testing.assert_close(stream.memory(), after_full, rtol=0, atol=1e-5)


def test_full_pass_equals_attention_written_out(net: Transformer) -> None:
    """Every token for itself, its keys picked by loops: an independent reading of band, bias and episode starts."""
    x = observations(2, 9)
    first = torch.zeros(2, 9, dtype=torch.bool)
    first[0, 4], first[1, 1] = True, True
    got, _ = net(x, net.start(2), first)
    heads, k_dim = net.cfg.heads, net.cfg.width // net.cfg.heads
    for world in range(2):
        start = [max(s for s in range(t + 1) if s == 0 or bool(first[world, s])) for t in range(9)]
        h = net.embed(net.normalizer(x[world]))
        for block in net.blocks:
            q, k, v = block.qkv(block.norm1(h)).chunk(3, dim=-1)
            rows = []
            for t in range(9):
                keys = [j for j in range(t + 1) if t - j < WINDOW and j >= start[t]]
                parts = []
                for head in range(heads):
                    s = slice(head * k_dim, (head + 1) * k_dim)
                    scores = torch.stack([q[t, s] @ k[j, s] / k_dim**0.5 + block.distance_bias[head, t - j] for j in keys])
                    parts.append(torch.softmax(scores, 0) @ v[keys][:, s])
                rows.append(torch.cat(parts))
            h = h + block.project(torch.stack(rows))
            h = h + block.down(torch.nn.functional.gelu(block.up(block.norm2(h)), approximate="tanh"))
        torch.testing.assert_close(got[world], net.head(net.norm(h)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("token", [1, 8, 15])
def test_the_future_leaves_the_past_unchanged(net: Transformer, token: int) -> None:
    x = observations(3, 16)
    changed = x.clone()
    changed[:, token:] += 10 * torch.randn(3, 16 - token, O)
    before, _ = net(x, net.start(3))
    after, _ = net(changed, net.start(3))
    assert torch.equal(before[:, :token], after[:, :token])
    assert not torch.isclose(before[:, token], after[:, token]).all()


def test_the_band_reaches_exactly_as_far_as_it_says(net: Transformer) -> None:
    x = observations(1, 16)
    changed = x.clone()
    changed[:, 3] += 5.0
    before, _ = net(x, net.start(1))
    after, _ = net(changed, net.start(1))
    influenced = (before != after).any(dim=-1)[0]
    assert influenced.tolist() == [3 <= t <= 3 + REACH for t in range(16)]


def test_nothing_crosses_the_start_of_an_episode(net: Transformer) -> None:
    x = observations(2, 14)
    first = torch.zeros(2, 14, dtype=torch.bool)
    first[:, 6] = True
    changed = x.clone()
    changed[:, :6] -= 7.0
    before, _ = net(x, net.start(2), first)
    after, _ = net(changed, net.start(2), first)
    assert torch.equal(before[:, 6:], after[:, 6:])
    assert not torch.isclose(before[:, 5], after[:, 5]).all()
    alone, _ = net(x[:, 6:], net.start(2))
    torch.testing.assert_close(before[:, 6:], alone, rtol=0, atol=1e-5)
    without, _ = net(x, net.start(2))
    assert not torch.isclose(before[:, 6], without[:, 6]).all()  # the start itself changes something


def test_what_a_cache_holds_from_before_a_start_has_no_influence(net: Transformer) -> None:
    """A start at the head of a chunk: the keys and values handed over belong to another episode."""
    x = observations(2, 5)
    first = torch.zeros(2, 5, dtype=torch.bool)
    first[:, 0] = True
    fresh, _ = net(x, net.start(2))
    used = {name: torch.randn_like(value) * 100 for name, value in net.start(2).items()} | {"age": torch.tensor([3.0, 500.0])}
    output, memory = net(x, used, first)
    torch.testing.assert_close(output, fresh, rtol=0, atol=1e-5)
    assert memory["age"].tolist() == [4.0, 4.0]


def test_worlds_do_not_touch_each_other(net: Transformer) -> None:
    x = observations(3, 6)
    changed = x.clone()
    changed[1] = float("nan")
    before, after = net(x, net.start(3))[0], net(changed, net.start(3))[0]
    assert torch.equal(before[[0, 2]], after[[0, 2]])


def test_memory_of_selected_worlds(net: Transformer) -> None:
    x = observations(4, 9)
    _, memory = net(x[:, :5], net.start(4))
    kept = clone(memory)
    ids = torch.tensor([2, 0])
    part, _ = net(x[ids, 5:], select(memory, ids))
    whole, _ = net(x[:, 5:], memory)
    torch.testing.assert_close(part, whole[ids], rtol=0, atol=1e-5)
    torch.testing.assert_close(memory, kept, rtol=0, atol=0)  # running on leaves a memory as it was


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=3), st.integers(-1, 50))
def test_ages_count_from_the_last_start(starts: list[list[bool]], before: int) -> None:
    expected = []
    for row in starts:
        age, counted = before, []
        for start in row:
            age = 0 if start else age + 1
            counted.append(float(age))
        expected.append(counted)
    got = ages(torch.full((len(starts),), float(before)), 12, torch.tensor(starts))
    assert got.tolist() == expected


def test_ages_without_starts_go_on() -> None:
    assert ages(torch.tensor([-1.0, 6.0]), 3, None).tolist() == [[0, 1, 2], [7, 8, 9]]


@pytest.mark.parametrize(("cfg", "match"), [({"width": 10, "heads": 4}, "10 is not divisible by 4"), ({"window": 0}, "at least 1")])
def test_impossible_sizes_are_refused(cfg: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TransformerCfg(**cfg)


@pytest.mark.parametrize("worlds", [1, 3])
def test_a_step_as_it_is_exported_equals_the_full_pass(net: Transformer, worlds: int) -> None:
    x = observations(worlds, 14)
    full, _ = net(x, net.start(worlds))
    for stepped in (net, net.prepared()):
        memory, outputs = net.start(worlds), []
        for t in range(14):
            action, memory = stepped.step({"state": x[:, t]}, memory)
            outputs.append(action)
        torch.testing.assert_close(torch.stack(outputs, dim=1), full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("width", [48, 96, 192])
def test_initial_weights_keep_the_scale_of_what_they_see(width: int) -> None:
    """The query-key-value products of a normalised token have the same spread at every width."""
    torch.manual_seed(0)
    weight = Transformer(O, A, TransformerCfg(width=width, layers=1)).layers()[0].qkv.weight.detach()
    spread = (torch.nn.functional.layer_norm(torch.randn(200, width), (width,)) @ weight.T).std()
    assert float(spread) == pytest.approx(0.277, rel=0.05)


def test_a_window_alone_is_one_with_an_empty_memory(net: Transformer) -> None:
    x = torch.randn(3, 11, net.cfg.width)
    expected, _ = net.through(x, net.start(3))
    torch.testing.assert_close(net.alone(x), expected, atol=1e-5, rtol=1e-5)


def test_both_ways_reach_as_far_ahead_as_back(net: Transformer) -> None:
    """A window that is turned round gives the same, turned round; and only what is in the band of all layers has influence."""
    x = torch.randn(2, 13, net.cfg.width)
    torch.testing.assert_close(net.alone(x.flip(1), both_ways=True).flip(1), net.alone(x, both_ways=True), atol=1e-5, rtol=1e-5)
    reach = net.history_steps - 1
    x.requires_grad_()
    net.alone(x, both_ways=True)[0, 6].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(-1) > 0
    assert touched.tolist() == [abs(step - 6) <= reach for step in range(13)]


def test_what_is_outside_is_not_attended_to(net: Transformer) -> None:
    x, inside = torch.randn(2, 9, net.cfg.width), torch.ones(2, 9, dtype=torch.bool)
    inside[0, 5:] = False
    other = x.clone()
    other[0, 5:] += 1.0
    for both_ways in (False, True):
        before, after = (net.alone(values, both_ways, inside) for values in (x, other))
        assert torch.equal(before[0, :5], after[0, :5])
        assert bool(torch.isfinite(before).all())

"""What is missing or hidden has no influence, and who looks where."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.objectives import Errors, draw_masks, masked_errors, next_errors, sensed
from robolearn.pretraining.tokens import ACTION, BODY, MODALITIES, Tokens
from tests.robolearn.pretraining.trajectories import model, spec, tokens

Ask = Callable[[SequenceModel, Tokens], Errors]


def masked(net: SequenceModel, given: Tokens) -> Errors:
    return masked_errors(net, given, draw_masks(given, 0.7, 0.9, torch.Generator().manual_seed(3)))


OBJECTIVES = {"next": next_errors, "masked": masked}


def differentiated(net: SequenceModel, found: Errors) -> list[torch.Tensor]:
    """Both errors and the gradients of all parameters."""
    net.zero_grad()
    found.loss(0.7).backward()
    gradients = [p.grad if p.grad is not None else torch.zeros(1) for p in net.parameters()]
    return [found.action.detach(), found.observation.detach(), *(g.clone() for g in gradients)]


@pytest.mark.parametrize("ask", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_what_is_missing_changes_no_error_and_no_gradient(ask: Ask, value: float) -> None:
    net, clean = model(), tokens()
    wild = copy.deepcopy(clean)
    wild.observation[~clean.known[..., net.modality]] = value
    wild.action[~clean.acted] = value
    for ours, theirs in zip(differentiated(net, ask(net, clean)), differentiated(net, ask(net, wild)), strict=True):
        assert bool(torch.isfinite(theirs).all())
        assert torch.equal(ours, theirs)


def test_what_is_missing_matters_where_it_is_known() -> None:
    """So that the test above can fail."""
    net, given = model(), tokens()
    given.known[:] = True
    other = copy.deepcopy(given)
    other.observation[..., net.modality == MODALITIES.index(ACTION)] += 1.0
    assert float(next_errors(net, given).action) != float(next_errors(net, other).action)


def test_a_missing_modality_is_told_from_one_that_is_zero() -> None:
    net, given = model(), tokens()
    x, hidden = torch.zeros_like(given.observation), torch.zeros_like(given.known)
    zero = net.encode(x, hidden)
    for index in range(len(MODALITIES)):
        gone = hidden.clone()
        gone[..., index] = True
        assert not torch.allclose(net.encode(x, gone), zero), MODALITIES[index]


def test_next_looks_back_alone_and_masked_looks_both_ways() -> None:
    net, x = model(), torch.randn(2, 12, spec().observation_dim)
    hidden = torch.zeros(2, 12, len(MODALITIES), dtype=torch.bool)
    later = x.clone()
    later[:, 6:] += 1.0
    assert torch.equal(net.encode(x, hidden)[:, :6], net.encode(later, hidden)[:, :6])
    assert not torch.allclose(net.encode(x, hidden, both_ways=True)[:, 5], net.encode(later, hidden, both_ways=True)[:, 5])


def test_masked_asks_for_what_is_hidden_and_for_nothing_else() -> None:
    """Targets that are not asked for change nothing; what is asked for cannot be seen."""
    net, given = model(), tokens()
    given.known[:], given.acted[:] = True, True
    masks = draw_masks(given, 0.7, 0.9, torch.Generator().manual_seed(1))
    found = masked_errors(net, given, masks)
    b, t = given.acted.shape
    assert int(found.observations) == int(masks[..., 0].sum()) * len(net.predicted)
    assert int(found.actions) == int(masks[:, 1:, 1].sum()) + b  # the last action of a window stands in no token
    # the loss moves with a hidden body only by its target: the states stay
    hidden = ~given.known[:, :-1].clone()
    hidden[..., MODALITIES.index(BODY)] |= masks[..., 0]
    x = given.observation[:, :-1].clone()
    states = net.encode(x, hidden, both_ways=True)
    x[hidden[..., net.modality]] = 9.0
    assert torch.equal(net.encode(x, hidden, both_ways=True), states)
    assert masks.shape == (b, t, 2)


def test_shares_of_masks_lie_between_the_ratios() -> None:
    masks = draw_masks(tokens(64, 200), 0.7, 0.9, torch.Generator().manual_seed(0)).float()
    shares = masks.mean(dim=1)
    assert float(shares.min()) > 0.6
    assert float(shares.max()) < 0.98
    assert abs(float(masks.mean()) - 0.8) < 0.02
    assert float(shares.mean(dim=1).std()) > 0.03, "drawn for each window, not once"


def test_steps_outside_the_episode_are_not_looked_at() -> None:
    net, x = model(), torch.randn(1, 8, spec().observation_dim)
    hidden, inside = torch.zeros(1, 8, len(MODALITIES), dtype=torch.bool), torch.ones(1, 8, dtype=torch.bool)
    inside[:, 5:] = False
    states = net.encode(x, hidden, both_ways=True, inside=inside)[:, :5]
    x[:, 5:] += 1.0
    assert torch.equal(net.encode(x, hidden, both_ways=True, inside=inside)[:, :5], states)


def test_only_the_head_that_is_not_aligned_is_told_the_action() -> None:
    given = tokens()
    given.known[:], given.acted[:] = True, True
    other = copy.deepcopy(given)
    other.action += 1.0  # a_t, while a_{t-1} in the tokens stays
    for aligned in (True, False):
        net = model(aligned)
        same = float(next_errors(net, given).observation) == float(next_errors(net, other).observation)
        assert same is aligned


def test_readings_are_late_and_noisy_as_in_the_environments() -> None:
    """Without noise a reading lies between those of its step and of the one before, alike for the whole window."""
    given = tokens(5, 20)
    given.known[:] = True
    nothing, late = torch.zeros(spec().observation_dim), torch.zeros(spec().observation_dim)
    late[:3] = 0.5
    added = sensed(given, nothing, late, torch.Generator().manual_seed(0)) - given.observation[:, :-1]
    assert float(added[..., 3:].abs().max()) == 0.0
    assert float(added[:, 0].abs().max()) == 0.0
    now = given.observation[:, :-1]
    ages = added[:, 1:, :3] / (now[:, :-1, :3] - now[:, 1:, :3])
    torch.testing.assert_close(ages, ages[:, :1, :1].expand_as(ages), atol=1e-3, rtol=1e-3)
    assert 0 < float(ages.min()) < float(ages.max()) < 0.5
    loud = sensed(given, nothing + 0.2, nothing, torch.Generator().manual_seed(0)) - now
    assert 0.19 < float(loud.abs().max()) <= 0.2 + 1e-6
    given.known[0, 7] = False
    given.observation[0, 7] = math.nan
    given.observation[1, 7, 3:] = math.nan  # a modality that is never late, and missing
    seen = sensed(given, nothing, late, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(seen[:, [*range(7), *range(8, 20)]]).all()), "of the steps around it"


@pytest.mark.parametrize("ask", OBJECTIVES.values(), ids=OBJECTIVES)
def test_what_the_policy_was_shown_is_seen_and_clean_readings_are_asked_for(ask: Ask) -> None:
    """Where a window tells it; NaN where it does not, and in what is missing, changes nothing."""
    net, given = model(), tokens()
    given.shown, given.told = given.observation[:, :-1] + 0.3, torch.zeros_like(given.acted)
    given.told[0] = True
    plain = copy.deepcopy(given)
    plain.told = torch.zeros_like(given.acted)
    assert float(ask(net, given).action.detach()) != float(ask(net, plain).action.detach())
    nothing = torch.zeros(spec().observation_dim)
    seen = sensed(given, nothing + 0.1, nothing, torch.Generator().manual_seed(0))
    assert torch.equal(seen[0], given.shown[0]), "with no noise but its own"
    assert not torch.equal(seen[1], given.shown[1])
    wild = copy.deepcopy(given)
    assert wild.shown is not None
    wild.shown[1:] = math.nan
    wild.shown[~given.known[:, :-1][..., net.modality]] = math.nan
    for ours, theirs in zip(differentiated(net, ask(net, given)), differentiated(net, ask(net, wild)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("both_ways", [False, True], ids=["next", "masked"])
def test_what_is_missing_changes_no_output(both_ways: bool) -> None:
    """Hidden states, actions and predicted observations, to the bit."""
    net, given = model(), tokens()
    hidden, inside = ~given.known[:, :-1], given.inside[:, :-1]
    x = given.observation[:, :-1].clone()
    outputs = []
    for value in (0.0, 7.0, math.nan, -math.inf):
        x[hidden[..., net.modality]] = value
        states = net.encode(x, hidden, both_ways=both_ways, inside=inside)
        outputs.append((states, net.net.head(states), net.predict_observation(states, given.action)))
    for other in outputs[1:]:
        for ours, theirs in zip(outputs[0], other, strict=True):
            assert torch.equal(ours, theirs)

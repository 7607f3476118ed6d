"""What a pretraining asks: the next observation and action from the past, or what was hidden from both sides.

next (Radosavovic et al. 2024, 2402.19469): token t = (o_t, a_{t-1}) is asked for a_t and o_{t+1}, each by its own modality.
masked (2306.10007): of every token, body (with command and clock) and action are hidden each with a share that is drawn for the window;
the network looks both ways and is asked for what was hidden. The action head keeps its meaning, a_t at token t: it is asked where a_t is
hidden in token t + 1. So `next` goes on from there.

What is not known is never asked for, and its value, be it NaN, reaches neither a loss nor a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robolearn.pretraining.model import SequenceModel
from robolearn.pretraining.tokens import ACTION, BODY, CLOCK, COMMAND, MODALITIES, Tokens

_BODY, _COMMAND, _CLOCK, _ACTION = (MODALITIES.index(name) for name in (BODY, COMMAND, CLOCK, ACTION))


@dataclass(frozen=True)
class Errors:
    """Mean squared errors in units of each entry's variance; 0 where nothing was asked.

    Attributes:
        action, observation: scalars that can be differentiated.
        actions, observations: how many tokens, and how many entries, were asked for.
    """

    action: torch.Tensor
    observation: torch.Tensor
    actions: torch.Tensor
    observations: torch.Tensor

    def loss(self, observation_weight: float) -> torch.Tensor:
        """What is minimised."""
        return self.action + observation_weight * self.observation


def sensed(tokens: Tokens, noise: torch.Tensor, delay: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The observations (B, T, O) of windows as a robot senses them: late, and with noise.

    Where a dataset tells what the policy was shown, it is that: the action answers it. Elsewhere as in the environments: each window has an
    age, by which its readings lie between those of their step and of the step before.

    Args:
        tokens: B windows with clean readings.
        noise: half-width of each entry, (O,).
        delay: the oldest age of each entry [control steps], (O,).
        generator: of the random numbers, on the CPU.
    """
    now = tokens.observation[:, :-1]
    added = (torch.rand(now.shape, generator=generator) * 2 - 1).to(now.device) * noise
    age = torch.rand(len(now), 1, 1, generator=generator).to(now.device) * delay
    both = (tokens.inside[:, 1:-1] & tokens.inside[:, :-2])[..., None] & (delay > 0)  # what is missing is never late
    added[:, 1:] += torch.where(both, (now[:, :-1] - now[:, 1:]) * age, 0.0)
    return tokens.as_shown(now + added)


def next_errors(model: SequenceModel, tokens: Tokens, seen: torch.Tensor | None = None) -> Errors:
    """Errors of the causal prediction.

    Args:
        model: the network.
        tokens: B windows.
        seen: what the network sees of them, raw, (B, T, O); None for what the policy was shown, or clean readings where nothing tells.
    """
    seen, _, after, action = model.folded(tokens, tokens.as_shown() if seen is None else seen)
    x = model.normalized(seen, tokens.source)
    states = model.encode(x, ~tokens.known[:, :-1]).float()
    return _errors(model, tokens, states, after, action, tokens.acted, tokens.known[:, 1:])


def masked_errors(model: SequenceModel, tokens: Tokens, masks: torch.Tensor, seen: torch.Tensor | None = None) -> Errors:
    """Errors of what was hidden.

    Args:
        model, tokens, seen: see `next_errors`.
        masks: (B, T, 2) bool, whether body and action of a token are hidden.
    """
    seen, now, _, action = model.folded(tokens, tokens.as_shown() if seen is None else seen)
    x = model.normalized(seen, tokens.source)
    known, inside = tokens.known[:, :-1], tokens.inside[:, :-1]
    hidden = ~known
    hidden[..., _ACTION] |= masks[..., 1]
    for index in (_BODY, _COMMAND, _CLOCK):
        hidden[..., index] |= masks[..., 0]
    states = model.encode(x, hidden, both_ways=True, inside=inside).float()
    told = torch.cat([masks[:, 1:, 1], torch.ones_like(masks[:, :1, 1])], dim=1)  # a_t stands in token t + 1, unless that hides it
    return _errors(model, tokens, states, now, action, tokens.acted & told & inside, known & masks[..., :1])


def draw_masks(tokens: Tokens, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Which modalities are hidden, (B, T, 2) bool: each with the share of its window, which lies between `low` and `high`."""
    b, t = tokens.acted.shape
    share = low + (high - low) * torch.rand(b, 1, 1, generator=generator)
    return (torch.rand(b, t, 2, generator=generator) < share).to(tokens.acted.device)


def _errors(
    model: SequenceModel,
    tokens: Tokens,
    states: torch.Tensor,
    wanted: torch.Tensor,
    action: torch.Tensor,
    acted: torch.Tensor,
    asked: torch.Tensor,
) -> Errors:
    """Errors of both heads.

    Args:
        states: hidden states, (B, T, D).
        wanted: raw observations that are asked for, (B, T, O).
        action: a_t, (B, T, J).
        acted: where actions are asked for, (B, T).
        asked: modalities of `wanted` that are asked for, (B, T, M).
    """
    scale = model.action_inverse[tokens.source][:, None]
    target = torch.where(acted[..., None], action, 0.0)
    miss = (model.net.head(states) - target) * scale
    actions = acted.sum()
    action_error = torch.where(acted, miss.square().mean(-1), 0.0).sum() / actions.clamp(min=1)
    entries = asked[..., model.modality[model.predicted]]  # (B, T, P)
    target_o = torch.where(entries, model.normalized(wanted, tokens.source)[..., model.predicted], 0.0)
    told = torch.where(tokens.acted[..., None], action, 0.0) * scale
    miss_o = torch.where(entries, model.predict_observation(states, told) - target_o, 0.0)
    observations = entries.sum()
    return Errors(action_error, miss_o.square().sum() / observations.clamp(min=1), actions, observations)

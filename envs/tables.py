"""The tables of a config, bound to an environment: the functions computed in each step, in order.

Every term is tried once when it is bound, so that one with the wrong shape is reported by name instead of being broadcast to nonsense.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from envs.terms.about import About, told
from envs.terms.face import Env
from envs.terms.term import Term

Compute = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Reward:
    """A reward term, bound."""

    name: str
    weight: float
    compute: Compute


@dataclass(frozen=True)
class Privileged:
    """A term of the privileged observation, bound; `dim` entries."""

    name: str
    dim: int
    compute: Compute
    about: About


class Tables:
    """The tables of an environment.

    Attributes:
        rewards: rewards whose weight is not zero.
        ends: conditions that end the task, by name.
        cuts: conditions that truncate an episode, by name.
        privileged: terms of the privileged observation, in order.
        metrics: metrics by name.
        reset: ids (n,) -> qpos (n, nq), qvel (n, nv).
        success: (N,) bool, see `envs.terms.term.SuccessTerm`.
        curriculum: ids (n,), succeeded (n,) -> None, by name.
    """

    def __init__(self, env: Env) -> None:
        """Bind the tables of `env.cfg`.

        Raises:
            ValueError: a term cannot be computed here, or does not return (N,) or (N, k).
        """
        self._env, cfg = env, env.cfg
        self._updating: list[Callable[[Env], None]] = []
        self._resetting: list[Callable[[torch.Tensor], None]] = []
        self.rewards = [
            Reward(name, term.weight, compute)
            for name, term in cfg.rewards.items()
            if term.weight and (compute := self._bound(term)) is not None
        ]
        ends = {name: self._bound(term) for name, term in cfg.terminations.items()}
        bound = {name: compute for name, compute in ends.items() if compute is not None}
        self.ends = {name: compute for name, compute in bound.items() if not cfg.terminations[name].time_out}
        self.cuts = {name: compute for name, compute in bound.items() if cfg.terminations[name].time_out}
        extras = {name: self._bound(term) for name, term in cfg.privileged.items()}
        self._privileged = {name: compute for name, compute in extras.items() if compute is not None}
        self.metrics = {n: c for n, term in cfg.metrics.items() if (c := self._bound(term)) is not None}
        self.reset = partial(self._made(cfg.reset), env)
        self.success = None if cfg.success is None else self._bound(cfg.success)
        self.curriculum = {name: partial(self._made(term), env) for name, term in cfg.curriculum.items() if self._applies(term)}
        self.privileged: list[Privileged] = []

    def try_all(self) -> None:
        """Compute every term once, without changing the random numbers."""
        env, n = self._env, self._env.num_worlds
        before = env.generator.get_state()
        for reward in self.rewards:
            _check(f"rewards.{reward.name}", _tried(f"rewards.{reward.name}", reward.compute), (n,))
        for kind in (self.ends, self.cuts):
            for name, compute in kind.items():
                _check(f"terminations.{name}", _tried(f"terminations.{name}", compute), (n,), torch.bool)
        for name, compute in self._privileged.items():
            value = _tried(f"privileged.{name}", compute)
            if value.dim() not in (1, 2) or len(value) != n:
                raise ValueError(f"privileged.{name} returns {tuple(value.shape)}, but must return ({n},) or ({n}, k)")
            self.privileged.append(Privileged(name, value[0].numel(), compute, told(self._env.cfg.privileged[name].func)))
        for name, compute in self.metrics.items():
            if (value := _tried(f"metrics.{name}", compute)).dim() > 1:
                raise ValueError(f"metrics.{name} returns {tuple(value.shape)}, but must return ({n},) or ()")
        if self.success is not None:
            _check("success", _tried("success", self.success), (n,), torch.bool)
        env.generator.set_state(before)

    def update(self) -> None:
        """Let terms with memory record the present step, before anything reads them."""
        for update in self._updating:
            update(self._env)

    def forget(self, ids: torch.Tensor) -> None:
        """Tell terms with memory that new episodes begin in the worlds `ids`."""
        for reset in self._resetting:
            reset(ids)

    def _applies(self, term: Term) -> bool:
        """Whether the environment has what the term needs."""
        needs = told(term.func).needs
        if needs == "terrain":
            return self._env.terrain is not None
        if needs == "camera":
            return self._env.cameras is not None
        return self._env.cfg.randomization.disturbance_ramp if needs == "ramp" else True

    def made(self, term: Term) -> Callable[..., Any] | None:
        """The term's function, to be called with the environment; None if the environment lacks what it needs."""
        return self._made(term) if self._applies(term) else None

    def _bound(self, term: Term) -> Compute | None:
        """The term as a function without parameters; None if the environment lacks what it needs."""
        made = self.made(term)
        return None if made is None else partial(made, self._env)

    def _made(self, term: Term) -> Callable[..., Any]:
        """The term's function; one with memory is also called for steps and resets."""
        made = term.made(self._env)
        for name, listed in (("update", self._updating), ("reset", self._resetting)):
            if inspect.isclass(term.func) and hasattr(made, name):
                listed.append(getattr(made, name))
        return made


def _tried(where: str, compute: Compute) -> torch.Tensor:
    """A term's value; its errors are raised with its name."""
    try:
        return compute()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check(where: str, value: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
    """Raises `ValueError` if a term returns another shape or kind."""
    if not isinstance(value, torch.Tensor) or tuple(value.shape) != shape:
        given = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{where} returns {given}, but must return one value per world, {shape}")
    if dtype is not None and value.dtype != dtype:
        raise ValueError(f"{where} returns {value.dtype}, but must return {dtype}")

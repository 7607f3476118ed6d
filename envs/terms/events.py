"""A task's own events: things that happen to worlds when they are made, when they begin anew, or again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from envs.seeds import uniform
from envs.terms.face import Env
from envs.terms.term import EventTerm


@dataclass(frozen=True)
class _Event:
    term: EventTerm
    happen: Callable[[torch.Tensor], None]
    left_s: torch.Tensor | None  # time until the next, (N,), of those at intervals


class Events:
    """The events of an environment."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._events = [self._bound(name, term) for name, term in env.cfg.events.items()]

    def _bound(self, name: str, term: EventTerm) -> _Event:
        left = self._env.buffer(f"events.{name}.left_s") if term.when == "interval" else None
        return _Event(term, partial(term.made(self._env), self._env), left)

    def startup(self, ids: torch.Tensor) -> None:
        """The worlds `ids` are made."""
        for event in self._events:
            if event.term.when == "startup":
                event.happen(ids)

    def reset(self, ids: torch.Tensor) -> None:
        """The worlds `ids` begin anew."""
        for event in self._events:
            if event.term.when == "reset":
                event.happen(ids)
            elif event.left_s is not None:
                event.left_s[ids] = uniform(*event.term.interval_s, (len(ids),), self._env.generator)

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due happens now."""
        for event in self._events:
            if event.left_s is None:
                continue
            event.left_s.sub_(seconds)
            ids = (event.left_s <= 0).nonzero()[:, 0]
            if len(ids):
                event.happen(ids)
                event.left_s[ids] = uniform(*event.term.interval_s, (len(ids),), self._env.generator)

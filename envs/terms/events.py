"""Terms of the randomization table with a function: changes of worlds when they are made, at each reset, or repeatedly.

    def slippery(env: Env, ids: torch.Tensor, low: float, high: float) -> None:
        friction = nominal(env.engine, "geom_friction", len(ids))
        friction[..., 0] *= uniform(low, high, (len(ids), 1), env.generator)
        env.engine.set_field("geom_friction", ids, friction)

At a reset they come after the quantities of the table and before the worlds' new state, so they are meant for fields of the model. Start
from `envs.terms.fields.nominal`, so that changes do not accumulate over episodes, or from `env.engine.field(name)` if a quantity draws the
same field at the same time. Constants that MuJoCo derives from masses and positions are updated automatically. Values drawn once per world
are restored with the engine's fields and `env.buffer`s, and not drawn again. A term may be a class with memory, see `envs.terms.face`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from envs.engines.face import Engine
from envs.seeds import uniform
from envs.terms.face import Env
from envs.terms.term import EventTerm, Term

MOVING = ("body_", "dof_", "jnt_", "qpos0", "site_", "actuator_gear", "actuator_trn", "tendon_")
"""Prefixes of the fields from which MuJoCo derives constants."""


@dataclass(frozen=True)
class _Event:
    name: str
    term: EventTerm
    made: Callable[..., Any]
    happen: Callable[[torch.Tensor], None]
    left_s: torch.Tensor | None  # time until the next, (N,), for terms at intervals


class Events:
    """The terms with a function in an environment's table.

    Attributes:
        fields: term -> fields of the model that it has set so far.
    """

    def __init__(self, env: Env, make: Callable[[Term], Callable[..., Any] | None]) -> None:
        """Bind them.

        Args:
            env: the environment.
            make: makes the function of a term; None if the environment lacks what it needs.
        """
        self._env = env
        made = [(name, term, make(term)) for name, term in env.cfg.randomization.terms().items()]
        self._events = [self._bound(name, term, func) for name, term, func in made if func is not None]
        self.fields: dict[str, set[str]] = {event.name: set() for event in self._events}

    def _bound(self, name: str, term: EventTerm, func: Callable[..., Any]) -> _Event:
        left = self._env.buffer(f"randomization.{name}.left_s") if term.when == "interval" else None
        return _Event(name, term, func, partial(func, self._env), left)

    def made(self, name: str) -> Callable[..., Any]:
        """The function of a term, or the object of its class, for callers that trigger it themselves.

        Raises:
            KeyError: no such term.
        """
        return {event.name: event.made for event in self._events}[name]

    def startup(self, ids: torch.Tensor) -> None:
        """Apply the terms for new worlds `ids`.

        Raises:
            ValueError: a quantity would overwrite a term's change at the next reset.
        """
        rewritten = self._env.randomizer.writes("reset")
        for event in self._events:
            if event.term.when != "startup":
                continue
            fields = self._happen(event, ids)
            lost = sorted(fields & set(rewritten))
            if lost:
                by = rewritten[lost[0]]
                mend = f"set `when: reset` for it, or `randomization.{by}.when: startup`, or randomization.{by}: null"
                raise ValueError(f"randomization.{event.name} changes {lost[0]} at startup, which {by} overwrites at every reset: {mend}")

    def undo(self) -> None:
        """Undo the terms' changes before everything is drawn again: their fields are nominal until they are written.

        This includes changes at a reset or an interval, since the next one may be late, or only concern some worlds.
        """
        self._env.randomizer.forget({field for fields in self.fields.values() for field in fields})

    def reset(self, ids: torch.Tensor) -> None:
        """Apply the terms for new episodes in the worlds `ids`."""
        for event in self._events:
            if event.term.when == "reset":
                self._happen(event, ids)
            elif event.left_s is not None:
                event.left_s[ids] = uniform(*event.term.interval_s, (len(ids),), self._env.generator)

    def advance(self, seconds: float) -> None:
        """Advance time; terms that are due happen now."""
        for event in self._events:
            if event.left_s is None:
                continue
            event.left_s.sub_(seconds)
            ids = (event.left_s <= 0).nonzero()[:, 0]
            if len(ids):
                self._happen(event, ids)
                event.left_s[ids] = uniform(*event.term.interval_s, (len(ids),), self._env.generator)

    def _happen(self, event: _Event, ids: torch.Tensor) -> set[str]:
        """Call a term. Returns the fields of the model that it set; constants that MuJoCo derives from them are updated."""
        with _written(self._env.engine) as fields:
            try:
                event.happen(ids)
            except ValueError as error:
                raise ValueError(f"randomization.{event.name}: {error}") from error
        if any(name.startswith(MOVING) for name in fields):
            self._env.engine.set_const(ids)
        self.fields[event.name] |= fields
        return fields


@contextmanager
def _written(engine: Engine) -> Iterator[set[str]]:
    """Record the names of the fields that are set meanwhile."""
    names: set[str] = set()
    set_field = engine.set_field

    def noted(name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        names.add(name)
        set_field(name, ids, values)

    engine.set_field = noted
    try:
        yield names
    finally:
        engine.set_field = set_field

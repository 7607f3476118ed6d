"""Terms of the randomization table that bring a function: what happens to worlds when they are made, at each reset, or again and again.

    def slippery(env: Env, ids: torch.Tensor, low: float, high: float) -> None:
        friction = nominal(env.engine, "geom_friction", len(ids))
        friction[..., 0] *= uniform(low, high, (len(ids), 1), env.generator)
        env.engine.set_field("geom_friction", ids, friction)

At a reset they come after the quantities of the table and before the worlds' new state, so what they are for is fields of the model. Start
from `envs.terms.fields.nominal`, so that episodes do not add up, or from `env.engine.field(name)` where a quantity draws the same field at
the same time. What MuJoCo derives from masses and positions follows by itself. What was drawn once a world is resumed with the engine's
fields and with `env.buffer`s, and is not drawn again. A term may be a class that remembers something, see `envs.terms.face`.
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
"""Fields from which MuJoCo derives constants, by how they begin."""


@dataclass(frozen=True)
class _Event:
    name: str
    term: EventTerm
    made: Callable[..., Any]
    happen: Callable[[torch.Tensor], None]
    left_s: torch.Tensor | None  # time until the next, (N,), of those at intervals


class Events:
    """The terms of the table of an environment that bring a function.

    Attributes:
        fields: term -> fields of the model that it has set by now.
    """

    def __init__(self, env: Env, make: Callable[[Term], Callable[..., Any] | None]) -> None:
        """Bind them.

        Args:
            env: the environment.
            make: the function of a term, None where the environment lacks what it needs.
        """
        self._env = env
        made = [(name, term, make(term)) for name, term in env.cfg.randomization.terms().items()]
        self._events = [self._bound(name, term, func) for name, term, func in made if func is not None]
        self.fields: dict[str, set[str]] = {event.name: set() for event in self._events}

    def _bound(self, name: str, term: EventTerm, func: Callable[..., Any]) -> _Event:
        left = self._env.buffer(f"randomization.{name}.left_s") if term.when == "interval" else None
        return _Event(name, term, func, partial(func, self._env), left)

    def made(self, name: str) -> Callable[..., Any]:
        """The function of a term, or the object of its class: for who lets something happen at a time of their own.

        Raises:
            KeyError: there is no such term.
        """
        return {event.name: event.made for event in self._events}[name]

    def startup(self, ids: torch.Tensor) -> None:
        """The worlds `ids` are made.

        Raises:
            ValueError: what a term changes would be overwritten by a quantity at the next reset.
        """
        rewritten = self._env.randomizer.writes("reset")
        for event in self._events:
            if event.term.when != "startup":
                continue
            fields = self._happen(event, ids)
            lost = sorted(fields & set(rewritten))
            if lost:
                by = rewritten[lost[0]]
                mend = f"say `when: reset` for it, or `randomization.{by}.when: startup`, or randomization.{by}: null"
                raise ValueError(f"randomization.{event.name} changes {lost[0]} at startup, which {by} writes anew at every reset: {mend}")

    def undo(self) -> None:
        """Take back what terms changed, before all is drawn anew: their fields are nominal until somebody writes them.

        What one changed at a reset or an interval goes too, since its next turn may be late, or about some worlds alone.
        """
        self._env.randomizer.forget({field for fields in self.fields.values() for field in fields})

    def reset(self, ids: torch.Tensor) -> None:
        """The worlds `ids` begin anew."""
        for event in self._events:
            if event.term.when == "reset":
                self._happen(event, ids)
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
                self._happen(event, ids)
                event.left_s[ids] = uniform(*event.term.interval_s, (len(ids),), self._env.generator)

    def _happen(self, event: _Event, ids: torch.Tensor) -> set[str]:
        """Let it happen. Returns the fields of the model that it set; what MuJoCo derives from them is made to follow."""
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
    """The names of the fields that are set meanwhile."""
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

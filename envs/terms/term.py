"""An entry of a task's tables: a function, its parameters, and the table's own settings.

    RewardTerm(track_velocity, weight=2.5, sigma=0.5)

`weight` is a setting of the table, `sigma` a parameter of the function; in YAML both are side by side, with the function as text:

    rewards:
      track_velocity: {func: "envs.terms.rewards:track_velocity", weight: 2.5, sigma: 0.5}

The first parameter of a function is the environment; the others are checked against its signature when the term is made. A function may
also be a class that is constructed once with the environment and its parameters, for a term with memory; see `envs.terms.face`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, Self, cast

from envs.sensing.camera import CameraTerm
from envs.terms.commands import Command


class TermError(ValueError):
    """A term's function cannot be found, or does not take the given parameters."""


def reference(func: Callable[..., Any]) -> str:
    """A function as text, `package.module:function`.

    Raises:
        TermError: it has no name in a module.
    """
    name = getattr(func, "__qualname__", "")
    if not name or "<" in name:
        raise TermError(
            f"{func!r} has no name in its module; define it with def at the top level of a module, so that a config can name it"
        )
    return f"{func.__module__}:{name}"


def resolve(text: str) -> Callable[..., Any]:
    """The function that `package.module:function` names.

    Raises:
        TermError: not of that form, no such module, the import fails, or no such function in it; the message lists the nearest.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise TermError(f"{text!r} is not a function's name; write package.module:function")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = f"there is no module {error.name!r}" + (
            "" if module_name.startswith(str(error.name)) else f" (imported by {module_name})"
        )
        raise TermError(f"{text!r}: {missing}; install its package, or put its folder on PYTHONPATH") from error
    except Exception as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TermError(f"{text!r}: module {module_name} cannot be imported: {told}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TermError(f"{text!r}: module {module_name} has no {name!r}{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise TermError(f"{text!r} is a {type(found).__name__}, not a function")
    return found


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function.

    Attributes:
        hint: its type; `Any` without an annotation.
        default: its default value; `inspect.Parameter.empty` for none.
    """

    hint: Any
    default: Any


def parameters(func: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a term's function after those passed by the environment, by name.

    Raises:
        TermError: it does not take an environment, or its parameters cannot be given by name.
    """
    given = list(inspect.signature(func).parameters.values())
    if not given:
        raise TermError(f"{reference(func)} must take the environment as its first parameter")
    kinds = {p.kind for p in given[1:]}
    if kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY}:
        raise TermError(f"{reference(func)} must name its parameters one by one, so that a config can be checked against them")
    scope = getattr(func.__init__ if inspect.isclass(func) else inspect.unwrap(func), "__globals__", {})
    return {p.name: Parameter(_hint(func, p, scope), p.default) for p in given[1:] if p.name not in FROM_ENVIRONMENT}


def _hint(func: Callable[..., Any], parameter: inspect.Parameter, scope: dict[str, Any]) -> Any:
    """The type that a parameter is annotated with."""
    hint = Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, scope)  # the annotation of a function that will be called anyway
    except NameError as error:
        raise TermError(f"the annotation {hint!r} of {reference(func)} cannot be read: {error}; import what it names") from error


FROM_ENVIRONMENT = ("ids", "succeeded")
"""Parameters that the environment passes besides itself, to functions that concern some worlds."""


@dataclass(frozen=True, init=False)
class Term:
    """A function with its parameters.

    Attributes:
        func: the function.
        params: values of all of the function's parameters, by name.
        GIVEN: arguments that the environment passes besides itself, in order; None for a class that is not called.
        LEFT_OUT: whether a term is left out if the environment lacks what its function needs, see `envs.terms.about`.
    """

    func: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    GIVEN: ClassVar[tuple[str, ...] | None] = ()
    LEFT_OUT: ClassVar[bool] = True

    def __init__(self, func: Callable[..., Any] | str, **values: Any) -> None:
        """Values are settings of the table and parameters of the function, by name.

        Raises:
            TermError: one of them is neither, has another type, or is missing.
        """
        func = resolve(func) if isinstance(func, str) else func
        self.check_function(func)
        wanted = parameters(func)
        own = {item.name: item for item in self.own_fields()}
        clash = sorted(set(own) & set(wanted))
        if clash:
            raise TermError(f"{reference(func)} has parameters {', '.join(clash)}, which are settings of the table; rename them")
        valid = [*own, *wanted]
        for name in values:
            if name not in valid:
                near = difflib.get_close_matches(name, valid, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TermError(f"{reference(func)} has no parameter {name!r}{hint}; valid: {', '.join(valid) or 'none'}")
        object.__setattr__(self, "func", func)
        for name, item in own.items():
            object.__setattr__(self, name, values[name] if name in values else _default(item))
        params = {name: values.get(name, parameter.default) for name, parameter in wanted.items()}
        missing = [name for name, value in params.items() if value is inspect.Parameter.empty]
        if missing:
            raise TermError(f"{reference(func)} needs {', '.join(missing)}")
        for name, value in params.items():
            if not fits(value, wanted[name].hint):
                raise TermError(f"{name} of {reference(func)} must be {said(wanted[name].hint)}, not {value!r}")
        object.__setattr__(self, "params", params)
        self.check()

    def check(self) -> None:
        """Raises `ValueError` if the table's own values make no sense."""
        for item in self.own_fields():
            value = getattr(self, item.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise TermError(f"{item.name} must be a finite number, not {value}")

    @classmethod
    def check_function(cls, func: Callable[..., Any]) -> None:
        """Raises `TermError` if a function is for another kind of table, judged by its arguments."""
        if not cls.LEFT_OUT and getattr(func, "__about__", None) is not None and func.__about__.needs:  # pyright: ignore
            raise TermError(f"{reference(func)} says needs={func.__about__.needs!r}, but this entry cannot be left out")  # pyright: ignore
        if cls.GIVEN is None:
            return
        call = func.__call__ if inspect.isclass(func) and any("__call__" in vars(base) for base in func.__mro__[:-1]) else func
        form = f"__call__(self, env{''.join(f', {name}' for name in cls.GIVEN)})"
        if inspect.isclass(func) and call is func:
            raise TermError(f"{reference(func)} must have a method {form}")
        names = [p.name for p in inspect.signature(call).parameters.values()][inspect.isclass(func) :]
        given = tuple(name for name in names if name in FROM_ENVIRONMENT)
        if given != cls.GIVEN or tuple(names[1 : 1 + len(given)]) != given:
            more = "" if inspect.isclass(func) else ", then its own parameters"
            raise TermError(f"{reference(func)} takes {', '.join(names)}; an entry here takes {', '.join(('env', *cls.GIVEN))}{more}")

    @classmethod
    def own_fields(cls) -> list[dataclasses.Field[Any]]:
        """Settings of the table, besides the function and its parameters."""
        return [item for item in dataclasses.fields(cls) if item.name not in ("func", "params")]

    def values(self) -> dict[str, Any]:
        """The table's own settings and the function's parameters, by name."""
        return {item.name: getattr(self, item.name) for item in self.own_fields()} | dict(self.params)

    def changed(self, **values: Any) -> Self:
        """The same term with other values."""
        return type(self)(self.func, **(self.values() | values))

    def made(self, env: Any) -> Callable[..., Any]:
        """The function with its parameters, to be called with the environment; for a class, an object that is called in the same way.

        Raises:
            TermError: the class cannot be called.
        """
        if not inspect.isclass(self.func):
            return partial(self.func, **self.params)
        thing = cast("Callable[..., Any]", self.func)(env, **self.params)
        if not callable(thing):
            raise TermError(f"{reference(self.func)} must have a method __call__(self, env)")
        return thing


@dataclass(frozen=True, init=False)
class RewardTerm(Term):
    """`func(env) -> (N,)`; the reward of a step is the sum over terms of weight * value * control_dt.

    Attributes:
        weight: weight per second; positive rewards, negative penalises, and a term with weight zero is not computed.
    """

    weight: float = 1.0


@dataclass(frozen=True, init=False)
class TerminationTerm(Term):
    """`func(env) -> (N,) bool`: worlds whose episode ends.

    Attributes:
        time_out: whether it truncates the episode without ending the task, so that the value of the final state still counts.
    """

    time_out: bool = False


@dataclass(frozen=True, init=False)
class PrivilegedTerm(Term):
    """`func(env) -> (N, k) or (N,)`: something that only the simulator knows."""


@dataclass(frozen=True, kw_only=True)
class SensedTerm:
    """Something that the robot senses, computed in the same way in training and on the robot by the contract's function with the entry's
    name.

    Your own function, `func(sensors, default_pose) -> (..., k)`, may only use operators that numpy and torch share. It is registered under
    the entry's name, as it must be on the robot, see `policies.contract.observation.register_term`.

    Attributes:
        func: `package.module:function` if the contract has no term with the entry's name; otherwise empty.
        noise: half-width of the uniform noise on the raw value, in its unit.
        scale: factor after clipping.
        clip: largest magnitude of the raw value, in its unit.
        delayed: whether the reading is delayed by the table's `observation_delay_s`.
    """

    func: str = ""
    noise: float = 0.0
    scale: float = 1.0
    clip: float = 100.0
    delayed: bool = False

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, is {self.noise:g}")
        if not self.clip > 0:
            raise ValueError(f"clip must be positive, not {self.clip:g}")

    def changed(self, **values: Any) -> Self:
        """The same term with other values."""
        return dataclasses.replace(self, **values)


ObservationEntry = SensedTerm | CameraTerm
"""An entry of the table of observations: a block of the vector `state`, or a picture."""


@dataclass(frozen=True, init=False)
class CommandTerm(Term):
    """`func` is a class of commands, see `envs.terms.commands.Command`."""

    GIVEN = None
    LEFT_OUT = False

    @classmethod
    def check_function(cls, func: Callable[..., Any]) -> None:
        super().check_function(func)
        if not (inspect.isclass(func) and issubclass(func, Command)):
            raise TermError(f"{reference(func)} is not a class of commands; derive yours from {reference(Command)}")


@dataclass(frozen=True, init=False)
class SceneTerm(Term):
    """`func(spec)`: adds something to the `mujoco.MjSpec` of the scene before it is compiled."""

    LEFT_OUT = False


@dataclass(frozen=True, init=False)
class ResetTerm(Term):
    """`func(env, ids) -> qpos (n, nq), qvel (n, nv)`: the start of episodes in the worlds `ids`."""

    GIVEN = ("ids",)
    LEFT_OUT = False


@dataclass(frozen=True, init=False)
class CurriculumTerm(Term):
    """`func(env, ids, succeeded)`: changes the worlds `ids` (n,) whose episode ended, with success `succeeded` (n,)."""

    GIVEN = ("ids", "succeeded")


@dataclass(frozen=True, init=False)
class SuccessTerm(Term):
    """`func(env) -> (N,) bool`: worlds whose episode would be a success if it ended now, which makes the next one harder."""


@dataclass(frozen=True, init=False)
class MetricTerm(Term):
    """`func(env) -> (N,) or ()`: a figure of the present step for the log, as mean over worlds."""


@dataclass(frozen=True, init=False)
class EventTerm(Term):
    """`func(env, ids)`: a change of the worlds `ids` (n,), e.g. of `env.engine`'s fields, see `envs.terms.events`.

    Attributes:
        when: `startup` (once per world), `reset` (each episode), `interval` (repeatedly).
        interval_s: bounds of the time between two changes, for `interval` [s].
    """

    GIVEN = ("ids",)

    when: Literal["startup", "reset", "interval"] = "reset"
    interval_s: tuple[float, float] = (0.0, 0.0)

    def check(self) -> None:
        if self.when not in ("startup", "reset", "interval"):
            raise TermError(f"when must be startup, reset or interval, not {self.when!r}")
        low, high = self.interval_s
        if self.when == "interval" and not 0 < low <= high < math.inf:
            raise TermError(f"a term at intervals needs interval_s: [least, most] with 0 < least <= most, not [{low:g}, {high:g}]")
        if self.when != "interval" and (low or high):
            raise TermError(f"interval_s has no effect at {self.when}; leave it out")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a parameter's annotation; anything fits without one."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if hint is type(None):
        return value is None
    if origin is Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if origin is tuple:
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis and isinstance(value, tuple) else list(args)
        return isinstance(value, tuple) and len(kinds) == len(value) and all(map(fits, value, kinds))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    known = isinstance(hint, type) and (hint in (bool, str) or dataclasses.is_dataclass(hint))
    return isinstance(value, hint) if known else True


def said(hint: Any) -> str:
    """A type in words, for messages."""
    words = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text"}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"a {hint.__name__}, with {', '.join(item.name for item in dataclasses.fields(hint))}"
    return words.get(hint) or str(hint).replace("typing.", "")


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default

"""What stands beside a term's function: what it needs, and how it looks in a mirror.

    @about(mirror="vector")
    def base_velocity(env: Env) -> torch.Tensor:
        ...

so that nothing about a term has to be kept in order anywhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from envs.terms.face import Env
from envs.terms.term import TermError

Kind = Literal["keep", "flip", "vector", "spin", "joint", "foot", "command"]
"""How entries look in a mirror whose plane is the base's x-z plane: the same; turned round; a vector (x, y, z), whose y turns round; an
angular velocity, whose x and z turn round; one entry a joint or a foot, which change places; the command, as its class says."""
Image = tuple[list[int], list[float]]
"""Permutation (k,) and sign (k,) of a term's entries."""
Mirrored = tuple[Kind, ...] | Kind | Callable[[Env], Image]
Need = Literal["terrain", "ramp", "camera"]
"""What an environment may lack without a fault: ground that is not flat, the ramp of disturbances, cameras."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class About:
    """See `about`."""

    mirror: Mirrored | None = None
    needs: Need | None = None


def about(mirror: Mirrored | None = None, needs: Need | None = None) -> Callable[[F], F]:
    """Say of a term's function what it needs and how it looks in a mirror.

    Args:
        mirror: the kind of its entries, or a kind for each block of them in order, or a function that gives the image. None: it has no
            image, and a task that has the term has no left-right symmetry.
        needs: the term is left out where the environment lacks this.

    Raises:
        TermError: there is no such kind or need; lists those that there are.
    """
    said = About(mirror=mirror, needs=needs)
    _check("mirror", mirror if isinstance(mirror, tuple) else (mirror,) if isinstance(mirror, str) else (), get_args(Kind))
    _check("needs", () if needs is None else (needs,), get_args(Need))

    def mark(func: F) -> F:
        func.__about__ = said  # pyright: ignore[reportFunctionMemberAccess]
        return func

    return mark


def _check(what: str, names: Sequence[str], valid: Sequence[str]) -> None:
    """Raises `TermError` where a word is none of the valid ones."""
    for name in set(names) - set(valid):
        near = difflib.get_close_matches(str(name), valid, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TermError(f"about: there is no {what}={name!r}{hint}; valid: {', '.join(valid)}")


def told(func: Callable[..., Any]) -> About:
    """What was said of a function, nothing by default."""
    return getattr(func, "__about__", About())

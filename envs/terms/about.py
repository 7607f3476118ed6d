"""Facts about a term's function, declared beside it: what it needs, and its mirror image.

    @about(mirror="vector")
    def base_velocity(env: Env) -> torch.Tensor:
        ...

so that nothing about a term has to be maintained elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from envs.terms.face import Env
from envs.terms.term import TermError

Kind = Literal["keep", "flip", "vector", "spin", "joint", "foot", "command"]
"""Mirror images of entries in the base's x-z plane: the same; sign flipped; a vector (x, y, z), whose y flips; an angular velocity, whose x
and z flip; one entry per joint or foot, which swap sides; the command, as its class defines."""
Image = tuple[list[int], list[float]]
"""Permutation (k,) and sign (k,) of a term's entries."""
Mirrored = tuple[Kind, ...] | Kind | Callable[[Env], Image]
Need = Literal["terrain", "ramp", "camera"]
"""Parts that an environment may lack: ground that is not flat, the ramp of disturbances, cameras."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class About:
    """See `about`."""

    mirror: Mirrored | None = None
    needs: Need | None = None
    shows: bool = False


def about(mirror: Mirrored | None = None, needs: Need | None = None, shows: bool = False) -> Callable[[F], F]:
    """Declare what a term's function needs, and its mirror image.

    Args:
        mirror: the kind of its entries, or a kind for each block of them in order, or a function that returns the image. None: it has no
            image, and a task with the term has no left-right symmetry.
        needs: the term is left out if the environment lacks this.
        shows: an entry of the randomization table that varies nothing, but shows what a policy must see: it stays where the table is
            switched off.

    Raises:
        TermError: no such kind or need; lists the valid ones.
    """
    said = About(mirror=mirror, needs=needs, shows=shows)
    _check("mirror", mirror if isinstance(mirror, tuple) else (mirror,) if isinstance(mirror, str) else (), get_args(Kind))
    _check("needs", () if needs is None else (needs,), get_args(Need))

    def mark(func: F) -> F:
        func.__about__ = said  # pyright: ignore[reportFunctionMemberAccess]
        return func

    return mark


def _check(what: str, names: Sequence[str], valid: Sequence[str]) -> None:
    """Raises `TermError` if a word is not one of the valid ones."""
    for name in set(names) - set(valid):
        near = difflib.get_close_matches(str(name), valid, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TermError(f"about: there is no {what}={name!r}{hint}; valid: {', '.join(valid)}")


def told(func: Callable[..., Any]) -> About:
    """What was declared of a function; by default nothing."""
    return getattr(func, "__about__", About())

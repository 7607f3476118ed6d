"""A module of terms that cannot be imported: it asks for what no environment knows."""

from envs.terms.about import about
from envs.terms.face import Env


@about(needs="terain")  # pyright: ignore[reportArgumentType]
def nothing(env: Env) -> None:
    """Never reached."""

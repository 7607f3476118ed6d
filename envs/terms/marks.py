"""What shows a goal to cameras: a ball where the command says, seen and not touched.

An entry of the table of randomization, left out where there are no cameras; physics and vectors do not know of it:

    randomization:
      goal: {func: "envs.terms.marks:GoalMark"}
"""

from __future__ import annotations

import mujoco
import torch

from envs.sensing.cameras import Cameras
from envs.sensing.stage import MARK
from envs.terms.about import about
from envs.terms.face import Env

LABELS = ("x", "y", "z")


@about(needs="camera", shows=True)
class GoalMark:
    """A ball at the commanded position, for policies that must see their goal."""

    def __init__(self, env: Env, radius: float = 0.025, rgba: tuple[float, float, float, float] = (0.9, 0.15, 0.1, 1.0)) -> None:
        """Add it to what cameras see.

        Args:
            env: the environment.
            radius: of the ball [m].
            rgba: its colour.
        """
        if tuple(env.commander.labels[:3]) != LABELS:
            raise ValueError(
                f"a goal can be shown if the command begins with x, y, z; it has {', '.join(env.commander.labels) or 'nothing'}"
            )
        self._env, self._cameras = env, _cameras_of(env)
        stage = self._cameras.stage
        self._name = stage.add_distractor(mujoco.mjtGeom.mjGEOM_SPHERE, MARK)
        added = next(geom for geom in stage.spec.geoms if geom.name == self._name)
        added.size, added.rgba = [radius] * 3, list(rgba)
        self._cameras.will_vary("geom_pos")
        stage.followers.append(self._follow)

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        """Nothing happens at a reset: the ball follows the command."""

    def _follow(self) -> None:
        """Put the ball of each world where its command is by now."""
        stage = self._cameras.stage
        pos = stage.field("geom_pos").clone()
        pos[:, stage.model.geom(self._name).id] = self._env.command[:, :3]
        stage.set_field("geom_pos", torch.arange(stage.num_worlds, device=stage.device), pos)


def _cameras_of(env: Env) -> Cameras:
    """The environment's cameras; the term is left out where there are none."""
    assert env.cameras is not None
    return env.cameras

"""What a policy's cameras show while it is deployed on a simulated robot: the scene of its training, by the renderer of its training.

The bridge simulates the robot; here one world of the policy's environment is posed as that robot is, and its cameras look at it. Physics
has no part in it. In lock-step with `--transport sim` the pictures are those of training, to the bit of the renderer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch

from envs.robots.robot import Robot
from envs.sensing.making import varied_fields
from envs.tasks.registry import make_env
from policies.contract.file import PolicyFile
from policies.files import write_text
from robolearn.errors import UserError
from robolearn.evaluation.worlds import env_of
from robolearn.policy_robot import robot_of

START = "start"
"""Name of the keyframe in a written scene: the robot in its default pose, objects where an episode of training begins."""


class TrainingScenery:
    """Implements `bridge.simulated.scenery.Scenery` by a policy's own environment.

    Attributes:
        key: the keyframe that the simulated scene begins with; None for the robot alone.
    """

    def __init__(self, file: PolicyFile, robot: str | Robot | None = None, seed: int = 0) -> None:
        """Make the world.

        Args:
            file: the policy, which sees.
            robot: as in `robot_of`.
            seed: where objects begin, and how things look if training varied that.

        Raises:
            UserError: its environment gives other pictures than its contract says.
        """
        who = robot_of(file, robot)
        self._env = make_env(file.spec.task, who, env_of(file, who), num_worlds=1, num_threads=1, seed=seed, device="cpu")
        for name in file.images:
            here = [group for group in self._env.spec.observation if group.name == name]
            if not here or here[0].shape != file.spec.group(name).shape:
                raise UserError(
                    f"{file.path} sees {name}, and task {file.spec.task} has no such camera here: its config was not recorded, or has "
                    f"changed"
                )
        self._env.reset()
        model = self._env.engine.model
        self._begin = self._env.rest.clone()
        self._robot_joints = {str(model.joint(i).name) for i in range(model.njnt) if _of_robot(model, i, who)}
        objects = [i for i in range(model.njnt) if model.joint(i).name not in self._robot_joints]
        for joint in objects:
            self._begin[_positions(model, joint)] = self._env.engine.qpos[0, _positions(model, joint)]
        self.key = START if objects else None
        self._known: tuple[tuple[str, ...], list[tuple[slice, slice]]] = ((), [])

    def write(self, path: Path) -> Path:
        """Write the scene that physics simulates as one MJCF file; meshes stay where they are. Returns its path."""
        scene = self._env.scene()
        scene.compile()
        if self.key is not None:
            scene.add_key(name=START, qpos=self._begin.double().numpy())
        write_text(path, scene.to_xml())
        return path

    def draw(
        self, groups: Sequence[str], joints: tuple[str, ...], qpos: np.ndarray, command: np.ndarray | None
    ) -> Mapping[str, np.ndarray[Any, Any]]:
        """See `bridge.simulated.scenery.Scenery.draw`; joints that the training's scene does not have are left out."""
        env = self._env
        if self._known[0] != joints:
            self._known = joints, _matched(env.engine.model, joints)
        pose = self._begin.clone()
        for ours, theirs in self._known[1]:
            pose[ours] = torch.from_numpy(qpos[theirs]).float()
        ids = torch.zeros(1, dtype=torch.long)
        env.engine.write_state(ids, pose[None], torch.zeros(1, env.engine.model.nv))
        if command is not None and len(command):
            env.commander.hold(torch.from_numpy(command))
        env.moved()
        env.episode_steps[:] = 0
        assert env.cameras is not None
        env.cameras.look(ids, env.episode_steps, varied_fields(env))
        return {name: env.images[name][0].numpy() for name in groups}

    def close(self) -> None:
        """Give back what the renderer holds."""
        if self._env.cameras is not None:
            self._env.cameras.close()


def _of_robot(model: mujoco.MjModel, joint: int, robot: Robot) -> bool:
    """Whether a joint belongs to the robot's tree of bodies."""
    base = int(model.body(robot.base).id)
    return int(model.body_rootid[model.jnt_bodyid[joint]]) == int(model.body_rootid[base])


def _size(model: mujoco.MjModel, joint: int) -> int:
    return {int(mujoco.mjtJoint.mjJNT_FREE): 7, int(mujoco.mjtJoint.mjJNT_BALL): 4}.get(int(model.jnt_type[joint]), 1)


def _positions(model: mujoco.MjModel, joint: int) -> slice:
    begin = int(model.jnt_qposadr[joint])
    return slice(begin, begin + _size(model, joint))


def _matched(model: mujoco.MjModel, joints: tuple[str, ...]) -> list[tuple[slice, slice]]:
    """Where the positions of joints of both scenes lie, in ours and in theirs, by their names.

    Their joints follow each other without gaps; one that is not ours has the size that is left, for example a gantry's.
    """
    ours = {str(model.joint(i).name): i for i in range(model.njnt)}
    found, at = list[tuple[slice, slice]](), 0
    for name in joints:
        if name not in ours:
            break  # added after all others
        size = _size(model, ours[name])
        found.append((_positions(model, ours[name]), slice(at, at + size)))
        at += size
    return found

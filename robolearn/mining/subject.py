"""Whose failures are looked for: a student with its training, which can be taught on, or a policy file alone, which cannot."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from envs.robots.registry import get_robot
from envs.robots.robot import Robot
from policies.contract.file import PolicyFile
from policies.networks.protocol import Network
from robolearn.config import schema, settings
from robolearn.config.schema import TrainCfg
from robolearn.errors import UserError
from robolearn.evaluation.actors import Actor, FileActor, StudentActor, TeacherActor
from robolearn.evaluation.worlds import config_of
from robolearn.learning.run import CHECKPOINT, find_checkpoint, load_checkpoint, other_model, readable
from robolearn.learning.student import load_student
from robolearn.learning.teacher import load_teacher
from robolearn.policy_path import find_policy
from robolearn.policy_robot import robot_of

_EPISODES = {
    "env.episode_s": "see --seconds",
    "env.curriculum*": "conditions say where a world starts",
    "env.success*": "there is no curriculum",
}
TAUGHT = (
    settings.RESUME_STUDENT
    | _EPISODES
    | {
        "seed": "see --seed",
        "student.iterations": "see --iterations",
        "student.until*": "a round trains for --iterations",
        "student.imitation.annealed_at": "a round keeps the weights that the student's schedule ends with",
        "student.imitation.rl_from": "a round keeps the weights that the student's schedule ends with",
    }
)
LOOKED_AT = settings.EVALUATE | _EPISODES
"""Settings that would have no effect, and why: of who is taught, and of who is only looked at."""


COMPARED, COMPARED_STEPS, COMPARED_TO = 4, 8, 1e-3
"""Worlds, steps and difference of actions by which a file is told from a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A policy.

    Attributes:
        name: for people and folders.
        path: what it was read from.
        cfg: of its training.
        robot: who walks, or reaches.
        state: the student's checkpoint; None for a policy file alone.
        file: the policy file, where there is no checkpoint.
    """

    name: str
    path: Path
    cfg: TrainCfg
    robot: Robot
    state: dict[str, Any] | None = None
    file: PolicyFile | None = None

    def actor(self, worlds: int, state: dict[str, Any] | None = None) -> Actor:
        """It in so many worlds.

        Args:
            worlds: N.
            state: a later checkpoint of the same student.
        """
        if self.state is None:
            assert self.file is not None
            return FileActor(self.file, worlds)
        return StudentActor(self.student(state), worlds)

    def student(self, state: dict[str, Any] | None = None) -> Network:
        """Its network, of its own or a later checkpoint."""
        found = state or self.state
        assert found is not None
        with readable(self.path):
            return load_student(found, self.cfg).to(self.cfg.env.device)

    def expert(self) -> Actor | None:
        """The teacher that it learned from; None for a policy file alone."""
        if self.state is None:
            return None
        with readable(self.path):
            return TeacherActor(load_teacher({"policy": self.state["teacher"]}, self.cfg).to(torch.device(self.cfg.env.device)))


def find_subject(text: str, overrides: list[str], teach: bool) -> Subject:
    """The policy that a path or a name means.

    Args:
        text: a run folder of a student, a checkpoint, a policy file, or the name of a shipped one.
        overrides: `--section.key=value`, laid over the config of its training.
        teach: whether it is to be taught on, so that its run is needed.

    Raises:
        UserError: there is none, or it cannot be taught; says what is needed.
    """
    path = Path(text)
    is_file = path.suffix == ".onnx"
    if path.exists() and not is_file and _has_checkpoint(path):
        return _of_checkpoint(find_checkpoint(path), overrides)
    file = PolicyFile(find_policy(text))
    if teach and is_file and (path.parent / CHECKPOINT).is_file():
        subject = _of_checkpoint(path.parent / CHECKPOINT, overrides)
        if not same(file, subject):
            raise UserError(
                f"{path} does not act as the checkpoint beside it, which a teaching would begin from: export that one"
                f" (robolearn export {path.parent}), give the run folder to teach it all the same, or look at the file alone (--rounds 0)"
            )
        return subject
    if teach:
        raise UserError(
            f"{file.path} is a policy file alone: it can be looked at (--rounds 0), and not be taught, since neither its teacher nor its "
            f"training are there; give the run folder of a student ({CHECKPOINT}), as robolearn distill makes it"
        )
    robot = robot_of(file)
    cfg = config_of(file, robot, overrides)
    settings.refuse(config_of(file, robot), cfg, LOOKED_AT, "improve --rounds 0")
    cfg = dataclasses.replace(cfg, env=cfg.env.at_rates_of(file.spec))
    return Subject(name=file.path.stem, path=file.path, cfg=cfg, robot=robot, file=file)


def same(file: PolicyFile, subject: Subject) -> bool:
    """Whether a policy file acts as a subject's checkpoint does, on observations that are drawn for it."""
    assert subject.state is not None
    network = subject.student().cpu()
    seen = int(subject.state["observation"][0].shape[1])
    if seen != file.spec.observation_dim or len(subject.state["policy"]["distribution.log_std"]) != file.spec.action_dim:
        return False
    ours, theirs = StudentActor(network, COMPARED), FileActor(file, COMPARED)
    generator, alive = torch.Generator().manual_seed(0), torch.ones(COMPARED, dtype=torch.bool)
    for _ in range(COMPARED_STEPS):
        observation = torch.randn(COMPARED, seen, generator=generator)
        one, two = (actor.act(observation, observation, alive) for actor in (ours, theirs))
        if not torch.allclose(one, two, atol=COMPARED_TO, rtol=COMPARED_TO):
            return False
    return True


def _has_checkpoint(path: Path) -> bool:
    try:
        find_checkpoint(path)
    except UserError:
        return False
    return True


def _of_checkpoint(path: Path, overrides: list[str]) -> Subject:
    state = load_checkpoint(path)
    if state["kind"] != "student":
        next_step = f"distill it first: robolearn distill {path.parent}" if state["kind"] == "teacher" else "give a student's run"
        raise UserError(f"{path} is a checkpoint of a {state['kind']}, and `improve` teaches students; {next_step}")
    cfg = schema.loads(state["config"], str(path), overrides)
    settings.refuse(schema.loads(state["config"], str(path)), cfg, TAUGHT, "improve")
    robot = get_robot(cfg.robot)
    if changed := other_model(state, robot):
        raise UserError(f"{changed}; bring that back")
    return Subject(name=path.resolve().parent.parent.name or cfg.task, path=path, cfg=cfg, robot=robot, state=state)

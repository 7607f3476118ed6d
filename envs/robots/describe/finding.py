"""The findings about a robot's model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mujoco

from envs.robots.describe.gains import Drive
from envs.robots.describe.limbs import Limbs
from envs.robots.describe.notes import Note
from envs.robots.describe.pose import Standing
from envs.robots.describe.reach import Reach
from envs.robots.describe.reading import Reading
from envs.robots.describe.standing import Trial
from envs.robots.describe.symmetry import Mirror

ASYMMETRIC = 0.02  # rad by which a default pose may differ from its mirror image


@dataclass(frozen=True, kw_only=True)
class FootFound:
    """A foot, as in `robot.yaml`."""

    name: str
    body: str
    position: tuple[float, ...]
    turn: float
    sole: bool
    up: tuple[float, ...]
    geoms: tuple[str, ...]
    shape: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """The findings.

    Attributes:
        name: of the robot.
        reading: the model as read, with spheres added to its `spec` for feet that lacked them.
        model: the robot alone, compiled; with a free joint if it stands on legs.
        kind: kind of robot, in words.
        floating: whether its base moves.
        limbs, mirror: its limbs and symmetry.
        standing: standing pose of a legged robot.
        reach: reach of an arm.
        drives: joint -> its drive, in policy order.
        default: joint -> angle in the default pose.
        posture: joint -> share of the posture reward.
        feet: feet in the order of `robot.yaml`.
        trial: result of a simulation with its gains.
        notes: notes of the reading and later ones; a `refused` one means that it will not work as it is.
    """

    name: str
    reading: Reading
    model: mujoco.MjModel
    kind: str
    floating: bool
    limbs: Limbs
    mirror: Mirror
    standing: Standing | None = None
    reach: Reach | None = None
    drives: dict[str, Drive] = field(default_factory=dict)
    default: dict[str, float] = field(default_factory=dict)
    posture: dict[str, float] = field(default_factory=dict)
    feet: tuple[FootFound, ...] = ()
    trial: Trial | None = None
    notes: tuple[Note, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a task can be trained on it as it is."""
        return bool(self.drives) and not any(note.kind == "refused" for note in self.notes)

    @property
    def mass(self) -> float:
        """[kg]."""
        return float(self.model.body_mass.sum())

    @property
    def base(self) -> str:
        """The body that carries payloads and takes pushes."""
        if self.reach is not None:
            return self.model.body(self.reach.load_body).name
        bodies = self.limbs.base.bodies
        if not bodies:
            return self.reading.root
        heaviest = max(bodies, key=lambda body: float(self.model.body_mass[body]))
        first = next(iter(bodies))
        return self.model.body(first if self.model.body_mass[first] > 0 else heaviest).name

    @property
    def trunk(self) -> str | None:
        """The heaviest body above the base that is not part of a leg and heavier than the base; it carries head and arms. None if there is
        none.
        """
        model = self.model
        legs = {body for chain in self.limbs.legs for link in chain.own for body in link.bodies}
        others = [body for body in range(1, model.nbody) if body not in legs and body not in self.limbs.base.bodies]
        heaviest = max(others, key=lambda body: float(model.body_mass[body]), default=None)
        if heaviest is None or model.body_mass[heaviest] <= model.body_mass[model.body(self.base).id]:
            return None
        return str(model.body(heaviest).name)

    @property
    def asymmetric(self) -> list[str]:
        """Joints that have no mirror image among the policy's, or are not at the mirror image's angle."""
        images, lost = self.mirror.joints, []
        for name in self.drives:
            image, sign = images.get(name, ("", 0.0))
            if image not in self.drives or abs(self.default[image] - sign * self.default[name] - self.mirror.offsets[name]) > ASYMMETRIC:
                lost.append(name)
        return lost

    def range(self, joint: str) -> tuple[float, float] | None:
        """The range of a joint [rad or m]; None if the file sets none."""
        index = self.model.joint(joint).id
        low, high = self.model.jnt_range[index]
        return (float(low), float(high)) if self.model.jnt_limited[index] else None


def with_notes(found: Description, *notes: Note) -> Description:
    """The same with more notes."""
    return replace(found, notes=(*found.notes, *notes))


def few(names: Sequence[str], most: int = 4) -> str:
    """The first names, for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def followers_of(reading: Reading, model: mujoco.MjModel) -> dict[str, str]:
    """Joint -> why the policy does not move it."""
    followers = dict.fromkeys(reading.passive, "no motor moves it")
    followers |= {name: f"follows {leader}" for name, (leader, _, _) in reading.mimics.items()}
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_BALL:
            followers[model.joint(joint).name] = "a ball joint"
    return followers


def natural_frequency(drive: Drive) -> float:
    """Natural frequency of a joint with the inertia that its motor sees with the limb free [Hz]."""
    return math.sqrt(drive.kp / drive.inertia) / (2 * math.pi)


def unused_joint(model: mujoco.MjModel, name: str) -> str:
    """A name that no joint has."""
    taken = {model.joint(i).name for i in range(model.njnt)}
    while name in taken:
        name += "_"
    return name

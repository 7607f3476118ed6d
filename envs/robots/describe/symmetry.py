"""Finds the left-right symmetry of a robot by geometry: the mirror image of each joint, and whether its angle changes sign.

The mirror is the x-z plane of the base. From the base outwards, the axis of each joint is reflected and searched for on the other side.
Nothing depends on names (they only break ties), on local frames, or on the file's zero pose: each matched pair of links carries the
reflection (A, t), p' = A p + t, from points of the one link to points of the other.

A rotation is an axial vector: the mirror image of turning by q about an axis u is turning by q about -A u. If the image's axis is v = e A u
(e = +1 or -1), its angle is therefore q' = -e q + offset for a hinge, and q' = e q + offset for a slide. The offset is not zero if the
file's zero angles are not mirror images of each other.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import mujoco
import numpy as np

from envs.robots.describe.links import Link, extent, links, turn

ANCHOR_TOLERANCE = 0.015  # share of the robot's size: largest distance of a joint's axis from its mirrored place
AXIS_TOLERANCE = 0.05  # rad
COM_TOLERANCE = 0.06  # share of the robot's size; masses of links often include a cable or a motor on one side
ALIKE = 0.003  # share of the robot's size: smaller errors are ignored
LOST = 0.1  # share of the robot's size: cost of a joint without an image
MASS_REMARK, MASS_TOLERANCE = 0.1, 0.5  # relative differences of a subtree's mass to its image: reported above the first, not an image
# above the second
RANGE_TOLERANCE = 0.02  # rad


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The left-right symmetry of a robot.

    Attributes:
        joints: joint -> (its image, sign): the image's angle is sign * angle + offset.
        bodies: body -> its image.
        offsets: joint -> offset [rad or m]; all zero where zero angles are mirror images of each other.
        faults: parts without an image, and why; empty for a symmetric robot.
        remarks: differences between matched parts: ranges, masses.
    """

    joints: dict[str, tuple[str, float]] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def reflect(self, model: mujoco.MjModel, qpos: np.ndarray) -> np.ndarray:
        """The mirrored configuration of the whole robot, in the x-z plane of the world if its base is free; (nq,) -> (nq,)."""
        mirrored = np.array(qpos, dtype=float)
        for joint, (image, sign) in self.joints.items():
            mirrored[model.jnt_qposadr[model.joint(image).id]] = sign * qpos[model.jnt_qposadr[model.joint(joint).id]] + self.offsets[joint]
        for joint in range(model.njnt):
            if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
                start = model.jnt_qposadr[joint]
                mirrored[start : start + 7] = qpos[start : start + 7] * [1, -1, 1, 1, -1, 1, -1]
        return mirrored


@dataclass
class _Search:
    """The findings so far."""

    model: mujoco.MjModel
    size: float
    joints: dict[str, tuple[str, float]] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def mirror(model: mujoco.MjModel, qpos: np.ndarray | None = None) -> Mirror:
    """Find the left-right symmetry of the model's robot.

    Args:
        model: the robot alone; its base's frame has x forward and z up.
        qpos: a default pose (nq,) to check for symmetry; None for no check.

    Returns:
        The matched joints and bodies; `faults` names those without an image.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    search = _Search(model, extent(model, data))
    base = links(model)
    reflection = np.diag([1.0, -1.0, 1.0, 1.0])
    if abs(base.com[1]) > COM_TOLERANCE * search.size:
        search.remarks.append(f"the base's centre of mass is {abs(base.com[1]):.3g} m beside its x-z plane")
    _match_bodies(search, base, base, reflection)
    _match_children(search, base, base, reflection)
    if qpos is not None:
        search.faults += _pose_faults(search, qpos)
    return Mirror(
        joints=search.joints, bodies=search.bodies, offsets=search.offsets, faults=tuple(search.faults), remarks=tuple(search.remarks)
    )


def _pose_faults(search: _Search, qpos: np.ndarray) -> Iterator[str]:
    model = search.model
    for joint, (image, sign) in search.joints.items():
        angle, other = (float(qpos[model.jnt_qposadr[model.joint(name).id]]) for name in (joint, image))
        wanted = sign * angle + search.offsets[joint]
        if joint <= image and abs(other - wanted) > 0.02:
            yield f"the default pose is not symmetric: {joint} at {angle:.3f} needs {image} at {wanted:.3f}, which is at {other:.3f}"


def _match_children(search: _Search, here: Link, there: Link, reflection: np.ndarray) -> None:
    """Pair the links that two matched links carry, and continue with the pairs. `reflection` maps points of `here` to points of `there`,
    (4, 4).
    """
    itself = here is there
    found: list[tuple[float, int, int, np.ndarray]] = []
    for (i, child), (j, image) in itertools.product(enumerate(here.children), enumerate(there.children)):
        if itself and i > j:
            continue
        onto = np.linalg.inv(image.home) @ reflection @ child.home
        if _line_fits(search, child, image, onto):
            found.append((_cost(search, child, image, onto), i, j, onto))
    left, right = set(range(len(here.children))), set(range(len(there.children)))
    for _, i, j, onto in sorted(found, key=lambda entry: entry[:3]):
        if i not in left or j not in right:
            continue
        child, image = here.children[i], there.children[j]
        matched = _turned(search, child, image, onto)
        if matched is None:
            continue
        left.discard(i)
        right.discard(j)
        if itself:  # a pair on one side is also a pair on the other
            left.discard(j)
            right.discard(i)
        _record(search, child, image, *matched)
    for i in sorted(left):
        lost = [link.name for link in here.children[i].walk()]
        more = f" (and what it carries: {', '.join(lost[1:])})" if lost[1:] else ""
        search.faults.append(f"{lost[0]} has no mirror image{more}")
    if not itself:
        search.faults += [f"{there.children[j].name} has no mirror image" for j in sorted(right)]


def _line_fits(search: _Search, child: Link, image: Link, onto: np.ndarray) -> bool:
    """Whether the reflected axis of a joint is the axis of another, with the same kind of joint and a similar carried mass."""
    return (
        child.slides == image.slides
        and _axis_error(child, image, onto) < AXIS_TOLERANCE
        and _line_error(child, image, onto) < ANCHOR_TOLERANCE * search.size
        and _mass_error(child, image) < MASS_TOLERANCE
    )


def _mass_error(child: Link, image: Link) -> float:
    return abs(child.subtree_mass - image.subtree_mass) / max(child.subtree_mass, image.subtree_mass, 1e-9)


def _axis_error(child: Link, image: Link, onto: np.ndarray) -> float:
    """Angle between a reflected axis and another, as lines [rad]."""
    return float(np.linalg.norm(np.cross(onto[:3, :3] @ child.axis, image.axis)))


def _line_error(child: Link, image: Link, onto: np.ndarray) -> float:
    """Distance of the reflected anchor from the image's axis [m]; zero for a slide, whose axis has no place."""
    if child.slides:
        return 0.0
    off = onto[:3, :3] @ child.anchor + onto[:3, 3] - image.anchor
    return float(np.linalg.norm(off - image.axis * (off @ image.axis)))


def _cost(search: _Search, child: Link, image: Link, onto: np.ndarray) -> float:
    """Dissimilarity of a joint and its image; names count less than any of the tolerances."""
    off = onto[:3, :3] @ child.anchor + onto[:3, 3] - image.anchor
    shape = _line_error(child, image, onto) + 0.3 * float(np.linalg.norm(off))
    names = 1.0 - difflib.SequenceMatcher(None, child.name, image.name).ratio()
    return shape / search.size + 0.1 * _axis_error(child, image, onto) + 0.05 * _mass_error(child, image) + 1e-4 * names


def _turned(search: _Search, child: Link, image: Link, onto: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The reflection of a link onto its image, and the image's rotation for the joint at `qpos0`; None if none fits.

    The joint axes agree already; the carried parts (centre of mass, next joints) determine the rotation of the image.
    """
    fits: list[tuple[float, float, np.ndarray]] = []
    for angle in _turns(child, image, onto):
        candidate = _moved(image, -angle) @ onto
        error = _carried_error(search, child, image, candidate)
        if error is not None:
            fits.append((error, angle, candidate))
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit[0])
    straight = next((fit for fit in fits if fit[1] == 0), best)
    if straight[0] < max(ALIKE * search.size, 10 * best[0]):  # a cable on one side does not change the zero
        best = straight
    return best[2], best[1]


def _moved(link: Link, amount: float) -> np.ndarray:
    """The motion of a link's joint by an amount, in the link's frame, (4, 4)."""
    matrix = np.eye(4)
    if link.slides:
        matrix[:3, 3] = amount * link.axis
    else:
        matrix[:3, :3] = turn(link.axis, amount)
        matrix[:3, 3] = link.anchor - matrix[:3, :3] @ link.anchor
    return matrix


def _turns(child: Link, image: Link, onto: np.ndarray) -> Iterator[float]:
    """Rotations of the image that may bring its carried parts to their mirrored places, the likeliest first."""
    yield 0.0

    def seen(point: np.ndarray, where: np.ndarray) -> np.ndarray:
        return where[:3, :3] @ point + where[:3, 3]

    points = [(seen(child.com, onto), image.com)]
    directions: list[tuple[np.ndarray, np.ndarray]] = []
    for one, other in itertools.product(child.children, image.children):
        points.insert(0, (seen(one.anchor, onto @ one.home), seen(other.anchor, other.home)))
        axis, image_axis = onto[:3, :3] @ one.home[:3, :3] @ one.axis, other.home[:3, :3] @ other.axis
        directions += [(axis, image_axis), (-axis, image_axis)]
    if image.slides:
        yield from (float((start - end) @ image.axis) for start, end in points)
        return
    for start, end in [(start - image.anchor, end - image.anchor) for start, end in points] + directions:
        across, there = (vector - image.axis * (vector @ image.axis) for vector in (start, end))
        if min(np.linalg.norm(across), np.linalg.norm(there)) > 1e-4:
            yield math.atan2(float(np.cross(there, across) @ image.axis), float(there @ across))


def _carried_error(search: _Search, child: Link, image: Link, onto: np.ndarray) -> float | None:
    """Distance of a link's carried parts (its mass, the next joints) from their mirrored places [m]; None: too far."""
    error = 0.0
    if min(child.mass, image.mass) > 0.02 * child.subtree_mass:
        error = float(np.linalg.norm(onto[:3, :3] @ child.com + onto[:3, 3] - image.com))
        if error > COM_TOLERANCE * search.size:
            return None
        if child is image:  # rotated by half a turn about its own axis, a link always has the same mass on both sides
            error = 0.0
    free = list(image.children)
    for one in child.children:
        onto_other = {id(other): np.linalg.inv(other.home) @ onto @ one.home for other in free}
        fits = [other for other in free if _line_fits(search, one, other, onto_other[id(other)])]
        if not fits:  # the carried parts differ: hands, tools
            error += LOST * search.size
            continue
        nearest = min(fits, key=lambda other: _cost(search, one, other, onto_other[id(other)]))
        free.remove(nearest)
        error += search.size * _cost(search, one, nearest, onto_other[id(nearest)])
    return error + LOST * search.size * len(free)


def _record(search: _Search, child: Link, image: Link, onto: np.ndarray, shift: float) -> None:
    along = 1.0 if image.axis @ (onto[:3, :3] @ child.axis) > 0 else -1.0
    sign = along if child.slides else -along
    for one, other, turned in ((child, image, shift), (image, child, -sign * shift)):
        # q' - zero' = sign (q - zero) + turn, and its inverse
        zero, zero_image = (float(search.model.qpos0[search.model.jnt_qposadr[link.joint]]) for link in (one, other))
        offset = zero_image + turned - sign * zero
        search.joints[one.name] = (other.name, sign)
        if not one.slides:
            offset = (offset + math.pi) % (2 * math.pi) - math.pi
        search.offsets[one.name] = 0.0 if abs(offset) < 1e-3 else offset
    search.remarks += _unlike(search, child, image)
    _match_bodies(search, child, image, onto)
    _match_children(search, child, image, onto)


def _unlike(search: _Search, child: Link, image: Link) -> Iterator[str]:
    if child is image:
        return
    if (error := _mass_error(child, image)) > MASS_REMARK:
        yield f"{child.name} and {image.name} carry {child.subtree_mass:.3g} and {image.subtree_mass:.3g} kg, {100 * error:.0f} % apart"
    sign, offset = search.joints[child.name][1], search.offsets[child.name]
    model = search.model
    if not (model.jnt_limited[child.joint] and model.jnt_limited[image.joint]):
        return
    wanted = np.sort(sign * model.jnt_range[child.joint] + offset)
    if np.abs(wanted - model.jnt_range[image.joint]).max() > RANGE_TOLERANCE:
        here, there = (f"[{low:.3g}, {high:.3g}]" for low, high in (model.jnt_range[child.joint], model.jnt_range[image.joint]))
        yield f"the ranges of {child.name} {here} and {image.name} {there} are not mirror images"


def _match_bodies(search: _Search, here: Link, there: Link, reflection: np.ndarray) -> None:
    """Pair the bodies of two matched links, the nearest first."""
    name = lambda body: search.model.body(body).name  # noqa: E731
    pairs = []
    for (one, frame), (other, image) in itertools.product(here.bodies.items(), there.bodies.items()):
        distance = np.linalg.norm(reflection[:3, :3] @ frame[:3, 3] + reflection[:3, 3] - image[:3, 3])
        masses = search.model.body_mass[[one, other]]
        names = 1.0 - difflib.SequenceMatcher(None, name(one), name(other)).ratio()
        pairs.append((float(distance) / search.size + abs(masses[0] - masses[1]) / max(masses.max(), 1e-9) + 1e-4 * names, one, other))
    for _, one, other in sorted(pairs):
        if name(one) not in search.bodies and name(other) not in search.bodies:
            search.bodies[name(one)], search.bodies[name(other)] = name(other), name(one)
    if here is there:
        return
    for link in (here, there):
        for body in link.bodies:
            if name(body) not in search.bodies:
                search.remarks.append(f"body {name(body)} has no mirror image")

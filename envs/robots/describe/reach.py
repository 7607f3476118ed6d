"""Finds an arm's tool, a bent pose with the tool in front, and a box of goals that it can reach.

A goal is reachable if damped least squares reaches it from the default pose or a few others, with joints inside their ranges and the arm
clear of the table and of itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.robots.describe.limbs import Chain, Limbs, limited, neutral
from envs.robots.describe.links import Link, root_body
from envs.robots.describe.shapes import cloud

TOOL_NAMES = tuple(
    re.compile(rf"(^|[_\W]){words}($|[_\W\d])", re.IGNORECASE)
    for words in (
        "(tcp|grasp|grasping|pinch|tool_center_point|fingertip|gripper_?center)",
        "(ee|eef|eff|end_?effector|ee_link|hand_tip|gripper_tip|gripperMover)",
        "(tool|tool0|attachment|attachment_site|flange)",
    )
)
AHEAD = np.array([0.5, 0.0, 0.4])  # share of the reach: place of the tool in the default pose
HALF_BOX = np.array([0.22, 0.4, 0.28])  # share of the reach: the largest box of goals
SAMPLES, STARTS = 1500, 12
TOUCHED, OFTEN = 100, 0.25  # links that touch in this share of this many poses have oversized shapes, so their contact is ignored
LEAST_HEIGHT = 0.1  # of the reach, above the table
INSIDE = 0.05  # share of its range that a joint stays away from its ends


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The point of an arm that should reach goals.

    Attributes:
        body: id of the body that carries it.
        position: in that body's frame [m], (3,).
        source: how it was found.
    """

    body: int
    position: np.ndarray
    source: str


@dataclass(frozen=True, kw_only=True)
class Reach:
    """An arm with its tool and workspace.

    Attributes:
        qpos: default pose (nq,).
        tool: its tool.
        load_body: id of the heaviest body of the last link.
        workspace: box of goals in the base's frame (3, 2) [m]; None if none was found.
        length: largest distance of the tool from the first joint [m].
        source: where the pose comes from.
        faults: what is wrong with it.
    """

    qpos: np.ndarray
    tool: Tool
    load_body: int
    workspace: np.ndarray | None
    length: float
    source: str
    faults: tuple[str, ...] = ()


def find_tool(model: mujoco.MjModel, limbs: Limbs, chain: Chain) -> Tool:
    """The tool: a site or frame with a usual name, the point between the fingertips, or the end of the last link."""
    bodies = chain.tip.bodies
    for pattern in TOOL_NAMES:
        for site in range(model.nsite):
            if int(model.site_bodyid[site]) in bodies and pattern.search(model.site(site).name):
                body = int(model.site_bodyid[site])
                return Tool(body=body, position=model.site_pos[site].copy(), source=f"site {model.site(site).name} of the file")
        for body in sorted(bodies, reverse=True):
            if pattern.search(model.body(body).name) and model.body_jntnum[body] == 0:
                return Tool(body=body, position=np.zeros(3), source=f"body {model.body(body).name} of the file")
    body, home = next(iter(bodies.items()))
    fingers = [b for b in bodies if any(model.joint(j).name in limbs.locked for j in _joints(model, b))]
    leaves = [b for b in fingers if b not in {int(model.body_parentid[other]) for other in fingers}]
    to_body = np.linalg.inv(home)
    if len(leaves) >= 1:
        middle = np.mean([bodies[b][:3, 3] for b in leaves], axis=0)
        axis = middle - chain.tip.anchor
        axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
        shape = _shape(model, {b: bodies[b] for b in fingers})
        far = float((shape @ axis).max()) if len(shape) else float(middle @ axis)
        centre = shape.mean(axis=0) if len(shape) else middle
        point = centre + axis * (far - centre @ axis - 0.1 * (far - middle @ axis))
        return Tool(body=body, position=to_body[:3, :3] @ point + to_body[:3, 3], source="between the fingertips")
    shape = _shape(model, bodies)
    shape = shape if len(shape) else chain.tip.com[None]
    off = shape - chain.tip.anchor
    axis = chain.tip.axis if not chain.tip.slides and np.abs(off @ chain.tip.axis).max() > 0.3 * np.linalg.norm(off, axis=1).max() else None
    if axis is None:
        point = shape[np.argmax(np.linalg.norm(off, axis=1))]
    else:
        along = off @ axis
        point = chain.tip.anchor + axis * along[np.argmax(np.abs(along))]
    return Tool(body=body, position=to_body[:3, :3] @ point + to_body[:3, 3], source="the end of the last link")


def _joints(model: mujoco.MjModel, body: int) -> range:
    return range(int(model.body_jntadr[body]), int(model.body_jntadr[body]) + int(model.body_jntnum[body]))


def _shape(model: mujoco.MjModel, bodies: dict[int, np.ndarray]) -> np.ndarray:
    colliding = cloud(model, bodies)
    return (colliding if len(colliding) else cloud(model, bodies, colliding=False)).points


class Arm:
    """The kinematics of an arm and its tool."""

    def __init__(self, model: mujoco.MjModel, limbs: Limbs, chain: Chain, tool: Tool) -> None:
        self.model, self.tool, self.data = model, tool, mujoco.MjData(model)
        self.links: list[Link] = list(chain.links)
        self.addresses = [int(model.jnt_qposadr[link.joint]) for link in self.links]
        self.dofs = [int(model.jnt_dofadr[link.joint]) for link in self.links]
        ranges = np.array([limited(model, link.joint) for link in self.links])
        ranges = np.clip(ranges, -np.pi, np.pi)
        gap = np.minimum(INSIDE * np.ptp(ranges, axis=1), 0.15)
        self.low, self.high = ranges[:, 0] + gap, ranges[:, 1] - gap
        self.middle = np.clip(0.0, self.low, self.high)
        self.qpos = neutral(model)
        self.root = root_body(model)
        self.place(self.middle)
        base = cloud(model, limbs.base.bodies)
        self.table = float((base.points[:, 2] - base.radii).min()) if len(base) else 0.0
        self.table = min(max(self.table, -0.2), 0.0)
        self.shapes = [(link, cloud(model, link.bodies)) for link in self.links[1:]]
        random = np.random.default_rng(0)
        self.samples = random.uniform(self.low, self.high, (SAMPLES, len(self.links)))
        points = []
        often: dict[tuple[int, int], int] = {}
        for index, angles in enumerate(self.samples):
            self.place(angles)
            points.append(self.point())
            for pair in self._touching() if index < TOUCHED else ():
                often[pair] = often.get(pair, 0) + 1
        self.place(self.middle)
        self.known = self._touching() | {pair for pair, count in often.items() if count > OFTEN * TOUCHED}
        self.points = np.array(points)
        start = self.local(self.data.xanchor[self.links[0].joint])
        self.shoulder = start
        self.length = float(np.linalg.norm(self.points - start, axis=1).max())

    def place(self, angles: np.ndarray) -> None:
        self.data.qpos[:] = self.qpos
        self.data.qpos[self.addresses] = angles
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def local(self, point: np.ndarray) -> np.ndarray:
        return self.data.xmat[self.root].reshape(3, 3).T @ (point - self.data.xpos[self.root])

    def point(self) -> np.ndarray:
        """Position of the tool in the base's frame (3,) [m]."""
        body = self.tool.body
        return self.local(self.data.xpos[body] + self.data.xmat[body].reshape(3, 3) @ self.tool.position)

    def jacobian(self) -> np.ndarray:
        """Jacobian of the tool, in the base's frame, (3, n)."""
        body, jacobian = self.tool.body, np.zeros((3, self.model.nv))
        point = self.data.xpos[body] + self.data.xmat[body].reshape(3, 3) @ self.tool.position
        mujoco.mj_jac(self.model, self.data, jacobian, None, point, body)
        return self.data.xmat[self.root].reshape(3, 3).T @ jacobian[:, self.dofs]

    def pointing(self) -> float:
        """How much the tool points down: 1 straight down, -1 up."""
        off = self.point() - self.local(self.data.xanchor[self.links[-1].joint])
        return float(-off[2] / max(float(np.linalg.norm(off)), 1e-6))

    def lowest(self) -> float:
        """Height of the lowest moving part in the base's frame [m]."""
        heights = [float(self.local(self.data.xipos[next(iter(link.bodies))])[2]) for link in self.links[1:] if link.bodies]
        return min([*heights, float(self.point()[2])])

    def _touching(self) -> set[tuple[int, int]]:
        mujoco.mj_collision(self.model, self.data)
        model, data = self.model, self.data
        return {tuple(sorted(int(model.body_weldid[model.geom_bodyid[geom]]) for geom in data.contact.geom[i])) for i in range(data.ncon)}  # type: ignore[return-value]

    def clear(self) -> bool:
        """Whether the arm is above the table and no two links touch, except neighbours that do in many poses."""
        return self.lowest() > self.table and not self._touching() - self.known

    def solve(self, goal: np.ndarray, start: np.ndarray, rest: float = 0.0) -> tuple[np.ndarray, float]:
        """Angles that bring the tool from a start to a goal, and the remaining distance [m]; `rest` pulls joints to their middles."""
        angles = start.copy()
        for _ in range(60):
            self.place(angles)
            error = goal - self.point()
            if np.linalg.norm(error) < 5e-4 and not rest:
                break
            jacobian = self.jacobian()
            damping = 1e-3 * self.length**2
            pull = jacobian.T @ np.linalg.solve(
                jacobian @ jacobian.T + damping * np.eye(3), np.clip(error, -0.1 * self.length, 0.1 * self.length)
            )
            if rest:
                null = np.eye(len(angles)) - np.linalg.pinv(jacobian, rcond=1e-2) @ jacobian
                pull = pull + rest * null @ (self.middle - angles)
            angles = np.clip(angles + np.clip(pull, -0.3, 0.3), self.low, self.high)
        self.place(angles)
        return angles, float(np.linalg.norm(goal - self.point()))

    def reaches(self, goal: np.ndarray, home: np.ndarray) -> bool:
        """Whether the tool can reach a goal, clear of the table and of itself."""
        near = np.argsort(np.linalg.norm(self.points - goal, axis=1))[:4]
        for start in (home, *self.samples[near]):
            _, error = self.solve(goal, start)
            if error < 0.002 and self.clear():
                return True
        return False

    def worth(self, angles: np.ndarray) -> float:
        """Score of a default pose: manipulable, in front, away from the ends of ranges, tool downwards; minus infinity if it touches
        something.
        """
        self.place(angles)
        if not self.clear():
            return -np.inf
        nimble = float(np.linalg.svd(self.jacobian(), compute_uv=False)[-1]) / self.length
        away = float(np.linalg.norm(self.point() - self.shoulder * [1, 1, 0] - self.target()) / self.length)
        room = float(np.minimum((angles - self.low) / (self.high - self.low), (self.high - angles) / (self.high - self.low)).min())
        low = (self.lowest() - self.table) / self.length  # an elbow on the table could not move
        twisted = float(np.square(angles - self.middle).mean())
        return min(nimble, 0.35) - 3 * away + 0.5 * min(room, 0.15) + 0.15 * self.pointing() - 0.12 * twisted + 2 * min(low, 0.15)

    def target(self) -> np.ndarray:
        return AHEAD * self.length + [0.0, 0.0, self.table]


def find_reach(model: mujoco.MjModel, limbs: Limbs, keys: Mapping[str, Mapping[str, float]] | None = None) -> Reach:
    """Find the tool, default pose and goals of the longest arm.

    Args:
        model: the robot alone, its base fixed.
        limbs: its limbs, with at least one arm.
        keys: name -> joint -> angle, the file's keyframes.
    """
    chain = limbs.arms[0]
    arm = Arm(model, limbs, chain, find_tool(model, limbs, chain))
    goal = arm.shoulder * [1, 1, 0] + arm.target()
    order = np.argsort(np.linalg.norm(arm.points - goal, axis=1))
    candidates = [arm.solve(goal, start, rest=0.2)[0] for start in (arm.middle, *arm.samples[order[:STARTS]])]
    candidates += [arm.samples[i] for i in order[:30]]
    best = max(candidates, key=arm.worth)
    source = "found: tool in front, away from singularities and from the ends of the ranges"
    for name in sorted(keys or {}, key=lambda key: ("home" not in key.lower(), key)):
        qpos = neutral(model)
        for joint, angle in (keys or {})[name].items():
            if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, joint) >= 0:
                qpos[model.jnt_qposadr[model.joint(joint).id]] = angle
        angles = qpos[arm.addresses]
        inside = bool(((angles >= arm.low) & (angles <= arm.high)).all())
        if inside and arm.worth(angles) > arm.worth(best) - 0.8:
            best, source = angles, f"keyframe {name} of the file"
            break
    faults = [] if np.isfinite(arm.worth(best)) else ["no pose was found in which it touches neither itself nor the table"]
    box = _box(arm, best)
    if box is None:
        faults.append("no box of goals in front of it was found in which it reaches every point")
    arm.place(best)
    heaviest = max(chain.tip.bodies, key=lambda body: float(model.body_mass[body]))
    return Reach(
        qpos=arm.data.qpos.copy(), tool=arm.tool, load_body=heaviest, workspace=box, length=arm.length, source=source, faults=tuple(faults)
    )


def _box(arm: Arm, home: np.ndarray) -> np.ndarray | None:
    """The largest of a few boxes in front of the base and above the table whose corners and faces are all reachable, (3, 2)."""
    floor = arm.table + LEAST_HEIGHT * arm.length
    for share in np.geomspace(1.0, 0.2, 9):
        half = share * HALF_BOX * arm.length
        for ahead in (0.5, 0.45, 0.6):
            centre = arm.shoulder * [1, 1, 0] + np.array([ahead, 0.0, 0.0]) * arm.length
            centre[2] = max(floor + half[2], arm.target()[2])
            corners = [centre + half * np.array(signs) for signs in np.ndindex(3, 3, 3) for signs in [np.array(signs) - 1]]
            corners.sort(key=lambda corner: -float(np.linalg.norm(corner - arm.shoulder)))
            if np.linalg.norm(corners[0] - arm.shoulder) < arm.length and all(arm.reaches(corner, home) for corner in corners):
                return np.stack([centre - half, centre + half], axis=1)
    return None

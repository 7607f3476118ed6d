"""A walk on two feet, for humanoids with soles: the next foot goes where the capture point requires it, and the whole body follows.

`robolearn.controllers.steps` gives the point of pressure and the footholds; this module moves the body accordingly. The centre of mass is
accelerated like the linear pendulum over the point of pressure, the base is held level and at its height, the swing foot follows its path,
and the joints outside the legs are held still. Numbers are G1's, scaled to the robot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.robots.robot import Robot
from envs.tasks.scaling import scale_of
from robolearn.controllers.body import FREE, Body
from robolearn.controllers.drive import Drive
from robolearn.controllers.face import State, Timing
from robolearn.controllers.steps import Moment, Steps, StepsCfg
from robolearn.controllers.swing import EARTH, Point, swing
from robolearn.controllers.whole_body import Following, Wanted, following, solve

LARGEST_TURN = 0.3  # rad, by which the desired heading may lead the robot's own
USED = 0.85  # of a sole, for the point of pressure
GRIP = 10.0  # 1/s, damping of a stance foot's velocity


@dataclass(frozen=True, kw_only=True)
class WalkCfg:
    """Settings of a walk, for G1.

    Attributes:
        steps: settings of the steps.
        lift: height of a foot in the middle of its swing [m].
        deep: how far below the ground a swing aims, so that it ends with a contact [m].
        seek: speed at which a foot that should stand is lowered until it finds the ground [m/s].
        crouch: how far the base is below its height in the default pose [m].
        hastens: rate limit of the command that is followed [m/s2] and [rad/s2].
        height_gains: gains of the height [1/s2] and of vertical velocity [1/s].
        tilt_gains: gains of roll and pitch and their rates.
        yaw_gains: gains of heading and its rate.
        learns: how fast a lasting error of height, roll and pitch is compensated [1/s].
        most_learned: bound of this compensation [m/s2] and [rad/s2].
        weights: weights of the centre of mass's planar acceleration, and of the base's vertical, roll and pitch, and yaw acceleration.
    """

    steps: StepsCfg = field(default_factory=StepsCfg)
    lift: float = 0.04
    deep: float = 0.02
    seek: float = 0.5
    crouch: float = 0.03
    hastens: tuple[float, float] = (1.0, 2.0)
    height_gains: tuple[float, float] = (144.0, 18.0)
    tilt_gains: tuple[float, float] = (150.0, 25.0)
    yaw_gains: tuple[float, float] = (60.0, 12.0)
    learns: float = 1.0
    most_learned: float = 5.0
    weights: tuple[float, float, float, float] = (1.0, 10.0, 2.0, 0.3)


@dataclass(frozen=True, kw_only=True)
class Path:
    """The desired state of a foot with a sole.

    Attributes:
        foot: index of the foot.
        point: the middle of its sole.
        yaw: its heading [rad].
        yaw_rate: [rad/s].
    """

    foot: int
    point: Point
    yaw: float
    yaw_rate: float


class Walk:
    """The walk of one robot in one world.

    Attributes:
        steps: the state of its steps.
    """

    def __init__(self, body: Body, timing: Timing, cfg: WalkCfg | None = None) -> None:
        """Begin standing.

        Args:
            body: the robot's model, which may be shared.
            timing: the timing of its actions.
            cfg: the settings.
        """
        robot, s = body.robot, scale_of(body.robot)
        self.body, self.cfg, self._dt, self._ahead = body, cfg or WalkCfg(), timing.control_dt, timing.ahead_s
        self._drive = Drive(robot)
        self._time, self._length, self._speed = s.factor("time"), s.factor("length"), s.factor("speed")
        body.stand()
        ground, crouch = float(body.foot[:, 2].mean()), self.cfg.crouch * self._length
        self._height = float(body.position[2]) - ground - crouch
        rate = float(np.sqrt(EARTH / (body.mass_center[2] - ground - crouch)))
        left = body.foot[:, 1] > body.foot[:, 1].mean()
        self.steps = Steps(self.cfg.steps, self._dt, rate, left, _sole(body), self._length, self._time)
        self._default = np.array(robot.default_pose)
        self._upper = ~np.isin(body.joint_dofs, np.concatenate([leg.dofs for leg in body.legs]))
        self.reset()

    def reset(self) -> None:
        self.steps.reset()
        self._asked = np.zeros(3)  # the command that is followed
        self._learned = np.zeros(3)
        self._yaw: float | None = None  # the desired one
        self._lifted, self._lifted_yaw = np.zeros(3), 0.0  # where the swing foot lifted off

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        cfg, body, steps, ahead = self.cfg, self.body, self.steps, self._ahead
        body.look(state)
        planar, turning = (rate * self._dt for rate in (cfg.hastens[0] * self._speed / self._time, cfg.hastens[1] / self._time**2))
        most = np.array([planar, planar, turning])
        self._asked = self._asked + np.clip(command - self._asked, -most, most)
        yaw = self._turned()
        now = self._moment(state, yaw)
        if steps.advance(now):
            self._lifted, self._lifted_yaw = body.foot[1 - steps.carrier].copy(), body.foot_yaw(1 - steps.carrier)
        pressure = steps.pressure(now)
        path = self._path(now, yaw)
        feet = [GRIP / self._time * -(jacobian @ body.velocity) for jacobian in body.jacobians]
        for acceleration in feet:
            acceleration[2] = 0.0
        if path is not None:
            feet[path.foot] = np.append(path.point.acceleration, np.zeros(3))
        joints = np.zeros(body.model.nv)
        follow = following(body, feet, joints)
        base, offset = self._rows(follow)
        values = np.append(steps.rate**2 * (body.mass_center[:2] - pressure), self._balance(yaw))
        flat, tall, tilt, turn = cfg.weights
        weights = np.array([flat, flat, tall, tilt, tilt, turn])
        wanted = Wanted(base=base, offset=offset, values=values, weights=weights, feet=feet, joints=joints)
        motion = solve(body, wanted, steps.down, follow)
        q, v, a = state.qpos[body.joint_qpos], state.qvel[body.joint_dofs], motion.acceleration[body.joint_dofs]
        expected, rate = q + v * ahead + 0.5 * a * ahead**2, v + a * ahead
        expected[self._upper], rate[self._upper] = self._default[self._upper], 0.0  # held by their motors
        if path is not None:
            self._follow(path, q, expected, rate)
        return self._drive.targets(expected, rate, motion.torque)

    def _turned(self) -> float:
        """The desired heading, which never leads the actual one by much [rad]."""
        yaw = self.body.yaw
        wanted = (yaw if self._yaw is None else self._yaw) + self._asked[2] * self._dt
        self._yaw = yaw + float(np.clip(_wrapped(wanted - yaw), -LARGEST_TURN, LARGEST_TURN))
        return self._yaw

    def _moment(self, state: State, yaw: float) -> Moment:
        body, (c, s) = self.body, (np.cos(yaw), np.sin(yaw))
        speed = body.mass_matrix[:2] @ body.velocity / body.mass  # of the centre of mass
        return Moment(
            feet=body.foot[:, :2],
            contact=state.contact,
            capture=body.mass_center[:2] + speed / self.steps.rate,
            heading=np.array([[c, -s], [s, c]]),
            velocity=self._asked[:2],
            asked=bool(self._asked.any()),
        )

    def _path(self, now: Moment, yaw: float) -> Path | None:
        """Where the foot that is off the ground should be when the next target acts; None if both are down."""
        cfg, body, steps = self.cfg, self.body, self.steps
        if not steps.single:
            if steps.down[steps.carrier]:
                return None
            foot, speed = steps.carrier, cfg.seek * self._speed  # it should stand but does not, so lower it
            position = body.foot[foot] - np.array([0.0, 0.0, speed * self._ahead])
            return Path(foot=foot, point=Point(position, np.array([0.0, 0.0, -speed]), np.zeros(3)), yaw=yaw, yaw_rate=0.0)
        foot = 1 - steps.carrier
        end = np.append(steps.foothold(now), body.foot[steps.carrier, 2] - cfg.deep * self._length)
        share = steps.share + self._ahead / steps.swing_s
        way = _wrapped(yaw + self._asked[2] * steps.left_s - self._lifted_yaw)
        start, turned = np.append(self._lifted, self._lifted_yaw), np.append(end, self._lifted_yaw + way)
        both = swing(start, turned, cfg.lift * self._length, share, steps.swing_s)
        point = Point(both.position[:3], both.velocity[:3], both.acceleration[:3])
        return Path(foot=foot, point=point, yaw=float(both.position[3]), yaw_rate=float(both.velocity[3]))

    def _rows(self, follow: Following) -> tuple[np.ndarray, np.ndarray]:
        """The desired motion as rows of the base's acceleration, (6, 6) and (6,): two for the centre of mass, then four for the base
        itself.
        """
        body, base, offset = self.body, np.eye(FREE), np.zeros(FREE)
        base[:2] = body.mass_matrix[:2] @ follow.slope / body.mass
        offset[:2] = (body.mass_matrix[:2] @ follow.start + body.bias[:2]) / body.mass
        return base, offset

    def _balance(self, yaw: float) -> np.ndarray:
        """The vertical and angular acceleration of the base that corrects height and attitude, (4,)."""
        cfg, body, time, up = self.cfg, self.body, self._time, self.body.rotation[2]
        (kz, dz), (kr, dr), (ky, dy) = ((k / time**2, d / time) for k, d in (cfg.height_gains, cfg.tilt_gains, cfg.yaw_gains))
        ground = float(body.foot[self.steps.down, 2].min())
        rise = kz * (self._height - (body.position[2] - ground)) - dz * body.velocity[2]
        level = kr * np.array([-up[1], up[0]]) - dr * body.velocity[3:5]
        turn = ky * _wrapped(yaw - body.yaw) + dy * (self._asked[2] - body.velocity[5])
        error = np.array([rise, *level])
        self._learned = np.clip(self._learned + cfg.learns / time * self._dt * error, -cfg.most_learned, cfg.most_learned)
        return np.append(error + self._learned, turn)

    def _follow(self, path: Path, q: np.ndarray, expected: np.ndarray, rate: np.ndarray) -> None:
        """Write the leg's joint positions and velocities that keep its foot flat and on its path into `expected` and `rate`, (J,) in policy
        order.
        """
        body, leg = self.body, self.body.legs[path.foot]
        inverse = body.inverses[path.foot]
        base = body.jacobians[path.foot][:, :FREE] @ body.velocity[:FREE]  # of the foot, if the leg's joints did not move
        c, s = np.cos(path.yaw), np.sin(path.yaw)
        error = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ body.foot_rotation(path.foot).T
        turn = 0.5 * np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]])
        off = np.append(path.point.position - body.foot[path.foot], turn)
        expected[leg.joints] = q[leg.joints] + inverse @ (off - base * self._ahead)
        rate[leg.joints] = inverse @ (np.append(path.point.velocity, [0.0, 0.0, path.yaw_rate]) - base)


def _sole(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest point of pressure relative to a sole's middle, forward and left, of the standing robot [m], (2,) each."""
    reach = np.concatenate([body.contact_points(foot)[0][:, :2] - body.foot[foot, :2] for foot in range(2)])
    return USED * reach.min(0), USED * reach.max(0)


def _wrapped(angle: float) -> float:
    """An angle wrapped to half a turn [rad]."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def fits(robot: Robot) -> str | None:
    """Why a robot cannot walk; None if it can."""
    if len(robot.feet) != 2 or not all(foot.sole for foot in robot.feet.values()):
        return f"a walk is for robots on two feet with soles; {robot.name} has {len(robot.feet)} feet"
    few = [leg.name for leg in Body(robot).legs if leg.rows < 6]
    if few:
        return f"a walk needs at least six joints per leg, to place a sole anywhere; {robot.name} has fewer in: {', '.join(few)}"
    return None

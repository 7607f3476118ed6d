"""A trot for any robot with four feet: diagonal legs step together, to Raibert's footholds, while the others carry the robot.

Each pair is in the air for nearly half of a cycle. Feet come down such that the body keeps its speed, and further out in the direction in
which it is too fast; the stance legs provide the forces that hold height, attitude and speed (`robolearn.controllers.whole_body`). Without
a command or a disturbance, it stands on four feet. All times and lengths are Go1's, scaled to the robot by Froude's rule
(`envs.tasks.scaling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.robots.robot import Robot
from envs.tasks.scaling import scale_of
from robolearn.controllers.body import FREE, Body
from robolearn.controllers.drive import Drive
from robolearn.controllers.face import State, Timing
from robolearn.controllers.swing import Point, foothold, swing
from robolearn.controllers.whole_body import Wanted, solve


@dataclass(frozen=True, kw_only=True)
class TrotCfg:
    """Settings of a trot, for Go1.

    Attributes:
        cycle_s: time of two steps [s].
        swing_share: share of a cycle in which a foot is in the air; at most half.
        lift: height of a foot in the middle of its swing [m].
        place_s: Raibert's gain, how much further out a foot comes down per m/s of excess speed [s].
        farthest: largest distance of a foothold from the point below its hip [m].
        stays: how fast a standing robot moves back over the middle of its feet [1/s].
        speed_gain, rate_gain: gains of planar velocity and yaw rate [1/s].
        height_gains: gains of the height [1/s2] and of vertical velocity [1/s].
        tilt_gains: gains of roll and pitch [1/s2] and their rates [1/s].
        learns: integral rate [1/s]: how fast lasting errors of each kind of acceleration, which the model lacks, are compensated.
        most_learned: bound of this compensation [m/s2] and [rad/s2].
        weights: weights of planar acceleration, vertical, roll and pitch, yaw.
        rests_below: speed under which a robot without a command stands still [m/s].
        rests_within: largest distance of its feet from the points below its hips for that [m].
    """

    cycle_s: float = 0.4
    swing_share: float = 0.45
    lift: float = 0.07
    place_s: float = 0.08
    farthest: float = 0.2
    stays: float = 2.0
    speed_gain: float = 6.0
    rate_gain: float = 8.0
    height_gains: tuple[float, float] = (120.0, 16.0)
    tilt_gains: tuple[float, float] = (120.0, 16.0)
    learns: float = 0.3
    most_learned: float = 4.0
    weights: tuple[float, float, float, float] = (1.0, 2.0, 0.7, 0.3)
    rests_below: float = 0.25
    rests_within: float = 0.09


class Trot:
    """The trot of one robot in one world."""

    def __init__(self, body: Body, timing: Timing, cfg: TrotCfg | None = None) -> None:
        """Begin standing.

        Args:
            body: the robot's model, which may be shared.
            timing: the timing of its actions.
            cfg: the settings.
        """
        robot, s = body.robot, scale_of(body.robot)
        self.body, self.cfg, self.dt = body, cfg or TrotCfg(), timing.control_dt
        self._drive, self._ahead = Drive(robot), timing.ahead_s
        self._time, self._length, self._speed = s.factor("time"), s.factor("length"), s.factor("speed")
        body.stand()
        self._hips, self._height = _stance(body)
        self._second = diagonals(self._hips)  # which pair each foot belongs to, (F,) bool
        self._default = np.array(robot.default_pose)
        self.cycle_s = self.cfg.cycle_s * self._time
        self.swing_s = self.cycle_s * self.cfg.swing_share
        self.reset()

    def reset(self) -> None:
        self.phase = 0.0  # phase of the cycle, in turns
        self.moving = False
        self._lifted = np.zeros((len(self._hips), 3))  # where each foot lifted off
        self._in_air = np.zeros(len(self._hips), bool)
        self._learned = np.zeros(FREE)
        self._ground = 0.0

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        body = self.body
        body.look(state)
        self._advance(command)
        share = (self.phase - 0.5 * self._second) % 1.0 * self.cycle_s / self.swing_s
        air = self.moving & (share < 1.0)
        leaving = air & ~self._in_air
        self._lifted[leaving] = body.foot[leaving]
        self._in_air = air
        stands = ~air
        self._ground = float((body.foot[stands, 2]).mean())
        ahead = self._ahead
        paths = [self._path(index, share[index], ahead, command) if air[index] else None for index in range(len(air))]
        feet = [path.acceleration if path is not None else np.zeros(3) for path in paths]
        wanted = self._wanted(command, feet)
        motion = solve(body, wanted, stands)
        q, v = state.qpos[body.joint_qpos], state.qvel[body.joint_dofs]
        a = motion.acceleration[body.joint_dofs]
        expected, rate = q + v * ahead + 0.5 * a * ahead**2, v + a * ahead
        for index, path in enumerate(paths):
            if path is not None:
                self._follow(index, path, ahead, state, expected, rate)
        return self._drive.targets(expected, rate, motion.torque)

    def _advance(self, command: np.ndarray) -> None:
        """Advance the clock, or stand if there is no command and no disturbance."""
        before = self.phase
        if self.moving:
            self.phase = (self.phase + self.dt / self.cycle_s) % 1.0
        down = not self.moving or int(2 * before) != int(2 * self.phase)  # all feet are down
        if down and self._rests(command):
            self.moving = False
        elif not self.moving:
            self.moving, self.phase = True, 0.0

    def _rests(self, command: np.ndarray) -> bool:
        """Whether there is no command and the robot can just stand."""
        still = self.cfg.rests_below * self._speed
        body, c, s = self.body, np.cos(self.body.yaw), np.sin(self.body.yaw)
        turn = np.array([[c, -s], [s, c]])
        off = body.foot[:, :2] - body.position[:2] - self._hips @ turn.T
        asked = np.hypot(command[0], command[1]) > 0.05 * self._speed or abs(command[2]) > 0.05
        return not asked and np.hypot(*body.velocity[:2]) < still and bool(np.hypot(*off.T).max() < self.cfg.rests_within * self._length)

    def _path(self, index: int, share: float, ahead: float, command: np.ndarray) -> Point:
        """Where a swing foot should be when the next target acts."""
        cfg, body = self.cfg, self.body
        left = max(1.0 - share, 0.0) * self.swing_s
        yaw = body.yaw + command[2] * left
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, -s], [s, c]])
        arm = turn @ self._hips[index]
        around = np.array([-arm[1], arm[0]])
        rate = float((body.rotation @ body.velocity[3:6])[2])
        asked = turn @ command[:2] + command[2] * around
        velocity = body.velocity[:2] + rate * around
        below = body.position[:2] + body.velocity[:2] * left + arm
        place = foothold(below, velocity, asked, self.cycle_s - self.swing_s, cfg.place_s * self._time)
        reach = place - below
        far = float(np.hypot(*reach)) / (cfg.farthest * self._length)
        end = np.append(below + reach / max(far, 1.0), self._ground)
        return swing(self._lifted[index], end, cfg.lift * self._length, share + ahead / self.swing_s, self.swing_s)

    def _wanted(self, command: np.ndarray, feet: list[np.ndarray]) -> Wanted:
        """The base acceleration that corrects speed, height and attitude."""
        cfg, body, rotation = self.cfg, self.body, self.body.rotation
        (kz, dz), (kr, dr), time = cfg.height_gains, cfg.tilt_gains, self._time
        up = rotation[2]  # the world's z in the base's frame
        c, s = np.cos(body.yaw), np.sin(body.yaw)
        asked = np.array([c * command[0] - s * command[1], s * command[0] + c * command[1]])
        if not self.moving:  # over the middle of its feet
            off = (body.foot[:, :2] - body.position[:2]).mean(0) - np.array([[c, -s], [s, c]]) @ self._hips.mean(0)
            asked = asked + cfg.stays / time * off
        error = np.empty(FREE)  # accelerations, before the learned ones
        error[:2] = cfg.speed_gain / time * (asked - body.velocity[:2])
        error[2] = kz / time**2 * (self._height - (body.position[2] - self._ground)) - dz / time * body.velocity[2]
        error[3:5] = kr / time**2 * np.array([-up[1], up[0]]) - dr / time * body.velocity[3:5]
        error[5] = cfg.rate_gain / time * (command[2] - body.velocity[5])
        self._learned = np.clip(self._learned + cfg.learns * self.dt / time * error, -cfg.most_learned, cfg.most_learned)
        flat, tall, tilt, turn = cfg.weights
        return Wanted(
            base=np.eye(FREE),
            offset=np.zeros(FREE),
            values=error + self._learned,
            weights=np.array([flat, flat, tall, tilt, tilt, turn]),
            feet=feet,
            joints=self._posture(),
        )

    def _posture(self) -> np.ndarray:
        """Acceleration of the joints outside the legs, back to the default pose, (nv,)."""
        body, time = self.body, self._time
        wanted = np.zeros(body.model.nv)
        q, v = body.data.qpos[body.joint_qpos], body.velocity[body.joint_dofs]
        wanted[body.joint_dofs] = 100.0 / time**2 * (self._default - q) - 20.0 / time * v
        return wanted

    def _follow(self, index: int, path: Point, ahead: float, state: State, expected: np.ndarray, rate: np.ndarray) -> None:
        """Write the leg's joint positions and velocities that keep its foot on its path into `expected` and `rate`, (J,) in policy
        order.
        """
        body, leg = self.body, self.body.legs[index]
        inverse, jacobian = body.inverses[index], body.jacobians[index]
        base = jacobian[:, :FREE] @ body.velocity[:FREE]  # of the foot, if the leg's joints did not move
        expected[leg.joints] = state.qpos[body.joint_qpos[leg.joints]] + inverse @ (path.position - body.foot[index] - base * ahead)
        rate[leg.joints] = inverse @ (path.velocity - base)


def _stance(body: Body) -> tuple[np.ndarray, float]:
    """Footholds of the default pose relative to the root, in its heading frame [m], (F, 2); the root's height above them [m]."""
    return body.foot[:, :2] - body.position[:2], float(body.position[2] - body.foot[:, 2].mean())


def diagonals(feet: np.ndarray) -> np.ndarray:
    """Which feet (4, 2) step second, (4,) bool: front left and its diagonal; by geometry, whatever their names."""
    middle = feet.mean(0)
    left, front = feet[:, 1] > middle[1], feet[:, 0] > middle[0]
    return left == front


def fits(robot: Robot) -> str | None:
    """Why a robot cannot trot; None if it can."""
    if len(robot.feet) != 4:
        return f"a trot is for robots with four feet; {robot.name} has {len(robot.feet)}"
    few = [leg.name for leg in Body(robot).legs if len(leg.dofs) < 3]
    if few:
        return f"a trot needs at least three joints per leg, to place a foot anywhere; {robot.name} has fewer in: {', '.join(few)}"
    return None

"""A walk on two feet: the next foot goes where the capture point asks for it, the whole body follows by inverse dynamics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.robots.robot import Robot
from envs.tasks.scaling import scale_of
from robolearn.controllers.body import FREE, Body
from robolearn.controllers.capture import Pace, runs_to
from robolearn.controllers.drive import Drive
from robolearn.controllers.face import State, Timing
from robolearn.controllers.swing import EARTH, Point, swing
from robolearn.controllers.whole_body import Wanted, following, solve


@dataclass(frozen=True, kw_only=True)
class WalkCfg:
    step_s: float = 0.36
    both_share: float = 0.25
    lift: float = 0.04
    crouch: float = 0.03
    width: float = 0.2
    narrowest: float = 0.15
    widest: float = 0.42
    longest: float = 0.46
    pressure_gain: float = 2.0
    shift_gain: float = 1.5
    hastens: tuple[float, float] = (1.0, 2.0)
    calm: float = 0.03
    leans: float = 0.08
    settle_s: float = 0.5
    near: float = 0.05
    hurry: float = 0.06
    patience_s: float = 0.3
    height_gains: tuple[float, float] = (144.0, 18.0)
    tilt_gains: tuple[float, float] = (150.0, 25.0)
    yaw_gains: tuple[float, float] = (60.0, 12.0)
    weights: tuple[float, float, float, float] = (1.0, 10.0, 2.0, 0.3)
    learns: float = 1.0
    most_learned: float = 5.0
    seek: float = 0.5
    deep: float = 0.02
    actual: bool = True
    posture: tuple[float, float] = (100.0, 20.0)
    speed_gain_s: float = 0.0


class Walk:
    def __init__(self, body: Body, timing: Timing, cfg: WalkCfg | None = None) -> None:
        robot, s = body.robot, scale_of(body.robot)
        self.body, self.cfg, self.dt = body, cfg or WalkCfg(), timing.control_dt
        self._drive, self._ahead = Drive(robot), timing.ahead_s
        self._time, self._length = s.factor("time"), s.factor("length")
        self._height = float(body.position[2] - body.foot[:, 2].mean()) - self.cfg.crouch * self._length
        tall = float(body.mass_center[2] - body.foot[:, 2].mean()) - self.cfg.crouch * self._length
        self.rate = float(np.sqrt(EARTH / tall))
        self._left = body.foot[:, 1] > body.foot[:, 1].mean()
        self._default = np.array(robot.default_pose)
        self.step_s = self.cfg.step_s * self._time
        self._both_s = self.cfg.both_share * self.step_s
        self.swing_s = self.step_s - self._both_s
        legs = np.concatenate([leg.dofs for leg in body.legs])
        self._upper = ~np.isin(body.joint_dofs, legs)
        self.reset()

    def reset(self) -> None:
        self.carrier: int | None = None  # the foot that carries, or will
        self._single = self._rests = False
        self._asked = np.zeros(3)  # what is asked, made smooth
        self._settled = False
        self._learned = np.zeros(3)
        self._since = 0.0  # since this support began [s]
        self._lifted = np.zeros(3)
        self._yaw_from = 0.0
        self._yaw: float | None = None
        self._down = np.array([True, True])
        self._pressure = np.zeros(2)

    def step(self, state: State, command: np.ndarray) -> np.ndarray:
        cfg, body = self.cfg, self.body
        body.look(state)
        most = np.array([cfg.hastens[0], cfg.hastens[0], cfg.hastens[1]]) * self.dt
        self._asked = self._asked + np.clip(command - self._asked, -most, most)
        command = self._asked
        self._turn_to(command)
        center, speed = body.mass_center[:2].copy(), body.mass_matrix[:2] @ body.velocity / body.mass
        capture = center + speed / self.rate
        c, s = np.cos(self._yaw), np.sin(self._yaw)
        turn = np.array([[c, -s], [s, c]])
        pace = Pace(step_s=self.step_s, rate=self.rate, stride=command[:2] * self.step_s, width=cfg.width * self._length)
        if self.carrier is None:  # begin on the foot to which it moves
            sideways = turn.T @ speed
            self.carrier = int(np.flatnonzero(self._left == (sideways[1] > 0))[0])
        self._change(state, capture, turn, pace)
        pressure = self._press(capture, turn, pace) if self._single else self._shift(capture, turn, pace)
        self._pressure = pressure
        swinging = 1 - self.carrier
        ahead = self._ahead
        stands = self._down.copy()
        path = spin = None
        if not self._single and not self._down[self.carrier]:  # it should stand and does not: down with it
            swinging = self.carrier
            here = body.foot[swinging].copy()
            here[2] = min(here[2], body.foot[1 - swinging, 2] + 0.02) - cfg.seek * ahead
            path, spin = Point(position=here, velocity=np.array([0.0, 0.0, -cfg.seek]), acceleration=np.zeros(3)), (self._yaw, 0.0)
        if self._single:
            path, spin = self._path(swinging, capture, self._since / self.swing_s, self.swing_s, ahead, turn, pace, command)
        feet = []
        for index in range(2):
            if index == swinging and path is not None:
                feet.append(np.concatenate([path.acceleration, np.zeros(3)]))
            else:
                feet.append(-10.0 * (body.jacobians[index] @ body.velocity) * np.array([1, 1, 0, 1, 1, 1]))
        wanted, follow = self._wanted(center, pressure, feet, stands, command)
        motion = solve(body, wanted, stands, follow)
        q, v = state.qpos[body.joint_qpos], state.qvel[body.joint_dofs]
        a = motion.acceleration[body.joint_dofs]
        expected, rate = q + v * ahead + 0.5 * a * ahead**2, v + a * ahead
        expected[self._upper], rate[self._upper] = self._default[self._upper], 0.0
        if path is not None:
            self._follow(swinging, path, spin, ahead, q, expected, rate)
        self.motion, self.pressure, self.capture, self._shifting, self._air = motion, pressure, capture, not self._single, self._single
        return self._drive.targets(expected, rate, motion.torque)

    def _change(self, state, capture, turn, pace):
        """From one support to the next."""
        cfg = self.cfg
        self._since += self.dt
        swinging = 1 - self.carrier
        if self._single:
            share = self._since / self.swing_s
            if share >= 1.0 or (share > 0.6 and state.contact[swinging]):
                self._single, self._since = False, 0.0
                self.carrier = swinging
                self._down = np.array([True, True])
                self._down[swinging] = state.contact[swinging]
            return
        self._down |= state.contact
        middle = self.body.foot[:, :2].mean(0)
        off = turn.T @ (capture - middle)
        far = float(np.hypot(*off))
        if not self._settled:
            self._settled = (far < cfg.calm and bool(self._down.all())) or self._since > cfg.settle_s or far > cfg.leans
            if not self._settled or far > cfg.calm:
                self.carrier = int(np.flatnonzero(self._left == (off[1] > 0))[0])
        self._rests = (not np.any(self._asked) and far < cfg.leans) or not self._settled
        if self._rests:
            return
        sign = 1.0 if self._left[self.carrier] else -1.0
        out = sign * float((turn.T @ (capture - self._start(turn, pace)))[1])
        along = float((turn.T @ (capture - self._start(turn, pace)))[0])
        ready = -cfg.near < out < cfg.near * 2 or abs(along) > cfg.hurry
        if self._down[self.carrier] and self._since >= self._both_s - 1e-6 and (ready or self._since > cfg.patience_s):
            self._single, self._since = True, 0.0
            self._lifted, self._yaw_from = self.body.foot[swinging].copy(), self._foot_yaw(swinging)
            self._down[swinging] = False

    def _start(self, turn, pace):
        """Where the capture point should be as a foot begins to carry alone."""
        foot = self.body.foot[self.carrier, :2]
        return foot + turn @ pace.offset(bool(self._left[self.carrier])) * np.exp(self.rate * self._both_s / 2)

    def _shift(self, capture, turn, pace):
        """Both feet carry; lean to the one that will carry."""
        foot, other = self.body.foot[self.carrier, :2], self.body.foot[1 - self.carrier, :2]
        error = capture - (0.5 * (foot + other) if self._rests else self._start(turn, pace))
        local = turn.T @ (capture + self.cfg.shift_gain * error - foot)
        wide = turn.T @ (other - foot)
        share = np.clip(local[1] / wide[1], 0.0, 1.0) if self._down.all() else 0.0
        if not self._down[self.carrier]:
            share = 1.0
        middle = share * wide
        sideways = np.clip(local[1], *sorted((-0.02 * np.sign(wide[1]), wide[1] + 0.02 * np.sign(wide[1])))) if self._down.all() else np.clip(local[1], middle[1] - 0.02, middle[1] + 0.02)
        return foot + turn @ np.array([np.clip(local[0], middle[0] - 0.06, middle[0] + 0.08), sideways])

    def _turn_to(self, command):
        yaw = self.body.yaw
        if self._yaw is None:
            self._yaw = yaw
        self._yaw += command[2] * self.dt
        off = (self._yaw - yaw + np.pi) % (2 * np.pi) - np.pi
        self._yaw = yaw + float(np.clip(off, -0.3, 0.3))

    def _foot_yaw(self, index):
        m = self.body.data.xmat[self.body.legs[index].body]
        return float(np.arctan2(m[3], m[0]))

    def _press(self, capture, turn, pace):
        foot = self.body.foot[self.carrier, :2]
        wanted = foot + turn @ (pace.offset(bool(self._left[self.carrier])) * np.exp(self.rate * (self._since + self._both_s / 2)))
        off = self.cfg.pressure_gain * (turn.T @ (capture - wanted))
        return foot + turn @ np.clip(off, [-0.06, -0.02], [0.08, 0.02])

    def _path(self, index, capture, share, swing_s, ahead, turn, pace, command):
        cfg, body = self.cfg, self.body
        foot = body.foot[self.carrier]
        left_s = max(swing_s - self._since, 0.0) + self._both_s / 2
        at_end = runs_to(capture, self.pressure_now(foot), self.rate, left_s)
        place = at_end - turn @ pace.offset(bool(self._left[index]))
        local = turn.T @ (place - foot[:2])
        sign = 1.0 if self._left[index] else -1.0
        across = np.clip(local[1] * sign, cfg.narrowest * self._length, cfg.widest * self._length)
        along = np.clip(local[0], -cfg.longest * self._length, cfg.longest * self._length)
        end = np.append(foot[:2] + turn @ np.array([along, sign * across]), foot[2] - cfg.deep)
        path = swing(self._lifted, end, cfg.lift * self._length, share + ahead / swing_s, swing_s)
        s = min(share + ahead / swing_s, 1.0)
        blend = s**3 * (10 - 15 * s + 6 * s * s)
        final = self._yaw + command[2] * left_s
        way = (final - self._yaw_from + np.pi) % (2 * np.pi) - np.pi
        return path, (self._yaw_from + blend * way, 30 * s * s * (1 - s) ** 2 / swing_s * way)

    def pressure_now(self, foot):
        return self._pressure if self.cfg.actual else foot[:2]

    def _wanted(self, center, pressure, feet, stands, command):
        cfg, body = self.cfg, self.body
        joints = np.zeros(body.model.nv)
        q, v = body.data.qpos[body.joint_qpos], body.velocity[body.joint_dofs]
        joints[body.joint_dofs] = cfg.posture[0] * (self._default - q) - cfg.posture[1] * v
        joints *= 0.0
        follow = following(body, feet, joints)
        mass = body.mass_matrix[:2]
        up = body.rotation[2]
        ground = float(body.foot[stands, 2].min())
        (kz, dz), (kr, dr), (ky, dy) = cfg.height_gains, cfg.tilt_gains, cfg.yaw_gains
        off = (self._yaw - body.yaw + np.pi) % (2 * np.pi) - np.pi
        values = np.concatenate([
            self.rate**2 * (center - pressure),
            [kz * (self._height - (body.position[2] - ground)) - dz * body.velocity[2]],
            kr * np.array([-up[1], up[0]]) - dr * body.velocity[3:5],
            [ky * off + dy * (command[2] - body.velocity[5])],
        ])
        self._learned = np.clip(self._learned + cfg.learns * self.dt * values[2:5], -cfg.most_learned, cfg.most_learned)
        values[2:5] += self._learned
        base, offset = np.eye(FREE), np.zeros(FREE)
        base[:2] = mass @ follow.slope / body.mass
        offset[:2] = (mass @ follow.start + body.bias[:2]) / body.mass
        flat, tall, tilt, turn = cfg.weights
        return Wanted(base=base, offset=offset, values=values, weights=np.array([flat, flat, tall, tilt, tilt, turn]), feet=feet, joints=joints), follow

    def _follow(self, index, path, spin, ahead, q, expected, rate):
        body, leg = self.body, self.body.legs[index]
        inverse, jacobian = body.inverse(index), body.jacobians[index]
        base = jacobian[:, :FREE] @ body.velocity[:FREE]
        rotation = body.data.site_xmat[leg.site].reshape(3, 3)
        c, s = np.cos(spin[0]), np.sin(spin[0])
        goal = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        error = goal @ rotation.T
        turn = 0.5 * np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]])
        off = np.concatenate([path.position - body.foot[index], turn])
        expected[leg.joints] = q[leg.joints] + inverse @ (off - base * ahead)
        rate[leg.joints] = inverse @ (np.concatenate([path.velocity, [0, 0, spin[1]]]) - base)


def fits(robot: Robot) -> str | None:
    """Why a robot cannot walk; None where it can."""
    if len(robot.feet) != 2 or not all(foot.sole for foot in robot.feet.values()):
        return f"a walk is for robots on two feet with soles; {robot.name} has {len(robot.feet)} feet"
    return None

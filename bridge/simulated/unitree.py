"""Simulates a Unitree robot on DDS: MuJoCo behind `rt/lowstate` and `rt/lowcmd`, in a separate process.

    python -m bridge.simulated.unitree --policy walk.onnx --mjcf go1.xml

Publishes LowState at `--rate-hz`, follows LowCmd as the robot's main board does (check sum, `mode_machine`, motor mode), and damps itself
when commands stop for 100 ms. The remote is whatever publishes a WirelessController on `simulation/remote`. A humanoid hangs in a
gantry, which lets go at the remote's `start`, or without a remote `--release` seconds after the robot is first driven. For evaluation
only, and never read by the policy's process, `rt/sportmodestate` says where the base really is (velocity in the world, yaw rate).
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from bridge import ending

if __name__ == "__main__":
    ending.quietly()  # before imports that take a while

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.joints import JointMap
from bridge.control.priority import raise_priority
from bridge.control.safety import Event, Mode
from bridge.simulated.gantry import MODES as GANTRY_MODES
from bridge.simulated.physics import PhysicsRobot, physics_dt
from bridge.simulated.robot import pace
from bridge.transports.unitree.layout import Frame, Layout
from bridge.transports.unitree.messages import DISABLED, ENABLED, MODE_PR, POSITION_STOP, TICKS, VELOCITY_STOP, UnitreeMessageError
from bridge.transports.unitree.remote import KEYS, Keys, Remote
from bridge.transports.unitree.robots import GO, HG, UnitreeRobot, robot_of
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from policies.install import install_command

REMOTE, TRUTH = "simulation/remote", "rt/sportmodestate"
MODE_MACHINE = 5  # what a G1 of 29 joints says
TRUTH_DIVIDER = 25
RELEASE_S = 3.0  # the stand ramp takes 2 s
TEMPERATURE = 40  # degrees C
COMMAND_FIELDS = ("q", "dq", "tau", "kp", "kd")


class LowStateEncoder:
    """The robot's sensors to the bytes of a LowState."""

    def __init__(self, robot: UnitreeRobot, mode_machine: int = MODE_MACHINE) -> None:
        """Prepare the message of `robot`."""
        self._frame = Frame(Layout(robot.family.low_state))
        layout, self._count = self._frame.layout, len(robot.motors)
        self._motors = np.stack([layout.index(f"motor_state.{name}")[: self._count] for name in ("q", "dq", "tau_est")])
        self._imu = np.concatenate([layout.index(f"imu_state.{name}") for name in ("quaternion", "gyroscope")])
        modes = np.full(robot.family.slots, DISABLED)
        modes[: self._count] = ENABLED
        self._frame.set("motor_state.mode", modes)
        self._frame.set("motor_state.temperature", TEMPERATURE)
        if robot.family is HG:
            self._frame.set("mode_machine", mode_machine)
            self._frame.set("mode_pr", MODE_PR)
        else:
            self._frame.set("head", (0xFE, 0xEF))
            self._frame.set("level_flag", 0xFF)

    def __call__(self, motors: Any, quat_wxyz: Any, gyro: Any, tick: int, remote: bytes = bytes(40)) -> memoryview:
        """The message; valid until the next call.

        Args:
            motors: position [rad], velocity [rad/s] and torque [N m] by motor number, (3, J).
            quat_wxyz, gyro: of the IMU, (4,) and (3,) [rad/s].
            tick: [ms], 32 bits.
            remote: 40 bytes.
        """
        numbers = self._frame.view("motor_state.q")
        numbers[self._motors] = motors
        numbers[self._imu] = np.concatenate([quat_wxyz, gyro])
        self._frame.set("tick", tick)
        self._frame.set("wireless_remote", np.frombuffer(remote, np.uint8))
        return self._frame.seal()


class LowCmdDecoder:
    """Bytes of a LowCmd to a command by motor number, as far as a robot would obey it."""

    def __init__(self, robot: UnitreeRobot, mode_machine: int = MODE_MACHINE) -> None:
        """Decode for `robot`, which is of the variant `mode_machine`."""
        self._frame, self._robot, self._machine = Frame(Layout(robot.family.low_command)), robot, mode_machine

    def __call__(self, message: bytes) -> JointCommand:
        """Decode.

        Raises:
            UnitreeMessageError: says what the robot would not obey.
        """
        frame, count = self._frame, len(self._robot.motors)
        if not frame.fits(message):
            raise UnitreeMessageError(f"LowCmd of {len(message)} bytes, expected {frame.layout.wire_size + 4}")
        frame.load(message)
        if not frame.intact:
            raise UnitreeMessageError("the check sum of LowCmd is wrong")
        if self._robot.family is GO:
            head = (*frame.get("head").tolist(), *frame.get("level_flag").tolist())
            if head != (0xFE, 0xEF, 0xFF):
                raise UnitreeMessageError(f"LowCmd begins with {head}")
        elif (variant := int(frame.get("mode_machine")[0])) != self._machine or int(frame.get("mode_pr")[0]) != MODE_PR:
            raise UnitreeMessageError(f"LowCmd is for mode_machine {variant}, this robot is {self._machine}")
        modes = frame.get("motor_cmd.mode")
        if (modes[count:] != DISABLED).any():
            raise UnitreeMessageError("LowCmd enables motors that the robot does not have")
        q, dq, tau, kp, kd = (frame.get(f"motor_cmd.{name}")[:count].astype(np.float64) for name in COMMAND_FIELDS)
        if not all(np.isfinite(field).all() for field in (q, dq, tau, kp, kd)):
            raise UnitreeMessageError("a command is not finite")
        on = modes[:count] == ENABLED
        kp = np.where(q == np.float32(POSITION_STOP), 0.0, kp)
        kd = np.where(dq == VELOCITY_STOP, 0.0, kd)
        return JointCommand(np.where(kp == 0, 0.0, q), np.where(kd == 0, 0.0, dq), tau * on, kp * on, kd * on)


class SimulatedUnitree:
    """The robot's DDS face, and the gantry's hand.

    Attributes:
        robot: the physics.
        refused: commands that it did not obey.
        simulated_time: its clock is the computer's.
    """

    simulated_time = False

    def __init__(
        self, robot: PhysicsRobot, spec: PolicySpec, domain: int | None = None, tick_ms: int = 0, release_s: float = RELEASE_S
    ) -> None:
        """Join the domain for a robot whose clock starts at `tick_ms`; its gantry lets go after `release_s` if there is no remote."""
        from bridge.transports.unitree.dds import LOW_COMMAND, LOW_STATE, Wire, choose_domain

        unitree, _ = robot_of(spec)
        self.robot, self.refused, self._tick_ms, self._release_s = robot, 0, tick_ms, release_s
        self._map = JointMap(robot.names, unitree.motors)
        self._encode, self._decode = LowStateEncoder(unitree), LowCmdDecoder(unitree)
        go = import_module("unitree_sdk2py.idl.unitree_go.msg.dds_")
        self._sport = import_module("unitree_sdk2py.idl.default").unitree_go_msg_dds__SportModeState_()
        self._wire = Wire(unitree.family.name, choose_domain(domain))
        self._commands: Any = self._wire.reader(LOW_COMMAND, self._wire.types.LowCmd_)
        self._remotes: Any = self._wire.reader(REMOTE, go.WirelessController_)
        self._states: Any = self._wire.writer(LOW_STATE, self._wire.types.LowState_)
        self._truths: Any = self._wire.writer(TRUTH, go.SportModeState_)
        self._remote, self._keys, self._started = bytes(40), Keys(), False
        self._rested_s = 0.0
        self._published = 0

    def spin_until(self, deadline_ns: int) -> None:
        """Take commands until the deadline on the steady clock."""
        self._take()
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            if self._wire.wait(left_ns):
                self._take()
        self._guide()

    def _guide(self) -> None:
        """Tell the gantry what the policy's process would: this wire does not carry its state."""
        gantry, now_s = self.robot.gantry, self.robot.time_s
        if gantry is None:
            return
        if self.robot.damped:
            self._rested_s, self._started = now_s, False
            gantry.follow(Mode.DAMPING)
            return
        waited = not any(self._remote) and now_s - self._rested_s >= self._release_s
        gantry.follow(Mode.POLICY if self._started or waited else Mode.STAND)

    def _take(self) -> None:
        for hand in (sample for sample in self._remotes.take(1) if sample.sample_info.valid_data):
            keys = frozenset(name for bit, name in enumerate(KEYS) if hand.keys >> bit & 1)
            remote = Remote(keys=keys, lx=hand.lx, ly=hand.ly, rx=hand.rx, ry=hand.ry)
            self._remote = remote.encode()
            self._started = self._keys(remote) is Event.START or self._started
        messages: list[bytes] = self._commands.take_frames()
        if not messages:
            return
        try:
            command = self._decode(messages[-1])
        except UnitreeMessageError as error:
            self.refused += 1
            if self.refused % 500 == 1:
                print(f"command refused: {error}", flush=True)
            return
        joint = self._map.from_wire
        position, velocity, effort = (joint(field, "command") for field in (command.position, command.velocity, command.effort))
        self.robot.apply(JointCommand(position, velocity, effort, joint(command.kp, "kp"), joint(command.kd, "kd")))

    def publish(self) -> None:
        """Publish the sensors, and now and then the ground truth."""
        sample = self.robot.sample()
        motors = np.stack([self._map.to_wire(field) for field in (sample.position, sample.velocity, sample.effort)])
        tick = (self._tick_ms + sample.stamp_ns // 1_000_000) % TICKS
        quat, gyro = sample.imu_quat_wxyz, sample.imu_angular_velocity_b
        self._states.write_frame(self._encode(motors, quat, gyro, tick, self._remote))
        if self._published % TRUTH_DIVIDER == 0:
            self._publish_truth()
        self._published += 1

    def _publish_truth(self) -> None:
        position, velocity, quat = self.robot.truth()
        sport = self._sport
        sport.position, sport.body_height = [float(value) for value in position], float(position[2])
        sport.velocity = [float(value) for value in self.robot.data.qvel[:3]]
        sport.yaw_speed, sport.imu_state.quaternion = float(velocity[5]), [float(value) for value in quat]
        self._truths.write(sport)

    def close(self) -> None:
        """Leave the domain."""
        del self._commands, self._remotes, self._states, self._truths
        self._wire.close()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="simulated_unitree", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = result.add_argument
    add("--policy", type=Path, required=True, help="policy file: joint names, limits, gains and rates come from its spec")
    add("--mjcf", type=Path, required=True, help="the robot's MuJoCo model; a floor is added")
    add("--rate-hz", type=float, default=500.0, help="physics and sensor rate (default 500)")
    add("--domain", type=int, help="DDS domain (default: ROS_DOMAIN_ID, or 0)")
    add("--tick", type=int, default=0, metavar="MS", help="where the robot's clock starts (default 0); it wraps at 2**32")
    add("--gantry", choices=GANTRY_MODES, default="auto", help="hold the robot until its policy runs, or always (auto: bipeds)")
    add("--release", type=float, default=RELEASE_S, metavar="S", help="the gantry lets go after this time if there is no remote")
    add("--key", help="keyframe of the model to start from (default: the policy's default pose)")
    add("--duration", type=float, metavar="S", help="end after this time")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the simulated robot on loopback until a signal. Returns the exit code."""
    options = parser().parse_args(argv)
    try:
        from bridge.transports.unitree.dds import choose_domain, choose_interface

        choose_interface(None, choose_domain(options.domain))
        spec = PolicyFile(options.policy).spec
        dt = physics_dt(spec, options.rate_hz)
        robot = PhysicsRobot(spec.robot, options.mjcf, dt, key=options.key, gantry=options.gantry)
        priority = raise_priority()
        node = SimulatedUnitree(robot, spec, options.domain, options.tick, options.release)
    except ModuleNotFoundError as error:
        print(f"simulated_unitree needs {error.name}; run: {install_command('unitree', 'train')}", file=sys.stderr)
        return 2
    except (ValueError, OSError, KeyError) as error:
        print(f"simulated_unitree: {error}", file=sys.stderr)
        return 2
    for note in robot.notes:
        print(f"{options.mjcf}: {note}", flush=True)
    print(f"simulated {spec.robot.name}: {1 / dt:.0f} Hz, {priority}", flush=True)
    try:
        pace(cast(Any, node), round(dt * 1e9), options.duration)
    finally:
        node.close()
    return 0


if __name__ == "__main__":
    sys.exit(ending.run("simulated_unitree", main))

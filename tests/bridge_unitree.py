"""Shared by the Unitree transport's tests: a robot's end of the wire that the test plays, and a whole session with an operator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.loop import ControlLoop
from bridge.control.priority import raise_priority
from bridge.control.safety import Mode
from bridge.simulated.unitree import REMOTE, TRUTH, LowCmdDecoder, LowStateEncoder
from bridge.transports.unitree.dds import LOW_COMMAND, LOW_STATE, Wire
from bridge.transports.unitree.remote import KEYS
from bridge.transports.unitree.robots import robot_of
from bridge.transports.unitree.transport import UnitreeOptions, UnitreeTransport
from policies.contract.file import PolicyFile
from policies.contract.spec import PolicySpec
from tests.bridge_helpers import wait_for

MS = 1_000_000


class Player:
    """The robot's end of the wire, with states that the test makes."""

    def __init__(self, spec: PolicySpec, domain: int) -> None:
        self.robot, self._joints = robot_of(spec)
        self._wire = Wire(self.robot.family.name, domain)
        self._states = self._wire.writer(LOW_STATE, self._wire.types.LowState_)
        self._commands = self._wire.reader(LOW_COMMAND, self._wire.types.LowCmd_)
        self._encode, self._obey = LowStateEncoder(self.robot), LowCmdDecoder(self.robot)
        self.pose, self.tick = np.array(spec.robot.default_pose), 0

    def state(
        self, position: Any = None, velocity: Any = 0.0, quat: Any = (1, 0, 0, 0), gyro: Any = (0, 0, 0), remote: bytes = bytes(40)
    ) -> bytes:
        """The next state, joints in policy order."""
        self.tick += 2
        position = self.pose if position is None else position
        motors = [self._joints.to_wire(np.broadcast_to(field, self.pose.shape)) for field in (position, velocity, 0.0)]
        return bytes(self._encode(np.stack(motors), quat, gyro, self.tick % 2**32, remote))

    def send(self, message: bytes) -> None:
        self._states.write_frame(memoryview(message))

    def heard(self) -> list[JointCommand]:
        """The commands since the last call."""
        return [self._obey(message) for message in self._commands.take_frames()]

    @property
    def publishers(self) -> int:
        """How many publish commands."""
        return self._wire.publishers(LOW_COMMAND)

    def close(self) -> None:
        del self._states, self._commands
        self._wire.close()


@contextmanager
def connected(spec: PolicySpec, domain: int, **options: Any) -> Iterator[tuple[Player, UnitreeTransport]]:
    """A player and an open transport that hear each other."""
    player, transport = Player(spec, domain), UnitreeTransport(spec, UnitreeOptions(domain=domain, **options), [0.0, 0.0, 0.0])
    transport.open(lambda event: None)
    try:
        assert wait_for(lambda: transport.messages > 0, 10, lambda: exchange(player, transport, None, 0.02)), "no LowState within 10 s"
        yield player, transport
    finally:
        transport.close()
        player.close()


def exchange(player: Player, transport: UnitreeTransport, message: bytes | None = None, timeout_s: float = 2.0) -> bool:
    """Send one state. Returns whether it has arrived, whole or damaged, in time."""
    before = transport.messages + transport.damaged
    player.send(player.state() if message is None else message)
    arrived = lambda: transport.messages + transport.damaged > before  # noqa: E731
    return wait_for(arrived, timeout_s, lambda: transport.wait_until(transport.now_ns() + 2 * MS))


def drive(spec: PolicySpec) -> JointCommand:
    pose = np.array(spec.robot.default_pose)
    return JointCommand(pose, 0 * pose, 0 * pose, np.array(spec.robot.kp), np.array(spec.robot.kd))


class Starved(Exception):
    """The guards stopped the robot for want of processor time, which a busy computer's test cannot help."""


class Session:
    """Controller, loop and transport in a thread, and this process as the operator and the witness."""

    def __init__(self, policy: PolicyFile, domain: int) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.controller = Controller(policy, on_event=self.events.append)
        self.controller.arm()
        self.transport = UnitreeTransport(policy.spec, UnitreeOptions(domain=domain))
        self.loop = ControlLoop(self.controller, self.transport)
        self._wire = Wire("unitree_go", domain)
        self._hand = self._wire.types.WirelessController_(0.0, 0.0, 0.0, 0.0, 0)
        self._hands = self._wire.writer(REMOTE, self._wire.types.WirelessController_)
        self._truths = self._wire.reader(TRUTH, self._wire.types.SportModeState_)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        raise_priority()
        self.transport.open(self.controller.refusal)
        try:
            self.loop.run()
        finally:
            self.transport.close()

    def __enter__(self) -> Session:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.stop()
        self._thread.join()
        del self._hands, self._truths
        self._wire.close()

    def hold(self, *keys: str, forward: float = 0.0) -> None:
        """Hold keys and the left stick."""
        self._hand.keys, self._hand.ly = sum(1 << KEYS.index(key) for key in keys), forward
        self._hands.write(self._hand)
        time.sleep(0.1)

    def fed(self) -> None:
        """Raise `Starved` if the computer was too busy; any other stop is the test's to find."""
        stops = [event["cause"] for event in self.events if event["event"] == "transition" and event["to"] == "damping"][1:]
        if stops and all(cause.startswith(("stale_sensor", "sensor_stamps", "deadline_overrun")) for cause in stops):
            raise Starved("; ".join(stops))

    def reach(self, mode: Mode, *keys: str) -> None:
        """Press keys until the controller is where they lead."""

        def press() -> None:
            self.hold(*keys)
            self.hold()

        reached = wait_for(lambda: self.controller.mode is mode, 15, press)
        if not reached:
            self.fed()
        assert reached, (self.told(), self.controller.problems)

    def told(self) -> str:
        """What the controller did, for a failed test."""
        return "\n".join(str(dict(event)) for event in self.events)

    def watch(self, seconds: float) -> Any:
        """Let time pass. Returns the ground truth after it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end or not (truths := self._truths.take(16)):
            time.sleep(0.01)
            if time.monotonic() < end:
                self._truths.take(16)
        return truths[-1]

"""A terminal over TCP, as ssh has one, between two network namespaces whose cable can be pulled."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

ADDRESS, PORT = "10.0.0.2", 5022


def why_not() -> str:
    """Why there are no network namespaces here; empty where there are."""
    if shutil.which("ip") is None:
        return "needs network namespaces and the program ip (Debian: apt-get install iproute2)"
    name = f"robolearn-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"needs the right to make network namespaces (root): {made.stderr.strip()}"
    paired = ["ip", "-n", name, "link", "add", "name", "one", "type", "veth", "peer", "name", "two"]
    linked = subprocess.run(paired, capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)
    return "" if linked.returncode == 0 else f"needs virtual network cables (veth): {linked.stderr.strip()}"


@dataclass(frozen=True)
class Cable:
    """Between a laptop and a robot, each in a namespace of its own.

    Attributes:
        laptop, robot: the names of the namespaces.
    """

    laptop: str
    robot: str

    def pull(self) -> None:
        """Let nothing through any more, without a word to anybody."""
        subprocess.run(["ip", "-n", self.laptop, "link", "set", "cable", "down"], check=True)

    def plug(self) -> None:
        """Put it in again."""
        subprocess.run(["ip", "-n", self.laptop, "link", "set", "cable", "up"], check=True)

    def on_robot(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` there."""
        return ["ip", "netns", "exec", self.robot, *command]

    def connect(self, timeout_s: float = 20.0) -> socket.socket:
        """A connection from the laptop to the robot's terminal."""
        made: list[socket.socket] = []

        def make() -> None:  # a thread has a namespace of its own, and its sockets stay there
            handle = os.open(f"/run/netns/{self.laptop}", os.O_RDONLY)
            if ctypes.CDLL(None, use_errno=True).setns(handle, 0x40000000) != 0:  # CLONE_NEWNET
                return
            os.close(handle)
            end = time.monotonic() + timeout_s
            while time.monotonic() < end and not made:
                try:
                    made.append(socket.create_connection((ADDRESS, PORT), 1.0))
                except OSError:
                    time.sleep(0.1)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        assert made, "no connection to the robot's terminal"
        return made[0]


@contextmanager
def cable() -> Iterator[Cable]:
    """Two namespaces and a cable between them."""
    number = random.SystemRandom().randrange(1 << 32)
    ends = Cable(f"laptop-{number:08x}", f"robot-{number:08x}")
    names = ends.laptop, ends.robot
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        pair = ["link", "add", "name", "cable", "type", "veth", "peer", "name", "cable", "netns", ends.robot]
        subprocess.run(["ip", "-n", ends.laptop, *pair], check=True)
        for name, address in zip(names, ("10.0.0.1/24", f"{ADDRESS}/24"), strict=True):
            subprocess.run(["ip", "-n", name, "address", "add", address, "dev", "cable"], check=True)
            for link in ("cable", "lo"):
                subprocess.run(["ip", "-n", name, "link", "set", link, "up"], check=True)
        yield ends
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def serve(command: list[str]) -> None:
    """Run a command in a terminal of its own, whose other end is whoever connects; ends with the command."""
    server = socket.create_server((ADDRESS, PORT))
    connection, _ = server.accept()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    while True:
        ready, _, _ = select.select([connection, terminal], [], [])
        try:
            if terminal in ready and not (data := os.read(terminal, 1 << 16)):
                break
            if terminal in ready:
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):  # nobody takes it: as with ssh, what is new gets lost here
                    connection.send(data)
            if connection in ready and (typed := connection.recv(4096)):
                os.write(terminal, typed)
        except OSError:
            break
    os.waitpid(pid, 0)


if __name__ == "__main__":
    serve(sys.argv[1:])

"""The flight recorder: every run writes an MCAP file of standard ROS 2 messages, from a separate thread.

The loop copies a row into a ring and continues. The thread encodes it at once, in the slack after the tick, since Python runs only one of
the two at a time; it closes a chunk every eighth of a second and passes it to the operating system, so that a killed process loses no more
than that. If recording fails (a full disk), it stops with a message, and the robot continues.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bridge.control.command import JointCommand
from bridge.control.controller import Controller
from bridge.control.priority import lower_priority
from bridge.control.reading import Inputs, Reading
from bridge.control.sight import Sight
from bridge.control.ticks import Ring, put_inputs, put_outcome, put_reading, sample_dtype, tick_dtype
from bridge.logs.pictures import PictureKind, message_fields
from bridge.logs.topics import EVENT, STATE, Topics, state_text
from policies.files import make_folder, reason, remove_empty

FLUSH_S = 0.125
WAKE_S = 0.02
RING_S = 4.0
SAMPLE_RING = 4096
MOST_PICTURES = 64  # that wait to be compressed
WAIT_S = 1e-3
ELSEWHERE = "--log PATH writes it elsewhere, --no-log writes none"
POLICY_ATTACHMENT = "policy.onnx"
METADATA, COUNTS = "robolearn", "counts"


class LogError(ValueError):
    """A log cannot be written or read."""


class LogWriter:
    """Records one run of a controller.

    Attributes:
        path: the file.
        failure: why recording has stopped; None if it has not.
        lost_pictures: number of pictures that are not in the log, since the recorder could not keep up.
    """

    def __init__(
        self,
        path: Path,
        controller: Controller,
        *,
        transport: str,
        auto_start: bool = False,
        sensors: Literal["tick", "all"] = "tick",
        motion: str = "",
        interface: str = "impedance",
        settings: str = "",
        patient: bool = False,
        pictures: PictureKind = "png",
    ) -> None:
        """Create the file and begin to record.

        Args:
            path: path of the file; its folder is created.
            controller: the controller; its policy file is stored in the log, which makes the log self-contained.
            transport: name of the transport.
            auto_start: whether the controller starts by itself.
            motion: name of the motion that runs in place of the policy; empty for none.
            interface: the command interface, as in `bridge.transports.ros2.options.INTERFACES`.
            settings: settings of the run as YAML, see `bridge.settings`; empty if unknown.
            patient: whether the robot waits for a recorder that cannot keep up, as one simulated in this process does.
            pictures: how pictures of colours and labels are compressed: `png` keeps every bit, so that a replay is exact.
            sensors: `tick`: the readings that the policy saw; `all`: every reading that arrives, as identification needs.

        Raises:
            LogError: it exists already or cannot be written.
        """
        from mcap.writer import CompressionType, Writer

        self.path, self.failure = path, None
        spec = controller.spec
        self._patient = patient
        self._topics = Topics(spec)
        self._ticks = Ring.of(tick_dtype(spec), max(64, round(RING_S / spec.control_dt)))
        self._samples = Ring.of(sample_dtype(spec), SAMPLE_RING) if sensors == "all" else None
        self._events: deque[tuple[int, str]] = deque()
        self._pictures: deque[tuple[str, Sight]] = deque()
        self._kind: PictureKind = pictures
        self.lost_pictures = 0
        self._epoch_ns: int | None = None
        self._first_ns, self._last_ns, self._state = 0, 0, ""
        try:
            made = make_folder(path.parent)
            self._file = path.open("xb")
        except FileExistsError as error:
            raise LogError(f"a log at {path} exists already, and logs are never overwritten; {ELSEWHERE}") from error
        except OSError as error:
            raise LogError(f"cannot write the log {path}: {reason(error)}; {ELSEWHERE}") from error
        self._writer = Writer(self._file, compression=CompressionType.ZSTD, chunk_size=4 << 20)
        try:
            self._writer.start(profile="ros2", library="robolearn")
            run = {"motion": motion, "command_interface": interface, "settings": settings}
            run |= {"pictures": pictures, "image_fault": controller.holding.reaction} if self._topics.cameras else {}
            self._writer.add_metadata(METADATA, _metadata(controller, transport, auto_start) | run)
            self._writer.add_attachment(0, 0, POLICY_ATTACHMENT, "application/onnx", controller.policy.data)
            self._channels = self._register()
            self._writer.flush()
            self._file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):  # it tries to write once more
                self._file.close()
            path.unlink()
            remove_empty(made)
            raise LogError(f"cannot write the log {path}: {reason(error)}; {ELSEWHERE}") from error
        self._sequence = 0
        self._stopping = False
        self._wake, self._wake_every = threading.Event(), max(1, round(WAKE_S / spec.control_dt))
        self._thread = threading.Thread(target=self._run, name="flight recorder")
        self._thread.start()

    def _register(self) -> dict[str, int]:
        from mcap.well_known import MessageEncoding, SchemaEncoding

        schemas: dict[str, int] = {}
        channels: dict[str, int] = {}
        for topic, name in self._topics.types.items():
            if name not in schemas:
                definition, _ = self._topics.store.generate_msgdef(name, ros_version=2)
                schemas[name] = self._writer.register_schema(name, SchemaEncoding.ROS2, definition.encode())
            channels[topic] = self._writer.register_channel(topic, MessageEncoding.CDR, schemas[name])
        return channels

    def tick(
        self, now_ns: int, inputs: Inputs, controller: Controller, sent: JointCommand, late_ns: int, overruns: int, busy_ns: int
    ) -> None:
        """Record one tick; called by the loop. If the ring is full, it is dropped, and the log counts it."""
        for event in inputs.requests:
            self.event({"event": "request", "t_ns": now_ns, "text": str(event)})
        if inputs.wire_fault is not None:
            self.event({"event": "wire_fault", "t_ns": now_ns, "text": inputs.wire_fault})
        if inputs.sight_fault is not None:
            self.event({"event": "sight_fault", "t_ns": now_ns, "text": inputs.sight_fault})
        row = self._room(self._ticks)
        if row is None:
            return
        row["index"] = self._ticks.written + self._ticks.dropped
        put_inputs(row, inputs, self._topics.cameras)
        row["now_ns"], row["late_ns"], row["overruns"], row["busy_ns"] = now_ns, late_ns, overruns, busy_ns
        put_outcome(row, controller, sent)
        self._ticks.done()
        if self._ticks.written % self._wake_every == 0:
            self._wake.set()

    def _room(self, ring: Ring) -> Any:
        """The next free row; None if there is none. A robot simulated in this process waits until there is."""
        while self._patient and ring.full and self.failure is None:
            self._wake.set()
            time.sleep(WAIT_S)
        return ring.next()

    def reading(self, reading: Reading) -> None:
        """Record a reading between the ticks, if `sensors` is `all`."""
        row = None if self._samples is None else self._room(self._samples)
        if row is not None and self._samples is not None:
            row["flags"] = put_reading(row, reading)
            self._samples.done()

    def sight(self, name: str, sight: Sight) -> None:
        """Record a picture; called by the cameras' thread, and compressed on the recorder's."""
        while self._patient and len(self._pictures) >= MOST_PICTURES and self.failure is None:
            self._wake.set()
            time.sleep(WAIT_S)
        if self.failure is not None or len(self._pictures) >= MOST_PICTURES:
            self.lost_pictures += 1
            return
        self._pictures.append((name, sight))

    def event(self, event: Mapping[str, Any]) -> None:
        """Record a transition, a refusal or another text, as JSON with the number of the tick that it belongs to."""
        if self.failure is not None:
            return
        self._events.append((int(event.get("t_ns", self._last_ns)), json.dumps({**event, "tick": self._ticks.written}, default=str)))

    @property
    def lost(self) -> int:
        """Number of ticks that are not in the log, since the recorder could not keep up."""
        return self._ticks.dropped

    def close(self) -> None:
        """Write the rest and the index; safe to call twice."""
        if not self._stopping:
            self._stopping = True
            self._wake.set()
            self._thread.join()

    def _run(self) -> None:
        lower_priority()
        try:
            flushed_s = time.monotonic()
            while not self._stopping:
                self._wake.wait(FLUSH_S)
                self._wake.clear()
                self._drain()
                if time.monotonic() - flushed_s >= FLUSH_S:
                    flushed_s = time.monotonic()
                    self._writer.flush()
            self._drain()
            self._writer.add_metadata(COUNTS, {"ticks": str(self._ticks.written), "dropped": str(self._ticks.dropped)})
            self._writer.finish()
        except Exception as error:  # any error: the log ends, the robot continues, and the end is reported
            self.failure = reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        finally:
            try:
                self._file.close()
            except OSError as error:
                self.failure = self.failure or reason(error)

    def _drain(self) -> None:
        if self._samples is not None:
            while (row := self._samples.take()) is not None:
                time_ns = self._log_time(int(row["received_ns"]))
                for topic, data in self._topics.sensors(row, "/sensors"):
                    self._write(topic, data, time_ns)
                self._samples.release()
        while self._pictures:
            name, sight = self._pictures.popleft()
            fields = message_fields(self._topics.spec.group(name), sight.picture, self._kind)
            self._write(*self._topics.picture(name, sight.stamp_ns, fields), self._log_time(sight.received_ns))
        while (row := self._ticks.take()) is not None:
            now_ns = int(row["now_ns"])
            time_ns = self._log_time(now_ns)
            state = state_text(row)
            for topic, data in self._topics.tick(row, time_ns):
                self._write(topic, data, time_ns)
            if state != self._state:
                self._state = state
                self._write(*self._topics.text(STATE, state), time_ns)
            self._last_ns = now_ns
            self._ticks.release()
        while self._events and (self._epoch_ns is not None or self._stopping):
            now_ns, text = self._events.popleft()
            self._write(*self._topics.text(EVENT, text), self._log_time(max(now_ns, self._first_ns)))

    def _log_time(self, now_ns: int) -> int:
        """Wall-clock time [ns] of a time on the loop's clock."""
        if self._epoch_ns is None:
            self._epoch_ns, self._first_ns = time.time_ns() - now_ns, now_ns
        return max(0, self._epoch_ns + now_ns)

    def _write(self, topic: str, data: bytes, time_ns: int) -> None:
        self._writer.add_message(self._channels[topic], time_ns, data, time_ns, self._sequence)
        self._sequence = (self._sequence + 1) % (1 << 32)


def _metadata(controller: Controller, transport: str, auto_start: bool) -> dict[str, str]:
    return {
        "policy_sha256": controller.policy.sha256,
        "task": controller.spec.task,
        "robot": controller.spec.robot.name,
        "transport": transport,
        "limits": json.dumps(dataclasses.asdict(controller.limits)),
        "shadow": json.dumps(controller.shadow),
        "auto_start": json.dumps(auto_start),
        "armed": json.dumps(controller.armed),
    }

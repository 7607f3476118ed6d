"""Positions of the fields of Unitree's low-level messages: in the bytes on the wire, and in the C struct for the check sum.

The SDK's Python types take 0.5 to 4 ms to read or write one message and its check sum, more than the 2 ms that 500 Hz leave. All fields
are of fixed size, so the same bytes can be read and written in place:

    wire (CDR):   each number aligned to its own size, a nested struct not at all:   ...| i16 temp | u8 mode | pad | f32 q |...
    C struct:     the struct is aligned to its largest member, padding is zero:      ...| i16 temp | pad 2 | u8 mode | pad 3 | f32 q |...

The check sum is CRC-32 with polynomial 0x04C11DB7, most significant bit of each little-endian word first, initial value 0xFFFFFFFF, no
final inversion, over the struct less its last word. That is zlib's CRC with the bits of every byte mirrored and the bytes of every word
swapped, so one gather and one table look-up bring it to the speed of C.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = bytes((0, 1, 0, 0))  # CDR, little-endian; the only encoding that Unitree's robots and the SDK use
SIZES = {"B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4}
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Nested:
    """`count` structs in a row, each with `fields`."""

    fields: Mapping[str, str | Nested]
    count: int = 1


Schema = Mapping[str, str | Nested]  # "3f" stands for three float32, codes as in the module `struct`

_GO_MOTOR_COMMAND: Schema = {"mode": "B", "q": "f", "dq": "f", "tau": "f", "kp": "f", "kd": "f", "reserve": "3I"}
_HG_MOTOR_COMMAND: Schema = {**_GO_MOTOR_COMMAND, "reserve": "I"}
_GO_IMU: Schema = {"quaternion": "4f", "gyroscope": "3f", "accelerometer": "3f", "rpy": "3f", "temperature": "B"}
_HG_IMU: Schema = {**_GO_IMU, "temperature": "h"}
_MOTOR: Schema = {"mode": "B", "q": "f", "dq": "f", "ddq": "f", "tau_est": "f"}
_GO_RAW: Schema = {"q_raw": "f", "dq_raw": "f", "ddq_raw": "f"}
_GO_MOTOR_STATE: Schema = {**_MOTOR, **_GO_RAW, "temperature": "B", "lost": "I", "reserve": "2I"}
_HG_MOTOR_STATE: Schema = {**_MOTOR, "temperature": "2h", "vol": "f", "sensor": "2I", "motorstate": "I", "reserve": "4I"}
_GO_HEAD: Schema = {"head": "2B", "level_flag": "B", "frame_reserve": "B", "sn": "2I", "version": "2I", "bandwidth": "H"}
_GO_BATTERY_VERSION: Schema = {"version_high": "B", "version_low": "B", "status": "B", "soc": "B"}
_GO_BATTERY: Schema = {**_GO_BATTERY_VERSION, "current": "i", "cycle": "H", "bq_ntc": "2B", "mcu_ntc": "2B", "cell_vol": "15H"}

GO_LOW_COMMAND: Schema = {
    **_GO_HEAD,
    "motor_cmd": Nested(_GO_MOTOR_COMMAND, 20),
    "bms_cmd": Nested({"off": "B", "reserve": "3B"}),
    "wireless_remote": "40B",
    "led": "12B",
    "fan": "2B",
    "gpio": "B",
    "reserve": "I",
    "crc": "I",
}
GO_LOW_STATE: Schema = {
    **_GO_HEAD,
    "imu_state": Nested(_GO_IMU),
    "motor_state": Nested(_GO_MOTOR_STATE, 20),
    "bms_state": Nested(_GO_BATTERY),
    "foot_force": "4h",
    "foot_force_est": "4h",
    "tick": "I",
    "wireless_remote": "40B",
    "bit_flag": "B",
    "adc_reel": "f",
    "temperature_ntc1": "B",
    "temperature_ntc2": "B",
    "power_v": "f",
    "power_a": "f",
    "fan_frequency": "4H",
    "reserve": "I",
    "crc": "I",
}
HG_LOW_COMMAND: Schema = {"mode_pr": "B", "mode_machine": "B", "motor_cmd": Nested(_HG_MOTOR_COMMAND, 35), "reserve": "4I", "crc": "I"}
HG_LOW_STATE: Schema = {
    "version": "2I",
    "mode_pr": "B",
    "mode_machine": "B",
    "tick": "I",
    "imu_state": Nested(_HG_IMU),
    "motor_state": Nested(_HG_MOTOR_STATE, 35),
    "wireless_remote": "40B",
    "reserve": "4I",
    "crc": "I",
}


class Layout:
    """The offsets of one message type.

    Attributes:
        wire_size: bytes on the wire, without the header of 4.
        struct_size: bytes of the C struct.
    """

    def __init__(self, schema: Schema) -> None:
        """Lay out `schema` both ways; its last field must be the check sum."""
        self._offsets: dict[str, list[int]] = {}
        self._codes: dict[str, str] = {}
        self._source: list[int] = []  # wire byte of each struct byte, -1 for padding
        self._wire = 0
        self._walk("", schema)
        self._align_struct(_alignment(schema))
        self.wire_size, self.struct_size = self._wire, len(self._source)
        source = np.array(self._source[:-4]).reshape(-1, 4)[:, ::-1].ravel()  # most significant byte of each word first
        self._gather = np.where(source < 0, self.wire_size, source).astype(np.intp)

    def _align_struct(self, size: int) -> None:
        self._source += [-1] * (-len(self._source) % size)

    def _walk(self, prefix: str, schema: Schema) -> None:
        for name, field in schema.items():
            if isinstance(field, Nested):
                for _ in range(field.count):
                    self._align_struct(_alignment(field.fields))
                    self._walk(f"{prefix}{name}.", field.fields)
                    self._align_struct(_alignment(field.fields))
                continue
            size = SIZES[field[-1]]
            self._codes[prefix + name] = field[-1]
            for _ in range(int(field[:-1] or 1)):
                self._wire += -self._wire % size
                self._align_struct(size)
                self._offsets.setdefault(prefix + name, []).append(self._wire)
                self._source += range(self._wire, self._wire + size)
                self._wire += size

    def index(self, name: str) -> NDArray[np.intp]:
        """Where the numbers of a field are in the view of a `Frame` that `view` names, over all structs and entries, in order.

        Args:
            name: for example `tick`, or `motor_cmd.q` for those of all motors.
        """
        return np.array(self._offsets[name], np.intp) // SIZES[self._codes[name]]

    def code(self, name: str) -> str:
        """The type of a field, as in the module `struct`."""
        return self._codes[name]

    def names(self) -> tuple[str, ...]:
        """All fields, in order."""
        return tuple(self._offsets)

    def crc(self, padded: NDArray[np.uint8]) -> int:
        """The check sum of a message.

        Args:
            padded: its bytes without the header, and a zero after them, (wire_size + 1,).
        """
        mirrored = padded[self._gather].tobytes().translate(_MIRRORED)
        return int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def _alignment(schema: Schema) -> int:
    return max(_alignment(field.fields) if isinstance(field, Nested) else SIZES[field[-1]] for field in schema.values())


class Frame:
    """One message of a layout, allocated once and changed in place.

    Attributes:
        layout: where its fields are.
    """

    def __init__(self, layout: Layout) -> None:
        """Make a message of zeros."""
        self.layout = layout
        self._store = np.zeros(len(HEADER) + layout.wire_size + 4, np.uint8)
        self._store[: len(HEADER)] = np.frombuffer(HEADER, np.uint8)
        self._message = self._store.data[: len(HEADER) + layout.wire_size]
        self._body = self._store[len(HEADER) :]
        self._padded = self._body[: layout.wire_size + 1]
        whole = self._body[: len(self._body) // 4 * 4]
        self._views: dict[str, NDArray[Any]] = {code: whole.view(np.dtype(code)) for code in SIZES}
        self._crc_at = int(layout.index("crc")[0])

    def view(self, name: str) -> NDArray[Any]:
        """The message as numbers of this field's type; `layout.index(name)` tells which of them are the field."""
        return self._views[self.layout.code(name)]

    def get(self, name: str) -> NDArray[Any]:
        """A copy of the numbers of a field."""
        return self.view(name)[self.layout.index(name)]

    def set(self, name: str, values: Any) -> None:
        """Write the numbers of a field."""
        self.view(name)[self.layout.index(name)] = values

    def load(self, message: bytes) -> None:
        """Take a message from the wire; `fits` has said that it is one."""
        self._body[: self.layout.wire_size] = np.frombuffer(message, np.uint8, self.layout.wire_size, len(HEADER))

    def fits(self, message: bytes) -> bool:
        """Whether header and size are those of this layout."""
        return len(message) == len(HEADER) + self.layout.wire_size and message[:2] == HEADER[:2]

    @property
    def intact(self) -> bool:
        """Whether the check sum is right."""
        return int(self._views["I"][self._crc_at]) == self.layout.crc(self._padded)

    @property
    def sealed(self) -> bool:
        """Whether there is a check sum at all, right or wrong: who fills in none leaves zero."""
        return int(self._views["I"][self._crc_at]) != 0

    def seal(self) -> memoryview:
        """Write the check sum. Returns the message as it goes over the wire; valid until the next change."""
        self._views["I"][self._crc_at] = self.layout.crc(self._padded)
        return self._message

"""What both sides speak: messages over a Unix socket, and blocks of shared memory without a name.

A message is a JSON object with arrays behind it, raw: no pickle, which would tie the two Pythons' versions of numpy together. A block is
anonymous memory (`memfd_create`) whose descriptor travels in a message: it has no name, so it ends with the last process that maps it,
however that process ends.
"""

from __future__ import annotations

import array
import json
import mmap
import os
import socket
import struct
from typing import Any, Dict, Tuple  # noqa: UP035 - Python 3.8

import numpy as np

VERSION = 1
"""Of the protocol; both sides must have the same."""

_HEADER = struct.Struct("<IQ")
_ALIGN = 64

Shapes = Dict[str, Tuple[str, Tuple[int, ...]]]  # noqa: UP006
"""Name -> dtype and shape."""


class Gone(Exception):
    """The other side has ended."""


def send(link: socket.socket, message: dict[str, Any], arrays: dict[str, np.ndarray] | None = None, descriptor: int | None = None) -> None:
    """Send a message, with arrays and a file descriptor.

    Raises:
        Gone: nobody is there.
    """
    contents: list[bytes] = []
    if arrays:
        message = dict(message, arrays=[[name, value.dtype.str, list(value.shape)] for name, value in arrays.items()])
        contents = [np.ascontiguousarray(value).tobytes() for value in arrays.values()]
    text = json.dumps(message).encode()
    whole = b"".join([_HEADER.pack(len(text), sum(map(len, contents))), text, *contents])
    try:
        if descriptor is None:
            link.sendall(whole)
        else:
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            link.sendall(whole[link.sendmsg([whole], passed) :])
    except OSError as error:
        raise Gone(str(error)) from error


def receive(link: socket.socket) -> tuple[dict[str, Any], dict[str, np.ndarray], int | None]:
    """Wait for a message. Returns it, its arrays, and its descriptor or None.

    Raises:
        Gone: nobody is there.
    """
    descriptor: int | None = None
    try:
        start, passed, _, _ = link.recvmsg(_HEADER.size, socket.CMSG_LEN(4))
        for level, kind, data in passed:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptor = array.array("i", data[:4])[0]
        if start:
            start += _exactly(link, _HEADER.size - len(start))
        else:
            raise Gone("the connection ended")
        length, size = _HEADER.unpack(start)
        message = json.loads(_exactly(link, length))
        contents = _exactly(link, size)
    except OSError as error:
        raise Gone(str(error)) from error
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for name, dtype, shape in message.pop("arrays", ()):
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(contents, dtype, count, at).reshape(shape)
        at += count * np.dtype(dtype).itemsize
    return message, arrays, descriptor


def _exactly(link: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        got = link.recv_into(view[done:])
        if not got:
            raise Gone("the connection ended")
        done += got
    return data


def _places(shapes: Shapes) -> tuple[dict[str, int], int]:
    """Offset of each array in a block [bytes], and the block's size."""
    places: dict[str, int] = {}
    at = 0
    for name, (dtype, shape) in shapes.items():
        places[name] = at
        at += int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        at += -at % _ALIGN
    return places, max(at, 1)


def make_block(shapes: Shapes) -> tuple[int, dict[str, np.ndarray]]:
    """A new block of zeros. Returns its descriptor, to be sent and closed, and its arrays."""
    descriptor = os.memfd_create("robolearn")
    os.ftruncate(descriptor, _places(shapes)[1])
    return descriptor, map_block(descriptor, shapes)


def map_block(descriptor: int, shapes: Shapes) -> dict[str, np.ndarray]:
    """The arrays of a block; the memory stays as long as one of them does."""
    places, size = _places(shapes)
    memory = mmap.mmap(descriptor, size)
    return {name: np.ndarray(shape, dtype, memory, places[name]) for name, (dtype, shape) in shapes.items()}

"""The pictures of a log, decoded and encoded again as a replay needs them."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from bridge.cameras.compressed import decompress
from bridge.cameras.decode import PictureError, Raw, decode, fit
from bridge.control.sight import Sight, Sights, eyes_of, get_sights
from bridge.control.ticks import HAS_SIGHT
from bridge.logs.pictures import COMPRESSED, message_type, picture_topic
from bridge.logs.reader import Log
from bridge.logs.writer import LogError
from policies.contract.file import PolicyFile
from policies.contract.spec import ObservationGroup

NEAR_NS = 1_000_000  # a tool may have rounded times to milliseconds


class LoggedPictures:
    """The pictures of a log, decoded and encoded as a replay needs them."""

    def __init__(self, policy: PolicyFile, log: Log) -> None:
        """Prepare to show a log's pictures to a policy, which may be another one with the same cameras."""
        self._policy, self._log = policy, log
        self._groups = {group.name: group for group in eyes_of(log.policy.spec)}
        self._cameras = tuple(self._groups)
        self._times = {name: [at_ns for at_ns, _ in messages] for name, messages in log.pictures.items()}
        self._store: Any = get_typestore(Stores.ROS2_HUMBLE)
        self._last: dict[str, Sight] = {}

    def sights(self, row: Any) -> Sights:
        """A tick's pictures by observation group, as the policy had them.

        Raises:
            LogError: one is missing, or cannot be read.
        """
        if not int(row["flags"]) & HAS_SIGHT:
            return {}
        return {name: self._whole(name, sight) for name, sight in get_sights(row, self._cameras).items()}

    def _whole(self, name: str, sight: Sight) -> Sight:
        last = self._last.get(name)
        if last is not None and last.number == sight.number:
            return dataclasses.replace(sight, picture=last.picture, latent=last.latent)
        data = self._find(name, sight.received_ns)
        if data is None:
            raise LogError(
                f"{self._log.path} lacks picture {sight.number} of {name}: {picture_topic(name)} was removed, or the recorder could not "
                f"keep up"
            )
        try:
            picture = self._decode(self._groups[name], data)
        except PictureError as error:
            raise LogError(f"{self._log.path}: picture {sight.number} of {name} cannot be read: {error}") from error
        latent = self._policy.encode(name, picture) if name in self._policy.latents else None
        found = self._last[name] = dataclasses.replace(sight, picture=picture, latent=latent)
        return found

    def _find(self, name: str, received_ns: int) -> bytes | None:
        times = self._times.get(name, [])
        near = bisect.bisect_left(times, received_ns)
        found = min((i for i in (near - 1, near) if 0 <= i < len(times)), key=lambda i: abs(times[i] - received_ns), default=None)
        return None if found is None or abs(times[found] - received_ns) > NEAR_NS else self._log.pictures[name][found][1]

    def _decode(self, group: ObservationGroup, data: bytes) -> NDArray[Any]:
        message = self._store.deserialize_cdr(data, message_type(group))
        if message_type(group) == COMPRESSED:
            return fit(decompress(message.data.tobytes()), group)
        if message.encoding != "32FC1":
            pixels = np.frombuffer(message.data.tobytes(), "<f4").reshape(message.height, message.width, -1)
            return fit(pixels, group)
        size = (message.width, message.height, message.step)
        return decode(Raw(message.encoding, *size, bool(message.is_bigendian), message.data.tobytes()), group)

"""The newest picture of each camera, ready for the policy: taken, checked and encoded on the cameras' thread, read by the loop.

    camera's thread:  message -> decode -> facts (same bytes? dark? rate?) -> encode --one assignment--> newest
    loop:             newest, whatever it is by now; it never waits for a picture or for the encoder

`newest` and `fault` are one reference each, which the camera's thread replaces and the loop reads: no lock, and no half of anything.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.cameras.decode import PictureError, Raw, decode, fit
from bridge.control.reading import Inputs
from bridge.control.sight import Sight, Sights, eyes_of
from policies.contract.file import PolicyFile
from policies.contract.spec import ImageSpec, ObservationGroup

RATE_WINDOW_NS = 2_000_000_000
FEWEST = 4  # pictures that make a rate
FAULT_NS = 1_000_000_000  # a fault in one message is a fault until a good one comes, or this long
MOST_SAMPLED = 64  # pixels along a side that brightness is measured of


class Eyes:
    """All cameras of a policy.

    Attributes:
        groups: the policy's image inputs by name.
        resize: whether pictures of another size are resized.
        newest: the newest picture of each camera; replaced as a whole.
        on_sight: called with each picture's group and the picture, on the cameras' thread; None for nobody.
        hint: why no picture of a group comes, where the wire knows; set by the wire.
        remarks: remarks on cameras for which nothing is refused; set by the wire.
        encode_ns: how long the newest picture took to encode [ns], by group.
    """

    def __init__(self, policy: PolicyFile, resize: bool = False) -> None:
        """Prepare for a policy's cameras; its encoders are used from the thread that calls `take`."""
        self.groups: dict[str, ObservationGroup] = {group.name: group for group in eyes_of(policy.spec)}
        self.resize = resize
        self.newest: Sights = {}
        self.on_sight: Callable[[str, Sight], None] | None = None
        self.hint: Callable[[str], str] = lambda group: ""
        self.remarks: tuple[str, ...] = ()
        self.encode_ns: dict[str, int] = {}
        self._policy, self._apart = policy, frozenset(policy.latents)
        self._faults: Mapping[str, tuple[str, int]] = {}
        self._sums: dict[str, int] = {}
        self._arrivals: dict[str, deque[int]] = {name: deque() for name in self.groups}

    def image(self, name: str) -> ImageSpec:
        """What the contract says of a group's pictures."""
        image = self.groups[name].image
        assert image is not None
        return image

    def warm(self) -> None:
        """Encode a black picture of each camera, so that the first real one is as fast as the others."""
        for name in self._apart:
            group = self.groups[name]
            for _ in range(3):
                self._policy.encode(name, np.zeros(group.shape, np.dtype(group.dtype)))

    def take(
        self, name: str, picture: Raw | NDArray[Any], stamp_ns: int, received_ns: int, now_ns: Callable[[], int] | None = None
    ) -> None:
        """Take a picture, or note why it cannot be taken. Only one thread may call this.

        Args:
            name: the policy's input.
            picture: off the wire, or an array (height, width, channels) of the contract's kind: colours as bytes, depth in metres.
            stamp_ns: the camera's own time stamp [ns].
            received_ns: when it arrived, on the loop's clock [ns].
            now_ns: the loop's clock, to tell when it is ready; None for at once, as in lock-step simulation.
        """
        group = self.groups[name]
        try:
            taken = decode(picture, group, self.resize) if isinstance(picture, Raw) else fit(picture, group, self.resize)
        except PictureError as error:
            self.refuse(name, str(error), received_ns)
            return
        begin_ns = time.perf_counter_ns()
        latent = self._policy.encode(name, taken) if name in self._apart else None
        self.encode_ns[name] = time.perf_counter_ns() - begin_ns
        sight = self._sight(name, taken, latent, stamp_ns, received_ns, received_ns if now_ns is None else now_ns())
        if name in self._faults:
            self._faults = {other: fault for other, fault in self._faults.items() if other != name}
        self.newest = {**self.newest, name: sight}
        if self.on_sight is not None:
            self.on_sight(name, sight)

    def refuse(self, name: str, why: str, now_ns: int) -> None:
        """Note that a camera's newest picture is not usable."""
        self._faults = {**self._faults, name: (why, now_ns)}

    def give(self, inputs: Inputs, now_ns: int) -> None:
        """Put the newest pictures, and what is wrong with them, into a tick's inputs; called by the loop."""
        sights = self.newest
        inputs.sights, inputs.sight_fault = sights, self.fault(now_ns)
        inputs.sight_hints = {name: hint for name in self.groups if (hint := self.hint(name))}
        if self.remarks:
            inputs.remarks = (*inputs.remarks, *self.remarks)

    def fault(self, now_ns: int) -> str | None:
        """Why a camera's newest picture could not be taken, in words; None if all could."""
        said = [f"{name}: {why}" for name, (why, at_ns) in self._faults.items() if now_ns - at_ns <= FAULT_NS]
        return "; ".join(said) or None

    def _sight(self, name: str, picture: NDArray[Any], latent: Any, stamp_ns: int, received_ns: int, ready_ns: int) -> Sight:
        before = self.newest.get(name)
        if before is not None:  # each picture has a time of its own, by which a log tells it from the others
            received_ns = max(received_ns, before.received_ns + 1)
        content = zlib.crc32(picture.data)
        known = None if before is None or self._sums[name] != content else before.picture
        same = known is not None and np.array_equal(known, picture)
        self._sums[name] = content
        brightness, contrast = light(picture, self.image(name))
        return Sight(
            number=1 if before is None else before.number + 1,
            stamp_ns=stamp_ns,
            received_ns=received_ns,
            ready_ns=ready_ns,
            same_ns=before.same_ns if before is not None and same else received_ns,
            stamped_ns=before.stamped_ns if before is not None and before.stamp_ns == stamp_ns else received_ns,
            brightness=brightness,
            contrast=contrast,
            hz=self._hz(name, received_ns),
            picture=picture,
            latent=latent,
        )

    def _hz(self, name: str, now_ns: int) -> float:
        """How often a camera's pictures come, over the last two seconds; 0 for too few to tell."""
        seen = self._arrivals[name]
        seen.append(now_ns)
        while len(seen) > FEWEST and seen[0] < now_ns - RATE_WINDOW_NS:
            seen.popleft()
        return (len(seen) - 1) * 1e9 / (seen[-1] - seen[0]) if len(seen) >= FEWEST and seen[-1] > seen[0] else 0.0


def light(picture: NDArray[Any], image: ImageSpec) -> tuple[float, float]:
    """Brightness and contrast of a picture, as `Sight` has them."""
    some = picture[:: 1 + picture.shape[0] // MOST_SAMPLED, :: 1 + picture.shape[1] // MOST_SAMPLED]
    if image.kind == "rgb":
        return float(some.mean()) / 255, float(some.std()) / 255
    return (float((some > 0).mean()), 1.0) if image.kind == "depth" else (1.0, 1.0)

"""The pose of a simulated robot in a file that another process maps: its cameras are drawn there, and its physics keeps time.

One writer, any readers. A counter is odd while the writer writes, so that a reader takes no half of a pose. The file lies in memory
(`/dev/shm`) where there is such a folder.
"""

from __future__ import annotations

import json
import mmap
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bridge.control.joints import FloatArray

HEAD = 1 << 16  # bytes for the names of the joints
COUNT, STAMP, TIMES = 0, 1, 8  # whole numbers before the pose
PATIENCE_S = 30.0
WAIT_S = 0.01


def memory_folder() -> Path:
    """A folder whose files lie in memory, or else one for temporary files."""
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


class SharedPose:
    """The mapped file, for the writer or a reader.

    Attributes:
        joints: names of the scene's joints, in the order of their positions.
    """

    def __init__(self, data: Any, joints: tuple[str, ...], size: int) -> None:
        """Map `size` positions in a buffer; see `write_to` and `read_from`."""
        self._data, self.joints = data, joints
        self._times = np.frombuffer(data, np.int64, TIMES, HEAD)
        self._qpos = np.frombuffer(data, np.float64, size, HEAD + 8 * TIMES)

    @staticmethod
    def write_to(path: Path, joints: tuple[str, ...], qpos: FloatArray) -> SharedPose:
        """Make the file of a scene with these joints, and let readers find it.

        Raises:
            ValueError: the names do not fit.
        """
        head = json.dumps({"joints": joints, "size": len(qpos)}).encode()
        if len(head) > HEAD:
            raise ValueError(f"the names of {len(joints)} joints are longer than {HEAD} bytes")
        draft = path.with_name(f"{path.name}.new")
        draft.write_bytes(head.ljust(HEAD) + bytes(8 * (TIMES + len(qpos))))
        with draft.open("r+b") as file:
            pose = SharedPose(mmap.mmap(file.fileno(), 0), joints, len(qpos))
        pose.put(qpos, 0)
        draft.rename(path)
        return pose

    @staticmethod
    def read_from(path: Path, patience_s: float = PATIENCE_S) -> SharedPose:
        """Map a writer's file, once it is there.

        Raises:
            TimeoutError: it is not there after `patience_s` [s].
        """
        end = time.monotonic() + patience_s
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"no simulated robot has written {path} for {patience_s:g} s")
            time.sleep(WAIT_S)
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = json.loads(data[:HEAD])
        return SharedPose(data, tuple(head["joints"]), int(head["size"]))

    def put(self, qpos: FloatArray, stamp_ns: int) -> None:
        """Write a pose (nq,) and the robot's time [ns]."""
        self._times[COUNT] += 1
        self._qpos[:], self._times[STAMP] = qpos, stamp_ns
        self._times[COUNT] += 1

    def get(self) -> tuple[FloatArray, int]:
        """The newest pose (nq,) and its time [ns]."""
        while True:
            before = int(self._times[COUNT])
            qpos, stamp_ns = self._qpos.copy(), int(self._times[STAMP])
            if before % 2 == 0 and before == int(self._times[COUNT]):
                return qpos, stamp_ns
            time.sleep(0)

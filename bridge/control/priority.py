"""Ask the operating system to run a control process before ordinary work, on a core of its own, with its memory kept in RAM.

On a computer whose cores are all busy an ordinary process wakes tens of milliseconds late now and then; under SCHED_FIFO it does not.
Each function says what came of it, since what is not allowed is no reason to stop, but a reason to know.
"""

from __future__ import annotations

import ctypes
import os

FIFO_PRIORITY = 20
NICENESS = -15


def raise_priority() -> str:
    """Raise this thread's priority, and that of the threads it starts from now on. Returns what came of it, for the log."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        return f"real-time scheduling, SCHED_FIFO {FIFO_PRIORITY}"
    except PermissionError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        return f"niceness {NICENESS}; no right to real-time scheduling (ulimit -r, or CAP_SYS_NICE)"
    except PermissionError:
        return "normal scheduling: ticks may come late on a busy computer; no right to better (ulimit -r, or CAP_SYS_NICE)"


def lower_priority(thread: int | None = None) -> None:
    """Run a thread (its native id; None for this one) after the control loop, but before ordinary work, where the caller is real-time.

    Now and then it holds the Python lock that the loop waits for.
    """
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(thread or 0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY // 2))


def normal_priority() -> None:
    """Take the priority back; for processes that a control process starts."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def pin(core: int) -> str:
    """Keep this thread, and those that it starts from now on, on one processor core; inference runs in the thread that asks for it.

    Raises:
        ValueError: there is no such core for this process.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if core not in allowed:
        raise ValueError(f"there is no core {core} for this process; it may use {allowed}")
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


MCL_CURRENT, MCL_FUTURE = 1, 2


def lock_memory() -> str:
    """Keep all pages of this process in RAM, so that no tick waits for the disk."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) == 0:
        return "memory locked"
    return f"memory not locked: {os.strerror(ctypes.get_errno())} (ulimit -l)"

"""Asks the operating system to run a control process before ordinary work, on its own core, with its memory kept in RAM.

On a computer whose cores are all busy an ordinary process wakes tens of milliseconds late now and then; under SCHED_FIFO it does not.
Each function returns its result as text: a refusal is no reason to stop, but should be known.
"""

from __future__ import annotations

import ctypes
import os

FIFO_PRIORITY = 20
NICENESS = -15


def raise_priority() -> str:
    """Raise this thread's priority, and that of threads it starts later. Returns the result, for the log."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
        return f"real-time scheduling, SCHED_FIFO {FIFO_PRIORITY}"
    except PermissionError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        return f"niceness {NICENESS}; no permission for real-time scheduling (ulimit -r, or CAP_SYS_NICE)"
    except PermissionError:
        return "normal scheduling: ticks may come late on a busy computer; no permission for better (ulimit -r, or CAP_SYS_NICE)"


def lower_priority(thread: int | None = None) -> None:
    """Run a thread (its native id; None for this one) after the control loop but before ordinary work, if the caller is real-time.

    It sometimes holds the Python lock that the loop waits for.
    """
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(thread or 0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY // 2))


def normal_priority() -> None:
    """Reset the priority, for processes that a control process starts."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def pin(core: int) -> str:
    """Keep this thread, and threads it starts later, on one processor core; inference runs in the calling thread.

    Raises:
        ValueError: this process cannot use that core.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if core not in allowed:
        raise ValueError(f"this process cannot use core {core}; it may use {allowed}")
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


MCL_CURRENT, MCL_FUTURE = 1, 2


def lock_memory() -> str:
    """Keep all pages of this process in RAM, so that no tick waits for the disk."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) == 0:
        return "memory locked"
    return f"memory not locked: {os.strerror(ctypes.get_errno())} (ulimit -l)"

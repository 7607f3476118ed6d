"""Ask the operating system to run a control process before ordinary work: real-time scheduling where there is a right to it.

On a computer whose cores are all busy an ordinary process wakes tens of milliseconds late now and then; under SCHED_FIFO it does not.
"""

from __future__ import annotations

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

"""Run the policy again on a robot's log and show where its actions differ.

The log of `robolearn deploy` holds the policy and everything that it saw, so the same actions must come out; --policy shows what another
policy would have done with the same sensor readings. Exit code 1 if an action differs by more than --tolerance.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bridge.logs.reader import Log, newest_run, read_log
from bridge.logs.repair import repair
from bridge.logs.replay import TOLERANCE, Replay, replay
from bridge.logs.writer import LogError
from policies.contract.file import PolicyFile, PolicyFileError
from policies.files import check_writable, whole
from policies.install import install_command
from robolearn.commands import write_json
from robolearn.errors import UsageError, UserError
from robolearn.policy_path import find_policy

ACCEPTS_OVERRIDES = False
WORST_JOINTS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "log", type=Path, metavar="LOG", help="log of robolearn deploy, or a folder, for the newest log in which a policy ran"
    )
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="another policy for the same robot: a file, or the name of a shipped policy"
    )
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, metavar="X", help=f"of an action (default {TOLERANCE:g})")
    parser.add_argument("--json", metavar="PATH", help="write the figures and each tick's largest difference as JSON")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="plot the joints that differ most, as PNG, PDF or SVG (needs matplotlib)")
    parser.add_argument(
        "--repair", type=Path, metavar="PATH", help="also write a copy with its end and index restored, for logs of killed processes"
    )


def run(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Replay a log. Returns the exit code."""
    if not 0 <= args.tolerance < np.inf:
        raise UsageError(f"--tolerance must be a number from 0 up, not {args.tolerance:g}")
    if args.plot is not None and args.plot.suffix not in (".png", ".pdf", ".svg"):
        raise UsageError(f"--plot writes .png, .pdf or .svg, not {args.plot.name!r}")
    check_writable(args.json, args.plot)
    try:
        other = None if args.policy is None else PolicyFile(find_policy(args.policy))
        log = read_log(_run_in(args.log) if args.log.is_dir() else args.log, other)
        other = None if log.policy is other else other  # it replaces the log's own
        if args.repair is not None:
            print(f"repaired copy: {args.repair}, {repair(log.path, args.repair)} messages")
        result = _replay(log, other)
    except (LogError, PolicyFileError) as error:
        raise UserError(str(error)) from error
    same = result.same(args.tolerance)
    with contextlib.redirect_stdout(sys.stderr) if args.json == "-" else contextlib.nullcontext():
        _say(log, result, args.tolerance, other)
    if args.json is not None:
        write_json(args.json, _figures(log, result, args.tolerance, other))
    if args.plot is not None:
        _plot(args.plot, log, result)
    return 0 if same or other is not None else 1


def _run_in(folder: Path) -> Path:
    """The newest log of a folder in which a policy ran; prints which, and how many newer ones it skipped."""
    log, passed = newest_run(folder)
    newer = f"; skipped {len(passed)} newer, in which no policy ran" if passed else ""
    print(f"newest log in {folder} in which a policy ran: {log.name}{newer}", file=sys.stderr)
    return log


def _replay(log: Log, policy: PolicyFile | None) -> Replay:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:  # not needed on the robot
        return replay(log, policy)
    with tqdm(total=len(log.ticks), desc="replay", unit="tick", disable=None) as bar:

        def advance(_tick: int) -> None:
            bar.update()

        return replay(log, policy, advance)


def _say(log: Log, result: Replay, tolerance: float, other: PolicyFile | None) -> None:
    ticks, inferred = len(log.ticks), int(result.inferred.sum())
    seconds = float(result.time_s[-1])
    end = "" if log.complete else "; the log has no end: the process was killed or still runs"
    run = f"{log.metadata['task']} over {log.metadata['transport']}, {seconds:.1f} s"
    print(f"{log.path}: {run}, {ticks} ticks, {inferred} with the policy{end}")
    begin_ns = int(log.ticks["now_ns"][0])
    for event in log.events:
        if event["event"] == "transition":
            print(f"  {max(0, event['t_ns'] - begin_ns) * 1e-9:.2f} s  {event['from']} -> {event['to']}: {event['cause']}")
    if other is not None:
        print(f"replayed with {other.path}: differences are against what it would have done with the same sensor readings")
    for note in result.notes:
        print(f"part of a run: {note}")
    if log.metadata.get("pictures") == "jpeg":
        print("its pictures are JPEG, which changes them a little, and so actions may differ (--tolerance; png is exact)")
    numbers = log.ticks["index"]
    for tick, logged, replayed in result.states[:3]:
        print(f"tick {numbers[tick]} ({result.time_s[tick]:.2f} s): state {logged} in the log, {replayed} in the replay")
    if not inferred:
        print("the policy did not run in this log")
        return
    print(f"largest difference of an action: {result.worst:.2g}; of anything sent: {result.command_difference.max():.2g}")
    first = result.first(tolerance)
    if first is None:
        where = (
            "at every tick"
            if result.whole
            else f"at the {int(result.judged.sum())} of {inferred} ticks with the policy that can be compared"
        )
        print(f"the same within {tolerance:g}, {where}")
        return
    print(f"first difference over {tolerance:g}: tick {numbers[first]}, {result.time_s[first]:.2f} s")
    names = log.policy.spec.robot.joint_names
    for joint in _worst_joints(result):
        values = result.difference[result.judged, joint]
        print(f"  {names[joint]:<28} largest {values.max():.3g}   rms {float(np.sqrt(np.mean(values**2))):.3g}")


def _worst_joints(result: Replay) -> list[int]:
    worst = result.difference[result.judged].max(axis=0)
    return [int(joint) for joint in np.argsort(-worst)[:WORST_JOINTS]]


def _figures(log: Log, result: Replay, tolerance: float, other: PolicyFile | None) -> dict[str, Any]:
    finite = np.isfinite(result.worst)
    return {
        "log": str(log.path),
        "complete": log.complete,
        "policy_sha256": log.policy.sha256 if other is None else other.sha256,
        "ticks": len(log.ticks),
        "inferred": int(result.inferred.sum()),
        "judged": int(result.judged.sum()),
        "notes": result.notes,
        "largest_action_difference": result.worst if finite else None,
        "largest_command_difference": float(result.command_difference.max(initial=0.0)),
        "first_difference": None if (first := result.first(tolerance)) is None else int(log.ticks["index"][first]),
        "tolerance": tolerance,
        "same": result.same(tolerance),
        "states": [(int(log.ticks["index"][tick]), logged, replayed) for tick, logged, replayed in result.states],
        "time_s": result.time_s.tolist(),
        "action_difference": [float(value) if np.isfinite(value) else None for value in result.difference.max(axis=1)],
    }


def _plot(path: Path, log: Log, result: Replay) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise UsageError(f"--plot needs matplotlib; run: {install_command('train')}") from error
    if not result.judged.any():
        raise UserError(f"the policy did not run in {log.path}: there is nothing to draw")
    joints = _worst_joints(result)[:3]
    figure, axes = plt.subplots(len(joints) + 1, 1, figsize=(9, 2 * len(joints) + 2), sharex=True, layout="constrained")
    for axis, joint in zip(axes, joints, strict=False):
        for name, values, style in (("logged", result.logged, "-"), ("replayed", result.replayed, "--")):
            axis.plot(result.time_s, np.where(result.judged, values[:, joint], np.nan), style, label=name, linewidth=1)
        axis.set_ylabel(f"{log.policy.spec.robot.joint_names[joint].removesuffix('_joint')}\naction [1]", fontsize=8)
    axes[-1].plot(result.time_s, np.where(result.judged, result.difference.max(axis=1), np.nan), color="tab:red", linewidth=1)
    axes[-1].axhline(TOLERANCE, color="black", linewidth=0.6, linestyle=":")
    axes[-1].set_ylabel("largest\n|difference|", fontsize=8)
    axes[-1].set_xlabel("time since the first tick [s]")
    for event in log.events:
        if event["event"] == "transition":
            when = (event["t_ns"] - int(log.ticks["now_ns"][0])) * 1e-9
            for axis in axes:
                axis.axvline(when, color="gray", linewidth=0.6)
            axes[0].annotate(event["to"], (when, 1), xycoords=("data", "axes fraction"), fontsize=7, color="gray")
    axes[0].legend(loc="upper right", bbox_to_anchor=(1, 1.28), ncols=2, fontsize=8, frameon=False)
    figure.suptitle(f"{log.path.name}: largest difference of an action {result.worst:.2g}", fontsize=9)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)

"""Retarget human motions to a humanoid, from mocap, video or another retargeting, as a dataset, a video or in the browser.

Files are .amc (with its .asf), .bvh, .c3d, .npz (AMASS, SMPL joints, kimodo), .pkl (SMPL joints, TWIST2, ASAP) and .csv (root and joints of
this robot, as Unitree's and LAFAN1's). A motion of this robot is cleaned: put on the ground, its feet locked, joint ranges and speeds kept.
Each clip gets a line; one that misses a limit is not kept. docs/motions.md explains the steps and the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robolearn.data.writer import DatasetWriter
    from robolearn.motions.judge import Report
    from robolearn.motions.retarget import Clip, Retargeter, Wanted

KINDS = ("mocap", "video", "teleoperation", "import")
"""The kinds of `robolearn.data.source` that are motions: policies, controllers and logs are brought in by other commands."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="files of motions, or folders of them")
    parser.add_argument("--robot", required=True, metavar="NAME", help="a humanoid's name, or the path of its robot.yaml")
    parser.add_argument("--out", type=Path, metavar="DATASET", help="folder of the dataset to write")
    parser.add_argument("--append", action="store_true", help="add to the dataset of --out")
    parser.add_argument("--video", type=Path, metavar="F", help="write a video of the result, .mp4 or .webm")
    parser.add_argument("--pictures", type=Path, metavar="F", help="write a strip of pictures per clip, .png or .jpg")
    parser.add_argument("--live", action="store_true", help="watch the result in the browser, on this computer only, until Ctrl-C")
    parser.add_argument("--port", type=int, default=8080, help="port of --live (default: 8080)")
    parser.add_argument("--as-is", action="store_true", help="show motions of this robot unchanged, without cleaning")
    parser.add_argument(
        "--rate", type=int, default=50, metavar="HZ", help="frames per second of the result, as the policy's rate (default: 50)"
    )
    parser.add_argument("--fps", type=float, help="frames per second of files that do not state it")
    parser.add_argument(
        "--time", choices=("froude", "keep"), default="froude", help="scale time with the person's size, or keep it (default: froude)"
    )
    parser.add_argument("--solved", action="store_true", help="take the robot's motion if a file has both a robot's and a person's")
    parser.add_argument("--licence", metavar="NAME", help="SPDX licence of the files (default: that of a LICENSE beside them)")
    parser.add_argument("--kind", choices=KINDS, help="kind of the source (default: mocap, or video if the path says so)")
    parser.add_argument("--keep-all", action="store_true", help="also keep clips that miss a limit")
    parser.add_argument("--table", action="store_true", help="show which part of the robot matches which part of the person")
    parser.add_argument("--json", metavar="PATH", help="write all reports as one JSON object; - is standard output")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Retarget."""
    del overrides
    from envs.robots.registry import get_robot
    from policies.files import check_writable
    from robolearn.commands import write_json
    from robolearn.errors import UsageError
    from robolearn.motions.retarget import Retargeter, Wanted

    if not 10 <= args.rate <= 1000:
        raise UsageError(f"--rate must lie between 10 and 1000, not {args.rate}")
    if args.fps is not None and not 1 <= args.fps <= 1000:
        raise UsageError(f"--fps must lie between 1 and 1000, not {args.fps:g}")
    if args.append and args.out is None:
        raise UsageError("--append adds to a dataset: name it with --out")
    if args.as_is and (args.out or args.json):
        raise UsageError("--as-is shows motions and writes no dataset and no report: leave out --out and --json")
    if args.as_is and not (args.video or args.pictures or args.live):
        raise UsageError("--as-is only shows motions: add --video F, --pictures F or --live")
    if not 1 <= args.port <= 65535:
        raise UsageError(f"--port must lie between 1 and 65535, not {args.port}")
    for option, path, endings in (("--video", args.video, (".mp4", ".webm")), ("--pictures", args.pictures, (".png", ".jpg"))):
        if path is not None and path.suffix not in endings:
            raise UsageError(f"{option} must end in {' or '.join(endings)}, not {path.name}")
        check_writable(path)
    check_writable(args.json)
    files = _files(args.files)
    wanted = Wanted(rate=float(args.rate), fps=args.fps, froude=args.time == "froude", solved=args.solved or args.as_is, kind=args.kind)
    retargeter = Retargeter(get_robot(args.robot), wanted)
    with contextlib.redirect_stdout(sys.stderr) if args.json == "-" else contextlib.nullcontext():
        if args.table:
            for landmark, body in retargeter.rig.table():
                print(f"  {landmark:16} {body}")
        if args.as_is:
            return _show(args, retargeter, _recordings(retargeter, files, wanted))
        reports, kept = _bring(args, retargeter, files)
    if args.json:
        write_json(args.json, {"robot": retargeter.robot.name, "clips": [_plain(report) for report in reports]})
    with contextlib.redirect_stdout(sys.stderr) if args.json == "-" else contextlib.nullcontext():
        _show(args, retargeter, kept)
    return 0 if any(report.kept or args.keep_all for report in reports if report.figures) else 1


def _bring(args: argparse.Namespace, retargeter: Retargeter, files: list[Path]) -> tuple[list[Report], list[tuple[str, Any]]]:
    """Retarget and write what is kept file by file, so that an interruption loses little; returns all reports, and the poses to show."""
    from robolearn.motions.licences import licence_of
    from robolearn.motions.retarget import Clip

    licences = {path: licence_of(path, args.licence) for path in files}  # before the work, since it may be refused
    reports: list[Report] = []
    shown: list[tuple[str, Any]] = []
    count = 0
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(_appending(args)) if args.append else None
        for path in files:
            kept: list[Clip] = []
            for found in _clips(retargeter, path, alone=len(files) == 1):
                report = found.report if isinstance(found, Clip) else found
                reports.append(report)
                print(report.line() if report.figures else f"{report.name:32} not kept: {'; '.join(report.faults)}", flush=True)
                if isinstance(found, Clip) and (report.kept or args.keep_all):
                    kept.append(found)
            count += len(kept)
            if args.video or args.pictures or args.live:
                shown += [(clip.name, clip.qpos) for clip in kept]
            if args.out and kept:
                writer = writer or stack.enter_context(_beginning(args, retargeter))
                writer.add(*(retargeter.episode(clip, licences[path]) for clip in kept))
    frames = sum(report.figures.get("frames", 0.0) for report in reports)
    spent = sum(report.figures.get("frames", 0.0) * report.figures.get("milliseconds", 0.0) for report in reports) / 1000
    print(f"{count} of {len(reports)} clips kept, {frames:.0f} frames, {frames / max(spent, 1e-9):.0f} per second on one core")
    if args.out and count:
        print(f"written: {args.out}, {count} episodes; look at it: robolearn data info {args.out}")
    return reports, shown


def _beginning(args: argparse.Namespace, retargeter: Retargeter) -> DatasetWriter:
    """A new dataset."""
    from robolearn.data.writer import DatasetWriter
    from robolearn.motions.episodes import columns_of

    return DatasetWriter(args.out, columns_of(retargeter.robot), fps=args.rate)


def _appending(args: argparse.Namespace) -> DatasetWriter:
    """The existing dataset.

    Raises:
        UserError: it has another rate.
    """
    from robolearn.data.writer import DatasetWriter
    from robolearn.errors import UserError

    writer = DatasetWriter.append(args.out)
    if writer.info.fps != args.rate:
        writer.close()
        raise UserError(f"{args.out} has {writer.info.fps} frames per second; add to it with --rate {writer.info.fps}")
    return writer


def _clips(retargeter: Retargeter, path: Path, alone: bool) -> Iterator[Clip | Report]:
    """The clips of a file; among several files, one that cannot be read is reported with the others."""
    from robolearn.errors import UserError
    from robolearn.motions.judge import Report

    try:
        yield from retargeter.clips(path)
    except UserError as error:
        if alone:
            raise
        yield Report(name=path.stem, figures={}, faults=(str(error),))


def _recordings(retargeter: Retargeter, files: list[Path], wanted: Wanted) -> list[tuple[str, Any]]:
    """Motions that are the robot's own already, unchanged."""
    from robolearn.errors import UserError
    from robolearn.motions.person import Person
    from robolearn.motions.reading import read
    from robolearn.motions.recorded import resampled

    found = []
    for path in files:
        for motion in read(path, retargeter.robot, wanted.fps, solved=True):
            if isinstance(motion, Person):
                raise UserError(f"{path} is a person's motion; --as-is shows those of a robot")
            found.append((motion.name, resampled(retargeter.kinematics, motion, wanted.rate)))
    return found


def _show(args: argparse.Namespace, retargeter: Retargeter, motions: list[tuple[str, Any]]) -> int:
    from robolearn.motions import film

    if not motions:
        return 0
    if args.video:
        count = film.film(retargeter.robot, motions, 1.0 / args.rate, args.video)
        print(f"video: {args.video}, {count} pictures")
    if args.pictures:
        print(f"pictures: {film.pictures(retargeter.robot, motions, args.pictures)}")
    if args.live:
        film.show(retargeter.robot, motions, 1.0 / args.rate, args.port)
    return 0


def _files(given: list[str]) -> list[Path]:
    """The files that were named, and the files of motions in named folders.

    Raises:
        UserError: a file does not exist, or a folder has no motions.
    """
    from robolearn.errors import UserError
    from robolearn.motions.reading import ENDINGS

    found: list[Path] = []
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
            if not inside:
                raise UserError(f"no motions ({', '.join(ENDINGS)}) in {path}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"there is no file {path}")
    return list(dict.fromkeys(found))  # a file may be named directly and through its folder


def _plain(report: Report) -> dict[str, Any]:
    """A report as plain JSON values."""
    return {
        "name": report.name,
        "kept": report.kept,
        "figures": {name: round(value, 6) for name, value in report.figures.items()},
        "remarks": list(report.remarks),
        "faults": list(report.faults),
    }

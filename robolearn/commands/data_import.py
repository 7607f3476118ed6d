"""Bring recordings of your own into a dataset (docs/bring-your-data.md).

Logs of robolearn deploy need nothing else. A ROS 2 bag (MCAP or SQLite, a file or its folder), a table (.csv, .tsv) or an .npz file is read
by a map, which is guessed as far as names and types allow: --show lists what is in a recording, --map-out writes the guess for editing.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robolearn.data.imports.mapping import ImportMap
    from robolearn.data.imports.opening import Found
    from robolearn.data.writer import DatasetWriter


def configure(actions: Any) -> None:
    """Add the subcommand."""
    parser = actions.add_parser(
        "import",
        help="bring recordings into a dataset: logs, ROS 2 bags, CSV, npz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recording", type=Path, nargs="+", metavar="RECORDING", help="log, bag (file or folder), .csv, .tsv or .npz")
    parser.add_argument("--out", type=Path, metavar="DATASET", help="folder of the dataset")
    parser.add_argument("--append", action="store_true", help="add to an existing dataset")
    parser.add_argument("--map", type=Path, metavar="YAML", help="YAML that maps the recording's topics or columns to the dataset's")
    parser.add_argument("--robot", metavar="ROBOT", help="the robot that moved: a name or a robot.yaml")
    parser.add_argument("--fps", type=int, metavar="N", help="frames per second (default: the recording's, or 50 if it has more than 60)")
    parser.add_argument("--task", metavar="TEXT", help="the task, in words")
    parser.add_argument("--kind", metavar="KIND", help="who moved the robot: policy, controller, teleoperation, log, import (default)")
    parser.add_argument("--licence", metavar="SPDX", help="licence of the recording, e.g. CC-BY-4.0 (default: unknown)")
    parser.add_argument("--attribution", metavar="TEXT", help="attribution of the recording")
    parser.add_argument("--show", action="store_true", help="list what is in the recording, and exit")
    parser.add_argument("--map-out", type=Path, metavar="YAML", help="write the map, guesses included, and exit")
    parser.set_defaults(do=run)


def run(args: argparse.Namespace) -> int:
    """Import."""
    from robolearn.errors import UsageError

    mapping = _mapping(args)
    if args.show or args.map_out:
        if len(args.recording) > 1:
            raise UsageError("--show and --map-out look at one recording")
        return _show(args, mapping)
    if args.out is None:
        raise UsageError("give --out, the folder of the dataset, or --show to list what is in the recording")
    if args.fps is not None and args.fps < 1:
        raise UsageError(f"--fps must be at least 1, not {args.fps}")
    return _import(args, mapping)


def _mapping(args: argparse.Namespace) -> ImportMap:
    """The map, with options in place of its own values."""
    from robolearn.data.imports.mapping import ImportMap, load_map
    from robolearn.data.source import check_kind

    mapping = load_map(args.map) if args.map else ImportMap()
    if args.kind:
        check_kind(args.kind)
    typed = {name: getattr(args, name) for name in ("robot", "task", "kind", "licence", "attribution") if getattr(args, name)}
    return dataclasses.replace(mapping, **typed)


def _show(args: argparse.Namespace, mapping: ImportMap) -> int:
    """What is in a recording, and the map guessed from it."""
    from envs.robots.registry import get_robot
    from policies.files import write_text
    from robolearn.data.imports.bag import Bag
    from robolearn.data.imports.log import is_own_log
    from robolearn.data.imports.mapping import dump_map
    from robolearn.data.imports.opening import opened
    from robolearn.errors import UsageError

    path = args.recording[0]
    if path.is_file() and is_own_log(path):
        print(f"{path} is a log of robolearn deploy, which needs no map: robolearn data import {path} --out DATASET")
        return 0
    if not mapping.robot:
        if args.map_out:
            raise UsageError("--map-out needs the robot of the recording: --robot NAME|robot.yaml")
        recording = Bag(path) if path.is_dir() or path.suffix in (".mcap", ".db3") else opened(path, mapping, get_robot("go1"))[0]
        print("\n".join(recording.contents()))
        print(f"to see the guessed map for a robot: robolearn data import {path} --show --robot NAME")
        return 0
    recording, guess = opened(path, mapping, get_robot(mapping.robot))
    full = mapping.over(guess())
    if args.map_out:
        write_text(args.map_out, dump_map(full))
        print(f"written: {args.map_out}; next: robolearn data import {path} --map {args.map_out} --out DATASET")
        return 0
    print("\n".join(recording.contents()))
    print(f"\nthe map, as far as it can be guessed:\n{dump_map(full)}")
    return 0


def _import(args: argparse.Namespace, mapping: ImportMap) -> int:
    from tqdm import tqdm

    from robolearn.data.imports.opening import load
    from robolearn.errors import UserError

    if args.out.exists() and not args.append and any(args.out.iterdir() if args.out.is_dir() else [args.out]):
        raise UserError(f"{args.out} exists already; --append adds to a dataset, or give another --out")
    writer: DatasetWriter | None = None
    episodes = seconds = 0.0
    notes: dict[str, list[str]] = {}
    try:
        bar = tqdm(args.recording, desc="recordings", unit="recording", leave=False, disable=None if len(args.recording) > 1 else True)
        for number, path in enumerate(bar):
            try:
                found = load(path, mapping, args.fps if writer is None else writer.info.fps)
                writer = writer or _writer(args, found)
                _add(writer, found)
            except UserError as error:
                if not number:
                    raise
                done = f"the {number} before {path} are in {args.out}; import this one and those after it with --append"
                raise UserError(f"{error}; {done}") from error
            episodes, seconds = episodes + len(found.episodes), seconds + found.seconds
            for note in found.notes:
                notes.setdefault(note, []).append(path.name)
    finally:
        if writer is not None:
            writer.close()
    for note, names in notes.items():
        print(f"note: {names[0] if len(names) == 1 else f'{len(names)} recordings'}: {note}")
    print(f"{episodes:.0f} episodes, {seconds:.1f} s, of {len(args.recording)} recordings: {args.out}")
    if mapping.licence == "unknown":
        print("note: without --licence, trainings leave these episodes out unless given --allow-licence unknown")
    print(f"next: robolearn data check {args.out}")
    return 0


def _add(writer: DatasetWriter, found: Found) -> None:
    from robolearn.data.columns import DataError
    from robolearn.errors import UserError

    fps = writer.info.fps
    if found.fps != fps:
        raise UserError(f"{found.path} has {found.fps} frames per second, the dataset {fps}; give --fps {fps}")
    try:
        writer.add(*found.episodes)
    except DataError as error:
        raise UserError(
            f"{found.path} does not fit {writer.path}: {error}; import it into a separate dataset and join the two with robolearn data "
            f"merge"
        ) from error


def _writer(args: argparse.Namespace, found: Found) -> DatasetWriter:
    """The writer of a new dataset with the columns of the first recording's robot, or of the existing dataset."""
    from robolearn.data.columns import robot_columns
    from robolearn.data.writer import DatasetWriter

    if args.append:
        return DatasetWriter.append(args.out)
    columns = robot_columns(found.robot.joint_names, tuple(found.robot.feet), found.command_labels)
    return DatasetWriter(args.out, columns, found.fps)

"""`robolearn data info | merge | split | repair`: operations on whole datasets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.files import check_writable
from robolearn.commands import add_allow_licence, check_seed, write_json
from robolearn.errors import UsageError, UserError

if TYPE_CHECKING:
    from robolearn.data.merge import Progress
    from robolearn.data.reader import Dataset


def configure(actions: Any) -> None:
    """Add the subcommands."""
    info = actions.add_parser("info", help="show what a dataset holds: sources, licences, columns, tasks", allow_abbrev=False)
    info.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    info.add_argument("--json", metavar="PATH", help="write it as JSON; - is standard output, without the table")
    info.set_defaults(do=_info)

    merge = actions.add_parser("merge", help="merge several datasets into one, with robots kept apart", allow_abbrev=False)
    merge.add_argument("datasets", type=Path, nargs="+", metavar="DATASET")
    merge.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the new dataset")
    merge.set_defaults(do=_merge)

    split = actions.add_parser("split", help="write parts of a dataset, drawn or chosen, as datasets", allow_abbrev=False)
    split.add_argument("dataset", type=Path, metavar="DATASET")
    split.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder for the parts: FOLDER/NAME")
    split.add_argument(
        "--shares", default="train=0.9,test=0.1", metavar="LIST", help="parts and their shares (default: train=0.9,test=0.1)"
    )
    split.add_argument(
        "--by", choices=("episode", "source", "task"), default="episode", help="what stays together in one part (default: episode)"
    )
    split.add_argument("--seed", type=int, default=0, help="seed of the random split (default: 0)")
    split.add_argument("--robot", metavar="NAME", help="take only episodes of this robot")
    kinds = "policy, controller, mocap, video, log, teleoperation or import"
    split.add_argument("--kind", metavar="KIND", help=f"take only episodes of this kind of source: {kinds}")
    split.add_argument("--task", metavar="TEXT", help="take only episodes whose task contains this text")
    split.add_argument("--successful", action="store_true", help="take only episodes that are known to have succeeded")
    split.add_argument("--free", action="store_true", help="take only episodes with a free licence")
    add_allow_licence(split, "with --free, also take this licence")
    split.set_defaults(do=_split)

    repair = actions.add_parser(
        "repair", help="save what is left of a broken dataset, also one written by another program", allow_abbrev=False
    )
    repair.add_argument("dataset", type=Path, metavar="DATASET")
    repair.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the new dataset; the broken one is not changed")
    repair.add_argument("--fps", type=int, metavar="HZ", help="rows per second, if info.json is lost")
    repair.add_argument("--robot", metavar="NAME", help="the dataset's robot, if info.json is lost")
    repair.set_defaults(do=_repair)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Progress]:
    from tqdm import tqdm

    with tqdm(desc=title, total=total, unit="episode", dynamic_ncols=True, leave=False, disable=None) as bar:
        yield lambda count: void(bar.update(count))


def void(_: object) -> None:
    """Discard a value, for lambdas that must return None."""


def _info(args: argparse.Namespace) -> int:
    from robolearn.data.reader import Dataset

    check_writable(args.json)
    told = describe(Dataset(args.dataset))
    if args.json != "-":
        print("\n".join(lines(told)))
    if args.json:
        write_json(args.json, told)
    return 0


def describe(dataset: Dataset) -> dict[str, Any]:
    """What a dataset holds, as JSON values."""
    from robolearn.data.licence import verdict
    from robolearn.data.store import read_stats

    stats = read_stats(dataset.path)
    sources = []
    for index, source in enumerate(dataset.sources):
        rows = [row for row in dataset.episodes if row.source == index]
        if not rows:
            continue
        known = [row.success for row in rows if row.success is not None]
        sources.append(
            {
                "kind": source.kind,
                "robot": source.robot,
                "control_mode": source.control_mode,
                "licence": source.licence,
                "may_be_used": verdict(source.licence),
                "attribution": source.attribution,
                "note": source.note,
                "episodes": len(rows),
                "seconds": sum(len(row) for row in rows) / dataset.fps,
                "success": sum(known) / len(known) if known else None,
            }
        )
    columns = []
    for column in dataset.columns:
        known_share: float | None = 1.0 if len(dataset) else None
        if column.mark:
            known_share = float(stats[column.mark]["mean"][0]) if column.mark in stats else None
        columns.append({"name": column.name, "width": column.width, "dtype": column.dtype, "known": known_share})
    return {
        "path": str(dataset.path),
        "fps": dataset.fps,
        "episodes": len(dataset),
        "frames": dataset.info.total_frames,
        "seconds": dataset.info.total_frames / dataset.fps,
        "bytes": sum(file.stat().st_size for file in dataset.path.rglob("*") if file.is_file() and ".cache" not in file.parts),
        "robots": list(dict.fromkeys(source.robot for source in dataset.sources)),
        "tasks": list(dataset.tasks),
        "cameras": list(dataset.cameras),
        "unread": list(dataset.unread),
        "columns": columns,
        "sources": sources,
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The result of `describe` as text."""
    size = told["bytes"] / 1e6
    length = f"{told['frames']} rows at {told['fps']} Hz ({duration(told['seconds'])})"
    found = [f"{told['path']}: {told['episodes']} episodes, {length}, {size:.1f} MB"]
    found.append("sources:")
    for source in told["sources"]:
        success = "" if source["success"] is None else f", {source['success']:.0%} succeeded"
        use = {"free": "", "restricted": " (only with --allow-licence)", "unknown": " (only with --allow-licence)"}[source["may_be_used"]]
        what = f"{source['kind']} of {source['robot']}" + (f", {source['control_mode']}" if source["control_mode"] else "")
        note = f"; {source['note']}" if source["note"] else ""
        found.append(f"  {what}: {source['episodes']} episodes, {duration(source['seconds'])}{success}; {source['licence']}{use}{note}")
    found.append("columns:")
    width = max((len(column["name"]) for column in told["columns"]), default=0)
    for column in told["columns"]:
        share = "no rows yet" if column["known"] is None else f"known in {column['known']:.0%} of the rows"
        found.append(f"  {column['name']:{width}}  {column['dtype']:7} {column['width']:4}  {share}")
    if told["unread"]:
        found.append(f"pictures that are not read, since they are not colour videos: {', '.join(told['unread'])}")
    tasks = told["tasks"]
    found.append(f"tasks: {'; '.join(tasks[:8])}{f'; and {len(tasks) - 8} more' if len(tasks) > 8 else ''}")
    return found


def duration(seconds: float) -> str:
    """A duration as text."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _merge(args: argparse.Namespace) -> int:
    from robolearn.data.merge import merge
    from robolearn.data.reader import Dataset

    total = sum(len(Dataset(path)) for path in args.datasets)
    with _bar("merge", total) as progress:
        merge(args.datasets, args.out, progress)
    print(f"wrote {args.out}: {total} episodes of {len(args.datasets)} datasets; look at it: robolearn data info {args.out}")
    return 0


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, sign, value = item.strip().partition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not sign or not name or "/" in name or name.startswith(".") or share <= 0 or name in shares:
            raise UsageError(f"--shares takes names and shares above 0, as in train=0.9,test=0.1, not {item.strip()!r}")
        shares[name] = share
    return shares


def _split(args: argparse.Namespace) -> int:
    from robolearn.data.reader import Dataset
    from robolearn.data.source import check_kind
    from robolearn.data.split import assign, select, split

    check_seed(args.seed)
    if args.kind:
        check_kind(args.kind)
    if args.allow_licence and not args.free:
        raise UsageError("--allow-licence is for --free; without --free every licence is taken")
    shares, dataset = _shares(args.shares), Dataset(args.dataset)
    free = args.allow_licence if args.free else None
    chosen = select(dataset, args.robot, args.kind, args.task, args.successful, free)
    if not chosen and len(dataset):
        conditions = "--robot, --kind, --task, --successful and --free"
        raise UserError(f"no episode of {args.dataset} meets all of {conditions}; see: robolearn data info {args.dataset}")
    parts = assign(dataset, shares, args.by, args.seed, chosen)
    with _bar("split", len(chosen)) as progress:
        written = split(dataset, parts, args.out, progress)
    for name, path in written.items():
        print(f"wrote {path}: {len(parts[name])} of {len(dataset)} episodes")
    return 0


def _repair(args: argparse.Namespace) -> int:
    from robolearn.data.repair import repair

    with _bar("repair", 0) as progress:
        found = repair(args.dataset, args.out, fps=args.fps, robot=args.robot, progress=progress)
    for line in found.lost:
        print(f"lost: {line}")
    print(f"wrote {args.out}: {found.saved} episodes saved; look at it: robolearn data info {args.out}")
    return 0 if found.saved else 1

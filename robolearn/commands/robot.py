"""Inspect any robot's model, MJCF or URDF, and write its description for training.

`check` shows what a model holds, joint by joint, and what will not work with it. `new` writes a folder with the robot alone (model.xml), a
complete robot.yaml that states where each value comes from, and a picture of the robot standing. Exit code 2 if the model cannot be used as
it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.files import WriteError, reason, write_text
from robolearn.commands import write_json
from robolearn.errors import UsageError, UserError, suggestion

if TYPE_CHECKING:
    from envs.robots.describe.finding import Description
    from envs.robots.robot import Robot

YAML = (".yaml", ".yml")
FILES = ("robot.yaml", "model.xml", "assets", "robot.png")
MJCF_OF = "a robot's name, its robot.yaml or folder; or a policy, for its own robot: a shipped name, a run folder, a file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their options."""
    actions = parser.add_subparsers(dest="action", metavar="check|new|mjcf", required=True)
    check = actions.add_parser("check", help="show what a model holds and what will not work with it", allow_abbrev=False)
    check.add_argument("model", metavar="MODEL", help="MJCF, URDF, robot.yaml or its folder")
    new = actions.add_parser("new", help="write the description of a model: robot.yaml, the model and a picture", allow_abbrev=False)
    new.add_argument("model", metavar="MODEL", help="MJCF or URDF")
    new.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder of the description")
    new.add_argument("--force", action="store_true", help="overwrite what is there")
    new.add_argument("--no-picture", action="store_true", help="do not write the picture")
    mjcf = actions.add_parser("mjcf", help="write the scene that tasks train in as one MJCF file", allow_abbrev=False)
    mjcf.add_argument("robot", metavar="ROBOT", help=MJCF_OF)
    mjcf.add_argument("--out", required=True, type=Path, metavar="FILE", help="the file to write, .xml")
    for action in (check, new):
        action.add_argument("--name", help="name of the robot (default: the model's)")
        base = action.add_mutually_exclusive_group()
        base.add_argument("--floating", action="store_true", help="the base moves, whatever the file says")
        base.add_argument("--fixed", action="store_true", help="the base is fixed, whatever the file says")
        action.add_argument(
            "--packages", type=Path, action="append", default=[], metavar="FOLDER", help="folder to search first for package:// paths"
        )
        action.add_argument("--json", metavar="PATH", help="write what was found as JSON; - is standard output, without the table")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Run the subcommand."""
    return {"check": _check, "new": _new, "mjcf": _mjcf}[args.action](args)


def _mjcf(args: argparse.Namespace) -> int:
    from robolearn.simulated_model import write_scene

    if args.out.suffix != ".xml":
        raise UsageError(f"--out writes MJCF: its name must end in .xml, not {args.out.name!r}")
    print(f"written: {write_scene(_robot(args.robot), args.out)}")
    return 0


def _robot(text: str) -> Robot:
    """The robot that a name or a path means, or that of a policy.

    Raises:
        UserError: there is no such robot or policy, or the policy's robot is missing or has changed.
    """
    from envs.robots.registry import ROBOTS, get_robot
    from policies.contract.file import PolicyFile
    from robolearn.policy_path import find_policy, zoo
    from robolearn.policy_robot import robot_of

    path = Path(text).expanduser()
    if text in ROBOTS or text.lower().endswith(YAML) or (path / FILES[0]).is_file():
        return get_robot(text)
    if text in zoo() or path.exists():
        return robot_of(PolicyFile(find_policy(path)))
    valid = f"robots: {', '.join(ROBOTS)}; policies: {', '.join(zoo())}; or the path of a robot.yaml, a policy file or a run folder"
    raise UserError(f"unknown robot {text!r}{suggestion(text, [*ROBOTS, *zoo()])}; {valid}")


def _check(args: argparse.Namespace) -> int:
    if (described := Path(args.model).expanduser() / FILES[0]).is_file():  # the folder that `new` wrote
        args.model = str(described)
    if args.model.lower().endswith(YAML):
        return _check_written(args)
    from envs.robots.describe.check import as_json, report

    found = _describe(args)
    _tell(args, as_json(found), [report(found), "", _verdict(found, args.model)])
    return 0 if found.usable else 2


def _describe(args: argparse.Namespace) -> Description:
    from envs.robots.describe.description import describe

    path = Path(args.model).expanduser()
    if not path.exists():
        raise UsageError(f"there is no file {path}; give an MJCF or URDF model, or a robot.yaml")
    return describe(path, args.name, True if args.floating else False if args.fixed else None, args.packages)


def _verdict(found: Description, model: str) -> str:
    if found.usable:
        return f"usable; next: robolearn robot new {model} --out {found.name}"
    refused = [note for note in found.notes if note.kind == "refused"]
    return f"not usable as it is: {len(refused)} thing{'s' if len(refused) > 1 else ''} to fix, listed above under `will not work`"


def _tell(args: argparse.Namespace, values: dict[str, Any], lines: list[str]) -> None:
    if args.json:
        write_json(args.json, _finite(values))
    if args.json != "-":
        print("\n".join(lines))


def _finite(value: Any) -> Any:
    """Plain values for JSON: numpy's numbers as Python's, and none that is not finite."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return float(value) if abs(float(value)) < float("inf") else None


def _new(args: argparse.Namespace) -> int:
    if args.model.lower().endswith(YAML):
        raise UsageError(f"{args.model} is already a description; check it with: robolearn robot check {args.model}")
    folder: Path = args.out.expanduser()
    there = [name for name in FILES if (folder / name).exists()]
    if there and not args.force:
        raise UserError(f"{folder} holds {', '.join(there)} already; --force overwrites them, --out names another folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out: {folder} is a file, not a folder")
    from envs.robots.describe.check import as_json, report
    from envs.robots.describe.copying import write_model
    from envs.robots.describe.writing import robot_yaml

    found = _describe(args)
    if not found.drives:
        _tell(args, as_json(found), [report(found), "", f"nothing is written: {_verdict(found, args.model)}"])
        return 2
    try:
        model = write_model(found.reading, folder)
    except WriteError as error:
        raise UserError(str(error)) from error
    description = folder / FILES[0]
    write_text(description, robot_yaml(found, model.name))
    lines = [report(found), "", *_written(description, found, args.no_picture)]
    _tell(args, as_json(found) | {"written": str(description)}, lines)
    return 0 if found.usable else 2


def _written(description: Path, found: Description, no_picture: bool) -> Iterator[str]:
    """Read back what was written, draw it, and print what to type next."""
    from envs.robots.loading import load_robot

    robot = load_robot(description)
    robot.compiled  # noqa: B018 (raises what is wrong)
    yield f"written: {description}"
    if not no_picture:
        yield _picture(robot, description.parent / "robot.png")
    if found.usable:
        task = "velocity-flat" if found.floating else "reach"
        yield f"next: robolearn train {task} --robot {description}, then: robolearn distill runs/{task}-{robot.name}"
    else:
        yield f"not usable as it is; fix what is listed under `will not work`, then: robolearn robot check {description}"


def _picture(robot: Robot, path: Path) -> str:
    """Draw the picture; if it cannot be drawn, print why and continue."""
    from robolearn.viewer.portrait import save

    try:
        save(robot, path)
    except UserError as error:
        return f"no picture: {reason(error)}"
    return f"picture: {path}"


def _check_written(args: argparse.Namespace) -> int:
    from envs.robots.describe.written import check_written
    from envs.robots.loading import load_robot

    path = Path(args.model).expanduser()
    if not path.exists():
        raise UsageError(f"there is no file {path}; robolearn robot new MODEL --out FOLDER writes one")
    values, lines, good = check_written(load_robot(path))
    _tell(args, values, lines)
    return 0 if good else 2

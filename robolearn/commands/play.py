"""Make a video of a policy file or a controller, or watch it in the browser (docs/viewing.md).

The robot walks each way, turns and stands, or reaches for goals all over its workspace; --command holds one command.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robolearn.viewer.who import Who

OUT_HELP = "video, .mp4 or .webm, or small animation, .webp or .gif (default: play.mp4 beside FILE, or here for a shipped policy)"
TERRAIN_HELP = "terrain: flat, rough, slope_up, slope_down, steps_up, steps_down or planks; level 0 to 1 (default: 1, the hardest)"

CAMERA_HELP = "also write the images of a camera as the policy sees them (or would see them): play-NAME.mp4 beside the video"

SEEN_HELP = "write a page (.html) of what the policy saw, frame by frame, beside the robot and its actions, in place of a video"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="policy file, run folder, name of a shipped policy, or controller:NAME")
    parser.add_argument("--out", metavar="PATH", help=OUT_HELP)
    parser.add_argument("--seconds", type=float, help="length (default: 16; about 8 for an animation)")
    parser.add_argument(
        "--command",
        type=float,
        nargs="+",
        metavar="X",
        help="command to hold, as the task takes it: vx vy wz [m/s, m/s, rad/s], or a goal x y z [m]",
    )
    parser.add_argument("--engine", metavar="NAME", default="mujoco", help="physics engine: mujoco (default), precise, or a plugin's")
    parser.add_argument("--robot", metavar="ROBOT", help="name or robot.yaml of the robot (default: the one that FILE was trained with)")
    parser.add_argument("--randomize", action="store_true", help="add the randomization, noise, delays and pushes of training")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--visuals", metavar="SOURCE", help="show full meshes: 'menagerie', or the path of an MJCF of the same robot")
    parser.add_argument("--terrain", metavar="KIND[:LEVEL]", help=TERRAIN_HELP)
    parser.add_argument("--size", metavar="WxH", help="size of the video (default: 960x540; 400x300 for an animation)")
    parser.add_argument("--camera", metavar="NAME", help=CAMERA_HELP)
    parser.add_argument("--seen", metavar="PAGE", help=SEEN_HELP)
    parser.add_argument("--mae", metavar="RUN", help="with --seen: also show what this run of pretrain encoder paints of each image")
    parser.add_argument("--no-video", action="store_true", help="figures only")
    parser.add_argument("--json", metavar="PATH", help="write figures and time series as one JSON object; - is standard output")
    parser.add_argument("--live", action="store_true", help="watch and steer in the browser, on this computer only, until Ctrl-C")
    parser.add_argument("--port", type=int, help="port of --live (default: 8080)")


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play."""
    from envs.engines.registry import ENGINES
    from envs.scene.terrain import single_terrain
    from policies.files import check_writable
    from robolearn.errors import UsageError
    from robolearn.viewer.who import worlds_of

    loops = _check(args)
    check_writable(args.json)
    who, folder = _who(args)
    ENGINES.get(args.engine)
    try:
        terrain = single_terrain(args.terrain) if args.terrain else None
    except ValueError as error:
        raise UsageError(str(error)) from error
    robot = worlds_of(who, args.robot)[0]
    if args.live:
        from robolearn.viewer.live.choice import Choice, ground_of
        from robolearn.viewer.live.viewer import serve

        ground, level = ground_of(args.terrain)
        choice = Choice(policy=args.file, engine=args.engine, ground=ground, level=level, randomize=args.randomize)
        serve(who, choice, 8080 if args.port is None else args.port, args.command, args.seed, robot=robot)
        return 0
    if args.seen:
        from robolearn.viewer.seen import write_seen

        check_writable(args.seen)
        frames = write_seen(
            who, Path(args.seen), args.seconds, [args.command] if args.command else None, args.engine, args.randomize, args.seed, robot,
            Path(args.mae) if args.mae else None,
        )  # fmt: skip
        print(f"what the policy saw: {args.seen} ({frames} frames)")
        return 0
    from robolearn.commands import write_json
    from robolearn.viewer.film import record_policy
    from robolearn.viewer.visuals import find_visuals

    size = _size(args.size or ("400x300" if loops else "960x540"))
    out = None if args.no_video else Path(args.out) if args.out else folder / "play.mp4"
    visuals = find_visuals(args.visuals, robot) if args.visuals else None
    if loops and out is not None:
        from robolearn.viewer.loop import record_loop

        result = record_loop(who, out, args.seconds, args.command, args.engine, args.seed, *size, visuals=visuals, robot=robot)
    else:
        commands = [args.command] if args.command else None
        result = record_policy(
            who, out, args.seconds, commands, args.engine, args.randomize, args.seed, *size, visuals=visuals, terrain=terrain, robot=robot,
            camera=args.camera,
        )  # fmt: skip
    if args.json:
        write_json(args.json, result)
    if args.json != "-":
        _show(result)
    return 0


def _check(args: argparse.Namespace) -> bool:
    """Check that the options fit together and fill in the length; returns whether an animation is asked for."""
    from robolearn.commands import check_seed
    from robolearn.errors import UsageError

    loops = args.out is not None and Path(args.out).suffix in (".webp", ".gif")
    if args.seconds is None:
        args.seconds = 8.0 if loops else 16.0
    if not 0 < args.seconds <= 3600:
        raise UsageError(f"--seconds must be above 0 and at most 3600, not {args.seconds:g}")
    if args.live and (args.no_video or args.out or args.size or args.json or args.visuals):
        raise UsageError("--live makes no video and no figures: leave out --out, --size, --no-video, --json and --visuals")
    if args.no_video and (args.out or args.size):
        raise UsageError("--no-video makes no video: leave out --out and --size")
    if loops and (args.randomize or args.terrain):
        raise UsageError("an animation shows the task as it is: leave out --randomize and --terrain, or make a video")
    if args.camera and (args.live or args.no_video or loops):
        raise UsageError("--camera is for a video: leave out --live and --no-video, and give --out a name that ends in .mp4 or .webm")
    if args.mae and not args.seen:
        raise UsageError("--mae is for --seen PAGE")
    if args.seen and (args.live or args.no_video or args.out or args.size or args.json or args.visuals or args.terrain or args.camera):
        raise UsageError(
            "--seen writes a page and nothing else: leave out --live, --out, --size, --no-video, --json, --visuals, --terrain and --camera"
        )
    if loops and not 2 <= args.seconds <= 60:
        raise UsageError(f"--seconds of an animation must lie between 2 and 60, not {args.seconds:g}")
    if args.port is not None and not args.live:
        raise UsageError("--port is for --live")
    if args.command and not all(math.isfinite(value) for value in args.command):
        raise UsageError("--command takes finite numbers")
    if args.port is not None and not 0 <= args.port <= 65535:
        raise UsageError(f"--port must lie between 0 and 65535, not {args.port}")
    check_seed(args.seed)
    if args.size:
        _size(args.size)
    return loops


def _who(args: argparse.Namespace) -> tuple[Who, Path]:
    """What is shown (a file after its golden run), and the folder for a video without a given name."""
    from policies.contract.file import PolicyFile
    from robolearn.errors import UsageError
    from robolearn.policy_path import find_policy, is_controller, zoo
    from robolearn.viewer.who import VELOCITY, controlled

    if is_controller(args.file):
        who, folder, task, labels = controlled(args.file, args.robot), Path(), args.file, VELOCITY
    else:
        path = find_policy(args.file)
        who, folder = PolicyFile(path), Path() if path in zoo().values() else path.parent
        task, labels = who.spec.task, who.spec.command.labels
    if args.command and len(args.command) != len(labels):
        raise UsageError(f"--command of {task} takes {len(labels)} numbers ({' '.join(labels)}), not {len(args.command)}")
    if isinstance(who, PolicyFile):
        who.verify()
    return who, folder


def _size(text: str) -> tuple[int, int]:
    from robolearn.errors import UsageError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 64 <= int(width) <= 4096 and 64 <= int(height) <= 4096):
        raise UsageError(f"--size is WIDTHxHEIGHT, each 64 to 4096, not {text!r}")
    if int(width) % 2 or int(height) % 2:
        raise UsageError(f"--size takes even numbers, not {text!r}")
    return int(width), int(height)


def _show(result: dict) -> None:
    from robolearn.evaluation.figures import written

    if result["video"]:
        print(f"video: {result['video']} ({result['frames']} pictures, {result['codec']})")
    if result.get("camera_video"):
        print(f"what the camera showed: {result['camera_video']}")
    for figure in result["figures"].values():
        if figure["value"] is not None:
            print(f"{figure['label']}: {written(figure['value'], figure['unit'])} {figure['unit']}".rstrip())
    print(f"falls: {result['falls']}")

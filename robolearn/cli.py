"""The command `robolearn`: finds the subcommand, sorts its arguments, and turns the user's errors into one line.

Nothing heavy is imported before the subcommand is known, so `robolearn --help` answers at once, also on a robot without torch.

Exit codes: 0 done, or ended by a signal of the system with everything saved that is needed to continue; 1 the command ran and its answer is
no; 2 an error of the user or of the computer; 70 a bug in robolearn; 128 + n ended by signal n before there was an answer: 130 Ctrl-C, 143
SIGTERM, 141 the reader of the output closed it.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from bridge.fields import is_override, options_in, split_overrides
from bridge.program import BROKEN_PIPE, INTERRUPTED, AskedToEnd, interruption, reader_gone, run_program
from policies import plugins
from policies.files import WriteError, reason
from robolearn import __version__
from robolearn.errors import UsageError, UserError, missing_extra, suggestion

COMMANDS = {
    "list": "show presets, tasks, robots, networks, engines, controllers, transports and trained policies, and where each comes from",
    "config": "show every setting of a preset with its value, unit and meaning, or only what the preset changes",
    "robot": "inspect the model (MJCF or URDF) of any robot and write its description for training",
    "train": "train a teacher on the simulator's privileged state",
    "pretrain": "train a student's network on datasets: rollouts, controllers, people, logs; `pretrain encoder`: an image encoder",
    "distill": "train a student, which sees only what the robot senses, from a teacher",
    "export": "write a checkpoint as one policy file",
    "evaluate": "measure a policy file, or a controller, over a fixed grid of commands and seeds",
    "collect": "record what a policy, or a controller, does in simulation as a dataset",
    "improve": "find where a student fails, train it there, and test it again",
    "study": "train and compare students that differ in one thing",
    "play": "make a video of a policy file, or watch it in the browser",
    "deploy": "run a policy file on a robot or on a simulated one",
    "replay": "replay a robot's log and show where the policy answers differently",
    "retarget": "retarget human motions (mocap, video) to a humanoid, as a dataset or a video",
    "identify": "estimate a robot's gains, friction, inertia, delay and load from its logs",
    "data": "inspect, check, import, export, merge, split and repair datasets",
    "bench": "measure simulation, training, the policy step, the control loop, latency and faults",
    "demo": "train, distill, export, evaluate and run one policy; ends with a report and a video",
}

SECOND_WORDS = {"pretrain": ("encoder",)}
"""Commands of two words: the second stands where the first command alone would have a preset, and has a module of its own."""

EXIT_CODES = {
    "0": "done; or ended by a signal of the system, with everything saved that is needed to continue",
    "1": "the command ran, and its answer is no",
    "2": "wrong input, or a failure of the disk, a package or memory: one line says which",
    "70": "a bug in robolearn: please report it",
    "130": "Ctrl-C; a training has saved its state",
    "128 + n": "ended by signal n before there was an answer, as 143 for SIGTERM",
}

_OF_MEMORY = ("can't allocate memory", "Storage size calculation overflowed", "numel: integer multiplication overflow", "bad_alloc")
"""Parts of the RuntimeErrors that torch and C++ libraries raise when memory runs out."""
_OURS = ("robolearn", "bridge", "envs", "policies", "benchmarks")
_ALIKE = 0.66
_ELSEWHERE = {"--out": "--runs"}
"""Name of an option in other commands -> its name here."""
_TOP_SETTINGS = (
    "task",
    "robot",
    "algorithm",
    "seed",
    "threads",
    "precision",
    "checkpoint_every",
    "env",
    "teacher",
    "student",
    "sb3",
    "encoder",
)
"""Settings outside any section: the fields of `robolearn.config.schema.TrainCfg`, which is not imported here, and those of an encoder's."""
_ERRORS_BELOW = (
    ("policies.plugins", "PluginError"),
    ("policies.contract.file", "PolicyFileError"),
    ("policies.contract.spec", "SpecError"),
    ("envs.tasks.registry", "UnknownTaskError"),
    ("envs.engines.face", "EngineError"),
)
_EPILOG = """\
Any setting of the configuration can be changed with --section.key=value (the value in YAML), for example --seed=3.
`robolearn list` shows the presets, `robolearn config PRESET` all settings of one; docs/configuration.md has the rules."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that reports errors as exceptions, so that they print as one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: arguments without the program's name, for callers that catch bugs themselves; None takes the process's arguments, and handles
            its signals and streams.
    """
    if argv is None:
        code = run_program("robolearn", lambda: _answer(sys.argv[1:]))
        group: Any = sys.modules.get("robolearn.learning.distributed")
        if group is not None:
            group.end(code)  # does not return if torchrun has started this process
        return code
    return _answer(list(argv), to_program=False)


def _answer(arguments: list[str], to_program: bool = True) -> int:
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        return _ended(arguments, error)
    except Exception as error:
        if to_program and (signalled := interruption(error)) is not None:
            return _ended(arguments, signalled)
        if isinstance(error, BrokenPipeError) and reader_gone(error):  # as in `robolearn list | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        message = _user_message(error)
        debug = os.environ.get("ROBOLEARN_DEBUG", "0") not in ("", "0")
        if message is None or (debug and not to_program):
            raise
        if debug:
            traceback.print_exc()
        shown = message.encode("utf-8", "backslashreplace").decode()  # file names may contain characters that the stream cannot encode
        print(f"robolearn: error: {shown}", file=sys.stderr)
        return 2


def _ended(arguments: list[str], error: KeyboardInterrupt) -> int:
    """The exit code after a signal: 0 for a command that saves its work or runs until it is stopped, except after Ctrl-C."""
    if not isinstance(error, AskedToEnd):
        print("robolearn: interrupted", file=sys.stderr)
        return INTERRUPTED
    module = sys.modules.get(f"robolearn.commands.{words_of(arguments).replace(' ', '_')}") if arguments else None
    print(f"robolearn: ended by {error}", file=sys.stderr)
    return 0 if getattr(module, "KEEPS_ITS_WORK", False) else 128 + error.number


def _user_message(error: Exception) -> str | None:
    """The message of an error that the user can fix (one line, or a robot's faults line by line); None for a bug."""
    if isinstance(error, ModuleNotFoundError):
        extra = missing_extra(error)
        return None if extra is None else str(extra)
    if _of_rendering(error):
        chosen = os.environ.get("MUJOCO_GL", "")
        return f"MuJoCo cannot be imported with MUJOCO_GL={chosen}: {reason(error)}; unset it, or install what it needs (docs/install.md)"
    if isinstance(error, ImportError):  # a package that is installed but does not load
        return None if (error.name or "robolearn").partition(".")[0] in _OURS else f"{error.name} cannot be imported: {reason(error)}"
    if (listing := sys.modules.get("envs.robots.errors")) is not None and isinstance(error, listing.RobotError):
        return str(error)  # it lists a description's faults, one per line
    if isinstance(error, (UserError, WriteError, *_errors_below())):
        return reason(error)
    if isinstance(error, OSError) and error.errno is not None:
        files = [os.fsdecode(name) if isinstance(name, str | bytes) else str(name) for name in (error.filename,) if name is not None]
        return ": ".join([reason(error), *files])
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib's, which is no OSError
        return reason(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in _OF_MEMORY):
        return f"not enough memory: {reason(error)}; fewer worlds (--env.num_worlds=...) or seeds need less"
    return None


def _of_rendering(error: Exception) -> bool:
    """Whether MuJoCo, as it was imported, failed to load the library that MUJOCO_GL names."""
    files = (frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__))
    return "mujoco" not in sys.modules and any(os.path.basename(name) == "gl_context.py" for name in files)


def _errors_below() -> Iterator[type[Exception]]:
    """The user errors of the packages below this one that have been imported; those packages cannot use `UserError`."""
    for module, name in _ERRORS_BELOW:
        if module in sys.modules:
            yield getattr(sys.modules[module], name)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"robolearn {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise UsageError(f"no command {name!r}{suggestion(name, COMMANDS)}; valid: {', '.join(COMMANDS)}")
    words = words_of(arguments)
    return _run(words, arguments[len(words.split()) :])


def words_of(arguments: list[str]) -> str:
    """The command, with its second word if it has one."""
    first, second = arguments[0], arguments[1] if len(arguments) > 1 else ""
    return f"{first} {second}" if second in SECOND_WORDS.get(first, ()) else first


def _overview() -> str:
    lines = ["usage: robolearn COMMAND ...", "", "Trains robot policies in simulation and runs them on robots.", "", "commands:"]
    lines += [f"  {name:10} {text}" for name, text in COMMANDS.items()]
    lines += ["", "options:", "  --help     this text; `robolearn COMMAND --help` lists a command's options", "  --version  the version"]
    lines += ["", "exit codes:", *(f"  {code:10} {text}" for code, text in EXIT_CODES.items())]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    arguments, imports = plugins.take(arguments)
    if not {"-h", "--help"} & {*arguments} or name == "deploy":  # its help shows the transports' options
        plugins.use(imports)
    module: Any = importlib.import_module(f"robolearn.commands.{name.replace(' ', '_')}")
    takes_overrides = bool(getattr(module, "ACCEPTS_OVERRIDES", False))
    parser = _Parser(
        prog=f"robolearn {name}",
        description=module.__doc__,
        epilog=_EPILOG if takes_overrides else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    plugins.add_option(parser)
    module.configure(parser)
    arguments, ros_arguments = split_ros_arguments(arguments)
    options = options_in(parser)
    arguments, overrides = split_overrides(arguments, options) if takes_overrides else (arguments, [])
    _check_empty(arguments)
    if hasattr(module, "prepare_options") and not {"-h", "--help"} & {*arguments}:
        module.prepare_options(parser, arguments, overrides)
    try:
        args, unknown = parser.parse_known_args(arguments)
    except SystemExit as stop:  # argparse ends this way after --help
        return int(stop.code or 0)
    if unknown:
        raise _unknown_argument(unknown[0], options, takes_overrides, parser.prog)
    args.ros_args = ros_arguments
    return int(module.run(args, overrides))


def _check_empty(arguments: list[str]) -> None:
    """Refuse empty arguments, as a shell makes them from unset variables: `--resume "$RUN"` must not start a new training.

    Raises:
        UsageError: names the option.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option = argument[:-1] if argument.startswith("--") and argument.endswith("=") else before if before.startswith("--") else ""
        if argument == "" or option == argument[:-1] != "":
            raise UsageError(f"{option or 'an argument'} is empty; is the shell variable in it set?")


def split_ros_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Take out `--ros-args ... [--]`, which `ros2 launch` appends to every node's command line.

    Returns:
        The other arguments; the ROS ones, `--ros-args` included.
    """
    ours: list[str] = []
    ros: list[str] = []
    inside = False
    for argument in arguments:
        if argument == "--ros-args":
            inside = True
            ros.append(argument)
        elif inside and argument == "--":
            inside = False
            ros.append(argument)
        else:
            (ros if inside else ours).append(argument)
    return ours, ros


def _near(name: str, options: list[str]) -> str:
    """`; did you mean '--x'?` for the nearest option; names are compared without their dashes."""
    other = _ELSEWHERE.get(name)
    if other in options:
        return f"; did you mean {other!r}?"
    close = difflib.get_close_matches(name.lstrip("-"), [option.lstrip("-") for option in options], n=1, cutoff=_ALIKE)
    return f"; did you mean '--{close[0]}'?" if close else ""


def _unknown_argument(argument: str, options: list[str], takes_overrides: bool, prog: str) -> UsageError:
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return UsageError(f"unexpected argument {argument!r} (see {prog} --help)")
    near = _near(name, options)
    if takes_overrides and not near and ("." in name or name.removeprefix("--") in _TOP_SETTINGS):
        return UsageError(f"unknown option {name!r}; a setting is changed with {name}=VALUE (see {prog} --help)")
    if takes_overrides and not near:
        return UsageError(f"unknown option {name!r} (see {prog} --help); settings are shown by: robolearn config PRESET")
    if not takes_overrides and is_override(argument) and not near:
        return UsageError(f"unknown option {name!r}; {prog} has no configuration to override (see {prog} --help)")
    return UsageError(f"unknown option {name!r}{near} (see {prog} --help)")


if __name__ == "__main__":
    sys.exit(main())

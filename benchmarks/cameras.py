"""From pixels to the policy's observation, against the renderer alone in the same run, and which renderer is faster when.

The worlds are Panda's, reaching, with the camera `outside` (64 x 64, colour, shadows) in each; the bare renderer is the ray tracer's kernel
launched again on the same scene by the same threads, with no pose computed, nothing copied and no picture unpacked. Ratios are of the
processor's time that this process took, which holds on a computer that others use. What a step takes beside looking is the most that
letting physics and pictures overlap could save.

    python -m benchmarks.cameras [--quick] [--rule] [--worlds N]
    python -m benchmarks.cameras --deploy [--seconds S] [--rounds N] [--policy FILE]

prints JSON. `--rule` measures both renderers over sizes and numbers of worlds: what `envs.sensing.choice` has its rule from. `--deploy`
measures cameras on a simulated robot over ROS 2, see `benchmarks.cameras_deploy`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.common import Entry, Options, Times, alternate, entry, median, rate_ratio, say, time_ratio
from envs.robots.registry import get_robot
from envs.sensing.camera import CameraTerm
from envs.sensing.face import RenderError
from envs.sensing.raytracer import Raytracer
from envs.tasks.registry import get_task, make_env
from envs.terms import looks, optics
from envs.terms.randomization import RandomizationCfg
from envs.terms.term import EventTerm
from envs.vec_env import VecEnv

WORLDS = 256
SIZES, COUNTS = (64, 96, 128, 160, 224, 320), (1, 16)
GOAL = 0.85
"""Of the bare renderer's rate."""
RANDOM = {
    "textures": EventTerm(looks.Textures),
    "light": EventTerm(looks.Light),
    "pose": EventTerm(looks.CameraPose),
    "exposure": EventTerm(optics.Exposure),
    "balance": EventTerm(optics.ColorBalance),
    "grain": EventTerm(optics.Noise),
}


def seeing(worlds: int, term: CameraTerm, random: bool = False) -> VecEnv:
    """Reaching arms that see."""
    robot = get_robot("panda")
    cfg = get_task("reach").make(robot)
    table = RandomizationCfg({**cfg.randomization.entries, **(RANDOM if random else {})})
    cfg = dataclasses.replace(cfg, observations={**cfg.observations, "view": term}, num_worlds=worlds, randomization=table, episode_s=1e3)
    env = make_env("reach", robot, cfg)
    env.reset()
    return env


def run(options: Options) -> list[Entry]:
    """Rates of pictures: the bare renderer's, the observation's, a whole step's."""
    torch.set_num_threads(1)
    worlds = options.worlds or (4 if options.quick else WORLDS)
    side = 16 if options.quick else 64
    found: list[Entry] = []
    for what, random in (("", False), (", looks and lens randomized", True)):
        say(f"cameras: {worlds} worlds, {side} x {side}{what}")
        found += list(_observation(worlds, side, what, random, options))
    return found


def _observation(worlds: int, side: int, what: str, random: bool, options: Options) -> Iterator[Entry]:
    env = seeing(worlds, CameraTerm(camera="outside", height=side, width=side, renderer="raytracer"), random)
    cameras = env.cameras
    assert cameras is not None
    renderer = cameras._renderers[0]
    assert isinstance(renderer, Raytracer)
    ids, steps, action = torch.arange(worlds), torch.ones(worlds, dtype=torch.long), torch.zeros(worlds, 7)
    busy: Times = {}
    times = alternate(
        {
            "bare": _noted(busy, "bare", renderer.bare),
            "look": _noted(busy, "look", lambda: cameras.look(ids, steps)),
            "step": _noted(busy, "step", lambda: env.step(action)),
        },
        quick=options.quick,
        seconds=options.seconds or 20.0,
    )
    busy = {name: values[1:] for name, values in busy.items()}  # the first repetition is not measured
    bare, name = f"cameras: the kernel alone{what}", f"cameras: pixels to observation{what}"
    yield entry(bare, worlds / median(times["bare"]), "pictures/s")
    yield entry(name, worlds / median(times["look"]), "pictures/s", bare, rate_ratio(busy, "look", "bare"))
    yield entry(f"cameras: whole steps{what}", worlds / median(times["step"]), "steps/s", bare, rate_ratio(busy, "step", "bare"))
    yield entry(f"cameras: what overlap could save{what}", 1 - 1 / time_ratio(busy, "step", "look"), "of a step")


def _noted(busy: Times, name: str, function: Callable[[], object]) -> Callable[[], None]:
    """The function, which takes down the processor's time that each of its runs took, of all threads [s]."""

    def run_it() -> None:
        begin = time.process_time()
        function()
        busy.setdefault(name, []).append(time.process_time() - begin)

    return run_it


def rule(options: Options) -> list[Entry]:
    """Both renderers, over sizes, numbers of worlds, and with or without shadows."""
    torch.set_num_threads(1)
    found: list[Entry] = []
    for worlds in (2,) if options.quick else COUNTS:
        for shadows in (True, False):
            for side in (16,) if options.quick else SIZES:
                say(f"cameras: {worlds} worlds, {side} x {side}, shadows {shadows}")
                found += list(_both(worlds, side, shadows, options))
    return found


def _both(worlds: int, side: int, shadows: bool, options: Options) -> Iterator[Entry]:
    terms = {
        kind: CameraTerm(camera="outside", height=side, width=side, shadows=shadows, renderer=kind) for kind in ("opengl", "raytracer")
    }
    try:
        envs = {kind: seeing(worlds, term) for kind, term in terms.items()}
    except RenderError as error:
        say(f"cameras: {error}")
        return
    ids, steps = torch.arange(worlds), torch.ones(worlds, dtype=torch.long)
    busy: Times = {}
    looking = {kind: _noted(busy, kind, lambda env=env: env.cameras and env.cameras.look(ids, steps)) for kind, env in envs.items()}
    alternate(looking, quick=options.quick, seconds=options.seconds or 2.0, least=3)
    busy = {kind: values[1:] for kind, values in busy.items()}
    where = f"{worlds} worlds, {side} x {side}, {'shadows' if shadows else 'no shadows'}"
    yield entry(f"cameras: opengl, {where}", worlds / median(busy["opengl"]), "pictures/s of a core")
    ratio = rate_ratio(busy, "raytracer", "opengl")
    yield entry(f"cameras: raytracer, {where}", worlds / median(busy["raytracer"]), "pictures/s of a core", f"opengl, {where}", ratio)
    for env in envs.values():
        assert env.cameras is not None
        env.cameras.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rule", action="store_true")
    parser.add_argument("--worlds", type=int)
    parser.add_argument("--deploy", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0, help="--deploy: of each run")
    parser.add_argument("--rounds", type=int, default=3, help="--deploy: runs with and without cameras")
    parser.add_argument("--renderer", default="opengl", help="--deploy: of the simulated cameras")
    parser.add_argument("--policy", help="--deploy: a policy for Panda that sees; default: one that nobody has trained")
    given = parser.parse_args()
    if given.deploy:
        from benchmarks.cameras_deploy import measure

        print(json.dumps(measure(given.seconds, given.rounds, given.renderer, given.policy), indent=1))
        raise SystemExit(0)
    asked = Options(quick=given.quick, worlds=given.worlds)
    print(json.dumps(rule(asked) if given.rule else run(asked), indent=1))

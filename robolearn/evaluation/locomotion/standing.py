"""Item `standing`: a minute of standing, undisturbed and disturbed; counts falls and feet that do not keep still."""

from __future__ import annotations

import numpy as np
import torch

from envs.vec_env import VecEnv
from robolearn.evaluation.actors import Actor
from robolearn.evaluation.figures import Figure, mean, share
from robolearn.evaluation.gait.stance import liftoffs, steady
from robolearn.evaluation.locomotion.clips import film
from robolearn.evaluation.locomotion.disturbed import happening
from robolearn.evaluation.locomotion.record import Record, walk
from robolearn.evaluation.locomotion.result import ItemResult, Table
from robolearn.evaluation.locomotion.setup import Setup

SECONDS, QUICK_SECONDS = 60.0, 15.0
EPISODES = 8  # per seed: rare falls are only found in many episodes
EXCUSE_S = 2.0  # time after the start and after each blow in which steps are excused
ALONE, DISTURBED = "left alone", "disturbed"


class Blows:
    """Records when each world was disturbed: a restarted timer of `env.disturbances` means a push, a new force or a throw."""

    def __init__(self, env: VecEnv) -> None:
        self._env, self._left = env, np.zeros(0)
        self._seen: list[np.ndarray] = []

    def look(self, index: int, observation: torch.Tensor, alive: np.ndarray, actor: Actor) -> bool:
        """Check a step for disturbances; passed to `record.walk`, which it never ends."""
        del observation, alive, actor
        now = self._timers()
        self._left = self._left if index else now
        self._seen.append(np.any(now > self._left, axis=0))
        self._left = now
        return False

    @property
    def series(self) -> np.ndarray:
        """Whether a disturbance came at the end of each step, (T, N)."""
        return np.array(self._seen)

    def _timers(self) -> np.ndarray:
        """Time until the next of each kind [s], (K, N)."""
        found = self._env.disturbances
        return torch.stack([found.push_in_s, found.force_in_s, found.throw_in_s]).cpu().numpy().copy()


def unexcused(blows: np.ndarray, dt: float, excuse_s: float = EXCUSE_S) -> np.ndarray:
    """Steps (T, N) that are not excused by the start or by blows (T, N)."""
    reach = round(excuse_s / dt)
    index = np.arange(len(blows))[:, None]
    latest = np.maximum.accumulate(np.where(blows, index, 0), axis=0)  # the start counts as a blow
    return index - latest > reach


def lifted(contact: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Number of feet that lift off in each step, (T, N), from contacts (T, N, F), without flicker of single samples and without steps after
    a fall.
    """
    count = np.zeros(alive.shape, int)
    for world in range(alive.shape[1]):
        steps = int(alive[:, world].sum())
        settled = steady(contact[:steps, world])
        for foot in range(contact.shape[2]):
            count[liftoffs(settled[:, foot]), world] += 1
    return count


def feet(record: Record, blows: np.ndarray) -> dict[str, np.ndarray]:
    """Lift-offs in N worlds.

    Args:
        record: record of standing robots.
        blows: whether they were disturbed, (T, N).

    Returns: Unexcused lift-offs per minute, NaN if all time is excused; all lift-offs per minute; whether none was unexcused; (N,) each.
    """
    lifts = lifted(record.contact, record.alive)
    counted = record.alive & unexcused(blows[: len(record.alive)], record.dt)
    minutes, lived = (mask.sum(0) * record.dt / 60 for mask in (counted, record.alive))
    rate = np.where(minutes > 0, (lifts * counted).sum(0) / np.maximum(minutes, 1e-9), np.nan)
    return {"steps_a_minute": rate, "all_steps_a_minute": lifts.sum(0) / np.maximum(lived, 1e-9), "still": rate == 0}


def run(setup: Setup) -> ItemResult:
    """See `items.Item`."""
    seconds = QUICK_SECONDS if setup.quick else SECONDS
    rows, headline, clips, sentence = [], dict[str, Figure](), [], ""
    where: dict[str, str] = {}
    for name, chosen in ((ALONE, setup), (DISTURBED, setup.disturbed())):
        env = chosen.env(EPISODES * setup.seeds)
        blows = Blows(env)
        record = walk(env, setup.make_actor(env.num_worlds), torch.zeros(env.num_worlds, 3), seconds, f"standing, {name}", watch=blows.look)
        found = feet(record, blows.series)
        counted = np.isfinite(found["steps_a_minute"])
        figures = {
            "survival": share(record.survived),
            "steps_a_minute": mean(found["steps_a_minute"]),
            "still": share(found["still"][counted]),
        }
        headline |= {f"{figure} ({name})": value for figure, value in figures.items()}
        rows.append({"standing": name} | figures | {"all_steps_a_minute": mean(found["all_steps_a_minute"]), "drift": mean(drift(record))})
        down = ~record.survived
        when = np.sort(record.alive.sum(0)[down] * record.dt)
        where[f"survival ({name})"] = f"{down.sum()} fell, first after {when[0]:.0f} s" if len(when) else ""
        world = int(np.flatnonzero(down)[0]) if down.any() else 0
        end = record.alive[:, world].sum() * record.dt
        clips.append(film(setup, env, record, world, max(0.0, end - 5.0), end, f"standing, {name}"))
        sentence = happening(env)
    return ItemResult(
        text=f"{EPISODES * setup.seeds} robots are commanded to stand for {seconds:g} s, bodies and sensors randomized; then again under "
        f"all disturbances of their training. {sentence} Lift-offs within {EXCUSE_S:g} s of the start, a push, a change of force or "
        f"a throw are "
        "excused.",
        headline=headline,
        where=where,
        tables=[Table(title="Standing", rows=rows)],
        clips=clips,
    )


def drift(record: Record) -> np.ndarray:
    """Distance of each base (N,) at the end, or at its fall, from its place after the first second [m]; NaN if it fell earlier."""
    start, last = round(1.0 / record.dt), record.alive.sum(0) - 1
    if len(record.alive) <= start:
        return np.full(record.alive.shape[1], np.nan)
    xy = record.qpos[..., :2]
    gone = np.linalg.norm(xy[np.maximum(last, 0), np.arange(xy.shape[1])] - xy[start], axis=1)
    return np.where(last > start, gone, np.nan)

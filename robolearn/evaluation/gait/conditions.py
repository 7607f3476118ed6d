"""The commands of a study of a gait: to stand; to walk each way at several speeds, with a start and a stop; to turn."""

from __future__ import annotations

from dataclasses import dataclass

from envs.robots.robot import Robot
from envs.tasks.scaling import factor
from policies.contract.spec import CommandSpec

SPEEDS = (0.3, 0.6, 0.9, 1.2)  # m/s, forward
BACKWARD = (0.3,)  # m/s, besides the greatest
TURNING = 0.8  # of the greatest yaw rate
ALIKE = 1.25  # robots whose speeds differ by less than this factor from those above get exactly these
DIGITS = 2


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One command.

    Attributes:
        name: name for display.
        kind: `stand`, `ahead`, `back`, `side` or `turn`.
        command: vx, vy [m/s], yaw rate [rad/s].
    """

    name: str
    kind: str
    command: tuple[float, float, float]


def conditions(robot: Robot, command: CommandSpec, quick: bool = False) -> list[Condition]:
    """The conditions of a robot within the range of its commands; fewer if `quick`."""
    (back, right, clockwise), (ahead, left, counter) = command.lower, command.upper
    size = factor(robot, "speed")
    size = 1.0 if 1 / ALIKE < size < ALIKE else size
    found = [Condition(name="stand", kind="stand", command=(0.0, 0.0, 0.0))]
    found += [_ahead(speed) for speed in _up_to([size * speed for speed in (SPEEDS[::2] if quick else SPEEDS)], ahead)]
    if back < 0:
        speeds = _up_to([] if quick else [size * speed for speed in BACKWARD], -back)
        found += [Condition(name=f"back {speed:g}", kind="back", command=(-speed, 0.0, 0.0)) for speed in speeds]
    for name, vy in (("left", left), ("right", right))[: 1 if quick else 2]:
        if vy:
            found.append(Condition(name=f"{name} {abs(vy):g}", kind="side", command=(0.0, vy, 0.0)))
    for name, rate in (("turn left", counter), ("turn right", clockwise))[: 1 if quick else 2]:
        if rate:
            told = round(TURNING * rate, DIGITS)
            found.append(Condition(name=f"{name} {abs(told):g}", kind="turn", command=(0.0, 0.0, told)))
    if counter and ahead and not quick:
        speed, rate = round(ahead / 2, DIGITS), round(counter / 2, DIGITS)
        found.append(Condition(name=f"ahead {speed:g} and turn {rate:g}", kind="turn", command=(speed, 0.0, rate)))
    return found


def _ahead(speed: float) -> Condition:
    return Condition(name=f"ahead {speed:g}", kind="ahead", command=(speed, 0.0, 0.0))


def _up_to(speeds: list[float], most: float) -> list[float]:
    """The speeds below the greatest one, and the greatest itself if none is near it."""
    kept = [round(speed, DIGITS) for speed in speeds if speed <= most * 1.001]
    return kept if kept and kept[-1] > 0.9 * most else [*kept, round(most, DIGITS)] if most > 0 else []

"""Limits of motors: those in the file, and notes if they are missing."""

from __future__ import annotations

from dataclasses import replace

from envs.robots.describe.finding import Description, few
from envs.robots.describe.gains import Drive
from envs.robots.describe.notes import Note

HEAVY_KG, LIGHT_KG = 400.0, 0.2  # larger than for any robot tried


def efforts_of(found: Description) -> dict[str, float | None]:
    """The file's torque limits: its motors', or its joints'."""
    return {
        link.name: motor.effort if (motor := found.reading.motors.get(link.name)) and motor.effort else found.reading.efforts.get(link.name)
        for link in found.limbs.joints
    }


def file_gains(found: Description) -> dict[str, tuple[float, float]]:
    """kp and kd of the file's own position actuators."""
    return {name: (motor.kp, motor.kd or 0.0) for name, motor in found.reading.motors.items() if motor.kp}


def _rounded(value: float, digits: int = 4) -> float:
    """Round to a number of significant digits."""
    return float(f"{value:.{digits}g}") + 0.0


def neat(drive: Drive) -> Drive:
    """Values as they are written to files."""
    return replace(
        drive, effort=_rounded(drive.effort), velocity=_rounded(drive.velocity), armature=_rounded(drive.armature, 3),
        kp=_rounded(drive.kp, 3), kd=_rounded(drive.kd, 3), scale=_rounded(drive.scale, 3),
    )  # fmt: skip


def limit_notes(found: Description, drives: dict[str, Drive]) -> list[Note]:
    """Notes on the limits."""
    notes: list[Note] = []
    guessed = [name for name, drive in drives.items() if "guess" in drive.effort_from]
    if guessed:
        notes.append(
            Note(
                kind="remark",
                what=f"no usable torque limit in the file for {few(guessed)}: guessed",
                mend="set `effort` in robot.yaml to your motors'",
            )
        )
    guessed = [name for name, drive in drives.items() if "guess" in drive.velocity_from]
    if guessed:
        notes.append(
            Note(
                kind="remark",
                what=f"no usable speed limit in the file for {few(guessed)}: guessed",
                mend="set `velocity` in robot.yaml to your motors'",
            )
        )
    weak = [name for name, drive in drives.items() if drive.share > 0.6]
    if weak:
        notes.append(
            Note(
                kind="remark",
                what=f"{few(weak)} need more than 60 % of their torque limit to stand",
                mend="check the limits and the masses",
            )
        )
    free = [name for name in drives if found.range(name) is None]
    if free:
        notes.append(
            Note(kind="remark", what=f"no range in the file for {few(free)}: they turn without limit", mend="set `range` in robot.yaml")
        )
    if not LIGHT_KG < found.mass < HEAVY_KG:
        notes.append(
            Note(kind="remark", what=f"it weighs {found.mass:.3g} kg: are the units right?", mend="masses are in kg, lengths in m")
        )
    return notes

"""Describes a fixed arm: its tool, a pose, goals, gains, and a trial."""

from __future__ import annotations

from dataclasses import replace

from envs.robots.describe.finding import Description, few, with_notes
from envs.robots.describe.gains import find_drives
from envs.robots.describe.limits import efforts_of, file_gains, limit_notes, neat
from envs.robots.describe.notes import Note
from envs.robots.describe.reach import find_reach
from envs.robots.describe.standing import stage, stand, without_self_collision


def describe_arm(found: Description) -> Description:
    """Everything about a robot on a fixed base that has an arm."""
    model, limbs = found.model, found.limbs
    reach = find_reach(model, limbs, found.reading.keys)
    qpos = reach.qpos.copy()
    chain = limbs.arms[0]
    others = [link.name for link in limbs.joints if link not in chain.links]
    for name in others:
        limbs.locked[name] = "not part of the arm that reaches"
    for link in chain.links:
        address = model.jnt_qposadr[link.joint]
        qpos[address] = round(float(qpos[address]), 3) + 0.0
    drives = find_drives(model, qpos, limbs, None, efforts_of(found), found.reading.velocities, file_gains(found))
    drives = {name: neat(drive) for name, drive in drives.items() if name not in others}
    spec = stage(found.reading.spec, drives, floating=False)
    for body in spec.bodies:
        body.gravcomp = 1.0 if body.name != "world" else 0.0
    staged = spec.compile()
    without_self_collision(staged, free=False)
    trial = stand(staged, qpos, None, list(drives), seconds=2.0)
    notes = [
        Note(kind="refused", what=fault, mend="set `default`, `tool` and `workspace` in robot.yaml yourself") for fault in reach.faults
    ]
    notes += [Note(kind="remark", what=remark) for remark in limbs.remarks]
    notes += limit_notes(found, drives)
    if not trial.stands or trial.trembles:
        notes.append(
            Note(
                kind="refused",
                what="it does not hold still in simulation with its gains",
                mend="raise `armature` or lower `kp` in robot.yaml",
            )
        )
    if others:
        notes.append(Note(kind="remark", what=f"{few(others)} are held: they are not part of the arm that reaches"))
    return with_notes(
        replace(
            found,
            reach=replace(reach, qpos=qpos),
            drives=drives,
            default={link.name: float(qpos[model.jnt_qposadr[link.joint]]) for link in chain.links},
            posture={link.name: 1.0 for link in chain.links},
            trial=trial,
        ),
        *notes,
    )

"""The findings about a model, as a text table and as plain values."""

from __future__ import annotations

from typing import Any

from envs.robots.describe.finding import Description, natural_frequency

_ORDER = ("refused", "mended", "dropped", "remark")
_TITLES = {"refused": "will not work", "mended": "mended", "dropped": "left out", "remark": "to know"}


def report(found: Description) -> str:
    """The table."""
    lines = [
        f"{found.name}: {found.kind}, {found.mass:.3g} kg, {len(found.drives) or len(found.limbs.joints)} joints, {found.reading.format}"
    ]
    lines += [f"  base       {found.base}{', which moves' if found.floating else ', fixed'}"]
    standing = found.standing
    if standing is not None:
        lines += [
            f"  stands     {standing.height:.3f} m high, legs of {standing.leg_length:.3f} m at {100 * standing.bent:.0f} %",
            f"  balance    centre of mass {standing.margin:.3f} m inside its feet",
            f"  pose       {standing.source}",
        ]
        if found.trial is not None:
            held = f"stands {found.trial.seconds:g} s, sinks by {1000 * found.trial.sunk:.0f} mm"
            lines.append(f"  simulated  {held if found.trial.stands else f'falls after {found.trial.seconds:.1f} s: it must balance'}")
        lines += [f"  foot {foot.name:6}{foot.body}: {foot.shape}, lifts off at {foot.turn:g} of the cycle" for foot in found.feet]
    if found.reach is not None:
        tool = found.reach.tool
        lines.append(f"  tool       {found.model.body(tool.body).name}: {tool.source}; reaches {found.reach.length:.3f} m")
        lines.append(f"  pose       {found.reach.source}")
        if found.reach.workspace is not None:
            box = ", ".join(f"{axis} {low:.2f} to {high:.2f}" for axis, (low, high) in zip("xyz", found.reach.workspace, strict=True))
            lines.append(f"  goals      {box} m")
    if found.drives:
        lines += ["", *_joint_table(found)]
    if found.limbs.locked:
        lines += ["", "not the policy's joints:", *(f"  {name}: {why}" for name, why in found.limbs.locked.items())]
    if found.floating:
        lines += ["", *_pairs(found)]
    for kind in _ORDER:
        notes = list(dict.fromkeys((note.what, note.mend) for note in found.notes if note.kind == kind))
        if notes:
            lines += ["", f"{_TITLES[kind]}:", *(f"  - {what}{f' ({mend})' if mend else ''}" for what, mend in notes)]
    return "\n".join(lines)


def _joint_table(found: Description) -> list[str]:
    width = max(len("joint"), *(len(name) for name in found.drives))
    columns = (("range", 15, "rad"), ("default", 8, "rad"), ("effort", 8, "N m"), ("speed", 7, "rad/s"), ("inertia", 9, "kg m^2"),
               ("holds", 7, "N m"), ("kp", 7, ""), ("kd", 7, ""), ("Hz", 5, ""), ("scale", 6, "rad"), ("image", 6, ""))  # fmt: skip
    lines = [
        f"{'joint':{width}} " + " ".join(f"{title:>{wide}}" for title, wide, _ in columns),
        f"{'':{width}} " + " ".join(f"{unit:>{wide}}" for _, wide, unit in columns),
    ]
    for name, drive in found.drives.items():
        limits = found.range(name)
        limits_text = f"{limits[0]:.2f} .. {limits[1]:.2f}" if limits else "none"
        guessed = ("*" if "guess" in drive.effort_from else " ", "*" if "guess" in drive.velocity_from else " ")
        sign = found.mirror.joints.get(name, ("", 0.0))[1]
        lines.append(
            f"{name:{width}} {limits_text:>15} {found.default[name]:8.3f} {drive.effort:7.4g}{guessed[0]} {drive.velocity:6.3g}{guessed[1]}"
            f" {drive.inertia:9.4f} {drive.load:7.2f} {drive.kp:7.4g} {drive.kd:7.3g} {natural_frequency(drive):5.1f} {drive.scale:6.2f}"
            f" {'+' if sign > 0 else '-' if sign < 0 else '':>6}"
        )
    if any("guess" in drive.effort_from + drive.velocity_from for drive in found.drives.values()):
        lines.append("* a guess: the file has no value")
    return lines


def _pairs(found: Description) -> list[str]:
    joints = found.mirror.joints
    pairs = [f"{name} = {image}" for name, (image, _) in joints.items() if name < image]
    middle = [name for name, (image, _) in joints.items() if name == image]
    lines = [f"left and right: {len(pairs)} pairs by geometry" + (f", {len(middle)} in the middle" if middle else "")]
    lines += [f"  {', '.join(pairs[start : start + 3])}" for start in range(0, len(pairs), 3)]
    return lines + ([f"  in the middle: {', '.join(middle)}"] if middle else [])


def as_json(found: Description) -> dict[str, Any]:
    """The same as plain values."""
    standing, reach, trial = found.standing, found.reach, found.trial
    return {
        "name": found.name,
        "usable": found.usable,
        "kind": found.kind,
        "format": found.reading.format,
        "mass_kg": found.mass,
        "floating_base": found.floating,
        "base": found.base,
        "joints": {
            name: {
                "range": found.range(name),
                "default": found.default[name],
                "effort": drive.effort,
                "effort_from": drive.effort_from,
                "velocity": drive.velocity,
                "velocity_from": drive.velocity_from,
                "armature": drive.armature,
                "inertia_kg_m2": drive.inertia,
                "load_n_m": drive.load,
                "kp": drive.kp,
                "kd": drive.kd,
                "gains_from": drive.gains_from,
                "scale": drive.scale,
                "image": found.mirror.joints.get(name, (None, None))[0],
                "sign": found.mirror.joints.get(name, (None, None))[1],
            }
            for name, drive in found.drives.items()
        },
        "not_controlled": found.limbs.locked,
        "feet": {
            foot.name: {"body": foot.body, "position": foot.position, "turn": foot.turn, "sole": foot.sole, "shape": foot.shape}
            for foot in found.feet
        },
        "standing": None
        if standing is None
        else {
            "height_m": standing.height,
            "leg_length_m": standing.leg_length,
            "bent": standing.bent,
            "margin_m": standing.margin,
            "source": standing.source,
            "seconds_simulated": trial.seconds if trial else None,
            "stands": trial.stands if trial else None,
        },
        "tool": None
        if reach is None
        else {
            "body": found.model.body(reach.tool.body).name,
            "position": reach.tool.position.tolist(),
            "source": reach.tool.source,
            "reach_m": reach.length,
            "workspace": None if reach.workspace is None else reach.workspace.tolist(),
        },
        "notes": [{"kind": note.kind, "what": note.what, "mend": note.mend} for note in found.notes],
    }

"""Writes the findings as a `robot.yaml`, with a comment on the source of each value."""

from __future__ import annotations

import json
import re

import numpy as np

from envs.robots.describe.finding import Description, natural_frequency
from envs.robots.describe.imu import find_imu
from envs.robots.robot import Robot  # noqa: F401 (the keys below are its fields)

WIDTH = 28
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}


def robot_yaml(found: Description, model: str) -> str:
    """The text of `robot.yaml`.

    Args:
        found: the findings.
        model: path of the model, relative to the file.
    """
    lines = [
        f"# {found.name}: {found.kind}, {found.mass:.3g} kg. Found by `robolearn robot new {found.reading.path.name}`; each comment says",
        "# where its value came from. Change what you know better (torque and speed limits, gains), then: robolearn robot check robot.yaml",
        _line(0, "name", word(found.name), "its name in commands, policies and logs"),
        _line(0, "model", word(model), f"the robot alone, from the {found.reading.format} {found.reading.path.name}"),
        _line(0, "base", word(found.base), "carries payloads and takes pushes" if found.floating else "the last link: carries payloads"),
    ]
    if found.standing is not None:
        if found.trunk is not None:
            lines.append(_line(0, "trunk", word(found.trunk), "carries head and arms: the heaviest body that moves against the base"))
        lines += [
            _line(
                0,
                "stand_height",
                number(round(found.standing.height, 4)),
                "height of the base's frame above the ground in the default pose [m]",
            ),
            _imu(found),
            _line(0, "max_tilt", "1.0", "largest tilt of the base in operation [rad]; as in all our walking robots"),
        ]
    else:
        lines.append(_line(0, "gravity_compensated", "true", "a guess: most manufacturers' arm controllers do; false if yours does not"))
    lines.append(_line(0, "self_collision", "false", "its links collide with the ground and objects, not with each other: fastest"))
    lines += _joints(found)
    if found.feet:
        lines += _feet(found)
    if found.reach is not None:
        lines += _tool(found)
    lines += _mirror(found)
    return "\n".join(lines) + "\n"


def _imu(found: Description) -> str:
    imu, body = find_imu(found.model, found.reading.root), word(found.reading.root)
    if imu is None:
        return _line(0, "imu", f"{{body: {body}}}", "at the base's origin; a guess, give your IMU's place")
    return _line(0, "imu", f"{{body: {body}, position: {_list(imu.position)}}}", imu.source)


def _joints(found: Description) -> list[str]:
    source = found.standing.source if found.standing else found.reach.source if found.reach else ""
    lines = ["", "joints:  # in the order of the file, which is the policy's; units: rad, N m, kg m^2 (m, N, kg for slide joints)"]
    for name, drive in found.drives.items():
        limits = found.range(name)
        unlimited = "none in the file: a full turn to either side; set yours"
        lines += [
            f"  {word(name)}:",
            _line(4, "default", number(found.default[name]), source),
            _line(4, "kp", number(drive.kp), drive.gains_from),
            _line(
                4,
                "kd",
                number(drive.kd),
                f"with kp {natural_frequency(drive):.3g} Hz with the {drive.inertia:.3g} kg m^2 that the motor sees",
            ),
            _line(4, "effort", number(drive.effort), drive.effort_from),
            _line(4, "velocity", number(drive.velocity), drive.velocity_from),
            _line(4, "scale", number(drive.scale), drive.scale_from),
            _line(4, "armature", number(drive.armature), drive.armature_from),
            _line(4, "range", _list((-np.pi, np.pi)), unlimited)
            if limits is None and not _slides(found, name)
            else f"    # range: {_list(limits)}, the file's"
            if limits is not None
            else "    # range: none in the file",
        ]
        if found.floating:
            why = "all alike" if len(found.feet) > 2 else "swings freely" if found.posture[name] < 1 else "keeps the pose"
            lines.append(_line(4, "posture", number(found.posture[name]), f"weight in the reward for the default pose: {why}"))
    if found.limbs.locked:
        lines.append("  # not the policy's:")
        lines += [f"  #   {name}: {why}" for name, why in found.limbs.locked.items()]
    return lines


def _slides(found: Description, name: str) -> bool:
    return any(link.name == name and link.slides for link in found.limbs.joints)


def _feet(found: Description) -> list[str]:
    lines = ["", "feet: # found: the ends of the legs, named by their places"]
    gaits = {2: "feet alternate", 4: "a trot: diagonals", 6: "tripods"}
    for foot in found.feet:
        lines += [
            f"  {word(foot.name)}:",
            _line(4, "body", word(foot.body), "the last link of the leg"),
            _line(4, "position", _list(foot.position), f"{foot.shape}, in that body's frame [m]"),
            _line(
                4, "turn", number(foot.turn), f"its lift-off in the gait's cycle, in turns: {gaits.get(len(found.feet), 'rows alternate')}"
            ),
        ]
        if foot.geoms:
            lines.append(_line(4, "geoms", f"[{', '.join(word(geom) for geom in foot.geoms)}]", "what it stands on"))
        if foot.sole:
            lines.append(_line(4, "sole", "true", "flat: it should lie flat on the ground"))
            lines.append(_line(4, "up", _list(foot.up), "the sole's upward normal in that body's frame"))
    return lines


def _tool(found: Description) -> list[str]:
    assert found.reach is not None
    tool = found.reach.tool
    lines = ["", "tool:", _line(2, "body", word(found.model.body(tool.body).name), tool.source)]
    lines.append(_line(2, "position", _list(tuple(round(float(v), 4) + 0.0 for v in tool.position)), "in that body's frame [m]"))
    if found.reach.workspace is not None:
        box = ", ".join(_list(tuple(round(float(v), 3) + 0.0 for v in axis)) for axis in found.reach.workspace)
        lines += [
            "",
            _line(0, "workspace", f"[{box}]", "goals: x, y, z in the base's frame [m]; every corner was reached by inverse kinematics"),
        ]
    return lines


def _mirror(found: Description) -> list[str]:
    pairs = {name: entry for name, entry in found.mirror.joints.items() if name in found.drives and entry[0] in found.drives}
    if not found.floating or found.asymmetric:
        why = "no left and right" if not found.floating else f"none, since of {', '.join(found.asymmetric[:3])}: see robolearn robot check"
        return ["", _line(0, "mirror", "{}", why)]
    lines = ["", "mirror:  # each joint's image in the x-z plane of the base and the sign of its angle, found by geometry"]
    return lines + [
        f"  {word(name)}: [{word(image)}, {int(sign)}]" for name, (image, sign) in ((name, pairs[name]) for name in found.drives)
    ]


def _line(indent: int, key: str, value: str, comment: str) -> str:
    text = f"{' ' * indent}{key}: {value}"
    return f"{text:{WIDTH}}  # {comment}"


def _list(values: tuple[float, ...]) -> str:
    return f"[{', '.join(number(value) for value in values)}]"


def number(value: float) -> str:
    """A number that every YAML reader accepts as one: with a point, without an exponent."""
    return np.format_float_positional(float(f"{value:.6g}") + 0.0, trim="0")


def word(text: str) -> str:
    """A name, in quotation marks if YAML might read it as something else."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS else json.dumps(text)

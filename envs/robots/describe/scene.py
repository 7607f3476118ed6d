"""Finds the robot in a scene: the largest articulated tree of an MJCF file, and the parts of the file that belong to it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from envs.robots.describe.classes import Classes
from envs.robots.describe.notes import Log, listed

JOINTS = ("joint", "freejoint")


def top_bodies(world: ET.Element, above: tuple[ET.Element, ...] = ()) -> Iterator[tuple[ET.Element, tuple[ET.Element, ...]]]:
    """Bodies directly in the world, each with its enclosing frames."""
    for child in world:
        if child.tag == "body":
            yield child, above
        elif child.tag == "frame":
            yield from top_bodies(child, (*above, child))


def moving_joints(body: ET.Element) -> list[str]:
    """Names of the joints in a tree, without free joints."""
    return [joint.get("name", "") for joint in body.iter("joint") if joint.get("type") != "free"]


def choose(tree: ET.Element, log: Log) -> tuple[ET.Element, tuple[ET.Element, ...]] | None:
    """The root body of the tree with the most joints, and its enclosing frames. Notes what else there was."""
    found = [pair for world in tree.findall("worldbody") for pair in top_bodies(world)]
    trees = [pair for pair in found if pair[0].get("mocap") != "true"]
    if not trees:
        log.fault("it has no bodies", "give the file that describes the robot, or includes it")
        return None
    best = max(trees, key=lambda pair: (len(moving_joints(pair[0])), sum(1 for _ in pair[0].iter("body"))))
    if not moving_joints(best[0]):
        log.fault("it has no joints that move", "give the file that describes the robot, or includes it")
        return None
    others = [body for body, _ in found if body is not best[0]]
    articulated = [body.get("name", "") for body in others if moving_joints(body)]
    things = [body.get("name", "") for body in others if not moving_joints(body)]
    if articulated:
        log.dropped(
            f"the robot is {best[0].get('name')}, with {len(moving_joints(best[0]))} joints; left out with fewer: {listed(articulated)}",
            "if you meant another, give a file with only that one; limbs of one robot must be attached to one body",
        )
    if things:
        log.dropped(f"objects of the scene that are not part of the robot: {listed(things)}")
    return best


def isolate(tree: ET.Element, body: ET.Element, frames: tuple[ET.Element, ...]) -> None:
    """Keeps only the robot in the worldbody, in its enclosing frames; removes cameras, lights and planes."""
    for world in tree.findall("worldbody"):
        tree.remove(world)
    world = holder = ET.SubElement(tree, "worldbody")
    for frame in frames:
        holder = ET.SubElement(holder, "frame", frame.attrib)
    holder.append(body)
    for parent in [*world.iter()]:
        for child in [*parent]:
            kind = child.get("type") if child.tag == "geom" else None
            if child.tag in ("camera", "light") or kind in ("plane", "hfield"):
                parent.remove(child)


def names(tree: ET.Element, tag: str) -> set[str]:
    """Names of all elements of a kind in the worldbody; bodies with the world."""
    found = {element.get("name", "") for world in tree.findall("worldbody") for element in world.iter(tag)}
    return found | {"world"} if tag == "body" else found


def followers(tree: ET.Element, leaders: set[str]) -> set[str]:
    """Joints that follow one of the leaders by equality constraints, directly or through others."""
    pairs = [(e.get("joint1", ""), e.get("joint2", "")) for e in tree.findall("equality/joint") if e.get("active") != "false"]
    found: set[str] = set()
    while new := {follower for follower, leader in pairs if leader in leaders | found} - found:
        found |= new
    return found


def loops(tree: ET.Element) -> Iterator[tuple[ET.Element, set[str]]]:
    """Constraints that close loops, each with its joints: those between its two ends and their common ancestor."""
    above = {child: parent for parent in tree.iter() for child in parent}
    by_name = {(e.tag, e.get("name")): e for world in tree.findall("worldbody") for e in world.iter() if e.tag in ("body", "site")}

    def chain(element: ET.Element | None) -> set[str]:
        found = set()
        while element is not None:
            found |= {joint.get("name", "") for joint in element.findall("joint")}
            element = above.get(element)
        return found

    for tag in ("connect", "weld"):
        for loop in tree.findall(f"equality/{tag}"):
            kind = "site" if loop.get("site1") else "body"
            ends = [by_name.get((kind, loop.get(f"{kind}{i}"))) for i in (1, 2)]
            if loop.get("active") != "false" and None not in ends:
                yield loop, chain(ends[0]) ^ chain(ends[1])


def fix(tree: ET.Element, joints: set[str]) -> None:
    """Removes joints, with the constraints and tendons that only concern them."""
    rigid = [loop for loop, on_it in loops(tree) if on_it <= joints]
    for section in tree.findall("equality"):
        for loop in rigid:
            if loop in list(section):
                section.remove(loop)
    for body in [*tree.iter("body"), *tree.iter("frame")]:
        for joint in body.findall("joint"):
            if joint.get("name") in joints:
                body.remove(joint)
    for section in tree.findall("equality"):
        for element in section.findall("joint"):
            if {element.get("joint1"), element.get("joint2")} & joints:
                section.remove(element)
    for section in tree.findall("tendon"):
        for tendon in [*section]:
            if any(part.get("joint") in joints for part in tendon):
                section.remove(tendon)


def strip_contacts(tree: ET.Element, log: Log) -> None:
    """Keeps contact pairs and excludes within the robot. A geom that only touched removed geoms by a pair becomes colliding itself."""
    geoms, bodies, classes = names(tree, "geom"), names(tree, "body") - {"world"}, Classes(tree)
    by_name = {geom.get("name"): geom for world in tree.findall("worldbody") for geom in world.iter("geom")}
    own, gone = [], []
    for section in tree.findall("contact"):
        for pair in [*section]:
            if pair.tag == "pair":
                ends = (pair.get("geom1", ""), pair.get("geom2", ""))
                if set(ends) <= geoms:
                    own.append("-".join(ends))
                    continue
                gone.append("-".join(ends))
                for geom in (by_name[name] for name in ends if name in geoms):
                    if not classes.collides(geom):
                        geom.attrib.update(contype="1", conaffinity="1")
                section.remove(pair)
            elif not {pair.get("body1"), pair.get("body2")} <= bodies:
                section.remove(pair)
        if not len(section):
            tree.remove(section)
    if gone:
        log.dropped(f"contact pairs with geoms that are not the robot's: {listed(gone)}")
    if own:
        log.remark(f"contact pairs inside the robot stay: {listed(own)}")


def strip_tendons(tree: ET.Element, log: Log) -> None:
    """Keeps tendons that pull, damp or limit within the robot."""
    known = {"joint": names(tree, "joint"), "site": names(tree, "site"), "geom": names(tree, "geom")}
    used = {
        element.get(key) for section in tree.findall("equality") for element in section.findall("tendon") for key in ("tendon1", "tendon2")
    }
    acting = {"stiffness", "damping", "range", "frictionloss", "limited", "armature", "class"}
    gone, kept = [], []
    for section in tree.findall("tendon"):
        for tendon in [*section]:
            whole = all(
                name in known[key]
                for part in tendon
                for key, attribute in (("joint", "joint"), ("site", "site"), ("geom", "geom"), ("site", "sidesite"))
                if (name := part.get(attribute)) is not None
            )
            if whole and (acting & set(tendon.attrib) or tendon.get("name") in used):
                kept.append(tendon.get("name") or "-".join(part.get("joint") or part.get("site") or "" for part in tendon))
                continue
            section.remove(tendon)
            if not whole:
                gone.append(tendon.get("name", "unnamed"))
        if not len(section):
            tree.remove(section)
    if gone:
        log.dropped(f"tendons that reach outside the robot: {listed(gone)}")
    if kept:
        log.remark(f"{len(kept)} tendons stay as passive parts: {listed(kept)}")


def strip_equalities(tree: ET.Element, driven: set[str], log: Log) -> tuple[dict[str, tuple[str, float, float]], set[str]]:
    """Keeps constraints within the robot. Returns the joints that follow others, and those that a constraint holds otherwise.

    Args:
        tree: the robot.
        driven: joints with their own actuator in the file, which lead if a constraint has both.
        log: gets notes on what is kept and dropped.
    """
    bodies, sites, joints = names(tree, "body"), names(tree, "site"), names(tree, "joint")
    tendons = {tendon.get("name") for section in tree.findall("tendon") for tendon in section}
    mimics: dict[str, tuple[str, float, float]] = {}
    held: set[str] = set()
    gone, kept = [], []
    for section in tree.findall("equality"):
        for element in [*section]:
            ends = [v for key in ("body1", "body2", "site1", "site2", "joint1", "joint2", "tendon1", "tendon2") if (v := element.get(key))]
            known = {"connect": bodies | sites, "weld": bodies | sites, "joint": joints, "tendon": tendons}.get(element.tag, set())
            outside = "world" in ends or (element.tag in ("connect", "weld") and len(ends) == 1)
            said = element.get("name") or f"{element.tag} {'-'.join(ends)}"
            if element.get("active") == "false" or outside or not set(ends) <= known:
                section.remove(element)
                if element.get("active") != "false":
                    gone.append(said)
                continue
            if element.tag == "joint":
                _follow(element, driven, mimics, held, log)
            else:
                kept.append(said)
        if not len(section):
            tree.remove(section)
    if gone:
        log.dropped(f"constraints to objects outside the robot: {listed(gone)}")
    if kept:
        log.remark(f"closed loops stay as constraints: {listed(kept)}")
    if mimics:
        log.remark(f"joints that follow others by equality constraints are not controlled: {listed(list(mimics))}")
    return mimics, held


def _follow(element: ET.Element, driven: set[str], mimics: dict[str, tuple[str, float, float]], held: set[str], log: Log) -> None:
    follower, leader = element.get("joint1", ""), element.get("joint2", "")
    coefficients = [*(float(v) for v in element.get("polycoef", "0 1 0 0 0").split()), 0, 0, 0, 0, 0][:5]
    offset, factor = coefficients[:2]
    if not leader:
        held.add(follower)
        log.remark(f"joint {follower} is held by an equality constraint and is not controlled")
    elif any(coefficients[2:]):
        held.add(follower)
        log.remark(f"joint {follower} follows {leader} by a polynomial and is not controlled")
    elif follower in driven and leader not in driven and factor:
        mimics[leader] = (follower, 1 / factor, -offset / factor)
    else:
        mimics[follower] = (leader, factor, offset)

"""Merges an MJCF file and all its includes into one tree, and finds every asset's file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from envs.robots.describe import packages
from envs.robots.describe.draft import MeshFile
from envs.robots.describe.markup import parse, unique
from envs.robots.describe.notes import Log
from envs.robots.errors import RobotError

FROM = "_from"
"""Attribute of an asset for the folder of its file, during the search for files."""
PLACES = ("assetdir", "meshdir", "texturedir", "strippath")
ASSETS = ("mesh", "texture", "hfield", "skin", "model")


def expanded(root: ET.Element, path: Path, log: Log) -> ET.Element:
    """The `mujoco` element with its includes in place and each section once."""
    _mark(root, path.parent)
    _splice(root, path.parent, path.parent, log, (path.resolve(),))
    log.raise_faults(path)
    return _merged(root)


def _mark(root: ET.Element, folder: Path) -> None:
    for element in root.iter():
        if (element.tag in ASSETS and element.get("file") is not None) or element.tag == "texture":
            element.set(FROM, str(folder))


def _splice(element: ET.Element, main: Path, here: Path, log: Log, above: tuple[Path, ...]) -> None:
    """Replaces `include` elements by the children of the included files, which are searched for beside the main file, then beside the
    including one.
    """
    for child in [*element]:
        if child.tag != "include":
            _splice(child, main, here, log, above)
            continue
        name = child.get("file", "").strip()
        found = next((p for folder in (main, here) if (p := folder / name).is_file()), None) or packages.find(name, here)
        index = list(element).index(child)
        element.remove(child)
        if found is None or not name:
            log.fault(f"included file {name!r} is not found", f"it should be beside {main}: put it there or fix the <include>")
            continue
        if found.resolve() in above:
            log.fault(f"{name} includes itself", "fix the <include>")
            continue
        try:
            part = parse(found, log)
        except RobotError as error:
            log.fault(f"included file: {error}", "")
            continue
        _mark(part, found.parent)
        _splice(part, main, found.parent, log, (*above, found.resolve()))
        for offset, inner in enumerate([*part]):
            element.insert(index + offset, inner)


def _merged(root: ET.Element) -> ET.Element:
    """Each section of the tree once: later attributes win, children are appended."""
    tree = ET.Element("mujoco", root.attrib)
    for section in root:
        found = tree.find(section.tag)
        if found is None:
            tree.append(section)
            continue
        if section.tag == "default" and section.get("class", "main") != found.get("class", "main"):
            found.append(section)  # a separate class beside the main one
            continue
        found.attrib.update(section.attrib)
        found.extend(list(section))
    for default in [*tree.iter("default")]:
        _merge_twins(default)
    for tag in ("compiler", "option", "size", "statistic", "visual"):
        if (section := tree.find(tag)) is not None:
            _merge_twins(section)
    return tree


def _merge_twins(element: ET.Element) -> None:
    """Merges children with the same tag (except nested classes), as MuJoCo does."""
    first: dict[str, ET.Element] = {}
    for child in [*element]:
        key = child.tag if child.tag != "default" else f"default {child.get('class')}"
        if key in first:
            first[key].attrib.update(child.attrib)
            first[key].extend(list(child))
            element.remove(child)
        else:
            first[key] = child


def locate(tree: ET.Element, path: Path) -> dict[str, MeshFile]:
    """Finds the files of all assets: textures and height fields get absolute paths; meshes lose `file` and are returned by name."""
    compiler = tree.find("compiler")
    places = {key: (compiler.attrib.pop(key, "") if compiler is not None else "") for key in PLACES}
    folders = {
        "mesh": places["meshdir"] or places["assetdir"],
        "skin": places["meshdir"] or places["assetdir"],
        "hfield": places["meshdir"] or places["assetdir"],
        "texture": places["texturedir"] or places["assetdir"],
        "model": "",
    }
    meshes: dict[str, MeshFile] = {}
    asset_section = tree.find("asset")
    assets = list(asset_section) if asset_section is not None else []
    taken = {element.get("name", "") for element in assets if element.tag == "mesh"}
    for element in assets:
        here = Path(element.attrib.pop(FROM, str(path.parent)))
        if element.tag not in folders:
            continue
        for key in [key for key in element.attrib if key.startswith("file")]:
            uri = element.get(key, "").strip().replace("\\", "/")
            if places["strippath"] == "true":
                uri = uri.rpartition("/")[2]
            found = _found(uri, folders[element.tag], path.parent, here)
            if element.tag == "mesh" and key == "file":
                del element.attrib[key]
                if element.get("name") is None:
                    element.set("name", unique(Path(uri).stem, taken))
                meshes[element.get("name", "")] = MeshFile(uri=uri, path=found)
            elif found is not None:
                element.set(key, str(found.resolve()))
            else:
                element.set(key, f"missing:{uri}")
    return meshes


def _found(uri: str, inside: str, main: Path, here: Path) -> Path | None:
    if "://" in uri:
        return packages.find(uri, here)
    names = [f"{inside}/{uri}" if inside else uri, uri]
    for name in names:
        for folder in (main, here):
            if (path := folder / name).is_file():
                return path
    return next((path for name in names if (path := packages.find(name, here)) is not None), None)

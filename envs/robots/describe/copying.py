"""Writes a model that was read, with the meshes it needs, into a self-contained folder."""

from __future__ import annotations

import hashlib
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

from envs.robots.describe.markup import unique
from envs.robots.describe.reading import Reading
from policies.files import write_text

MODEL = "model.xml"
ASSETS = "assets"


def write_model(reading: Reading, folder: Path) -> Path:
    """Writes `model.xml` and `assets/`; files with the same content are written once.

    Returns: the path of `model.xml`, from which `read` gives the same physics.
    """
    tree = ET.fromstring(reading.xml)
    assets = folder / ASSETS
    taken: set[str] = set()
    written: dict[str, str] = {}
    for element in tree.findall("asset/*"):
        for key in [key for key in element.attrib if key.startswith("file")]:
            source = Path(element.get(key, ""))
            content = source.read_bytes()
            digest = hashlib.sha256(content).hexdigest() + source.suffix.lower()
            if digest not in written:
                assets.mkdir(parents=True, exist_ok=True)
                name = written[digest] = unique_file(source, taken)
                shutil.copyfile(source, assets / name)
            element.set(key, f"{ASSETS}/{written[digest]}")
    ET.indent(tree)
    path = folder / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, ET.tostring(tree, encoding="unicode") + "\n")
    return path


def unique_file(source: Path, taken: set[str]) -> str:
    """The file's name, with a number before its suffix if another file has it (in upper or lower case, for any file system)."""
    stem = source.stem
    lower = {Path(name).stem.lower() for name in taken if Path(name).suffix.lower() == source.suffix.lower()}
    found = unique(stem.lower(), lower)
    name = (stem if found == stem.lower() else f"{stem}{found.removeprefix(stem.lower())}") + source.suffix.lower()
    taken.add(name)
    return name

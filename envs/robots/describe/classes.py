"""MJCF's default classes: resolves attributes of elements."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator


class Classes:
    """Resolves attributes of a `mujoco` element's descendants through default classes."""

    def __init__(self, tree: ET.Element) -> None:
        self.defaults: dict[str, ET.Element] = {}
        self.above: dict[str, str | None] = {}
        self.main = "main"
        for index, top in enumerate(tree.findall("default")):
            name = top.get("class") or "main"
            if index == 0:
                self.main = name
            self._collect(top, name, None)
        self.childclass: dict[ET.Element, str] = {}
        for world in tree.findall("worldbody"):
            self._walk(world, self.main)

    def _collect(self, element: ET.Element, name: str, above: str | None) -> None:
        self.defaults[name] = element
        self.above[name] = above
        for child in element.findall("default"):
            if inner := child.get("class"):
                self._collect(child, inner, name)

    def _walk(self, element: ET.Element, inherited: str) -> None:
        inherited = element.get("childclass", inherited)
        for child in element:
            self.childclass[child] = inherited
            self._walk(child, inherited)

    def chain(self, element: ET.Element, tag: str = "") -> Iterator[ET.Element]:
        """The element, then its defaults, the nearest first."""
        yield element
        name = element.get("class") or self.childclass.get(element, self.main)
        yield from self.defaults_of(name, tag or element.tag)

    def defaults_of(self, name: str | None, tag: str) -> Iterator[ET.Element]:
        """The defaults for elements `tag` of a class, the nearest first."""
        while name is not None:
            found = self.defaults.get(name)
            if found is not None and (default := found.find(tag)) is not None:
                yield default
            name = self.above.get(name)

    def get(self, element: ET.Element, key: str, default: str = "") -> str:
        """The attribute as MuJoCo would see it; `default` if it is not set."""
        return next((value for e in self.chain(element) if (value := e.get(key)) is not None), default)

    def collides(self, geom: ET.Element) -> bool:
        """Whether a geom can touch anything by contype and conaffinity."""
        return self.get(geom, "contype", "1").strip() != "0" or self.get(geom, "conaffinity", "1").strip() != "0"

"""Finds meshes with paths like `package://`, `model://`, `file://`, or paths relative to an unknown folder."""

from __future__ import annotations

import os
import re
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path


def find(uri: str, folder: Path, packages: Sequence[Path] = ()) -> Path | None:
    """The file of `uri` in a model in `folder`, or None.

    A package is searched for in `packages`, then among the folders above the model (by the name of a folder or of its package.xml), then in
    ROS_PACKAGE_PATH, then in AMENT_PREFIX_PATH.
    """
    return next((path for path in _candidates(uri.strip(), folder, packages) if path.is_file()), None)


def _candidates(uri: str, folder: Path, packages: Sequence[Path]) -> Iterator[Path]:
    scheme, separator, rest = uri.partition("://")
    if not separator:
        rest = uri.replace("\\", "/")
        yield folder / rest
        yield from (above / rest for above in _above(folder))
        if rest.startswith("/") or rest[1:2] == ":":  # absolute, on its author's computer: its last folders may be above the model
            parts = rest.split("/")
            yield from (above / "/".join(parts[start:]) for start in range(1, len(parts) - 1) for above in _above(folder))
        return
    rest = urllib.parse.unquote(rest)
    if scheme == "file":
        yield Path(rest)
        yield folder / rest
        yield folder / rest.lstrip("/")
        return
    if found := re.fullmatch(r"\$\(find ([^)]+)\)/(.*)", rest):
        rest = f"{found[1]}/{found[2]}"
    name, _, inside = rest.lstrip("/").partition("/")
    yield from (root / inside for root in _roots(name, folder, packages))
    yield from (above / rest.lstrip("/") for above in _above(folder))  # the package's name is a part of a path below one of them
    yield from (above / inside for above in _above(folder))  # the folder and its package have different names


def _roots(name: str, folder: Path, packages: Sequence[Path]) -> Iterator[Path]:
    """Folders that may be package `name`."""
    for base in packages:
        if base.name == name or _package_name(base) == name:
            yield base
        yield base / name
    for above in _above(folder):
        if above.name == name or _package_name(above) == name:
            yield above
        yield above / name
        yield from (beside for beside in _packages_in(above) if _package_name(beside) == name)
    for base in _paths("ROS_PACKAGE_PATH"):
        if base.name == name or _package_name(base) == name:
            yield base
        yield base / name
        yield from (inside for inside in _packages_in(base) if _package_name(inside) == name or inside.name == name)
    yield from (base / "share" / name for base in _paths("AMENT_PREFIX_PATH"))


def _paths(variable: str) -> list[Path]:
    return [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part]


def _above(folder: Path) -> list[Path]:
    """The folder and those above it, except the root of the file system."""
    resolved = folder.resolve()
    return [above for above in (resolved, *resolved.parents) if above != above.parent]


@lru_cache(maxsize=512)
def _packages_in(folder: Path) -> tuple[Path, ...]:
    """The packages directly inside a folder."""
    try:
        return tuple(sorted(inside for inside in folder.iterdir() if (inside / "package.xml").is_file()))
    except OSError:
        return ()


@lru_cache(maxsize=512)
def _package_name(folder: Path) -> str | None:
    try:
        return (ET.parse(folder / "package.xml").findtext("name") or "").strip() or None
    except (OSError, ET.ParseError):
        return None
